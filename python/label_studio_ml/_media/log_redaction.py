"""Keeps signatures out of what urllib3 logs: they stand in the queries of addresses."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_on: ContextVar[bool] = ContextVar("label_studio_media_hush", default=False)
_LOGGERS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")


class _Hush(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _on.get() and isinstance(record.args, tuple):
            record.args = tuple(map(_without_query, record.args))
        return True


def _without_query(value: object) -> object:
    if isinstance(value, int | float | None):
        return value
    # An exception, or what a request was like, may tell the address too.
    text = value if isinstance(value, str) else type(value).__name__
    head, mark, _ = text.partition("?")
    return f"{head}?…" if mark else head


_filter = _Hush()


@contextmanager
def without_queries() -> Iterator[None]:
    """Leave out queries in what the block makes urllib3 log."""
    for name in _LOGGERS:
        # Adding it again changes nothing.
        logging.getLogger(name).addFilter(_filter)
    token = _on.set(True)
    try:
        yield
    finally:
        _on.reset(token)
