"""The original package, installed beside ours and started the way its users start it.

    python3 tests/conformance/upstream.py --script model.py --port 9090 --mode events

Two of its releases: 1.0.9, the last one that was published, and 1.0.4, which the published examples
were written for.

Both are half way between two designs, and LABEL_STUDIO_ML_BACKEND_V2 selects.  In 1.0.9 some
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
Release = Literal["1.0.9", "1.0.4"]

NEWEST: Release = "1.0.9"
OLDER: Release = "1.0.4"

_SWITCH = {"projects": "", "events": "1"}


def upstream_venv(release: Release = NEWEST) -> Path:
    """The environment of a release, made at the first use.

    LABEL_STUDIO_ML_UPSTREAM_VENV moves that of 1.0.9, and LABEL_STUDIO_ML_UPSTREAM_VENV_1_0_4 the
    other.
    """
    variable = "LABEL_STUDIO_ML_UPSTREAM_VENV"
    if release != NEWEST:
        variable += "_" + release.replace(".", "_")
    chosen = os.environ.get(variable)
    path = Path(chosen) if chosen else cache_dir() / f"label-studio-ml-{release}"
    python = os.environ.get("LABEL_STUDIO_ML_UPSTREAM_PYTHON", sys.executable)
    return ensure_venv(path, f"upstream-{release}", python).parent


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
    parser.add_argument("--script", type=Path)
    parser.add_argument("--install", action="store_true", help="only install both releases")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", choices=sorted(_SWITCH), default="projects")
    parser.add_argument("--release", choices=[NEWEST, OLDER], default=NEWEST)
    options = parser.parse_args()
    if options.install:
        upstream_venv(NEWEST)
        # Its pinned versions do not support every Python; tests that need it say so.
        with contextlib.suppress(ServiceError):
            upstream_venv(OLDER)
        return
    if options.script is None:
        parser.error("--script says which model")
    with tempfile.TemporaryDirectory(prefix="upstream-", ignore_cleanup_errors=True) as root:
        service = upstream_service(
            upstream_venv(options.release),
            Path(root),
            options.script.resolve(),
            options.mode,
            options.port,
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt), service:
            print(
                f"label-studio-ml {options.release} ({options.mode}) on {service.url}", flush=True
            )
            signal.pause()


if __name__ == "__main__":
    main()
