"""The program of `label-studio-ml install`: installs the requirements file of a project into this environment.

`python -m label_studio_ml._inspect.install FILE` runs pip, and ends with its exit status.
"""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

from label_studio_ml._inspect import requirements

#: Exit status for what the user can correct, as everywhere in this command line.
_USAGE = 2
_THIS = "label-studio-ml"


def main(file: Path) -> int:
    """Install what a file requires; return the exit status."""
    parser = requirements._parser()
    lines = list(requirements.lines(file))
    rows = [(line, requirements.check(line, parser)) for line in lines]
    for line in _replacing(rows):
        print(
            f"error: {file} has the line `{line}`, which would replace the installed {_THIS}: "
            "remove it, or make it a comment",
            file=sys.stderr,
        )
        return _USAGE
    if importlib.util.find_spec("pip") is not None:
        # Paths in the file are relative to the folder, whose modules must not take the place of pip's.
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "pip", "install", "-r", str(file)]
        return _status(subprocess.run(command, cwd=file.parent, env=environment, check=False))
    if all(_is_done(line, row) for line, row in rows):
        print(f"Everything in {file.name} is installed already.")
        return 0
    line = f"uv pip install --python {shlex.quote(sys.executable)} -r {shlex.quote(str(file))}"
    print(f"error: this environment has no pip (uv makes such ones): run {line}", file=sys.stderr)
    return _USAGE


def _replacing(rows: list[tuple[str, dict[str, object] | None]]) -> list[str]:
    """Return the lines that name this package, which may come from anywhere."""
    from label_studio_ml._inspect.distributions import canonical

    named = [line for line, row in rows if row and canonical(str(row["name"])) == _THIS]
    return named + [line for line, row in rows if row is None and "label-studio-ml-backend" in line]


def _is_done(line: str, row: dict[str, object] | None) -> bool:
    """Tell whether a line needs nothing; one that does not apply here has a marker."""
    return bool(row["satisfied"]) if row else ";" in line


def _status(done: "subprocess.CompletedProcess[bytes]") -> int:
    # A signal that ended pip is not an exit status.
    return done.returncode if done.returncode >= 0 else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
