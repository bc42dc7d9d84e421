"""A package that a script imports and nobody has installed: one sentence, last, with the command that helps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hosting import CONSOLE_SCRIPT, environment, free_port, run, write_script

MODEL = """
from label_studio_ml.model import LabelStudioMLBase

class Mine(LabelStudioMLBase):
    def predict(self, tasks, **kwargs): return []
"""
#: What a script says, and the distribution to install.
IMPORTS = {
    "import no_such_package": "no_such_package",
    "from no_such_package.inner import x": "no_such_package",
    "import imblearn": "imbalanced-learn",
    "import faiss.contrib": "faiss-cpu",
    "from google.cloud import no_such_storage": "google-cloud-no_such_storage",
    "import helpers": "no_such_helper",
    "try:\n    import no_such_package\nexcept ImportError as error:\n    raise RuntimeError('x') from error": (
        "no_such_package"
    ),
}


def commands(script: Path, tasks: Path) -> list[list[str | Path]]:
    port = str(free_port())
    return [
        ["start", script, "-p", port],
        ["start", script, "-p", port, "--debug"],
        ["validate", script, "--task", tasks],
        ["predict", script, "--input", tasks],
        ["init", "made", "--script", script],
    ]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.json"
    path.write_text('[{"data": {}}]')
    return path


@pytest.mark.parametrize("source", IMPORTS)
def test_the_package_is_named_as_pip_knows_it(tmp_path: Path, tasks: Path, source: str) -> None:
    script = write_script(tmp_path / "m", source + MODEL)
    write_script(tmp_path / "m", "import no_such_helper\n", "helpers.py")
    done = run("validate", script, "--task", tasks, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f'error: Package "{IMPORTS[source]}" is missing. Run "')
    assert last.endswith(f' {IMPORTS[source]}"')
    assert "pip install" in last


def test_every_command_says_it_last(tmp_path: Path, tasks: Path) -> None:
    script = write_script(tmp_path / "m", "import no_such_package" + MODEL)
    (script.parent / "requirements.txt").write_text("no_such_package>=1\n")
    said = 'error: Package "no_such_package" is missing. Run "label-studio-ml install m"'
    for command in commands(script, tasks):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 2, command
        shown = (done.stdout + done.stderr).splitlines()
        assert done.stderr.splitlines()[-1] == said, command
        assert shown.count(said) == 1
        assert any("import no_such_package" in line for line in shown), command
    done = run("doctor", script, "-p", str(free_port()), cwd=tmp_path)
    assert done.returncode != 0
    assert said.removeprefix("error: ") in done.stdout
    # The command that is told does what it can.
    done = run("install", "m", cwd=tmp_path)
    assert done.returncode != 0
    assert (
        "uv pip install" in done.stderr or "No matching distribution" in done.stderr + done.stdout
    )


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        ("numpy\n", 'Add it to m/requirements.txt and run "label-studio-ml install m"'),
        ("", 'Add it to m/requirements.txt and run "label-studio-ml install m"'),
        ("No-Such.Package\n", 'Run "label-studio-ml install m"'),
        ("-r more.txt\n", 'Run "label-studio-ml install m"'),
        ("something_that_needs_it\n", 'Run "label-studio-ml install m"'),
    ],
)
def test_the_requirements_of_the_folder_decide(
    tmp_path: Path, tasks: Path, requirements: str, expected: str
) -> None:
    script = write_script(tmp_path / "m", "import no_such_package" + MODEL)
    (script.parent / "requirements.txt").write_text(requirements)
    (script.parent / "more.txt").write_text("no-such-package\n")
    done = run("validate", script, "--task", tasks, cwd=tmp_path)
    assert (
        done.stderr.splitlines()[-1] == f'error: Package "no_such_package" is missing. {expected}'
    )
    done = run("validate", ".", "--task", tasks, cwd=script.parent)
    assert done.stderr.splitlines()[-1].endswith('"label-studio-ml install ."')


@pytest.mark.parametrize(
    "source",
    [
        "import json.no_such_module",
        "import winreg",
        "import numpy.no_such_module",
        "from numpy import no_such_name",
        "import label_studio_ml.no_such_module",
        "raise ModuleNotFoundError('mine')",
    ],
)
def test_what_no_package_would_bring_keeps_its_own_words(
    tmp_path: Path, tasks: Path, source: str
) -> None:
    script = write_script(tmp_path / "m", source + MODEL)
    done = run("validate", script, "--task", tasks, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "is missing" not in last
    assert "Error: " in last


def test_a_package_inside_a_package_is_the_one_that_is_missing(tmp_path: Path, tasks: Path) -> None:
    installed = tmp_path / "elsewhere"
    write_script(installed / "outer", "import no_such_inner\n", "__init__.py")
    script = write_script(tmp_path / "m", "import outer" + MODEL)
    done = run("validate", script, "--task", tasks, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.stderr.splitlines()[-1].startswith('error: Package "no_such_inner" is missing.')


def test_debug_ends_since_no_change_of_a_file_would_help(tmp_path: Path) -> None:
    script = write_script(tmp_path / "m", "import no_such_package" + MODEL)
    command = [CONSOLE_SCRIPT, "start", script, "--debug", "-p", str(free_port())]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "waiting for a change" not in done.stderr
    assert sys.executable in done.stderr or "python -m pip" in done.stderr
