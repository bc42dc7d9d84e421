"""Limits of the environment on what the data of tasks may make this machine fetch and keep."""

import os
from math import inf

#: Maximum size of a file, in MiB.
MAX_VARIABLE = "LABEL_STUDIO_ML_MAX_MEDIA_MIB"
#: Maximum size of all copies together, in MiB; 0 for no limit.
CACHE_VARIABLE = "LABEL_STUDIO_ML_MEDIA_CACHE_MIB"
#: Maximum time in which a file must be fetched, in seconds; 0 for no limit.
TIME_VARIABLE = "LABEL_STUDIO_ML_MEDIA_TIMEOUT"

_MAX_MIB = 2048.0
_CACHE_MIB = 10_240.0
_SECONDS = 300.0
_MIB = 1 << 20


def max_bytes() -> int:
    """Return the maximum size of a file. Raises ValueError if the variable is not a number of MiB."""
    return int(_number(MAX_VARIABLE, _MAX_MIB, "MiB", zero=False) * _MIB)


def cache_bytes() -> float:
    """Return the maximum size of the cache folder. Raises ValueError like `max_bytes`."""
    return _number(CACHE_VARIABLE, _CACHE_MIB, "MiB") * _MIB or inf


def seconds() -> float:
    """Return the maximum time for a file, in seconds. Raises ValueError if it is not a number."""
    return _number(TIME_VARIABLE, _SECONDS, "seconds") or inf


def _number(variable: str, default: float, unit: str, zero: bool = True) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        value = float(text) if text else default
        if not 0 <= value < inf or (value == 0 and not zero):
            raise ValueError(text)
    except ValueError:
        raise ValueError(f"{variable} is {text!r}, which is not a number of {unit}") from None
    return value
