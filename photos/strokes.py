"""What is measured of the strokes in connected components: contrast, width, edges."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink


class Measures(NamedTuple):
    """What is measured of n connected components, all (n,)."""

    contrast: np.ndarray  # mean ink of its pixels
    stroke_width: np.ndarray  # pixels
    sharpness: np.ndarray  # steps of brightness at the outline / contrast, at most 1
    prominence: np.ndarray  # mean ink against the median around


def measure(ink: Ink, values: np.ndarray, labels: np.ndarray) -> Measures:
    """Measure the connected components that `labels` (height, width) has; 0 is none.

    `values` is the ink (height, width) without what is left out.
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
        prominence=mean(ink.above_median, everywhere),
    )


def distance(mask: np.ndarray) -> np.ndarray:
    """The distance of each pixel in a mask (height, width) from its outside, also the frame."""
    padded = cv2.copyMakeBorder(np.uint8(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def stroke_width(mean_distance: np.ndarray) -> np.ndarray:
    """The width in pixels of strokes, from the mean of the `distance` of their pixels.

    In a bar of odd width w, that is (w + 1)^2 / 4w.
    """
    m = 2 * mean_distance - 1
    return m + np.sqrt(np.maximum(m**2 - 1, 0))
