"""From a picture to its digits, by the steps in the other files."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from photos.components import Components, find_components
from photos.grouping import (
    group_components,
    has_space_before,
    is_beside,
    order_lines,
    separate_marks,
)
from photos.ink import find_ink, find_sheet, resize
from photos.mnist_form import to_mnist
from photos.touching import Classify, split_touching

# An image is searched at up to three sizes, the levels: these two, for large digits, and its
# own, or MIN_LEVEL_SIDE if it is smaller. All limits in pixels are the same on each level.
LEVEL_SIDES = 128, 448  # pixels of the longer side
MIN_LEVEL_SIDE = 80  # pixels of the longer side
MARGIN_BELOW = 24  # pixels: a smaller image gets a margin, because its digit reaches the frame
COLOUR_SAMPLE = 64, 64  # pixels in which the colours are compared
MIN_COLOUR_TO_GREY = 2  # standard deviation of the principal component / of the brightness
MIN_SCORE = 0.011  # of writing: weighted stroke length / longer side of the level

cv2.setNumThreads(1)  # more threads take longer on small images and save little on large ones


Box = tuple[float, float, float, float]  # left, top, right, bottom in the picture's pixels


class Digit(NamedTuple):
    """A digit found in a picture."""

    box: Box
    pixels: np.ndarray  # float32 (28, 28) in [0, 1], white on black, in MNIST's form
    space_before: bool  # True if a wide gap comes before it, so that it starts a number


class Writing(NamedTuple):
    """What is written in a picture."""

    lines: list[list[Digit]]  # in reading order
    left_out: list[Box]  # ink that is not read: marks, cut-off ink, ink of another size


def find_writing(picture: Image.Image, classify: Classify) -> Writing:
    """Find the digits in a picture from `load_picture`, dark on light or light on dark.

    `classify` maps images (n, 28, 28) in MNIST's form to probabilities (n, 10): digits that
    touch are cut where it is most confident. A picture without writing has no lines. The boxes
    are in pixels of the full-size picture.
    """
    grey = to_grey(picture)
    margin = 1 + max(grey.shape) // 4 if max(grey.shape) < MARGIN_BELOW else 0
    if margin:
        grey = np.pad(grey, margin, constant_values=paper_at_frame(grey))
    components = find_best_level(grey)
    if components.score <= MIN_SCORE:
        return Writing([], [])
    digits, left_out = group_components(components)
    if not digits:
        return Writing([], [])
    lines = order_lines(split_touching(digits, classify))
    lines, marks = zip(*map(separate_marks, lines), strict=True)
    left_out = [*left_out, *(mark.box for mark in chain(*marks))]
    left_out += [box for box in components.cut_off if is_beside(box, list(chain(*lines)))]
    from_level = np.divide(grey.shape, components.contrast.shape)[::-1]
    to_full_size = np.divide(picture.info["full_size"], picture.size)

    def in_picture(box: Sequence[float]) -> Box:
        corners = (np.reshape(box, (2, 2)) * from_level - margin).clip(0, picture.size)
        return tuple((to_full_size * corners).ravel().tolist())

    found = [
        [
            Digit(in_picture(digit.box), to_mnist(digit.ink), space)
            for digit, space in zip(line, has_space_before(line), strict=True)
        ]
        for line in lines
    ]
    return Writing(found, list(map(in_picture, left_out)))


def to_grey(image: Image.Image) -> np.ndarray:
    """The grey values (height, width) of an RGB image, in [0, 1].

    They are its brightness, or its first principal component of colour where that varies much
    more: colours may differ and be equally bright.
    """
    grey = np.asarray(image.convert("L"), np.float32) / 255
    colours = np.asarray(image.resize(COLOUR_SAMPLE, Image.Resampling.BOX), np.float32) / 255
    _, (direction,) = cv2.PCACompute(colours.reshape(-1, 3), None, maxComponents=1)
    weights = direction / np.abs(direction).sum()
    sample_of_grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    if (colours @ weights).std() < MIN_COLOUR_TO_GREY * sample_of_grey.std():
        return grey
    # Weights may be negative: the shift brings the result to [0, 1].
    return np.float32(image) / 255 @ weights - weights.clip(max=0).sum()


def paper_at_frame(grey: np.ndarray) -> float:
    """The brightness of the paper at the frame of a small image, where it is the majority."""
    frame = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    is_light = frame > (grey.min() + grey.max()) / 2
    return float(np.median(frame[is_light == (is_light.mean() > 0.5)]))


def find_best_level(grey: np.ndarray) -> Components:
    """The components of the better polarity, on its best level.

    The scores of dark and of light ink are added up over the levels, and the higher sum wins:
    gaps between strokes look like ink of the other polarity, but not on all levels.
    """
    longest = max(grey.shape)
    # A small image is a crop or a drawing: all of it is paper.
    sheet = find_sheet(grey) if longest > LEVEL_SIDES[-1] else np.ones((1, 1), np.uint8)
    coarser = [side for side in LEVEL_SIDES if side < longest]
    polarities = [True, False]
    if not coarser:  # the smallest images have one background, seen at the frame
        polarities = [bool(paper_at_frame(grey) > (grey.min() + grey.max()) / 2)]
    found: dict[bool, list[Components]] = {dark_ink: [] for dark_ink in polarities}
    total = dict.fromkeys(polarities, 0.0)
    for side in [*coarser, max(longest, MIN_LEVEL_SIDE)]:
        if side > LEVEL_SIDES[-1] and total[True] > max(total[False], MIN_SCORE):
            polarities = [True]  # dark ink leads: light ink is skipped, to save time
        for dark_ink in polarities:
            components = find_components(find_ink(resize(grey, side), sheet, dark_ink))
            found[dark_ink].append(components)
            total[dark_ink] += components.score
    best_polarity = max(total, key=total.get)
    return max(found[best_polarity], key=lambda components: components.score)
