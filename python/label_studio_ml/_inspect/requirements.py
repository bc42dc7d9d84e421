"""Compares requirements files with the packages of this interpreter.

`python -m label_studio_ml._inspect.requirements FILE...` prints one JSON object: the interpreter, the
version of this package, and a row for each requirement that applies here. `label-studio-ml doctor`
runs it with the interpreter that runs the model.
"""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

#: A requirement that names its package first: `name`, `name[extra]>=1`, `name @ https://...`.
_NAMED = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:$|[\[(<>=!~;@\s])")
_EGG = re.compile(r"#egg=([A-Za-z0-9._-]+)")
_COMMENT = re.compile(r"(^|\s)#(?!egg=).*$")


def lines(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[str]:
    """Yield the requirements of a file and of the files that it includes, without comments."""
    path = path.resolve()
    if path in seen or not path.is_file():
        return
    text = path.read_text(encoding="utf-8-sig", errors="replace").replace("\\\n", " ")
    for line in text.splitlines():
        line = _COMMENT.sub("", line).strip()
        include = re.match(r"(?:-r|--requirement)[\s=]+(.+)", line)
        if include:
            yield from lines(path.parent / include[1].strip(), seen | {path})
        elif line.startswith(("-e ", "--editable ")):
            yield line.split(maxsplit=1)[1]
        elif line and not line.startswith("-"):
            # Options of a line, such as hashes, do not matter here.
            yield re.split(r"\s--", line, maxsplit=1)[0].strip()


def _parser() -> Any:
    """Return the class `Requirement` of packaging, or of pip's copy of it; None without both."""
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return import_module(module).Requirement
        except ImportError:
            continue
    return None


def installed(name: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check(line: str, parser: Any) -> dict[str, Any] | None:
    """Return the row of a requirement; None if it does not apply or names no package.

    `satisfied` is false if the package is missing or has another version.
    """
    named = _NAMED.match(line) or _EGG.search(line)
    if named is None:
        return None
    name, satisfied = named[1], True
    found = installed(name)
    if parser is not None:
        try:
            wanted = parser(line)
        except ValueError:
            wanted = None
        if wanted is not None:
            if wanted.marker is not None and not wanted.marker.evaluate():
                return None
            satisfied = found is None or wanted.specifier.contains(found, prereleases=True)
    return {
        "line": line,
        "name": name,
        "installed": found,
        "satisfied": found is not None and satisfied,
    }


def main(files: list[str]) -> None:
    """Print the report on some files."""
    parser = _parser()
    rows = [check(line, parser) for file in files for line in lines(Path(file))]
    report = {
        "python": platform.python_version(),
        "package": installed("label-studio-ml"),
        "requirements": [row for row in rows if row is not None],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
