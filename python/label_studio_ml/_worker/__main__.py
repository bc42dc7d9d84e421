"""The program of a worker process: `python -m label_studio_ml._worker --channel FD`.

The server starts it with the user's own interpreter, and messages on the channel decide everything
that it does.
"""

import atexit
import faulthandler
import os
import sys


def _leave_channel(channel: int) -> None:
    """Close the channel in forked children of the model, so that only the worker itself has it."""

    def close() -> None:
        # The child may have closed every descriptor already, as daemons do.
        try:
            os.close(channel)
        except OSError:
            return

    os.register_at_fork(after_in_child=close)


def main(argv: list[str]) -> None:
    from label_studio_ml import _native

    channel = int(argv[argv.index("--channel") + 1])
    _leave_channel(channel)
    # The server's log then shows which lines of Python led to a crash in native code.
    faulthandler.enable()
    status = 1
    try:
        _native.worker_main(channel)
        status = 0
    finally:
        # User code may have left threads that never end: its exit handlers run, then the process
        # ends, whatever those threads do.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv)
