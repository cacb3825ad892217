"""Measures of the strokes in connected components: contrast, width, edges."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink


class Measures(NamedTuple):
    """Measures of n connected components, all (n,)."""

    contrast: np.ndarray  # mean ink of its pixels
    stroke_width: np.ndarray  # pixels
    sharpness: np.ndarray  # mean step of brightness at the outline / contrast, at most 1
    to_median: np.ndarray  # mean contrast to the median around


def measure(ink: Ink, values: np.ndarray, labels: np.ndarray) -> Measures:
    """Measure the connected components in `labels`; label 0 is the rest of the image.

    `values` is the ink without ruled lines and what is cut off. Both are (height, width).
    """
    mask = np.uint8(labels > 0)
    inner = cv2.erode(mask, np.ones((3, 3)))
    everywhere, outline = np.flatnonzero(mask), np.flatnonzero(mask & ~inner)
    count = labels.max() + 1

    def mean(image: np.ndarray, places: np.ndarray) -> np.ndarray:
        where = labels.ravel()[places]
        total = np.bincount(where, image.ravel()[places], count)
        return total / np.maximum(np.bincount(where, minlength=count), 1)

    contrast = mean(values, everywhere)
    steps = np.minimum(1, ink.steps / np.maximum(contrast[labels], 1e-6))
    return Measures(
        contrast,
        stroke_width=np.maximum(stroke_width(mean(distance(mask), everywhere)), 1),
        sharpness=mean(steps, outline),
        to_median=mean(ink.contrast_to_median, everywhere),
    )


def distance(mask: np.ndarray) -> np.ndarray:
    """The distance in pixels of each pixel of a mask (height, width) from its outside."""
    padded = cv2.copyMakeBorder(np.uint8(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def stroke_width(mean_distance: np.ndarray) -> np.ndarray:
    """The width w in pixels of strokes, from the mean `distance` d of their pixels.

    In a bar of odd width, d = (w + 1)^2 / 4w. This solves it for w.
    """
    m = 2 * mean_distance - 1
    return m + np.sqrt(np.maximum(m**2 - 1, 0))
