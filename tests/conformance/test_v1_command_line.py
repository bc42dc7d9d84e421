"""The command line of `init`: the same words to 1.0.9's parser and to ours."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from upstream import NEWEST, upstream_venv

CONSOLE_SCRIPT = Path(sys.prefix) / "bin" / "label-studio-ml"
#: What the original makes of command lines; a refusal is None. Unknown words it passes on.
PARSING = """
import contextlib, io, json, sys
from label_studio_ml.server import get_args

told = []
for words in json.load(sys.stdin):
    sys.argv = ["label-studio-ml", *words]
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            known, others = get_args()
        told.append(vars(known) | {"others": others})
    except SystemExit:
        told.append(None)
print(json.dumps(told))
"""
SCRIPT = """
from label_studio_ml.model import LabelStudioMLBase
class Model(LabelStudioMLBase):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
    def predict(self, tasks, **kwargs):
        return []
    def fit(self, tasks, workdir=None, **kwargs):
        return {}
"""
VALUES = {"--root-dir": "elsewhere", "--script": "the_script.py", "--from": "the_script.py"}


def command_lines() -> list[list[str]]:
    """Every way to shorten every option of `init`, with its value behind it or joined."""
    lines = []
    for option in ("--root-dir", "--script", "--from", "--force"):
        for length in range(3, len(option) + 1):
            written, value = option[:length], VALUES.get(option)
            script = [] if option in ("--script", "--from") else ["--script", "the_script.py"]
            if value is None:
                lines.append(["init", "made", written, *script])
            else:
                lines.append(["init", "made", written, value, *script])
                lines.append(["init", f"{written}={value}", "made", *script])
    return lines


@pytest.fixture(scope="module")
def original() -> list[dict[str, Any] | None]:
    done = subprocess.run(
        [upstream_venv(NEWEST) / "bin" / "python", "-c", PARSING],
        input=json.dumps(command_lines()),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any] | None] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("number", range(len(command_lines())))
def test_init_understands_what_the_original_understands(
    number: int, original: list[dict[str, Any] | None], tmp_path: Path
) -> None:
    words, meant = command_lines()[number], original[number]
    (tmp_path / "the_script.py").write_text(SCRIPT)
    (tmp_path / "elsewhere").mkdir()
    if meant and meant["force"]:
        # Without it, a folder that exists is refused.
        (tmp_path / "made").mkdir()
    done = subprocess.run(
        [CONSOLE_SCRIPT, *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    if meant is None:
        assert done.returncode == 2, f"{words} are accepted here: {done.stdout}"
        return
    assert meant["others"] == []
    assert done.returncode == 0, f"{words}: {done.stderr}"
    assert (tmp_path / meant["root_dir"] / "made" / "_wsgi.py").is_file()
    assert (tmp_path / meant["root_dir"] / "made" / meant["script"]).is_file()
