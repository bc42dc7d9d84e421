"""Helpers that models import from here. Packages they need are imported when they are called."""

import logging
from typing import Any, cast

logger = logging.getLogger(__name__)

#: Key of a task's data when it was imported as plain text.
DATA_UNDEFINED_NAME = "$undefined$"


def get_single_tag_keys(
    parsed_label_config: dict[str, Any], control_type: str, object_type: str
) -> tuple[str, str, str, list[str]]:
    """Return `(from_name, to_name, value, labels)` of a config with one control and one object tag.

    `value` is the key in the task's data. Raises AssertionError, saying what the model expects, if
    the config has another number of tags or other tags.
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
) -> str:
    """Return the path of a local copy of an image, kept in `image_cache_dir` if it is downloaded.

    Paths of Label Studio (`/data/...`) are looked for in `project_dir` and `image_dir`, or
    downloaded from the address in LABEL_STUDIO_HOSTNAME. Raises FileNotFoundError where neither
    is to be had.
    """
    from label_studio_tools.core.utils.io import get_local_path
    from label_studio_tools.core.utils.params import get_env

    path = get_local_path(url, image_cache_dir, project_dir, get_env("HOSTNAME"), image_dir)
    return cast(str, path)


def get_image_size(filepath: str) -> tuple[int, int]:
    """Return width and height of an image in pixels, turned as its EXIF orientation says.

    Browsers, and so Label Studio, show it turned; percentages of a region refer to that.
    """
    from PIL import Image, ImageOps

    with Image.open(filepath) as image:
        width, height = ImageOps.exif_transpose(image).size
        return int(width), int(height)
