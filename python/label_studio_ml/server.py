"""The console script `label-studio-ml`."""

import os
import sys

from label_studio_ml import _native

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
