"""Projects that `init` makes keep their models in a folder of their own, wherever they are started from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from hosting import (
    CHOICES,
    CONSOLE_SCRIPT,
    PROJECT,
    Server,
    environment,
    free_port,
    make_project,
    run,
    wait_for,
)

Serve = Callable[..., Server]
GUNICORN = (sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:{port}")

#: Says where it keeps its models; the folder is read when the script is imported, too.
SOURCE = """
    import os
    from label_studio_ml.model import LabelStudioMLBase

    AT_IMPORT = os.environ.get("MODEL_DIR")

    class Teller(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = {api}

        def predict(self, tasks, **kwargs):
            place = os.environ.get("MODEL_DIR", "none")
            return [{"result": [], "score": 1, "place": place, "at_import": AT_IMPORT} for _ in tasks]

        def fit(self, *args, **kwargs):
            if {api} == 2:
                self.set("weights", "1")
            return {"a": 1}
"""


def made(tmp_path: Path, api: int, name: str = "backend") -> Path:
    """Make a project with the marked folder, as `init` does."""
    project = make_project(tmp_path, SOURCE.replace("{api}", str(api)), name)
    (project / "models").mkdir(exist_ok=True)
    (project / "models" / ".gitignore").write_text("*\n!.gitignore\n")
    return project


def place(url: str) -> set[str]:
    """Ask a server where it keeps its models."""
    body = {"tasks": [{"data": {}}], "project": PROJECT, "label_config": CHOICES, "params": {}}
    answer = requests.post(f"{url}/predict", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    items = results if isinstance(results, list) else [results]
    return {str(items[0]["place"]), str(items[0]["at_import"])}


def model_dir_of(url: str) -> Path:
    """Return MODEL_DIR once the script is imported."""

    def told() -> str | None:
        said: str | None = requests.get(f"{url}/health", timeout=10).json().get("model_dir")
        return said

    return Path(wait_for(told, "the script is imported"))


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Start any command with `{port}` in it; return its address once it answers."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str | Path, cwd: Path, **env: str) -> str:
        port = free_port()
        processes.append(
            subprocess.Popen(
                [str(part).replace("{port}", str(port)) for part in command],
                cwd=cwd,
                env={**environment(), **env},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

        def answers() -> bool:
            try:
                return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_for(answers, "the server answers")
        return f"http://127.0.0.1:{port}"

    yield start
    for process in processes:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("api", [1, 2])
def test_it_is_the_same_from_everywhere(
    tmp_path: Path, api: int, start: Callable[..., str]
) -> None:
    project = made(tmp_path, api)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    port = ("--host", "127.0.0.1", "-p", "{port}")
    ways: list[tuple[tuple[str | Path, ...], Path]] = [
        ((CONSOLE_SCRIPT, "start", "backend", *port), tmp_path),
        ((CONSOLE_SCRIPT, "start", ".", *port), project),
        ((CONSOLE_SCRIPT, "start", project / "model.py", *port), elsewhere),
        ((CONSOLE_SCRIPT, "start", project, "--debug", *port), elsewhere),
        ((CONSOLE_SCRIPT, "start", "model.py", "--debug", *port), project),
        ((sys.executable, project / "_wsgi.py", *port), elsewhere),
        ((*GUNICORN, "--chdir", project, "_wsgi:app"), elsewhere),
    ]
    expected = {str(project / "models")}
    for command, cwd in ways:
        assert place(start(*command, cwd=cwd)) == expected, command
    assert not list(elsewhere.iterdir())
    assert not (tmp_path / "cache.db").exists()


@pytest.mark.parametrize("api", [1, 2])
def test_the_users_choice_comes_first(tmp_path: Path, api: int, start: Callable[..., str]) -> None:
    project = made(tmp_path, api)
    port = ("--host", "127.0.0.1", "-p", "{port}")
    chosen = {str(tmp_path / "chosen")}
    for more, env in (
        (("--model-dir", tmp_path / "chosen"), {}),
        ((), {"MODEL_DIR": str(tmp_path / "chosen")}),
    ):
        url = start(CONSOLE_SCRIPT, "start", project, *port, *more, cwd=tmp_path, **env)
        assert place(url) == chosen
    command = (*GUNICORN, "_wsgi:app")
    assert place(start(*command, cwd=project, MODEL_DIR=str(tmp_path / "chosen"))) == chosen
    # So does what the program says itself.
    wsgi = project / "_wsgi.py"
    said = tmp_path / "said"
    text = wsgi.read_text().split("app = init_app")[0]
    wsgi.write_text(f"{text}app = init_app(model_class=Teller, model_dir={str(said)!r})\n")
    url = start(CONSOLE_SCRIPT, "start", project, *port, cwd=tmp_path)
    assert model_dir_of(url) == said


def test_without_the_marker_the_rules_of_the_original_hold(
    tmp_path: Path, start: Callable[..., str]
) -> None:
    port = ("--host", "127.0.0.1", "-p", "{port}")
    for api, expected in ((1, "backend-1"), (2, "")):
        project = made(tmp_path, api, f"backend-{api}")
        (project / "models" / ".gitignore").write_text("*.bin\n")
        url = start(CONSOLE_SCRIPT, "start", project, *port, cwd=tmp_path)
        assert model_dir_of(url) == tmp_path / expected


def test_doctor_and_validate_look_there(tmp_path: Path) -> None:
    project = made(tmp_path, 2)
    done = run("doctor", project, "-p", free_port(), cwd=tmp_path)
    assert f"MODEL_DIR is {project / 'models'}, and is writable" in done.stdout
    tasks = tmp_path / "tasks.json"
    tasks.write_text('[{"data": {"text": "fine"}}]')
    assert run("validate", project, "--task", tasks, cwd=tmp_path).returncode == 0
    assert not (tmp_path / "cache.db").exists()


@pytest.mark.parametrize("api", [1, 2])
def test_versions_in_another_usual_place_are_told(serve: Serve, tmp_path: Path, api: int) -> None:
    project = made(tmp_path, api)
    marker = project / "models" / ".gitignore"
    marker.rename(tmp_path / "kept")
    before = serve(project)
    before.setup()
    if api == 1:
        body = {"annotations": [{"id": 1}], "project": PROJECT, "label_config": CHOICES}
        before.post("/train", body, headers={"Prefer": "wait=100"})
    else:
        event = {"action": "ANNOTATION_CREATED", "project": {"id": 2}}
        before.post("/webhook", event, headers={"Prefer": "wait=100"})
    assert before.stop() == 0
    (tmp_path / "kept").rename(marker)
    used = project if api == 1 else tmp_path
    server = serve(project)
    server.wait_logged(
        f"trained versions of Teller in {used} are not served, because models are kept in "
        f"{project / 'models'}; to use them, start with --model-dir {used}"
    )
    assert server.stop() == 0
    log = tmp_path / "debug.log"
    with log.open("wb") as output:
        command = [CONSOLE_SCRIPT, "start", project, "--debug", "-p", str(free_port())]
        debugged = subprocess.Popen(
            [*map(str, command)], cwd=tmp_path, env=environment(), stdout=output, stderr=output
        )
    wait_for(lambda: "debugging on" in log.read_text(), "it serves")
    debugged.terminate()
    debugged.wait(30)
    assert f"trained versions of Teller in {used} are not served" in log.read_text()
    served = serve(project, "--model-dir", str(used), cwd=tmp_path)
    served.wait_logged("paste into Label Studio")
    assert served.stop() == 0
    assert "are not served" not in served.log(), "its own folder for models is empty"


def test_two_projects_in_one_process_have_their_own(tmp_path: Path) -> None:
    first, second = made(tmp_path, 2, "first"), made(tmp_path, 2, "second")
    third = make_project(tmp_path, SOURCE.replace("{api}", "2"), "third")
    (third / "models" / ".gitignore").unlink(missing_ok=True)
    code = """
import os, runpy, sys
for folder in sys.argv[1:]:
    sys.path.insert(0, folder)
    sys.modules.pop("model", None)
    runpy.run_path(folder + "/_wsgi.py", run_name="_wsgi")
    print(os.environ.get("MODEL_DIR"))
    sys.path.remove(folder)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, (first, second, third))],
        cwd=tmp_path,
        env={name: value for name, value in environment().items() if name != "MODEL_DIR"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = [str(first / "models"), str(second / "models"), "None"]
    assert done.stdout.splitlines() == expected
    assert os.environ.get("MODEL_DIR")
