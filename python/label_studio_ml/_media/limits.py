"""How much the data of tasks may make this machine fetch and keep, as the environment says."""

import os
from math import inf

#: How large a file may be, in MiB.
MAX_VARIABLE = "LABEL_STUDIO_ML_MAX_MEDIA_MIB"
#: How large all copies together may be, in MiB; 0 for no limit.
CACHE_VARIABLE = "LABEL_STUDIO_ML_MEDIA_CACHE_MIB"
#: Seconds that fetching a file may take in all; 0 for no limit.
TIME_VARIABLE = "LABEL_STUDIO_ML_MEDIA_TIMEOUT"

_MAX_MIB = 2048.0
_CACHE_MIB = 10_240.0
_SECONDS = 300.0
_MIB = 1 << 20


def max_bytes() -> int:
    """Return how large a file may be. Raises ValueError if the variable is no number of MiB."""
    return int(_number(MAX_VARIABLE, _MAX_MIB, "MiB", zero=False) * _MIB)


def cache_bytes() -> float:
    """Return how large the folder of copies may be. Raises ValueError like `max_bytes`."""
    return _number(CACHE_VARIABLE, _CACHE_MIB, "MiB") * _MIB or inf


def seconds() -> float:
    """Return how long fetching a file may take. Raises ValueError if that is no number."""
    return _number(TIME_VARIABLE, _SECONDS, "seconds") or inf


def _number(variable: str, default: float, unit: str, zero: bool = True) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        value = float(text) if text else default
        if not 0 <= value < inf or (value == 0 and not zero):
            raise ValueError(text)
    except ValueError:
        raise ValueError(f"{variable} is {text!r}, which is no number of {unit}") from None
    return value
