"""The original package (1.0.9), installed beside ours and started the way its users start it.

    python3 tests/conformance/upstream.py --script model.py --port 9090 --mode events

Release 1.0.9 is half way between two designs, and LABEL_STUDIO_ML_BACKEND_V2 selects: some of its
functions take an unset variable for "off", others for "on", so that /train and /is_training fail
unless it is set.  Empty means "off" everywhere: one model per project, trained by /train
(`mode="projects"`).  "1" means "on": one model per process, trained by /webhook
(`mode="events"`), which is what Label Studio has used since 1.4.1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from services import Service, ServiceError, cache_dir, child_environment, ensure_venv, free_port

Mode = Literal["projects", "events"]

REQUIREMENTS = ("label-studio-ml==1.0.9", "rq==1.10.1", "redis<5", "setuptools<81")
"""rq and redis are imported at the top of its modules, and not declared."""

_SWITCH = {"projects": "", "events": "1"}


def upstream_venv() -> Path:
    """Its environment (made at the first use); LABEL_STUDIO_ML_UPSTREAM_VENV moves it."""
    chosen = os.environ.get("LABEL_STUDIO_ML_UPSTREAM_VENV")
    path = Path(chosen) if chosen else cache_dir() / "label-studio-ml-1.0.9"
    python = os.environ.get("LABEL_STUDIO_ML_UPSTREAM_PYTHON", sys.executable)
    return ensure_venv(path, REQUIREMENTS, python).parent


def init_project(console_script: Path, name: str, root: Path, script: Path) -> Path:
    """`label-studio-ml init`, the same command line for both packages; the project folder."""
    command = [str(console_script), "init", name, "--root-dir", str(root), "--script", str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), check=False
    )
    if done.returncode:
        raise ServiceError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return root / name


def upstream_service(venv: Path, root: Path, script: Path, mode: Mode, port: int = 0) -> Service:
    """A project made by upstream's `init`, and its own `_wsgi.py` as a service to be started.

    Models land in the project folder, as they do without --model-dir.
    """
    project = init_project(venv / "bin" / "label-studio-ml", "upstream", root, script)
    port = port or free_port()
    return Service(
        [str(venv / "bin" / "python"), "_wsgi.py", "-p", str(port), "--host", "127.0.0.1"],
        port=port,
        log=root / "upstream.log",
        cwd=project,
        # The project folder is the default too, unless the caller's environment says otherwise.
        env={"LABEL_STUDIO_ML_BACKEND_V2": _SWITCH[mode], "MODEL_DIR": str(project)},
    )


def main() -> None:
    """Run a model on upstream until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--script", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", choices=sorted(_SWITCH), default="projects")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="upstream-", ignore_cleanup_errors=True) as root:
        service = upstream_service(
            upstream_venv(), Path(root), options.script.resolve(), options.mode, options.port
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt), service:
            print(f"label-studio-ml 1.0.9 ({options.mode}) on {service.url}", flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
