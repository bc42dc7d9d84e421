"""Decides which folder is MODEL_DIR: the user's choice, else what `_wsgi.py` says, else a default."""

import logging
import os
from collections.abc import Iterable
from typing import Any

from label_studio_ml import _native

logger = logging.getLogger("label_studio_ml")

#: The value of MODEL_DIR that this module set, so that `_wsgi.py` may say otherwise.
_default: str | None = None
#: The folder of the project, in a program that was told which one to serve.
_project: str | None = None
#: The folder for models of the project whose program this is, if `init` made one.
_own: str | None = None
#: Whether that program was told MODEL_DIR too, which then counts more than what `_wsgi.py` says.
_is_settled = False


def settle(project: str, at_import: str) -> None:
    """Serve a project in this program. MODEL_DIR is `at_import` for now, unless the user chose one."""
    global _project, _is_settled
    _project = project
    _is_settled = is_chosen()
    if not _is_settled:
        use_default(at_import)


def look_beside(files: Iterable[str]) -> None:
    """Use the folder for models that `init` made beside one of these files, unless the user chose one.

    A program that was told which project to serve knows its folder already.
    """
    global _own, _default
    if is_chosen() or _project is not None:
        return
    folders = (os.path.dirname(os.path.abspath(file)) for file in files)  # noqa: PTH100, PTH120
    found = (_native.models_of_project(folder) for folder in folders)
    own = next((str(models) for models in found if models), None)
    if own is not None:
        use_default(own)
    elif _own is not None and _default == _own:
        # Of the project that this process served before.
        os.environ.pop("MODEL_DIR", None)
        _default = None
    _own = own


def use_default(folder: str) -> None:
    """Set MODEL_DIR to a folder that the user did not choose."""
    global _default
    os.environ["MODEL_DIR"] = _default = folder


def project() -> str | None:
    """Return the folder of the project that this program was told to serve."""
    return _project


def is_settled() -> bool:
    """Tell whether this program was told MODEL_DIR."""
    return _is_settled


def is_chosen() -> bool:
    """Tell whether the user chose MODEL_DIR."""
    return os.environ.get("MODEL_DIR", "") not in ("", _default)


def unsaid(api_version: int) -> str:
    """Return the folder where `init_app` names none.

    It is the user's choice, else the project's folder for models; else for API v1 the project folder, if
    it is known, or the working folder.
    """
    if is_chosen():
        return _absolute(os.environ["MODEL_DIR"])
    own = _own if _project is None else _native.models_of_project(_project)
    if own is not None:
        return _absolute(own)
    return _absolute(_project if api_version == 1 and _project else ".")


def _absolute(folder: Any) -> str:
    # Models return paths in it, and a server may run in another folder.
    return os.path.abspath(os.path.expanduser(os.fsdecode(folder)))  # noqa: PTH100, PTH111


def usable(said: Any, instead: str, make: bool = True) -> str:
    """Return the folder that `_wsgi.py` passes to `init_app` as `model_dir`; make it if it is missing.

    A folder that comes from another machine, such as the `/app` of an image, may be impossible here:
    then it is `instead`. Both are logged. Without `make` the folder is only named.
    """
    folder = _absolute(said)
    if not make or os.path.isdir(folder):  # noqa: PTH112
        return folder
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    except OSError as error:
        logger.warning(
            "init_app names the model_dir %r, which does not exist on this machine and cannot be made "
            "(%s): MODEL_DIR is %r instead",
            folder,
            error.strerror,
            instead,
        )
        return instead
    logger.warning(
        "init_app names the model_dir %r, which did not exist on this machine: it is made and used",
        folder,
    )
    return folder
