"""Helpers that models import from here. They import the packages that they need when called."""

import logging
import os
import re
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, cast

from label_studio_ml._original import names as _names

if TYPE_CHECKING:
    from label_studio_tools.core.utils.params import get_bool_env, get_env
    from PIL import Image, ImageOps

    from label_studio_ml.model import get_local_path
else:
    __getattr__ = _names.getter(__name__)

__all__ = [
    "DATA_UNDEFINED_NAME",
    "Image",
    "ImageOps",
    "InMemoryLRUDictCache",
    "compare_nested_structures",
    "get_bool_env",
    "get_choice",
    "get_env",
    "get_first_tag_keys",
    "get_image_local_path",
    "get_image_size",
    "get_local_path",
    "get_single_tag_keys",
    "is_preload_needed",
    "is_skipped",
    "is_valid_url",
    "logger",
    "match_labels",
    "names_file",
]
if not TYPE_CHECKING:
    __all__ += _names.starred(__name__)

# Tests of models replace names of this module.
_this = sys.modules[__name__]

logger = logging.getLogger(__name__)

#: Paths of Label Studio, which may be served below another path, URIs of storages, `data:` URLs.
_NAMES_FILE = re.compile(
    r"(/\S{0,200})?/data/(upload/|[^?]*\?d=)|(data/|/)?upload/"
    r"|(/\S{0,200})?/(tasks|projects)/\d+/(presign|resolve)/?\?|(/\S{0,200})?/storage-data/uploaded"
    r"|(s3|gs|azure-blob):\S|data:[\w.+-]+/[\w.+-]+[;,]"
)

#: Key of a task's data when it was imported as plain text.
DATA_UNDEFINED_NAME = "$undefined$"


def get_single_tag_keys(
    parsed_label_config: dict[str, Any], control_type: str, object_type: str
) -> tuple[str, str, str, list[str]]:
    """Return `(from_name, to_name, value, labels)` of a config with one control and one object tag.

    `value` is the key in the task's data. Raises AssertionError, which tells what the model expects,
    if the config has another number of tags or other tags.
    """
    assert len(parsed_label_config) == 1, (
        f"the labelling config has {len(parsed_label_config)} control tags, this model expects one"
    )
    from_name, info = next(iter(parsed_label_config.items()))
    assert info["type"] == control_type, (
        f'the labelling config has the control tag "<{info["type"]}>", '
        f'this model expects "<{control_type}>"'
    )
    assert len(info["to_name"]) == 1, "the control tag names several object tags"
    assert len(info["inputs"]) == 1, "the control tag has no object tag, or several"
    assert info["inputs"][0]["type"] == object_type, (
        f'the labelling config has the object tag "<{info["inputs"][0]["type"]}>", '
        f'this model expects "<{object_type}>"'
    )
    return from_name, info["to_name"][0], info["inputs"][0]["value"], info["labels"]


def get_first_tag_keys(
    parsed_label_config: dict[str, Any], control_type: str, object_type: str
) -> tuple[str | None, dict[str, Any] | None]:
    """Return name and description of the first control tag of a type over an object tag of a type.

    `(None, None)` if the config has none.
    """
    for from_name, info in parsed_label_config.items():
        if info["type"] == control_type and any(
            tag["type"] == object_type for tag in info["inputs"]
        ):
            return from_name, info
    return None, None


def is_skipped(completion: dict[str, Any]) -> bool:
    """Tell whether the only annotation of a task was skipped by its annotator."""
    if len(completion["annotations"]) != 1:
        return False
    annotation = completion["annotations"][0]
    return bool(annotation.get("skipped", False) or annotation.get("was_cancelled", False))


def get_choice(completion: dict[str, Any]) -> str:
    """Return the first choice of the first region of a task's first annotation."""
    region = completion["annotations"][0]["result"][0]
    return cast(str, region["value"]["choices"][0])


def get_image_local_path(
    url: str,
    image_cache_dir: str | None = None,
    project_dir: str | None = None,
    image_dir: str | None = None,
    label_studio_host: str | None = None,
    label_studio_access_token: str | None = None,
    task_id: int | str | None = None,
) -> str:
    """Return the path of a local copy of an image, kept in `image_cache_dir` if it is downloaded.

    Paths of Label Studio (`/data/...`) are looked for in `project_dir` and `image_dir`, or
    downloaded from `label_studio_host`, else the address in LABEL_STUDIO_HOSTNAME (or
    LABEL_STUDIO_URL), with `label_studio_access_token`, else the token in LABEL_STUDIO_API_KEY. URIs
    of storages need `task_id`. Raises `label_studio_ml.exceptions.MediaError`, a FileNotFoundError, if both
    fail.
    """
    from label_studio_ml._media.label_studio_address import is_address

    names = ("LABEL_STUDIO_HOSTNAME", "HEARTEX_HOSTNAME", "HOSTNAME")
    given = (os.environ.get(name, "") for name in names)
    hostname = next((address for address in given if is_address(address)), None)
    path = _this.get_local_path(
        url=url,
        cache_dir=image_cache_dir,
        project_dir=project_dir,
        hostname=label_studio_host or hostname,
        image_dir=image_dir,
        access_token=label_studio_access_token,
        task_id=task_id,
    )
    return cast(str, path)


def get_image_size(filepath: str) -> tuple[int, int]:
    """Return width and height of an image in pixels, rotated as its EXIF orientation says.

    Browsers, and so Label Studio, show it rotated; percentages of a region refer to that.
    """
    with _this.Image.open(filepath) as image:
        width, height = _this.ImageOps.exif_transpose(image).size
        return int(width), int(height)


class InMemoryLRUDictCache:
    """Keeps the `capacity` most recently used values."""

    def __init__(self, capacity: int = 1) -> None:
        self.cache: OrderedDict[Any, Any] = OrderedDict()
        self.capacity = capacity

    def __contains__(self, item: Any) -> bool:
        return item in self.cache

    def get(self, key: Any) -> Any:
        """Return a value, which counts as a use, or None."""
        if key not in self.cache:
            return None
        self.cache.move_to_end(key)
        return self.cache[key]

    def put(self, key: Any, value: Any) -> None:
        """Keep a value; if there is no room, the least recently used one is dropped."""
        if key in self.cache:
            self.cache.move_to_end(key)
        elif len(self.cache) >= self.capacity:
            self.cache.popitem(last=False)
        self.cache[key] = value

    def __str__(self) -> str:
        return str(self.cache)


def match_labels(input: str, labels: list[str]) -> list[str]:
    """Return for each line of a text the label that is most similar to it."""
    from difflib import SequenceMatcher

    def most_alike(line: str) -> str:
        return max(labels, key=lambda label: SequenceMatcher(None, line, label).ratio())

    return [most_alike(line) for line in input.splitlines()]


def is_valid_url(path: str) -> bool:
    """Tell whether a text is an address with a scheme and a host."""
    from urllib.parse import urlparse

    try:
        parts = urlparse(path)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def is_preload_needed(url: str) -> bool:
    """Tell whether a value of a task's data names a file: an address, a path, a storage URI."""
    return names_file(url) or os.path.exists(url)  # noqa: PTH110 - tests of models patch this function


def names_file(text: str) -> bool:
    """Tell whether a text is an address, a path of Label Studio, a storage URI or a `data:` URL."""
    return _NAMES_FILE.match(text) is not None or is_valid_url(text)


def compare_nested_structures(
    a: Any, b: Any, path: str = "", rel: float = 1e-4, abs: float | None = None
) -> None:
    """Assert that two values of dicts and lists are equal, floats approximately; needs pytest.

    Raises AssertionError, which names the place.
    """
    from pytest import approx

    if isinstance(a, dict) and isinstance(b, dict):
        assert a.keys() == b.keys(), f"other keys at {path or 'the top'}: {[*a]} and {[*b]}"
        for key in a:
            compare_nested_structures(a[key], b[key], f"{path}.{key}", rel, abs)
    elif isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b), f"{len(a)} and {len(b)} items at {path or 'the top'}"
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            compare_nested_structures(left, right, f"{path}[{index}]", rel, abs)
    elif isinstance(a, float) and isinstance(b, float):
        assert a == approx(b, rel=rel, abs=abs), f"{a} and {b} at {path or 'the top'}"
    else:
        assert a == b, f"{a!r} and {b!r} at {path or 'the top'}"
