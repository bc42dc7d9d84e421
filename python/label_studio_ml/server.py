"""The console script `label-studio-ml`."""

import os
import sys
from typing import TYPE_CHECKING

from label_studio_ml import _native
from label_studio_ml._original import names as _names

if TYPE_CHECKING:
    from label_studio_ml._original.commands import (
        create_dir,
        deploy_to_gcp,
        get_args,
        logger,
        special_match,
        start_server,
    )
    from label_studio_ml.api import init_app
    from label_studio_ml.model import get_all_classes_inherited_LabelStudioMLBase
else:
    __getattr__ = _names.getter(__name__)

__all__ = [
    "create_dir",
    "deploy_to_gcp",
    "get_all_classes_inherited_LabelStudioMLBase",
    "get_args",
    "init_app",
    "logger",
    "main",
    "special_match",
    "start_server",
]

#: Options that may come from the environment. Compose files pass them on empty if they are not set.
_OPTIONS = ("PORT", "WORKERS", "THREADS", "MAX_BATCH_SIZE", "MODEL_DIR", "LOG_LEVEL")


def main(argv: list[str] | None = None) -> int:
    """Run the command line (`sys.argv` without the program by default); return the exit status."""
    for name in _OPTIONS:
        if os.environ.get(name) == "":
            del os.environ[name]
    if "LOG_LEVEL" in os.environ:
        # A `_wsgi.py` of the original passes it to `logging`, which takes capital letters only.
        os.environ["LOG_LEVEL"] = os.environ["LOG_LEVEL"].strip().upper()
    arguments = sys.argv[1:] if argv is None else argv
    return _native.main(["label-studio-ml", *arguments])


if __name__ == "__main__":
    sys.exit(main())
