"""From a grey image to ink: what is darker, or lighter, than the background around it."""

from typing import NamedTuple

import cv2
import numpy as np

BACKGROUND_KERNEL = 64  # pixels: what is at least as wide and as high is part of the background
GRAIN_KERNEL = 5  # pixels: the median filter that removes grain from the background
BLUR_SIGMA = 0.7  # pixels: the Gaussian blur that removes grain from the ink
STEP_KERNEL = 5  # pixels: a step of brightness at a sharp edge is measured over this distance
CELL_SIDE = 8  # pixels: side of the square cells over which an image is averaged
# Pairs of a percentile of the ink values and its z-score in a normal distribution. Below such
# percentiles, the values are only noise of empty paper. On a small level, one digit may cover
# half of the image.
PAPER_PERCENTILES = (16, -1), (50, 0)
PAPER_PERCENTILES_SMALL = (10, -1.28), (30, -0.52)
MIN_WHITE = 0.05  # brightness: lower limit of white, so that black images have no light ink
MAX_SMALL_SIDE = 256  # pixels: the longer side of a small level, at most


class Ink(NamedTuple):
    """The ink on one level of an image, all arrays (height, width).

    Dark ink is (background - pixel) / background, light ink is (pixel - background) / white;
    the divisors have lower limits.
    """

    dark_ink: bool  # the polarity: dark on light, or light on dark
    values: np.ndarray  # 0 on empty paper and outside the sheet; may be negative
    contrast_to_median: np.ndarray  # contrast to the median around each pixel
    steps: np.ndarray  # local range of brightness less the background's, as contrast
    noise: float  # standard deviation of `values` on empty paper
    paper_mask: np.ndarray  # uint8, 1 on the sheet or, if there is none, everywhere


def find_ink(grey: np.ndarray, sheet: np.ndarray | None, dark_ink: bool) -> Ink:
    """Find the ink on a level, grey in [0, 1] (height, width); `sheet` is from `find_sheet`."""
    paper = np.ones(grey.shape, np.uint8)
    if sheet is not None:
        paper = cv2.resize(sheet, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    white = np.float32(255 * max(grey.max(), MIN_WHITE))
    grey = cv2.GaussianBlur(255 * (grey if dark_ink else 1 - grey), (0, 0), BLUR_SIGMA)
    background, median = estimate_background(np.uint8(grey))
    # A shadow darkens paper and dark ink by the same factor. The divisor has a lower limit, so
    # that the texture of dark tables stays weak.
    shaded = np.maximum(background, np.float32(background.max() / 2 + 1))
    divisor = shaded if dark_ink else white
    values = (background - grey) / divisor
    # The background's own steps are subtracted: the rims of blobs and pages are no strokes.
    steps = cv2.subtract(local_steps(np.uint8(grey)), local_steps(background)) / divisor
    small = max(grey.shape) <= MAX_SMALL_SIDE
    paper_mean, noise = measure_paper(values[::2, ::2][paper[::2, ::2] == 1], small)
    values = (values - paper_mean) * paper
    return Ink(dark_ink, values, (median - grey) / divisor, steps, noise, paper)


def estimate_background(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The background of dark ink in `grey`, and the median around each pixel.

    All are uint8 (height, width). The background is a morphological closing. It fills all that
    is dark and smaller than its kernel in one direction, and keeps the edges of shadows and
    tables. It also fills gaps between light strokes, which then look like dark ink; the median
    does not.
    """
    kernel = np.ones((BACKGROUND_KERNEL, BACKGROUND_KERNEL))
    grey = cv2.medianBlur(grey, GRAIN_KERNEL)
    background = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REFLECT)
    median = cv2.medianBlur(average_cells(grey), 2 * BACKGROUND_KERNEL // CELL_SIDE + 1)
    return background, cv2.resize(median, grey.shape[::-1])


def average_cells(image: np.ndarray) -> np.ndarray:
    """The means of an image (height, width) over its cells."""
    cells = [max(1, side // CELL_SIDE) for side in reversed(image.shape)]
    return cv2.resize(image, cells, interpolation=cv2.INTER_AREA)


def local_steps(grey: np.ndarray) -> np.ndarray:
    """The difference between the brightest and the darkest pixel around each one."""
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((STEP_KERNEL, STEP_KERNEL)))


def measure_paper(values: np.ndarray, small: bool) -> tuple[float, float]:
    """The mean and the standard deviation of the empty paper among the `values` (n,) of ink."""
    (low, z_low), (high, z_high) = PAPER_PERCENTILES_SMALL if small else PAPER_PERCENTILES
    at_low, at_high = np.percentile(values, (low, high))
    deviation = (at_high - at_low) / (z_high - z_low)
    return float(at_high - z_high * deviation), float(deviation)
