"""The same wheel installs and serves a prediction on every CPython from 3.10 on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "python"))

from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "dummy_model"


def interpreters() -> dict[str, Path]:
    """Return the interpreters of this machine by version: those on the PATH, and pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found: dict[str, Path] = {}
    for minor in range(10, 16):
        name = f"python3.{minor}"
        on_path = shutil.which(name)
        candidates = [Path(on_path)] if on_path else []
        candidates += sorted(pyenv.glob(f"versions/3.{minor}.*/bin/{name}"))
        for candidate in candidates:
            # pyenv puts commands on the PATH for versions that are not chosen; they do not run.
            code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
            done = subprocess.run(
                [candidate, "-c", code], capture_output=True, text=True, check=False
            )
            if done.returncode == 0 and done.stdout.strip() == f"3.{minor}":
                found.setdefault(f"3.{minor}", candidate)
    return found


FOUND = interpreters()


def wheel() -> Path:
    path = Path(os.environ["LABEL_STUDIO_ML_WHEEL"])
    assert path.is_file()
    return path


def test_the_wheel_is_for_all_of_them() -> None:
    assert re.fullmatch(r"label_studio_ml-3\.0\.0-cp310-abi3-\w+\.whl", wheel().name)
    assert FOUND, "there is a Python to test with"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", FOUND)
def test_a_fresh_environment_serves_a_prediction(version: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([FOUND[version], "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", wheel()]
    subprocess.run(pip, check=True)
    command = venv / "bin" / "label-studio-ml"
    script = EXAMPLE / "dummy_model.py"
    subprocess.run([command, "init", "b", "--script", script, "--root-dir", tmp_path], check=True)
    port = free_port()
    start = [command, "start", "b", "--root-dir", tmp_path, "-p", str(port), "--host", "127.0.0.1"]
    server = subprocess.Popen(start)
    try:
        body = json.dumps(
            {
                "tasks": json.loads((EXAMPLE / "tasks.json").read_text()),
                "project": "1.1",
                "label_config": (EXAMPLE / "label_config.xml").read_text(),
            }
        ).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
        )
        for _ in range(300):
            try:
                answer = json.load(urllib.request.urlopen(request, timeout=60))
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        assert len(answer["results"]) == len(json.loads(body)["tasks"])
    finally:
        server.terminate()
        assert server.wait(30) == 0
