"""README.md, docs/ and the other pages: what they say of options, routes, models and each other is so.

The tables of options are compared with `--help` of the installed package.  The table of routes is
compared with openapi.json, which test_api_properties.py holds to the router, and with what a started
server allows.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hosting import CHOICES, ROOT, Server, make_project, run, write_script
from models_v2 import event
from PIL import Image

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / "src" / "project" / "templates").rglob("*.md"),
    ]
)
COMMON = "(#project-and-model)"


@dataclass(frozen=True)
class Option:
    """What is said of an option, in plain text."""

    names: frozenset[str]
    default: str
    variable: str


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def sections(page: str) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)\n", page, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of tables, without their first two lines."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def plain(cell: str) -> str:
    return cell.replace("`", "")


# Options.


@cache
def commands() -> tuple[str, ...]:
    listed = re.search(r"^Commands:\n((?: +.*\n)+)", run("--help").stdout, re.M)
    assert listed
    return tuple(name for name in re.findall(r"^ +(\w+)", listed[1], re.M) if name != "help")


@cache
def offered(command: str) -> dict[frozenset[str], tuple[Option, set[str]]]:
    """The options of a command with their possible values, as `--help` shows them."""
    text = run(command, "--help").stdout
    starts = [*re.finditer(r"^ {2,6}(?:(-\w), )?(--[a-z-]+)", text, re.M)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    found = {}
    for start, end in zip(starts, ends, strict=True):
        said = " ".join(text[start.start() : end].split())
        in_brackets = dict(re.findall(r"\[(\w[\w ]*): ([^\]=]*)", said))
        names = {name for name in start.groups() if name}
        names |= set(
            re.findall(r"--[a-z-]+", in_brackets.get("alias", in_brackets.get("aliases", "")))
        )
        if "--help" in names:
            continue
        values = set(re.findall(r"[\w-]+", in_brackets.get("possible values", "")))
        option = Option(
            frozenset(names), plain(in_brackets.get("default", "")), in_brackets.get("env", "")
        )
        found[option.names] = (option, values)
    return found


def documented(command: str) -> dict[frozenset[str], tuple[Option, str]]:
    """The options in the section of a command, and in the one that it refers to, with their rows."""
    page = sections(read("docs/command-line.md"))
    text = page[f"label-studio-ml {command}"]
    if COMMON in text:
        text += page["Project and model"]
    found = {}
    for cells in rows(text):
        names = frozenset(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", cells[0]))
        if names:
            option = Option(names, plain(cells[1]), plain(cells[2]))
            assert names not in found, f"{command} {cells[0]} stands there twice"
            found[names] = (option, " ".join(cells))
    return found


def test_every_command_has_a_section_and_a_line() -> None:
    page = sections(read("docs/command-line.md"))
    assert [name for name in page if name.startswith("label-studio-ml ")] == [
        f"label-studio-ml {command}" for command in commands()
    ]
    for text in (read("docs/command-line.md"), sections(read("README.md"))["Commands"]):
        named = re.findall(r"^\| \[?`(?:label-studio-ml )?(\w+)`", text, re.M)
        assert sorted(named) == sorted(commands())


def test_every_option_is_documented_with_its_default() -> None:
    for command in commands():
        ours, told = offered(command), documented(command)
        assert ours, f"{command} --help could not be read"
        assert ours.keys() == told.keys(), command
        for names, (option, values) in ours.items():
            said, row = told[names]
            assert said == option, command
            assert not {value for value in values if value not in row}, f"{command}: {row}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_on_pages_have_options_that_there_are(page: Path) -> None:
    for command, rest in re.findall(
        r"label-studio-ml (\w+)([^\n`]*)", page.read_text(encoding="utf-8")
    ):
        if command not in commands() and command != "create":
            continue
        known = {name for names in offered(command) for name in names} | {"--help"}
        # What follows a comment is for people.
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition(" #")[0]))
        assert used <= known, f"label-studio-ml {command}{rest}"


# Routes.


def routes_on_the_page() -> set[tuple[str, str]]:
    first, *_ = re.findall(r"(?:^\|.*\n)+", read("docs/http-api.md"), re.M)
    cells = [cell for cell, _ in rows(first)]
    return {
        (path, method.lower())
        for cell in cells
        for method, path in re.findall(r"`([A-Z]+) (/[^`]*)`", cell)
    }


def test_every_route_is_on_the_page() -> None:
    described = json.loads(read("tests/python/openapi.json"))["paths"]
    assert routes_on_the_page() == {
        (path, method) for path, methods in described.items() for method in methods
    }


def test_the_server_has_the_routes_of_the_page(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(make_project(tmp_path, README_MODELS[0]))
    for path in {path for path, _ in routes_on_the_page()}:
        answer = server.session.request("PATCH", server.url + path, timeout=60)
        assert answer.status_code == 405, path
        allowed = {method.strip().lower() for method in answer.headers["Allow"].split(",")}
        on_the_page = {method for other, method in routes_on_the_page() if other == path}
        assert allowed - {"head", "options"} == on_the_page, path


# Models.


def code(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", read(page), re.M | re.S)


README_MODELS = code("README.md")
(V1_MODEL,) = (block for block in code("docs/writing-a-model.md") if "self.train_output" in block)
BOXES = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
    '<Label value="Car"/></RectangleLabels></View>'
)


def image() -> str:
    file = io.BytesIO()
    Image.new("RGB", (200, 100)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def new_project(root: Path) -> Path:
    """A new project, with the model of the README in the place of the one that `init` wrote."""
    assert run("init", "backend", cwd=root).returncode == 0
    write_script(root / "backend", README_MODELS[0])
    return root / "backend"


def assert_label_studio_would_show(project: Path, config: str, data: dict[str, str]) -> None:
    write_script(project, config, "label_config.xml")
    tasks = write_script(project, json.dumps({"id": 1, "data": data}), "tasks.json")
    done = run("validate", project, "--task", tasks, MODEL_DIR=str(project / "models"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 1 task" in done.stdout, done.stdout


def test_label_studio_would_show_what_the_models_of_the_readme_predict(tmp_path: Path) -> None:
    assert_label_studio_would_show(new_project(tmp_path), CHOICES, {"text": "fine"})
    boxes = make_project(tmp_path, README_MODELS[1], "boxes")
    assert_label_studio_would_show(boxes, BOXES, {"image": image()})


@pytest.mark.parametrize("source", [README_MODELS[0], V1_MODEL], ids=["v2", "v1"])
def test_the_models_of_the_pages_learn(
    source: str, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(make_project(tmp_path, source))
    assert server.setup().status_code == 200
    assert server.first()["result"][0]["value"] == {"choices": ["Positive"]}
    annotation = {"result": [{"value": {"choices": ["Negative"]}}]}
    server.post("/webhook", event(annotation=annotation), headers={"Prefer": "wait=100"})
    assert server.first()["result"][0]["value"] == {"choices": ["Negative"]}


# Links.


def without_code(page: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```$", "", page, flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    seen: dict[str, int] = {}
    made = set()
    for heading in headings:
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", html.unescape(heading)).lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        made.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = without_code(page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_there_are_links_to_look_at() -> None:
    found = [page for page in PAGES if "](" in without_code(page.read_text(encoding="utf-8"))]
    assert len(found) >= 10
