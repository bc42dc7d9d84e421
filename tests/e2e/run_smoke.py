"""The smoke run against a server of ours: makes the text classifier's project, starts it, and
hands its address to smoke.py. Arguments are passed on to that.

Run it with the Python of an environment in which label-studio-ml is installed.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parents[1] / "examples" / "simple_text_classifier" / "simple_text_classifier.py"
COMMAND = Path(sys.prefix) / "bin" / "label-studio-ml"


def main() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as root, contextlib.ExitStack() as stack:
        subprocess.run([COMMAND, "init", "b", "--script", SCRIPT, "--root-dir", root], check=True)
        server = subprocess.Popen(
            [COMMAND, "start", "b", "--root-dir", root, "-p", str(port), "--host", "127.0.0.1"]
        )
        stack.callback(server.wait)
        stack.callback(server.terminate)
        smoke: list[str | Path] = [
            sys.executable,
            HERE / "smoke.py",
            "--backend",
            f"http://127.0.0.1:{port}",
        ]
        done = subprocess.run([*smoke, "--min-agreement", "0.9", *sys.argv[1:]], check=False)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
