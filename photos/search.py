"""From a picture to its digits: the steps, each in a file of its own."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from photos.components import Components, find_components
from photos.files import read_image, resize, to_grey, to_upright_rgb
from photos.grouping import group_components, split_touching
from photos.ink import find_ink
from photos.mnist_form import to_mnist
from photos.sheet import find_sheet
from photos.text_lines import has_space_before, order_lines

# An image is searched at up to three sizes, the levels: these two, for large digits, and its
# own. All limits in pixels are the same on each level.
LEVEL_SIDES = 128, 448  # pixels of the longer side
MIN_LEVEL_SIDE = 80  # pixels: smaller images are enlarged
MARGIN_BELOW = 24  # pixels: a smaller image gets a margin, as its digit fills it
ONE_POLARITY_BELOW = 128  # pixels: a smaller image has one background, seen at its frame
SHEET_ABOVE = 384  # pixels: only a larger image may show a sheet of paper on a table
MIN_SCORE = 0.012  # of writing: weighted stroke length / longer side of the level


class Digit(NamedTuple):
    """A digit found in a picture."""

    box: tuple[float, float, float, float]  # left, top, right, bottom in the picture's pixels
    pixels: np.ndarray  # float32 (28, 28) in [0, 1], white on black, in MNIST's form
    space_before: bool  # True if a wide gap comes before this digit


def find_digits(picture: str | Path | Image.Image) -> list[list[Digit]]:
    """Find the digits in a picture, dark on light or light on dark.

    `picture` is an image of any mode and size, or a path for `read_image`. Returns the lines
    in reading order, an empty list if the picture has no writing. The boxes are in pixels of
    the picture as it is, turned upright. For a path, raises InputError as `read_image` does.
    """
    is_image = isinstance(picture, Image.Image)
    image = to_upright_rgb(picture) if is_image else read_image(picture)
    grey = to_grey(image)
    margin = 0
    if max(grey.shape) < MARGIN_BELOW:
        margin = 1 + max(grey.shape) // 4
        grey = np.pad(grey, margin, constant_values=find_paper_at_frame(grey)[1])
    components = find_writing(grey)
    if components.score < MIN_SCORE:
        return []
    digits = split_touching(group_components(components))
    if not digits:
        return []
    scale = max(grey.shape) / max(components.contrast.shape)
    boxes = np.array([digit.box for digit in digits])
    boxes_in_image = (scale * boxes - margin).clip(0, [*image.size, *image.size])
    picture_boxes = (image.info["shrink_factor"] * boxes_in_image).tolist()
    return [
        [
            Digit(tuple(picture_boxes[i]), to_mnist(components.contrast, digits[i]), space)
            for i, space in zip(line, has_space_before(boxes[line]), strict=True)
        ]
        for line in order_lines(boxes)
    ]


def find_paper_at_frame(grey: np.ndarray) -> tuple[bool, float]:
    """Whether the paper is light, and how bright it is: most pixels of the frame are paper."""
    frame = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    is_light = frame > (grey.min() + grey.max()) / 2
    light_paper = bool(is_light.mean() > 0.5)
    return light_paper, float(np.median(frame[is_light == light_paper]))


def find_writing(grey: np.ndarray) -> Components:
    """The components of the polarity with the highest sum of scores, on its best level."""
    longest = max(grey.shape)
    sheet = find_sheet(grey) if longest > SHEET_ABOVE else None
    polarities = [True, False]
    if longest < ONE_POLARITY_BELOW:
        polarities = [find_paper_at_frame(grey)[0]]
    coarser = [side for side in LEVEL_SIDES if side < longest]
    found: list[Components] = []
    for side in [*coarser, max(longest, MIN_LEVEL_SIDE)]:
        if side > LEVEL_SIDES[-1]:
            # If dark ink leads, light ink is skipped, to save time. If light ink leads, both
            # are tried: it may be a sheet.
            best = max(found, key=lambda components: components.score)
            polarities = [True] if best.dark_ink and best.score > MIN_SCORE else polarities
        for dark_ink in polarities:
            found.append(find_components(find_ink(resize(grey, side), sheet, dark_ink)))
    # Gaps between strokes look like ink of the other polarity, but not on all levels.
    total = Counter()
    for components in found:
        total[components.dark_ink] += components.score
    return max(found, key=lambda components: (total[components.dark_ink], components.score))
