"""What to do about an import that failed because a package is not installed."""

import importlib.util
import os
import shlex
import shutil
import sys
import traceback
from pathlib import Path

from label_studio_ml._inspect import distributions, imports, requirements

#: The file from which `label-studio-ml install` installs.
REQUIREMENTS = "requirements.txt"


def advice(error: BaseException, script: str | Path, cwd: str | Path) -> str | None:
    """Return one sentence that names the missing package and the command that installs it.

    `script` is the program that was imported, for a user in the folder `cwd`. None if the exception has
    another reason, such as a module that the installed version of a package does not have.
    """
    names = _missing(error)
    if not names:
        return None
    distribution = distributions.name_for(names)
    folder = Path(script).absolute().parent
    file = folder / REQUIREMENTS
    said = f'Package "{distribution}" is missing.'
    if not file.is_file():
        return f'{said} Run "{_pip(distribution)}"'
    install = f"label-studio-ml install {shlex.quote(_shown(folder, cwd))}"
    if _would_install(file, distribution):
        return f'{said} Run "{install}"'
    return f'{said} Add it to {_shown(file, cwd)} and run "{install}"'


def _missing(error: BaseException) -> tuple[str, ...]:
    """Return the dotted names of a module that is in no package of this interpreter."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if isinstance(one, ModuleNotFoundError):
            name = one.name or ""
            is_missing = name and name.split(".")[0] not in sys.stdlib_module_names
            return _asked_for(one, name) if is_missing and not _is_there(name) else ()
        one = one.__cause__
    return ()


def _asked_for(error: ModuleNotFoundError, name: str) -> tuple[str, ...]:
    """Return the whole name that the failing line imports: of `google.cloud.storage` the exception may name only
    `google`, which many distributions share.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    line = (own[-1].line or "") if own else ""
    try:
        found = imports.imports_in(line.strip())
    except (SyntaxError, ValueError):
        found = []
    return next((one.names for one in found if f"{one.names[0]}.".startswith(f"{name}.")), (name,))


def _is_there(name: str) -> bool:
    """Tell whether the first part of a name can be imported; others may share that of `google.cloud`."""
    top = name.split(".")[0]
    if top == "label_studio_ml":
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return top in sys.modules
    # A namespace package is only a folder: what is missing in it is another distribution.
    return spec is not None and (spec.origin is not None or "." not in name)


def _would_install(file: Path, distribution: str) -> bool:
    """Tell whether installing a requirements file brings a distribution, or something that needs it."""
    parser = requirements._parser()
    wanted = distributions.canonical(distribution)
    for line in requirements.lines(file):
        row = requirements.check(line, parser)
        if row is None:
            continue
        if not row["satisfied"] or distributions.canonical(row["name"]) == wanted:
            return True
    return False


def _pip(distribution: str) -> str:
    """Return the command that installs a distribution into this environment."""
    if importlib.util.find_spec("pip") is None:
        return f"uv pip install --python {shlex.quote(sys.executable)} {distribution}"
    return f"{_python()} -m pip install {distribution}"


def _python() -> str:
    """Return how to run this interpreter: `python` if that is it."""
    found = shutil.which("python")
    # Links are not followed: those of an environment lead to the interpreter that it was made with.
    if found and os.path.abspath(found) == os.path.abspath(sys.executable):  # noqa: PTH100
        return "python"
    return shlex.quote(sys.executable)


def _shown(path: Path, cwd: str | Path) -> str:
    """Return a path as the user would type it."""
    try:
        return str(path.relative_to(Path(cwd).absolute()))
    except ValueError:
        return str(path)
