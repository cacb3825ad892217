"""What a model reads in a picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from photos.files import load_picture
from photos.search import Box, Digit, find_writing
from photos.touching import Classify

# Maps float32 (n, 28, 28) in [0, 1] to probabilities (n, 10).
Model = Callable[[np.ndarray], ArrayLike]

# A digit with a lower confidence is unsure. The limit marks most wrong digits and few right
# ones. Share of the digits below a limit, in 141 people's pictures and photos, with the models
# of three seeds:
#
# | limit | of 23 wrong digits | of 1,111 right digits |
# |---|---|---|
# | 0.6 | 17 % | 0.7 % |
# | 0.7 | 35 % | 1.4 % |
# | 0.8 | 48 % | 2.7 % |
# | 0.9 | 78 % | 4.1 % |
UNSURE_BELOW = 0.9
# A picture with at least so many digits, of which more than this share are unsure, looks like
# print: letters are read as digits. On 8 printed pages, 34 to 49 % were unsure; in people's
# pictures with 13 or more digits, at most 23 %.
MIN_PRINT_DIGITS, MIN_PRINT_SHARE = 30, 0.3
# A picture with at least so many digits may be turned, if the geometric mean of its confidences
# is below this share of the mean with each digit turned.
MIN_TURNED_DIGITS, MAX_UPRIGHT_SHARE = 2, 0.86


class Reading(NamedTuple):
    """The n digits found in a picture, and what a model takes them for."""

    name: str
    picture: Image.Image  # from `load_picture`
    lines: list[list[Digit]]  # in reading order; a picture without writing has none
    probabilities: np.ndarray  # (n, 10), of all digits in reading order
    left_out: Sequence[Box] = ()  # ink that is not read: see `Writing`
    seems_turned: bool = False  # by 90, 180 or 270 degrees

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
    def text(self) -> str:
        """The digits read: a space separates numbers, ` / ` separates lines."""
        y_pred = iter(self.y_pred)
        return " / ".join(
            "".join(f"{' ' * digit.space_before}{next(y_pred)}" for digit in line)
            for line in self.lines
        )

    @property
    def confidence(self) -> float:
        """How likely, in [0, 1], all digits are right: an estimate; 0 if there are none."""
        return float(self.confidences.prod()) if self.digits else 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture in pixels, before it was shrunk."""
        return self.picture.info["full_size"]

    @property
    def hints(self) -> list[str]:
        """What the user should know about the picture."""
        hints = []
        if (pages := self.picture.info["pages"]) > 1:
            hints.append(f"only the first of {pages} pages or frames is read")
        if self.left_out:
            hints.append("not everything is read: see the dashed boxes in the plot")
        if len(self.digits) >= MIN_PRINT_DIGITS and self.unsure.mean() > MIN_PRINT_SHARE:
            hints.append("this looks like print or text; only handwritten digits are read")
        if self.seems_turned:
            hints.append("this picture seems to be turned; turn it upright")
        return hints


def read_picture(
    picture: str | Path | Image.Image, model: Model, name: str | None = None
) -> Reading:
    """Find the digits in a picture, dark on light or light on dark, and read them.

    `picture` is a path or an image of any mode and size. Without a `name`, the reading has the
    path as its name. Raises InputError if the picture cannot be loaded.
    """
    return read_pictures({name or str(picture): load_picture(picture)}, model)[0]


def read_pictures(pictures: Mapping[str, Image.Image], model: Model) -> list[Reading]:
    """Read pictures from `load_picture`, given by name; the digits of all are read at once."""

    def classify(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(model(pixels))

    found = [find_writing(picture, classify) for picture in pictures.values()]
    pixels = [digit.pixels for writing in found for line in writing.lines for digit in line]
    probabilities = classify(np.stack(pixels)) if pixels else np.empty((0, 10))
    readings, start = [], 0
    for (name, picture), (lines, left_out) in zip(pictures.items(), found, strict=True):
        stop = start + sum(map(len, lines))
        reading = Reading(name, picture, lines, probabilities[start:stop], left_out)
        readings.append(reading._replace(seems_turned=seems_turned(reading, classify)))
        start = stop
    return readings


def seems_turned(reading: Reading, classify: Classify) -> bool:
    """Whether the digits are read with much more confidence if each is turned."""
    if len(reading.digits) < MIN_TURNED_DIGITS:
        return False
    upright = geometric_mean(reading.confidences)
    if upright > MAX_UPRIGHT_SHARE:  # the turned mean is at most 1: no need to ask the model
        return False
    turned = [classify(np.rot90(reading.pixels, n, axes=(1, 2))).max(axis=1) for n in (1, 2, 3)]
    return upright < MAX_UPRIGHT_SHARE * max(map(geometric_mean, turned))


def geometric_mean(values: np.ndarray) -> float:
    """The geometric mean of positive values (n,)."""
    return float(np.exp(np.log(values).mean()))
