"""Keeps signatures, which stand in the queries of addresses, out of the log lines of urllib3."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_on: ContextVar[bool] = ContextVar("label_studio_media_redaction", default=False)
_LOGGERS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")


class _Redaction(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _on.get() and isinstance(record.args, tuple):
            record.args = tuple(map(_without_query, record.args))
        return True


def _without_query(value: object) -> object:
    if isinstance(value, int | float | None):
        return value
    # An exception or a request in the arguments may show the address too.
    text = value if isinstance(value, str) else type(value).__name__
    head, mark, _ = text.partition("?")
    return f"{head}?…" if mark else head


_filter = _Redaction()


@contextmanager
def without_queries() -> Iterator[None]:
    """Remove queries from the lines that urllib3 logs during the block."""
    for name in _LOGGERS:
        # Adding it again changes nothing.
        logging.getLogger(name).addFilter(_filter)
    token = _on.set(True)
    try:
        yield
    finally:
        _on.reset(token)
