"""Finds what tells the API that a class is written for: in its code, its module and its project.

`src/python/api_version.rs` weighs it. Only the standard library is imported here.
"""

import ast
import dis
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType

#: Begins the docstring of the `_wsgi.py` that `init` writes, behind the name of the class.
_OF_INIT = "to its server: `label-studio-ml start` imports this file."

#: Modules that only one API has or needs, with the weight of their import; those below count too.
_MODULES = {
    "label_studio_ml.response": (2, 3),
    "label_studio_ml.cache": (2, 3),
    "label_studio_ml.helpers": (1, 3),
    "label_studio_ml.managers": (1, 3),
    "label_studio_sdk.label_interface": (2, 3),
    "label_studio_sdk.converter": (2, 3),
    "label_studio_sdk._extensions": (2, 3),
    # Models of API v2 used it for a year.
    "label_studio_tools": (1, 1),
}
#: Names of modules that both APIs have.
_NAMES = {
    ("label_studio_ml.model", name): (api, 3)
    for api, names in {
        1: "JobManager SimpleJobManager RQJobManager LabelStudioMLManager ModelWrapper"
        " AUTO_UPDATE_DEFAULT LABEL_STUDIO_ML_BACKEND_V2_DEFAULT",
        2: "CACHE predict_fn update_fn ModelResponse LabelInterface LabelStudio",
    }.items()
    for name in names.split()
}
_NAMES |= {
    ("label_studio_ml.utils", name): found
    for found, names in {
        (1, 3): "bool_from_request cast_bool_from_str get_cache_dir get_data_dir json_load",
        (
            2,
            3,
        ): "InMemoryLRUDictCache compare_nested_structures get_first_tag_keys is_preload_needed"
        " is_valid_url match_labels",
        # Still there in API v2, whose models ask `self.get_first_tag_occurence` instead.
        (1, 1): "get_single_tag_keys",
    }.items()
    for name in names.split()
}
_NAMES |= {
    ("label_studio_ml.api", "_manager"): (1, 3),
    ("label_studio_sdk", "LabelStudio"): (2, 3),
}

_PACKAGE = r"\blabel[-_.]studio[-_.]ml(?![-_.]?\w)(?:\[[^\]]*\])?"
#: A requirement of this package with conditions on its version, as pip and as Poetry write it.
_REQUIREMENT = re.compile(
    _PACKAGE
    + r"[\"']?\s*(?:(?P<pip>(?:[(,\s]*(?:[<>!~]=|===?|[<>])\s*[\w.*]+)+)"
    + r"|=\s*(?:\{\s*version\s*=\s*)?[\"'](?P<poetry>[^\"']+))",
    re.IGNORECASE,
)
#: A wheel, an archive or a tag of a release.
_RELEASE = re.compile(
    r"label[-_]studio[-_]ml(?:-|-backend(?:\.git)?@v?)(?P<major>[12])\.\d[\w.]*", re.IGNORECASE
)
_CONDITION = re.compile(r"(?P<relation>[<>!~=^]*)\s*(?P<major>\d+)(?:\.(?P<minor>\d+))?")
_PROJECT_FILES = ("requirements*.txt", "setup.py", "setup.cfg", "pyproject.toml", "Pipfile")


def attributes(code: CodeType) -> tuple[list[str], list[str]]:
    """Return the names that a method reads from `self`, and those that it assigns to any object.

    Functions inside it count. `self` is the first argument, whatever its name.
    """
    read: list[str] = []
    assigned: list[str] = []
    names = {code.co_varnames[0]} if code.co_argcount else set()
    for inner in _all_of(code):
        loaded = ""
        for instruction in dis.get_instructions(inner):
            operation, argument = instruction.opname, instruction.argval
            if operation in ("LOAD_ATTR", "LOAD_METHOD") and loaded in names:
                read.append(argument)
            elif operation == "STORE_ATTR":
                assigned.append(argument)
            # Newer interpreters load two variables at once; the second is on top of the stack.
            last = argument[-1] if isinstance(argument, tuple) and argument else argument
            is_load = operation.startswith(("LOAD_FAST", "LOAD_DEREF", "STORE_FAST_LOAD_FAST"))
            loaded = last if is_load else ""
    return read, assigned


def texts(code: CodeType) -> set[str]:
    """Return the words among the constants of a function: keys, and names of arguments that it passes."""
    found: set[str] = set()
    for inner in _all_of(code):
        for constant in inner.co_consts:
            members = constant if isinstance(constant, tuple) else (constant,)
            found.update(word for word in members if isinstance(word, str) and word.isidentifier())
    return found


def _all_of(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_of(constant)


def imports(classes: Iterable[type], used: Iterable[str]) -> list[tuple[int, int, str]]:
    """Return what the modules of classes import that only one API has: API, weight and name.

    In a module with further classes only what the methods of these classes use counts: `used`. Of each
    API one import is returned, the strongest: it tells as much as many.
    """
    used = set(used)
    strongest: dict[int, tuple[int, int, str]] = {}
    for path in _files(classes):
        for module, name in _imported(path, used):
            shown = f"{module}.{name}" if name else module
            api, weight = _NAMES.get((module, name)) or _of_module(shown) or (0, 0)
            if weight > strongest.get(api, (0, 0, ""))[1]:
                strongest[api] = (api, weight, shown)
    return list(strongest.values())


def _of_module(name: str) -> tuple[int, int] | None:
    known = (tell for module, tell in _MODULES.items() if f"{name}.".startswith(f"{module}."))
    return next(known, None)


def _imported(path: Path, used: set[str]) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import in a file that counts, also of those inside functions."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    nodes = list(ast.walk(tree))
    has_one_class = sum(isinstance(node, ast.ClassDef) and bool(node.bases) for node in nodes) < 2
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if has_one_class or (alias.asname or alias.name.split(".")[0]) in used:
                    yield alias.name, ""
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if has_one_class or (alias.asname or alias.name) in used:
                    yield node.module, alias.name


def pins(classes: Iterable[type]) -> list[tuple[int, str]]:
    """Return the requirements of the classes' projects that only releases of one API meet.

    Releases 1.x have API v1, 2.x had API v2. Comments do not count, so lines that `init` commented out
    do not either.
    """
    found: dict[str, int] = {}
    for folder in {path.parent for path in _files(classes)}:
        for pattern in _PROJECT_FILES:
            for path in sorted(folder.glob(pattern)):
                for shown, api in _pinned(path):
                    found[f"{shown} ({path.name})"] = api
    return [(api, shown) for shown, api in found.items()]


def _pinned(path: Path) -> Iterator[tuple[str, int]]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        # A `#` inside an address belongs to it.
        text = re.sub(r"(^|\s)#.*", "", line)
        if match := _REQUIREMENT.search(text):
            shown = match[0].strip("\"' ,(")
            if api := _api_of(match["pip"] or match["poetry"], is_poetry=not match["pip"]):
                yield re.sub(r"\s+", "", shown), api
        elif match := _RELEASE.search(text):
            yield match[0], int(match["major"])


def _api_of(conditions: str, is_poetry: bool) -> int:
    """Return the API of the releases that meet conditions; 0 if that is open."""
    for condition in _CONDITION.finditer(conditions):
        relation, major = condition["relation"], int(condition["major"])
        exact = relation in ("==", "===", "~=", "^", "~", "=") or (is_poetry and not relation)
        if exact and major in (1, 2):
            return major
        # Below 2.0 there is only API v1.
        if (relation == "<" and (major, int(condition["minor"] or 0)) <= (2, 0)) or (
            relation == "<=" and major < 2
        ):
            return 1
    return 0


def _files(classes: Iterable[type]) -> list[Path]:
    """Return the files of the modules in which classes are defined, except of installed packages."""
    found: dict[Path, None] = {}
    for cls in classes:
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        if file and file.endswith(".py") and "site-packages" not in Path(file).parts:
            found[Path(file)] = None
    return list(found)


def is_written_by_init(wsgi: str | Path) -> bool:
    """Tell whether a `_wsgi.py` is the one that `init` writes.

    What it passes to `init_app` tells what an earlier class was taken for, and nothing of this one.
    """
    try:
        tree = ast.parse(Path(wsgi).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    return (ast.get_docstring(tree) or "").endswith(_OF_INIT)


def given_to_init_app(names: Iterable[str], wsgi: str | Path) -> list[str]:
    """Return the names of the arguments of `init_app` that the author of a `_wsgi.py` passes."""
    of_init = {"model_dir"} if is_written_by_init(wsgi) else set()
    return [name for name in names if name not in of_init]
