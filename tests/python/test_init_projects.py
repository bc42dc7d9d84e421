"""Projects that `init` makes: their README, their tests and requirements, for the examples and other scripts."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosting import (
    CHOICES,
    CONSOLE_SCRIPT,
    ROOT,
    environment,
    free_port,
    run,
    wait_for,
    write_script,
)

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/label_config.xml"))
MODEL = """
    from label_studio_ml.model import LabelStudioMLBase

    class Mine(LabelStudioMLBase):
        def predict(self, tasks, context=None, **kwargs):
            from_name, to_name, value = self.get_first_tag_occurrence("Choices", "Text")
            region = {"from_name": from_name, "to_name": to_name, "type": "choices",
                      "value": {"choices": [LABEL]}}
            return [{"result": [region]} for _ in tasks]

        def fit(self, event, data, **kwargs): ...

    LABEL = "Positive"
"""


def script_of(example: Path) -> Path:
    named = example / f"{example.name}.py"
    return named if named.is_file() else example / "model.py"


def made(script: Path, into: Path, *arguments: str) -> Path:
    done = run("init", "backend", "--script", script, "--root-dir", into, *arguments)
    assert done.returncode == 0, done.stderr
    return into / "backend"


def shell(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{CONSOLE_SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"
    known = {**environment(), "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=known, capture_output=True, text=True, timeout=280
    )


@pytest.fixture
def language_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "llm_labelling"))
    from fake_llm import FakeLLM

    with FakeLLM() as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, daemon=True)
        thread.start()
        yield endpoint.url
        endpoint.shutdown()


def commands(readme: str) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", readme, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_command_of_the_readme_works_in_the_folder(
    example: Path, tmp_path: Path, language_model: str
) -> None:
    project = made(script_of(example), tmp_path)
    readme = (project / "README.md").read_text()
    lines = commands(readme)
    assert "label-studio-ml start" in lines
    assert "label-studio-ml validate --task tasks.json" in lines
    assert "python -m pytest" in lines
    env = {"LLM_BASE_URL": language_model, "LLM_MODEL": "small"}
    exported = ""
    for line in lines:
        if line.startswith("export "):
            exported += f"{line}\n"
        elif line == "label-studio-ml start":
            starts(exported + line, project, env)
        else:
            done = shell(exported + line, project, **env)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert "skipped" not in done.stdout
    for name in re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE):
        assert (project / name).exists(), name


def starts(command: str, project: Path, env: dict[str, str]) -> None:
    import requests

    port = free_port()
    path = f"{CONSOLE_SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"
    known = {**environment(), **env, "PATH": path, "PORT": str(port), "HOST": "127.0.0.1"}
    lines = command.splitlines()
    lines[-1] = f"exec {lines[-1]}"
    with subprocess.Popen(["bash", "-ec", "\n".join(lines)], cwd=project, env=known) as server:

        def is_ready() -> bool:
            assert server.poll() is None
            try:
                answer = requests.get(f"http://127.0.0.1:{port}/health", timeout=10)
            except requests.ConnectionError:
                return False
            return bool(answer.json()["workers"]["ready"])

        try:
            wait_for(is_ready, "the server is ready")
        finally:
            server.terminate()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_brings_what_its_readme_names(example: Path, tmp_path: Path) -> None:
    project = made(script_of(example), tmp_path)
    readme = (example / "README.md").read_text()
    assert (project / "ABOUT.md").read_text() == readme
    named = re.findall(r"`([\w.-]+)`", readme)
    present = {name for name in named if (example / name).exists()} | {"label_config.xml"}
    assert len(present) >= 2
    for name in present:
        assert (project / name).exists(), name
    tests = {path.name for path in example.glob("test_*.py")}
    assert tests <= {path.name for path in project.iterdir()}


def test_a_script_without_config_and_tasks_has_tests_that_say_what_they_need(
    tmp_path: Path,
) -> None:
    project = made(write_script(tmp_path / "scripts", MODEL), tmp_path)
    done = shell("python -m pytest -rs", project)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 skipped" in done.stdout
    assert "put the labelling config of your project there" in done.stdout
    (project / "label_config.xml").write_text(CHOICES)
    (project / "tasks.json").write_text(json.dumps([{"text": "fine"}]))
    done = shell("python -m pytest", project)
    assert "3 passed" in done.stdout, done.stdout


def test_the_test_fails_where_label_studio_would_show_nothing(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    (write_script(scripts, MODEL).parent / "label_config.xml").write_text(CHOICES)
    (scripts / "tasks.json").write_text(json.dumps([{"id": 17, "data": {"text": "fine"}}]))
    project = made(scripts / "model.py", tmp_path)
    assert shell("python -m pytest", project).returncode == 0
    script = project / "model.py"
    script.write_text(script.read_text().replace('"Positive"', '"unlisted"'))
    done = shell("python -m pytest", project)
    assert done.returncode == 1
    assert "task 17: results[0].result[0].value.choices[0] is" in done.stdout


def test_requirements_are_suggested_from_the_imports(tmp_path: Path) -> None:
    imports = """
        import os, json
        import numpy as np
        import yaml
        from PIL import Image
        from sklearn.linear_model import LogisticRegression
        from typing import TYPE_CHECKING
        import helpers
        from nets import small
        if TYPE_CHECKING:
            import never
        try:
            import torch
        except ImportError:
            torch = None
        try:
            import tqdm
        finally:
            pass

        def late():
            import cv2, requests
    """
    scripts = tmp_path / "scripts"
    write_script(scripts, imports.replace("\n        ", "\n") + MODEL.replace("\n    ", "\n"))
    write_script(scripts, "import pytest\nimport label_studio_ml.utils\n", "helpers.py")
    write_script(scripts / "nets", "", "__init__.py")
    write_script(scripts / "nets", "from . import other\nfrom .other import x\n", "small.py")
    write_script(scripts / "nets", "import spacy\nx = 1\n", "other.py")
    write_script(scripts / "nets", "import internal_lib\n", "train.py")
    text = (made(scripts / "model.py", tmp_path) / "requirements.txt").read_text()
    required = [line for line in text.splitlines() if line and not line.startswith("#")]
    names = {re.split("[>=]", line)[0].lower() for line in required}
    assert names == {"numpy", "pyyaml", "pillow", "scikit-learn", "pytest", "spacy", "tqdm"}
    from importlib.metadata import version

    assert f"numpy>={version('numpy')}" in required
    comments = {line for line in text.splitlines() if line.startswith("#")}
    assert "# torch" in comments
    # An index may have the package of a stranger under this name.
    assert "# internal_lib: not installed, check its name" in comments
    assert any(re.match(r"# requests>=\d", line) for line in comments)
    assert any(line.startswith("# opencv-python") for line in comments)
    assert "never" not in text


def test_requirements_that_are_there_are_kept(tmp_path: Path) -> None:
    scripts = write_script(
        tmp_path / "scripts", "import numpy\n" + MODEL.replace("\n    ", "\n")
    ).parent
    (scripts / "requirements.txt").write_text("numpy==1.0  # mine\n")
    project = made(scripts / "model.py", tmp_path)
    assert (project / "requirements.txt").read_text() == "numpy==1.0  # mine\n"


def test_what_is_large_or_private_or_elsewhere_is_not_brought(tmp_path: Path) -> None:
    scripts = write_script(tmp_path / "scripts", MODEL).parent
    (tmp_path / "secret.txt").write_text("secret")
    (scripts / ".env").write_text("PASSWORD=1")
    (scripts / "link.txt").symlink_to(tmp_path / "secret.txt")
    (scripts / "images").mkdir()
    (scripts / "images" / "a.txt").write_text("a")
    (scripts / "images" / ".env").write_text("PASSWORD=1")
    (scripts / "images" / "link").symlink_to(tmp_path / "secret.txt")
    (scripts / "huge").mkdir()
    with (scripts / "huge" / "weights.bin").open("wb") as file:
        file.truncate(65 << 20)
    names = "`.env` `link.txt` `../secret.txt` `images` `huge` docs.txt"
    (scripts / "docs.txt").write_text("docs")
    (scripts / "README.md").write_text(names)
    done = run("init", "backend", "--script", scripts / "model.py", "--root-dir", tmp_path)
    assert done.returncode == 0
    assert "huge: not copied, because it is large" in done.stdout
    project = tmp_path / "backend"
    assert (project / "images" / "a.txt").is_file()
    assert (project / "docs.txt").is_file()
    for name in (".env", "link.txt", "secret.txt", "huge", "images/.env", "images/link"):
        assert not (project / name).exists(), name


def test_models_have_a_folder_that_git_leaves_out(tmp_path: Path) -> None:
    project = made(write_script(tmp_path / "scripts", MODEL), tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / "models" / "weights.bin").write_text("x")
    (project / "cache.db").write_text("x")
    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    said = subprocess.run(status, cwd=project, capture_output=True, text=True, check=True).stdout
    assert "models/.gitignore" in said
    assert "weights.bin" not in said
    assert "cache.db" not in said
    assert "models/" in (project / ".dockerignore").read_text().splitlines()


def test_a_package_named_models_and_models_that_are_there_stay_what_they_are(
    tmp_path: Path,
) -> None:
    scripts = tmp_path / "scripts"
    write_script(scripts, "from models.net import x\n" + MODEL.replace("\n    ", "\n"))
    write_script(scripts / "models", "x = 1\n", "net.py")
    project = made(scripts / "model.py", tmp_path)
    assert sorted(path.name for path in (project / "models").iterdir()) == ["net.py"]
    assert "models/" not in (project / ".dockerignore").read_text().splitlines()

    old = tmp_path / "old"
    write_script(old, MODEL)
    (old / "2.1795430965" / "1795431326").mkdir(parents=True)
    done = run("init", "old", "--script", old / "model.py", "--root-dir", tmp_path, "--force")
    assert done.returncode == 0, done.stderr
    assert not (old / "models").exists()


def test_force_keeps_what_the_user_wrote(tmp_path: Path) -> None:
    folder = write_script(tmp_path / "mine", MODEL).parent
    mine = {"README.md": "# Mine\n", ".gitignore": "x\n", "test_backend.py": "def test_x(): ...\n"}
    for name, text in mine.items():
        (folder / name).write_text(text)
    done = run("init", "mine", "--script", folder / "model.py", "--root-dir", tmp_path, "--force")
    assert done.returncode == 0, done.stderr
    for name, text in mine.items():
        assert (folder / name).read_text() == text
    assert not (folder / "ABOUT.md").exists()


def test_init_congratulates_first_and_tells_last_what_to_run(tmp_path: Path) -> None:
    done = run("init", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0] == "Congratulations! my_ml_backend is an ML backend with NewModel (API v2)."
    told = [line.strip() for line in lines if line.startswith("    ")]
    assert told[-1] == "label-studio-ml start my_ml_backend"
    assert lines.index("Next:") > next(i for i, line in enumerate(lines) if "change it" in line)
    for command in told[:-1]:
        ran = run(*shlex.split(command)[1:], cwd=tmp_path)
        assert ran.returncode == 0, command + ran.stdout + ran.stderr


def test_install_says_what_it_cannot_do(tmp_path: Path) -> None:
    folder = write_script(tmp_path / "mine", MODEL).parent
    done = run("install", folder)
    assert done.returncode == 2
    assert (
        done.stderr == f"error: {folder} has no requirements.txt, so there is nothing to install\n"
    )
    (folder / "requirements.txt").write_text("label-studio-ml @ git+https://example.org/x\n")
    done = run("install", folder)
    assert done.returncode == 2
    assert "which would replace the installed label-studio-ml" in done.stderr


def test_install_runs_pip_and_ends_with_its_status(tmp_path: Path) -> None:
    folder = write_script(tmp_path / "mine", MODEL).parent
    (folder / "requirements.txt").write_text("./wheels\n")
    # A pip of the tests, since the environment has none; the folder of the project is no place for its modules.
    fake = tmp_path / "path" / "pip"
    write_script(fake, "", "__init__.py")
    record = "import json, os, sys\njson.dump([sys.argv[1:], os.getcwd()], open(os.environ['SAID'], 'w'))\nsys.exit(3)\n"
    write_script(fake, record, "__main__.py")
    write_script(folder, "raise SystemExit(9)\n", "json.py")
    said = tmp_path / "said.json"
    env = {"PYTHONPATH": str(fake.parent), "SAID": str(said)}
    done = run("install", "mine", cwd=tmp_path, **env)
    if sys.version_info >= (3, 11):
        assert done.returncode == 3, done.stderr
        arguments, cwd = json.loads(said.read_text())
        assert arguments == ["install", "-r", str(folder / "requirements.txt")]
        assert cwd == str(folder)
