"""The console script `label-studio-ml`."""

import sys

from label_studio_ml import _native


def main(argv: list[str] | None = None) -> int:
    """Run the command line (`sys.argv` without the program by default); return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    return _native.main(["label-studio-ml", *arguments])


if __name__ == "__main__":
    sys.exit(main())
