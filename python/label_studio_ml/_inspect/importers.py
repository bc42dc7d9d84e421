"""Finds the scripts that are being run or imported, and does for them what importing the original did."""

import os
import sys

#: What lies in one of these folders is not a script of the user.
_LIBRARIES = {"site-packages", "dist-packages"}


def prepare() -> None:
    """Import the submodules that the scripts on this thread's stack use as attributes.

    Their project's folder for models becomes MODEL_DIR, which a script may read when it is imported.
    """
    scripts = _running()
    if scripts:
        from label_studio_ml._inspect import model_folder, submodules

        model_folder.look_beside(scripts)
        for script in scripts:
            submodules.import_used(script)


def _running() -> list[str]:
    package = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib is slow to import
    ours = tuple(folder + os.sep for folder in (package, os.path.dirname(os.__file__)))  # noqa: PTH120
    frame = sys._getframe()
    found: dict[str, None] = {}
    while frame := frame.f_back:  # type: ignore[assignment]
        file = frame.f_code.co_filename
        is_script = frame.f_code.co_name == "<module>" and not file.startswith(("<", *ours))
        if is_script and not _LIBRARIES & {*file.split(os.sep)}:  # noqa: PTH206
            found[file] = None
    return list(found)
