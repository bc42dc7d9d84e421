"""Reads the modules of the crate, and which of them use which.

A module is named by its path below the crate, as a tuple: `("http", "routes", "jobs")`. Its first part is
its room; a file directly in src is a room of its own. Comments, strings and documentation use nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Module = tuple[str, ...]

#: What is not code: comments, strings (raw ones too), and character literals.
_NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.[^\']*|[^\'\\])\'', re.DOTALL
)
_PATH = re.compile(r"\b(?:use\s+)?((?:crate|super|self)(?:\s*::\s*(?:\w+|\*|\{))+)")
_BLOCK = re.compile(r"\bmod\s+(\w+)\s*\{|[{}]")
_TESTS = re.compile(
    r"#\[cfg\((?:all\()?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\(\w+\))?\s+)?mod\s+(\w+)\s*[;{]"
)
_TYPE = re.compile(
    r"^[ \t]*(pub(?:\([^)]*\))?[ \t]+)?(?:struct|enum|trait|union)[ \t]+(\w+)", re.MULTILINE
)


@dataclass
class SourceFile:
    """One file of the crate."""

    path: Path
    module: Module
    #: The text without comments and strings, of the same length.
    code: str
    #: Modules that this file declares for unit tests only.
    tests: frozenset[Module]
    #: The modules whose items this file names, outside unit tests.
    uses: set[Module] = field(default_factory=set)
    #: The same, inside unit tests.
    used_by_tests: set[Module] = field(default_factory=set)

    def types(self) -> dict[str, bool]:
        """Return the names of the types that the file defines, and whether other files may see them."""
        return {name: bool(public) for public, name in _TYPE.findall(self.product())}

    def product(self) -> str:
        """Return the code before the unit tests that are written within the file."""
        return _TESTS.split(self.code, maxsplit=1)[0] if self.tests else self.code


class Crate:
    """All files below a folder `src`."""

    def __init__(self, root: Path) -> None:
        self.files = {
            file.module: file
            for file in map(lambda path: _read(root, path), sorted(root.rglob("*.rs")))
        }
        self._tests = {module for file in self.files.values() for module in file.tests}
        for file in self.files.values():
            for inside, target in _named(file):
                found = self._file_of(target)
                if found is None or found == file.module:
                    continue
                (file.used_by_tests if self._is_test(inside) else file.uses).add(found)

    def _is_test(self, module: Module) -> bool:
        return any(module[: len(test)] == test for test in self._tests)

    def _file_of(self, path: Module) -> Module | None:
        for end in range(len(path), 0, -1):
            if path[:end] in self.files:
                return path[:end]
        return None

    def rooms(self) -> set[str]:
        return {module[0] for module in self.files if module}

    def arrows(self) -> dict[tuple[str, str], set[str]]:
        """Return which room uses which other one, and the files that do."""
        found: dict[tuple[str, str], set[str]] = {}
        for file in self.files.values():
            for target in file.uses:
                if target[0] != file.module[0]:
                    found.setdefault((file.module[0], target[0]), set()).add(str(file.path))
        return found

    def circles(self) -> list[list[str]]:
        """Return groups of files of one room that use each other in a circle.

        A parent and what lies below it may name each other: they are one thing in several files.
        """
        edges = {
            module: {
                target
                for target in file.uses
                if target[0] == module[0] and not _are_related(module, target)
            }
            for module, file in self.files.items()
        }
        return [
            sorted("::".join(module) for module in group)
            for group in _groups(edges)
            if len(group) > 1
        ]

    def shared_names(self) -> dict[str, list[str]]:
        """Return the types that other files use and whose name a type of another file has too."""
        where: dict[str, list[SourceFile]] = {}
        for file in self.files.values():
            if not self._is_test(file.module):
                for name in file.types():
                    where.setdefault(name, []).append(file)
        return {
            name: [str(file.path) for file in files]
            for name, files in where.items()
            if len(files) > 1
            and any(file.types()[name] and self._is_used_outside(name, file) for file in files)
        }

    def _is_used_outside(self, name: str, file: SourceFile) -> bool:
        word = re.compile(rf"\b{name}\b")
        return any(
            word.search(other.code)
            for other in self.files.values()
            if other.module != file.module and file.module in other.uses
        )


def _read(root: Path, path: Path) -> SourceFile:
    parts = path.relative_to(root).with_suffix("").parts
    module = () if parts == ("lib",) else parts
    code = _NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), path.read_text())
    tests = {(*module, name) for name in _TESTS.findall(code)}
    return SourceFile(path.relative_to(root), module, code, frozenset(tests))


def _named(file: SourceFile) -> Iterator[tuple[Module, Module]]:
    """Yield the module in which a path stands, and the path from the root of the crate."""
    blocks = _inline_modules(file)
    for found in _PATH.finditer(file.code):
        inside = max(
            (module for begin, end, module in blocks if begin <= found.start() < end),
            key=len,
            default=file.module,
        )
        for path in _expanded(file.code, found.start(1)):
            if target := _resolved(inside, path):
                yield inside, target


def _inline_modules(file: SourceFile) -> list[tuple[int, int, Module]]:
    """Return where the modules that are written within the file begin and end."""
    found = []
    open_blocks: list[tuple[int, Module | None]] = []
    for block in _BLOCK.finditer(file.code):
        if block.group() == "}":
            if open_blocks:
                begin, module = open_blocks.pop()
                if module:
                    found.append((begin, block.end(), module))
        else:
            parents = [module for _, module in open_blocks if module]
            parent = parents[-1] if parents else file.module
            open_blocks.append(
                (block.start(), (*parent, block.group(1)) if block.group(1) else None)
            )
    return found


def _expanded(code: str, begin: int) -> Iterator[Module]:
    """Yield the paths that are written at a place: several of them where there are braces."""
    prefix: list[str] = []
    stack: list[int] = []
    for token in re.compile(r"\w+|::|[{},*]|\S").finditer(code, begin):
        text = token.group()
        if text == "{":
            stack.append(len(prefix))
        elif text in ",}":
            yield tuple(prefix)
            if not stack:
                return
            if text == "}":
                stack.pop()
            else:
                del prefix[stack[-1] :]
            if not stack:
                return
        elif text == "as":
            continue
        elif re.fullmatch(r"\w+", text) or text == "*":
            prefix.append(text)
        elif text != "::":
            yield tuple(prefix)
            return
        if not stack and not re.match(r"\s*::", code[token.end() :]) and text not in ("::", "{"):
            yield tuple(prefix)
            return


def _resolved(inside: Module, path: Module) -> Module:
    begin: Module = inside
    rest = list(path)
    if rest and rest[0] == "crate":
        begin = ()
        rest.pop(0)
    while rest and rest[0] in ("self", "super"):
        begin = begin[:-1] if rest.pop(0) == "super" else begin
    return (*begin, *rest)


def _are_related(one: Module, other: Module) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _groups(edges: dict[Module, set[Module]]) -> list[set[Module]]:
    """Return the strongly connected parts of a graph."""
    reached = {start: _reachable(edges, start) for start in edges}
    groups: list[set[Module]] = []
    for module in edges:
        if not any(module in group for group in groups):
            groups.append(
                {other for other in reached[module] if module in reached[other]} | {module}
            )
    return groups


def _reachable(edges: dict[Module, set[Module]], start: Module) -> set[Module]:
    seen: set[Module] = set()
    waiting = [start]
    while waiting:
        for target in edges.get(waiting.pop(), set()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen
