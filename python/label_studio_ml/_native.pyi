"""The part of the package that is written in Rust."""

from typing import Any, Literal

__all__ = [
    "ask_key",
    "detect_generation",
    "is_cancelled",
    "is_hosted",
    "log_line",
    "log_text",
    "main",
    "parse_config",
    "report_progress",
    "to_json",
    "worker_main",
]

def main(argv: list[str]) -> int:
    """Run the command line `argv`, the program first; return the exit status."""

def worker_main(channel: int) -> None:
    """Serve the server at the other end of the socket `channel` until it says to end."""

def parse_config(
    config: str | None, dialect: Literal["tools", "sdk"] = "tools"
) -> dict[str, dict[str, Any]]:
    """Parse a labelling config; see `label_studio_ml.label_config.parse_config`."""

def detect_generation(class_: type, init_app: list[str] = ...) -> tuple[int, str]:
    """Tell for which generation of the API a class is written, 1 or 2, and why.

    `init_app` names what its `_wsgi.py` gave to `init_app`.
    """

def is_hosted() -> bool:
    """Tell whether this process is a worker of a server."""

def ask_key(ask: str, project: str, key: str, value: str | None) -> tuple[bool, str | None]:
    """Ask the server to `get`, `has`, `set` or `delete` a value of a project.

    Returns whether the server keeps values for this process, and what was found. Raises OSError.
    """

def to_json(value: object) -> str:
    """Write a value as Flask does, and also what models return: NumPy numbers and such.

    NaN and infinities become null, with a warning. Raises TypeError, which names the place.
    """

def log_text(stream: int, text: str) -> None:
    """Take text written to stdout (1) or stderr (2); whole lines go to the server's log."""

def log_line(level: str, text: str) -> None:
    """Take one record of `logging`."""

def is_cancelled() -> bool: ...
def report_progress(
    fraction: float | None, message: str | None, metrics: dict[str, object]
) -> None:
    """Tell the server how far `fit` is; see `label_studio_ml.progress`."""
