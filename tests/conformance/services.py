"""Virtual environments, free ports and child services, for tests that talk to real programs.

For any program: makes its environment, starts it, waits until it answers, and ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

sys.path.append(str(Path(__file__).resolve().parent.parent / "python"))

from ports import free_port  # noqa: F401 - for those who start services

_LOG_TAIL = 4000
_ENVIRONMENT = Path(__file__).resolve().parents[2] / "scripts" / "environment"
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServiceError(RuntimeError):
    """A service did not start, or its environment could not be made."""


def cache_dir() -> Path:
    """Where environments are kept between runs; LABEL_STUDIO_ML_TEST_CACHE moves it."""
    chosen = os.environ.get("LABEL_STUDIO_ML_TEST_CACHE")
    if chosen:
        return Path(chosen).resolve()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "label-studio-ml-tests"


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what would lead a child into our own packages."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    env["NO_PROXY"] = env["no_proxy"] = "127.0.0.1,localhost"
    env["PYTHONUNBUFFERED"] = "1"
    env.update(extra or {})
    return env


def ensure_venv(path: Path, lock: str, python: str = sys.executable) -> Path:
    """Make `path` a virtual environment with what `scripts/requirements/<lock>.txt` lists, and
    nothing else; return its `bin` folder.

    One that was made from the same list is taken as is.  Several processes may ask at once.
    """
    _run([str(_ENVIRONMENT), str(path.absolute()), lock, python])
    return path.resolve() / "bin"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), check=False
    )
    if done.returncode:
        raise ServiceError(f"{' '.join(command)}\n{done.stdout}{done.stderr}"[-_LOG_TAIL:])


class Service:
    """One child process in a process group of its own that answers HTTP on loopback."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        ready_path: str = "/health",
        ready_timeout: float = 60.0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [str(part) for part in command]
        self._log = log
        self._ready_path = ready_path
        self._ready_timeout = ready_timeout
        self._cwd = cwd
        self._env = child_environment(env)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_file: IO[bytes] | None = None

    def start(self) -> None:
        """Start the child and wait until it answers; on failure stop it and show its log."""
        self._log_file = self._log.open("wb")
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._ready_timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise ServiceError(f"ended before it answered: {self._command}\n{self.log_tail()}")
            try:
                with _NO_PROXY.open(self.url + self._ready_path, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise ServiceError(
            f"no answer in {self._ready_timeout:.0f} s: {self._command}\n{self.log_tail()}"
        )

    @property
    def running(self) -> bool:
        """Whether the child is alive."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self) -> str:
        """The end of what the child printed."""
        return self._log.read_text(errors="replace")[-_LOG_TAIL:]

    def stop(self, grace: float = 10.0) -> None:
        """Ask the child to end, then make it end together with what is left of its group."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._process = None
        if self._log_file is not None:
            self._log_file.close()

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
