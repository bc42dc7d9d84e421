"""`label-studio-ml init`: what it writes, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosting import ECHO, run, write_script


def test_a_project_holds_the_script_and_what_it_imports(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    write_script(
        scripts, "import helpers\nfrom nets.small import Net\n" + ECHO.replace("\n    ", "\n")
    )
    write_script(scripts, "def late():\n    import later\n", "helpers.py")
    write_script(scripts, "x = 1\n", "later.py")
    write_script(scripts, "x = 1\n", "unrelated.py")
    write_script(scripts / "nets", "", "__init__.py")
    write_script(scripts / "nets", "class Net: ...\n", "small.py")
    (scripts / "requirements.txt").write_text(
        "numpy\nlabel-studio-ml @ git+https://github.com/HumanSignal/label-studio-ml-backend\n"
    )
    done = run("init", "--script", scripts / "model.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    project = tmp_path / "my_ml_backend"
    assert sorted(path.name for path in project.iterdir()) == [
        ".dockerignore",
        ".gitignore",
        "Dockerfile",
        "README.md",
        "_wsgi.py",
        "docker-compose.yml",
        "helpers.py",
        "later.py",
        "model.py",
        "models",
        "nets",
        "requirements-test.txt",
        "requirements.txt",
        "test_backend.py",
    ]
    assert "commented out `label-studio-ml @ git+" in done.stdout
    assert "label-studio-ml start my_ml_backend" in done.stdout
    requirements = (project / "requirements.txt").read_text().splitlines()
    assert requirements[0] == "numpy"
    assert requirements[1].startswith("#")


@pytest.mark.parametrize("command", ["init", "create"])
@pytest.mark.parametrize("option", ["--script", "--from"])
def test_both_names_of_command_and_option(tmp_path: Path, command: str, option: str) -> None:
    write_script(tmp_path, ECHO)
    done = run(command, "p", option, "model.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from model import Echo" in (tmp_path / "p" / "_wsgi.py").read_text()


def test_model_py_is_the_default_script(tmp_path: Path) -> None:
    write_script(tmp_path, ECHO)
    assert run("init", "p", cwd=tmp_path).returncode == 0
    assert (tmp_path / "p" / "model.py").is_file()


TWO = """
    from label_studio_ml.model import LabelStudioMLBase
    class One(LabelStudioMLBase):
        def predict(self, tasks, **kwargs): return []
    class Two(One): ...
"""


def test_a_class_is_named_where_there_are_several(tmp_path: Path) -> None:
    write_script(tmp_path, TWO)
    done = run("init", "p", "--script", "model.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds several model classes: One, Two; name one, as in" in done.stderr
    assert not (tmp_path / "p").exists()
    done = run("init", "p", "--script", "model.py:Two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from model import Two" in (tmp_path / "p" / "_wsgi.py").read_text()
    done = run("init", "q", "--script", "model.py:Three", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no model class Three; it has One, Two" in done.stderr


def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    done = run("init", "p", "--script", "missing.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: there is no script missing.py\n")
    write_script(tmp_path, "x = 1\n", "plain.py")
    done = run("init", "p", "--script", "plain.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "plain.py holds no subclass of LabelStudioMLBase" in done.stderr
    write_script(tmp_path, ECHO)
    (tmp_path / "p").mkdir()
    done = run("init", "p", "--script", "model.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "p exists already; use --force to write into it" in done.stderr
    assert run("init", "p", "--script", "model.py", "--force", cwd=tmp_path).returncode == 0


def test_a_failing_import_shows_the_lines_of_the_user(tmp_path: Path) -> None:
    write_script(tmp_path, "import no_such_package\n")
    done = run("init", "p", "--script", "model.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "ModuleNotFoundError: No module named 'no_such_package'" in done.stderr
    assert "model.py" in done.stderr
    assert "import no_such_package" in done.stderr
    assert "importlib" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith('error: Package "no_such_package" is missing. Run "')


def test_a_script_that_ends_the_process_is_reported(tmp_path: Path) -> None:
    write_script(tmp_path, "import os\nos._exit(7)\n")
    done = run("init", "p", "--script", "model.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "importing the script ended its process: it exited with status 7" in done.stderr
