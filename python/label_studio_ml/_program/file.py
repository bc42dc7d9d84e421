"""Imports a file as the module that it is: `_wsgi`, or `pkg._wsgi` if it imports from its package."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

#: The name under which the file is known in any case; pickles written under the original name it.
NAME = "_wsgi"


def parse(path: Path) -> ast.Module | None:
    """Return the syntax tree; None if there is none, which the import then tells better."""
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (OSError, SyntaxError, ValueError):
        return None


def prepare(path: Path, tree: ast.Module | None) -> tuple[ModuleType, Callable[[], None]]:
    """Return the module, and what runs the file in it.

    A file in a package finds the package, as with `python -m pkg._wsgi`. Raises ImportError if the file is
    not Python, or its package cannot be imported.
    """
    name, root = _full_name(path, tree)
    if root is not None and str(root) not in sys.path:
        # The folder of the file stays in the path, since files name its modules without the package too.
        sys.path.insert(0 if name != NAME else len(sys.path), str(root))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    loader = spec.loader
    module = importlib.util.module_from_spec(spec)
    package, _, _ = name.rpartition(".")

    def run() -> None:
        if package:
            _import_package(package, path.parent)
        sys.modules[name] = sys.modules[NAME] = module
        loader.exec_module(module)

    return module, run


def _full_name(path: Path, tree: ast.Module | None) -> tuple[str, Path | None]:
    """Return the name of the module, and the folder that its package is in, if it has one."""
    levels = 0
    folder = path.absolute().parent
    while (folder / "__init__.py").is_file():
        levels, folder = levels + 1, folder.parent
    relative = _relative_levels(tree)
    if not relative:
        return NAME, folder if levels else None
    # A package does not need an `__init__.py`.
    parents = path.absolute().parents
    levels = min(max(levels, relative), len(parents) - 1)
    names = [parents[level].name for level in reversed(range(levels))]
    return ".".join([*names, path.stem]), parents[levels]


def _relative_levels(tree: ast.Module | None) -> int:
    nodes = ast.walk(tree) if tree is not None else ()
    return max((node.level for node in nodes if isinstance(node, ast.ImportFrom)), default=0)


def _import_package(name: str, folder: Path) -> None:
    module = importlib.import_module(name)
    places = [Path(place).absolute() for place in getattr(module, "__path__", ())]
    if folder.absolute() not in places:
        found = getattr(module, "__file__", None) or ", ".join(map(str, places))
        raise ImportError(f"{folder} is the package {name} for its file, but Python finds {found}")
