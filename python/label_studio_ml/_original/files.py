"""Reading JSON files, for scripts of 2021."""

import json
from pathlib import Path
from typing import Any


def json_load(file: str | Path, int_keys: bool = False) -> Any:
    """Return what a JSON file holds; with `int_keys` the keys of its object become integers."""
    data = json.loads(Path(file).read_text(encoding="utf-8"))
    return {int(key): value for key, value in data.items()} if int_keys else data
