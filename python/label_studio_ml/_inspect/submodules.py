"""Submodules that a script uses without importing them.

`import PIL` alone does not load `PIL.Image`. Importing the original loaded it and many others, so
scripts use them as attributes of the package. They are imported here for a script that does, and for
no other: some are large.
"""

import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

#: Packages of which the original loaded submodules, in some release and with some release of what it
#: needs, or its `_wsgi.py` did. Those that load all of their submodules themselves are left out.
_PACKAGES = (
    *("PIL", "concurrent", "email", "faker", "html", "http", "importlib", "label_studio_sdk"),
    *("label_studio_tools", "logging", "lxml", "multiprocessing", "pydantic", "pygments"),
    *("referencing", "rich", "typing_inspection", "urllib", "urllib3", "werkzeug", "xml"),
)
_IMPORT = re.compile(rb"^[ \t]*(?:import|from)\b((?:[^\n#(]|\([^)]*\))+)", re.MULTILINE)
_DOTTED = re.compile(rb"\.*[A-Za-z_][\w.]*")
#: Maximum number of files of a project that are read.
_MAX_FILES = 500


def import_used(script: str | os.PathLike[str]) -> None:
    """Import submodules that a script, or a module beside it that it imports, uses as attributes.

    What cannot be imported is left to the script, which will tell.
    """
    folder = Path(script).parent
    for source in _sources(Path(script)):
        for name in _used(source):
            if name not in sys.modules and _is_submodule(name, folder):
                # The package itself may fail in any way.
                with contextlib.suppress(Exception):
                    importlib.import_module(name)


def _sources(script: Path) -> Iterator[bytes]:
    """Yield the text of a script and of the modules in its folder that it imports, as far as needed."""
    waiting, seen = [script], {script}
    while waiting:
        path = waiting.pop()
        try:
            source = path.read_bytes()
        except OSError:
            continue
        yield source
        names = {name for line in _IMPORT.findall(source) for name in _dotted_names(line)}
        for name in sorted(names):
            for found in _files(name, script.parent, path.parent):
                if found not in seen and len(seen) < _MAX_FILES:
                    seen.add(found)
                    waiting.append(found)


def _dotted_names(line: bytes) -> Iterator[str]:
    """Yield the modules that the rest of an import statement may name: `a.b` and `a.b.c` of `a.b import c`."""
    source, separator, names = line.partition(b"import")
    modules = _DOTTED.findall(source) if separator else []
    yield from (name.decode() for name in (*modules, *_DOTTED.findall(names or line)))
    dots = re.match(rb"\s*(\.+)\s*$", source)
    for parent in [dots[1]] if dots else modules[:1]:
        joint = b"" if parent.endswith(b".") else b"."
        yield from ((parent + joint + name).decode() for name in _DOTTED.findall(names))


def _files(name: str, folder: Path, of_importer: Path) -> Iterator[Path]:
    """Yield the files of the project that importing a dotted name runs."""
    relative = name.lstrip(".")
    if dots := len(name) - len(relative):
        place = (of_importer, *of_importer.parents)[min(dots, len(of_importer.parents)) - 1]
    else:
        # A file in a package may name the modules beside it with the package.
        top = relative.split(".")[0]
        packages = [package.parent for package in (folder, *folder.parents) if package.name == top]
        place = packages[0] if packages and not (folder / top).exists() else folder
    for part in filter(None, relative.split(".")):
        yield from filter(Path.is_file, (place / f"{part}.py", place / part / "__init__.py"))
        place = place / part
        if not place.is_dir():
            return


def _used(source: bytes) -> list[str]:
    """Return the dotted names below `_PACKAGES` that a source uses and does not import, outer first."""
    if not _may_use(source):
        return []
    import ast

    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        # The import will tell what is wrong.
        return []
    bound = dict(_bindings(tree))
    found: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (chain := _chain(node, bound)):
            start, parts = chain
            for part in parts:
                start = f"{start}.{part}"
                found[start] = None
    return [name for name in found if name.split(".")[0] in _PACKAGES]


def _may_use(source: bytes) -> bool:
    """Tell whether a source has a name after a dot that is also a module of a package that it imports.

    It mostly has none, and parsing it takes longer than finding that out.
    """
    modules: set[str] = set()
    for line in _IMPORT.findall(source):
        for name in _dotted_names(line):
            parts = name.split(".")
            if parts[0] in _PACKAGES:
                for end in range(1, len(parts) + 1):
                    modules |= _modules_in(".".join(parts[:end]))
    named = rf"\.\s*(?:{'|'.join(sorted(modules))})\b".encode()
    return bool(modules) and re.search(named, _IMPORT.sub(b"", source)) is not None


@functools.cache
def _modules_in(package: str) -> frozenset[str]:
    """Return the names of the modules in a package, found without importing it."""
    spec = _spec(package)
    found = set()
    for folder in (spec and spec.submodule_search_locations) or ():
        with contextlib.suppress(OSError):
            found |= {entry.name.partition(".")[0] for entry in Path(folder).iterdir()}
    return frozenset(name for name in found if name.isidentifier())


def _bindings(tree: "ast.AST") -> Iterator[tuple[str, str]]:
    """Yield the names that imports bind, each with the dotted name for which it stands."""
    import ast

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _chain(node: Any, bound: dict[str, str]) -> tuple[str, list[str]] | None:
    """Return what `a` of `a.b.c` stands for, and the parts after it; None if `a` was not imported."""
    import ast

    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in bound:
        return None
    return bound[node.id], parts[::-1]


def _is_submodule(name: str, folder: Path) -> bool:
    """Tell whether a dotted name is a module, found without importing it or what contains it.

    A package in the user's own folder has the submodules that the user imports.
    """
    top = name.split(".")[0]
    if (folder / top).exists() or (folder / f"{top}.py").exists():
        return False
    return _spec(name) is not None


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    top, *parts = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    path = top
    for part in parts:
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = f"{path}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(path, [*spec.submodule_search_locations])
    return spec
