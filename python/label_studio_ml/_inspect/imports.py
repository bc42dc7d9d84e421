"""Which modules a script and the files beside it import, read from their source, without running it."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

#: Exceptions whose handler lets a script go on without a package.
_CAUGHT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
#: Functions that import the module that their first argument names.
_IMPORTERS = {"import_module", "__import__"}


@dataclass(frozen=True)
class Import:
    """A module that a file imports, by its dotted name."""

    #: `google.cloud.storage`, for `from google.cloud import storage` both that and `google.cloud`.
    names: tuple[str, ...]
    #: The script runs without it: the import stands in a function, or its failure is caught.
    is_optional: bool
    #: It names a module beside the file.
    is_relative: bool = False

    @property
    def top(self) -> str:
        return self.names[0].split(".")[0]


def imports_of(source: Path) -> list[Import]:
    """Return the imports of a file; none of one that is not Python, whose import will tell why."""
    try:
        return imports_in(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []


def imports_in(source: bytes | str) -> list[Import]:
    """Return the imports of a source. Raises SyntaxError or ValueError if it is not Python."""
    return list(_of_body(ast.parse(source).body, False))


def outside_of(script: Path) -> dict[str, list[Import]]:
    """Return what a script and the files beside it import from elsewhere, by the first part of the name.

    Modules of the standard library and of this package are left out. What only an optional import brings
    is optional too.
    """
    found: dict[str, list[Import]] = {}
    waiting = [(script, False)]
    seen: set[tuple[Path, bool]] = set()
    while waiting:
        source, is_optional = waiting.pop()
        if (source, is_optional) in seen or (source, False) in seen:
            continue
        seen.add((source, is_optional))
        for one in imports_of(source):
            optional = is_optional or one.is_optional
            beside = beside_of(script.parent, one.top)
            if beside is not None:
                waiting.extend((file, optional) for file in beside[1])
            elif one.is_relative:
                continue
            elif one.top not in sys.stdlib_module_names and one.top != "label_studio_ml":
                found.setdefault(one.top, []).append(Import(one.names, optional))
    return found


def beside_of(folder: Path, name: str) -> tuple[str, list[Path]] | None:
    """Return the module or package of a name in a folder, relative to it, and its files; None for none."""
    module, package = folder / f"{name}.py", folder / name
    # In the order of Python: package, module, folder without __init__.py.
    if (package / "__init__.py").is_file():
        return name, list(package.rglob("*.py"))
    if module.is_file():
        return module.name, [module]
    if package.is_dir() and any(package.rglob("*.py")):
        return name, list(package.rglob("*.py"))
    return None


def _of_body(body: list[ast.stmt], is_optional: bool) -> Iterator[Import]:
    for node in body:
        yield from _of_statement(node, is_optional)


def _of_statement(node: ast.stmt, is_optional: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import((alias.name,), is_optional)
    elif isinstance(node, ast.ImportFrom):
        yield from _of_from(node, is_optional)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _of_body(node.body, True)
    elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
        yield from _of_try(cast(ast.Try, node), is_optional)
    elif isinstance(node, ast.If):
        if not _is_for_type_checkers(node.test):
            is_main = isinstance(node.test, ast.Compare) and "__main__" in ast.dump(node.test)
            yield from _of_body(node.body, is_optional or is_main)
        yield from _of_body(node.orelse, is_optional)
    else:
        suppresses = isinstance(node, ast.With) and "suppress" in {
            _last_name(item.context_expr.func)
            for item in node.items
            if isinstance(item.context_expr, ast.Call)
        }
        yield from _of_calls(node, is_optional)
        for inner in ast.iter_child_nodes(node):
            if isinstance(inner, ast.stmt):
                yield from _of_statement(inner, is_optional or suppresses)
            elif isinstance(inner, ast.match_case):
                yield from _of_body(inner.body, is_optional)


def _of_from(node: ast.ImportFrom, is_optional: bool) -> Iterator[Import]:
    if node.module and not node.level:
        more = (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")
        yield Import((node.module, *more), is_optional)
    elif node.module:
        yield Import((node.module,), is_optional, is_relative=True)
    else:
        for alias in node.names:
            yield Import((alias.name,), is_optional, is_relative=True)


def _of_try(node: ast.Try, is_optional: bool) -> Iterator[Import]:
    is_caught = any(_catches(handler) for handler in node.handlers)
    yield from _of_body(node.body, is_optional or is_caught)
    for handler in node.handlers:
        yield from _of_body(handler.body, True)
    yield from _of_body(node.orelse, is_optional or is_caught)
    yield from _of_body(node.finalbody, is_optional)


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(kind) in _CAUGHT for kind in kinds)


def _is_for_type_checkers(test: ast.expr) -> bool:
    return _last_name(test) == "TYPE_CHECKING"


def _of_calls(statement: ast.stmt, is_optional: bool) -> Iterator[Import]:
    """Yield what expressions of a statement import: `np = import_module("numpy")`."""
    for expression in ast.iter_child_nodes(statement):
        if not isinstance(expression, ast.expr):
            continue
        for node in ast.walk(expression):
            if not (
                isinstance(node, ast.Call) and _last_name(node.func) in _IMPORTERS and node.args
            ):
                continue
            name = node.args[0]
            module = name.value if isinstance(name, ast.Constant) else None
            if isinstance(module, str) and module and not module.startswith("."):
                yield Import((module,), is_optional)


def _last_name(node: ast.AST) -> str:
    return getattr(node, "attr", None) or getattr(node, "id", None) or ""
