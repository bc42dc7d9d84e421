"""Finds patches of given colours in an image."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

GRID = 64  # cells along the longer side: enough for a suggestion that a person corrects
MAX_DISTANCE = 40.0  # in CIELAB; further away, a colour has another name, if any

# sRGB -> XYZ, divided by the white point D65
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
TO_XYZ /= np.array([[0.9505], [1.0], [1.089]])


class Patch(NamedTuple):
    """Cells of one colour that hang together; left, top, width and height as shares of 1."""

    colour: int
    left: float
    top: float
    width: float
    height: float
    share: float  # of the image's area, as far as it has the colour


def open_upright(path: str) -> Image.Image:
    """Return the image as a browser shows it: turned as its EXIF data say, and on white."""
    with Image.open(path) as file:
        upright = ImageOps.exif_transpose(file).convert("RGBA")
    background = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(background, upright).convert("RGB")


def find_patches(image: Image.Image, colours: list[tuple[int, int, int]]) -> list[Patch]:
    """Return the patches of these RGB colours, the biggest first."""
    scale = max(1.0, max(image.size) / GRID)
    size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
    cells = np.asarray(image.resize(size, Image.Resampling.BOX), dtype=float)
    # People see the same difference anywhere in CIELAB, which is not so in RGB.
    difference = to_lab(cells)[:, :, None, :] - to_lab(np.array(colours, dtype=float))
    distances = np.sqrt((difference**2).sum(axis=-1))
    names = np.where(distances.min(axis=-1) <= MAX_DISTANCE, distances.argmin(axis=-1), -1)

    patches = []
    seen = names < 0
    for row, column in np.argwhere(~seen):
        if not seen[row, column]:
            group = _flood(names, seen, int(row), int(column))
            top, left = group.min(axis=0)
            bottom, right = group.max(axis=0) + 1
            patches.append(
                Patch(
                    colour=int(names[row, column]),
                    left=float(left / size[0]),
                    top=float(top / size[1]),
                    width=float((right - left) / size[0]),
                    height=float((bottom - top) / size[1]),
                    share=len(group) / names.size,
                )
            )
    return sorted(patches, key=lambda patch: patch.share, reverse=True)


def _flood(names: np.ndarray, seen: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return the (row, column) of all cells that hang together with this one; note them as seen."""
    seen[row, column] = True
    waiting, group = deque([(row, column)]), []
    while waiting:
        row, column = waiting.popleft()
        group.append((row, column))
        for y, x in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= y < names.shape[0] and 0 <= x < names.shape[1]
            if inside and not seen[y, x] and names[y, x] == names[row, column]:
                seen[y, x] = True
                waiting.append((y, x))
    return np.array(group)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Convert colours (0 to 255, in the last axis) from sRGB to CIELAB."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
