"""Draws boxes around the biggest patches of colour in an image.

It works with a labelling config that has a RectangleLabels control on an Image object. The labels
say which colours to look for: by their background, else by their name, if it is one that CSS knows.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from colours import Patch, find_patches, open_upright
from PIL import Image, ImageColor

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

logger = logging.getLogger(__name__)

MAX_BOXES = 10  # more are rather a nuisance than a help
MIN_SHARE = 0.01  # of the image's area


class ColourFinder(LabelStudioMLBase):
    """Labels patches of colour; there is nothing to train."""

    def setup(self) -> None:
        """Find the tags and colours; ValueError if the labelling config has none to work with."""
        if hasattr(self, "label_interface"):  # there is none before a project is known
            self.from_name, self.to_name, self.key = self.get_first_tag_occurence(
                "RectangleLabels", "Image"
            )
            self.colours = read_colours(self.parsed_label_config[self.from_name])
            if not self.colours:
                raise ValueError(
                    f"No label of {self.from_name!r} is named after a colour or has a background"
                )

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return one prediction per task; its score is the share of the image in the boxes' colour.

        An image that cannot be fetched is an error, since the next one would fail as well. A file
        that is no image concerns its own task only: that one gets an empty result.
        """
        return ModelResponse(predictions=[self._predict_one(task) for task in tasks])

    def _predict_one(self, task: dict[str, Any]) -> dict[str, Any]:
        url = (task.get("data") or {}).get(self.key)
        if not url:
            return {"result": [], "score": 0.0}
        path = self.get_local_path(url, task_id=task.get("id"))
        try:
            image = open_upright(path)
        except OSError as error:  # Pillow calls a file that is no image one, too
            logger.warning("Task %s has no readable image: %s", task.get("id"), error)
            return {"result": [], "score": 0.0}
        found = find_patches(image, list(self.colours.values()))
        patches = [patch for patch in found if patch.share >= MIN_SHARE][:MAX_BOXES]
        return {
            "result": [self._region(image, patch) for patch in patches],
            "score": sum(patch.share for patch in patches),
        }

    def _region(self, image: Image.Image, patch: Patch) -> dict[str, Any]:
        return {
            "id": uuid.uuid4().hex[:10],
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "rectanglelabels",
            "original_width": image.width,
            "original_height": image.height,
            "image_rotation": 0,
            "value": {
                "x": 100 * patch.left,
                "y": 100 * patch.top,
                "width": 100 * patch.width,
                "height": 100 * patch.height,
                "rotation": 0,
                "rectanglelabels": [list(self.colours)[patch.colour]],
            },
            "score": patch.share,
        }


def read_colours(control: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Return the RGB colour of every label of a control that has one."""
    colours = {}
    for label in control["labels"]:
        attributes = (control.get("labels_attrs") or {}).get(label) or {}
        for name in (attributes.get("background"), label.replace(" ", "")):
            try:
                colours[label] = ImageColor.getrgb(name or "")[:3]
                break
            except ValueError:  # no colour: "Sky", or a background that only CSS understands
                continue
        else:
            logger.warning("The label %r is no colour and has none: it is left out", label)
    return colours
