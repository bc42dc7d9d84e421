"""The files beside a script that its project needs: modules, data, tests and what its README names."""

import re
from collections.abc import Iterator
from pathlib import Path

from label_studio_ml._inspect.imports import imports_of
from label_studio_ml._inspect.script import siblings

#: Files that every project may have.
_USUAL = (
    *("README.md", "conftest.py", "start.sh", "test_api.py"),
    *("label_config.xml", "tasks.json", "annotations.json"),
)
#: Files that a project gets anew.
_WRITTEN = {"_wsgi.py", "Dockerfile", "docker-compose.yml"}
#: Words of a text that may be a path, and places in which a folder is meant and not a word like "images".
_PATH = re.compile(r"[\w@%+./-]*\w")
_CODE = re.compile(r"```.*?```|`[^`\n]+`|\]\([^)\s]+\)", re.DOTALL)
#: Largest file or folder that is brought for its name, in bytes, and maximum number of files in a folder.
_MAX_BYTES = 64 << 20
_MAX_FILES = 2000


def companions(script: str | Path) -> tuple[list[str], list[str]]:
    """Return paths relative to the script's folder: what to bring, and what was too large for that."""
    script = Path(script)
    folder = script.parent
    brought = dict.fromkeys(siblings(script))
    for name in _USUAL:
        if (folder / name).is_file():
            brought[name] = None
    before: set[str] = set()
    while before != brought.keys():
        before = set(brought)
        for test in _tests(script, before):
            brought[test.name] = None
        for source in before:
            if source.endswith(".py") and (folder / source).is_file():
                brought |= dict.fromkeys(siblings(folder / source))
    left_out = []
    for name in _named_in(folder / "README.md"):
        if name in brought or name == script.name:
            continue
        if _is_small(folder / name):
            brought[name] = None
        else:
            left_out.append(name)
    brought.pop(script.name, None)
    return sorted(brought), left_out


def _tests(script: Path, brought: set[str]) -> Iterator[Path]:
    """Yield the tests beside a script that import it, its project or something that is brought."""
    folder = script.parent
    modules = {script.stem, "_wsgi", *(name.removesuffix(".py") for name in brought)}
    for test in sorted({*folder.glob("test_*.py"), *folder.glob("*_test.py")}):
        if any(one.top in modules for one in imports_of(test)):
            yield test


def _named_in(readme: Path) -> Iterator[str]:
    """Yield the files and folders that a README names, relative to it."""
    folder = readme.parent
    try:
        text = readme.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    in_code = {word for place in _CODE.findall(text) for word in _words(place)}
    for word in dict.fromkeys(_words(text)):
        name = Path(word)
        is_hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        if name.is_absolute() or is_hidden or not name.parts or word in _WRITTEN:
            continue
        path = folder / name
        try:
            # A link may lead out of the folder.
            if not path.resolve().is_relative_to(folder.resolve()):
                continue
            if path.is_file() or (path.is_dir() and word in in_code and not _is_environment(path)):
                yield str(name)
        except (OSError, ValueError):
            continue


def _words(text: str) -> Iterator[str]:
    for word in _PATH.findall(text):
        yield word.removeprefix("./")


def _is_environment(folder: Path) -> bool:
    """Tell whether a folder is the environment of an interpreter."""
    return (folder / "pyvenv.cfg").is_file()


def _is_small(path: Path) -> bool:
    files = path.rglob("*") if path.is_dir() else iter([path])
    total = 0
    for number, file in enumerate(files):
        if file.is_file() and not file.is_symlink():
            total += file.stat().st_size
        if number >= _MAX_FILES or total > _MAX_BYTES:
            return False
    return True
