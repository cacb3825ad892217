"""From a grey image to ink: what is darker, or lighter, than the background around it."""

from typing import NamedTuple

import cv2
import numpy as np

BACKGROUND_KERNEL = 64  # pixels: a dark square of this size is part of the background
GRAIN_KERNEL = 5  # pixels: the median filter that removes grain from the background
BLUR_SIGMA = 0.7  # pixels: the Gaussian blur that removes grain from the ink
RANGE_KERNEL = 5  # pixels: a sharp edge has its whole step of brightness within this distance
MIN_WHITE = 0.05  # brightness: lower limit of white, so that black images have no light ink


class Ink(NamedTuple):
    """The ink on one level of an image; all arrays are (height, width).

    The contrast of dark ink is (background - pixel) / background, that of light ink is
    (pixel - background) / white; the divisors have lower limits.
    """

    dark_ink: bool  # the polarity: dark on light, or light on dark
    contrast: np.ndarray  # 0 on empty paper and outside the sheet; may be negative
    steps: np.ndarray  # range of brightness around each pixel less the background's
    noise: float  # standard deviation of the contrast on empty paper
    paper_mask: np.ndarray  # uint8, 1 on the sheet or, if there is none, everywhere


def find_ink(grey: np.ndarray, sheet: np.ndarray | None, dark_ink: bool) -> Ink:
    """Find the ink on a level, grey in [0, 1] (height, width); `sheet` is from `find_sheet`."""
    paper_mask = np.ones(grey.shape, np.uint8)
    if sheet is not None:
        paper_mask = cv2.resize(sheet, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    white = np.float32(255 * max(grey.max(), MIN_WHITE))
    image = cv2.GaussianBlur(255 * (grey if dark_ink else 1 - grey), (0, 0), BLUR_SIGMA)
    background = estimate_background(np.uint8(image))
    # A shadow darkens paper and dark ink by the same factor. The lower limit keeps the texture
    # of a dark table weak.
    paper_brightness = np.maximum(background, np.float32(background.max() / 2 + 1))
    divisor = paper_brightness if dark_ink else white
    contrast = (background - image) / divisor
    # The background's own range is subtracted: the borders of blobs and pages are no strokes.
    steps = cv2.subtract(range_around(np.uint8(image)), range_around(background)) / divisor
    mean, noise = measure_paper(contrast[::2, ::2][paper_mask[::2, ::2] == 1])
    return Ink(dark_ink, (contrast - mean) * paper_mask, steps, noise, paper_mask)


def estimate_background(grey: np.ndarray) -> np.ndarray:
    """The background of dark ink in `grey`: a morphological closing; uint8 (height, width).

    It removes dark areas that are narrower or lower than the kernel, and keeps the borders of
    shadows and tables.
    """
    kernel = np.ones((BACKGROUND_KERNEL, BACKGROUND_KERNEL))
    grey = cv2.medianBlur(grey, GRAIN_KERNEL)
    return cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REFLECT)


def range_around(grey: np.ndarray) -> np.ndarray:
    """The brightest less the darkest pixel around each one."""
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((RANGE_KERNEL, RANGE_KERNEL)))


def measure_paper(contrast: np.ndarray) -> tuple[float, float]:
    """The mean and the standard deviation of the empty paper among contrasts (n,).

    The 10th and the 30th percentile of a normal distribution are 1.28 and 0.52 deviations below
    its mean. Ink is above both, even where a digit covers half of the image; the deviation
    is then 1.4 times too large.
    """
    at_10, at_30 = np.percentile(contrast, (10, 30))
    deviation = (at_30 - at_10) / (1.28 - 0.52)
    return float(at_30 + 0.52 * deviation), float(deviation)
