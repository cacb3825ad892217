"""What a model reads in a picture."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from photos.files import open_picture
from photos.search import Box, Digit, search

# Maps float32 (n, 28, 28) in [0, 1] to probabilities (n, 10).
Model = Callable[[np.ndarray], ArrayLike]

# A digit is unsure if its confidence is lower. This marks most wrong digits and few right ones.
# The table gives the share of digits below a limit, in 141 people's pictures and photos, with
# the models of three seeds:
#
# | limit | of 23 wrong digits | of 1,111 right digits |
# |---|---|---|
# | 0.6 | 17 % | 0.7 % |
# | 0.7 | 35 % | 1.4 % |
# | 0.8 | 48 % | 2.7 % |
# | 0.9 | 78 % | 4.1 % |
UNSURE_BELOW = 0.9
# Letters are taken for digits. On 8 printed pages, 34 to 49 % of them were unsure; in people's
# pictures with 13 or more digits, at most 23 %.
MIN_PRINT_DIGITS, MIN_PRINT_SHARE = 30, 0.3


class Reading(NamedTuple):
    """The n digits found in a picture, and what a model takes them for."""

    name: str
    picture: Image.Image  # upright RGB, shrunk if it is large
    lines: list[list[Digit]]  # in reading order; a picture without writing has none
    probabilities: np.ndarray  # (n, 10), of all digits in reading order
    left_out: Sequence[Box] = ()  # ink of about a digit's size that is not read

    @property
    def text(self) -> str:
        """The digits read: a space separates numbers, ` / ` separates lines."""
        answers = iter(self.y_pred)
        return " / ".join(
            "".join(f"{' ' * digit.space_before}{next(answers)}" for digit in line)
            for line in self.lines
        )

    @property
    def confidence(self) -> float:
        """How likely, in [0, 1], all digits found are read correctly: an estimate."""
        return float(self.confidences.prod())

    @property
    def digits(self) -> list[Digit]:
        """The digits found, in reading order."""
        return [digit for line in self.lines for digit in line]

    @property
    def boxes(self) -> np.ndarray:
        """The digits' boxes (n, 4): left, top, right, bottom in whole pixels of `size`."""
        return np.rint([digit.box for digit in self.digits]).astype(int).reshape(-1, 4)

    @property
    def pixels(self) -> np.ndarray:
        """The digits (n, 28, 28) in [0, 1], as the model sees them."""
        return np.reshape([digit.pixels for digit in self.digits], (-1, 28, 28))

    @property
    def y_pred(self) -> np.ndarray:
        """What each digit (n,) is read as, from 0 to 9."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """The probability (n,) of each digit in `y_pred`."""
        return self.probabilities.max(axis=1)

    @property
    def unsure(self) -> np.ndarray:
        """Which digits (n,) are below UNSURE_BELOW, rounded as they are printed."""
        return self.confidences.round(3) < UNSURE_BELOW

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels, upright and before it was shrunk."""
        factor = self.picture.info["shrink_factor"]
        width, height = self.picture.size
        return round(width * factor), round(height * factor)

    @property
    def hints(self) -> list[str]:
        """What the user should know about the picture."""
        hints = []
        if (pages := self.picture.info.get("pages", 1)) > 1:
            hints.append(f"only the first of {pages} pages or frames is read")
        if self.left_out:
            hints.append("not everything is read: see the dashed boxes in the plot")
        if len(self.digits) >= MIN_PRINT_DIGITS and self.unsure.mean() > MIN_PRINT_SHARE:
            hints.append("this looks like print or text; only handwritten digits are read")
        return hints


def read_picture(
    picture: str | Path | Image.Image, model: Model, name: str | None = None
) -> Reading:
    """Find the digits in a picture, dark on light or light on dark, and read them.

    `picture` is a path or an image of any mode and size. Without a `name`, the reading has the
    path as its name. Raises InputError if the file cannot be read.
    """
    return read_images({name or str(picture): open_picture(picture)}, model)[0]


def read_images(images: Mapping[str, Image.Image], model: Model) -> list[Reading]:
    """Read images from `open_picture`, given by name, with one call of the model."""
    found = [search(image, lambda x: np.asarray(model(x))) for image in images.values()]
    digits = [[digit for line in writing.lines for digit in line] for writing in found]
    pixels = [digit.pixels for digit in chain(*digits)]
    probabilities = np.asarray(model(np.stack(pixels))) if pixels else np.empty((0, 10))
    parts = np.split(probabilities, np.cumsum(list(map(len, digits))))[:-1]
    return [
        Reading(name, image, writing.lines, part, writing.left_out)
        for (name, image), writing, part in zip(images.items(), found, parts, strict=True)
    ]
