"""The strokes of connected components: which ones a pen drew, and how long they are."""

import cv2
import numpy as np

from photos.ink import Ink, average_cells

MIN_ELONGATION = 2.4  # area / squared stroke width: a blob has less
MIN_CONTRAST_TO_TEXTURE = 8  # contrast of a clear stroke / texture around it
TEXTURE_KERNEL = 9  # cells: the texture around a pixel is measured in a square of 9 x 9 cells
WEIGHT_EXPONENT = 4  # of sharpness and clearness: blurred strokes and texture count little


def weighted_stroke_lengths(
    ink: Ink, values: np.ndarray, labels: np.ndarray, area: np.ndarray
) -> np.ndarray:
    """The weighted length in pixels of the strokes of n connected components: (n,).

    Length is weighted by contrast * (sharpness * clearness)^4; each factor is about 1 at most.
    Sharpness is the step of brightness at the outline / contrast. Clearness is contrast to the
    texture around, up to MIN_CONTRAST_TO_TEXTURE. A blob has the length 0. `values` is the ink
    without ruled lines and what is cut off, `labels` are 0 for the rest of the image; both are
    (height, width). `area` is (n,), in pixels.
    """
    mask = np.uint8(labels > 0)
    inside = np.flatnonzero(mask)
    outline = np.flatnonzero(mask & ~cv2.erode(mask, np.ones((3, 3))))

    def mean(image: np.ndarray, places: np.ndarray) -> np.ndarray:
        where = labels.ravel()[places]
        total = np.bincount(where, image.ravel()[places], len(area))
        return total / np.maximum(np.bincount(where, minlength=len(area)), 1)

    # Compared with the background, the dark part of a gradient looks like ink; compared with
    # the median, it does not.
    contrast = mean(np.minimum(values, ink.contrast_to_median), inside).clip(0)
    sharpness = mean(np.minimum(1, ink.steps / np.maximum(contrast[labels], 1e-6)), outline)
    texture = np.sqrt(mean(texture_power(values, mask), inside))
    clearness = np.minimum(1, contrast / np.maximum(MIN_CONTRAST_TO_TEXTURE * texture, 1e-6))
    width = np.maximum(stroke_width(mean(distance_inside(mask), inside)), 1)
    is_stroke = area > MIN_ELONGATION * width**2
    return is_stroke * (sharpness * clearness) ** WEIGHT_EXPONENT * contrast * area / width


def texture_power(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean square of the `values` around each pixel, without those near the `mask`."""
    outside = 1 - np.float32(cv2.dilate(mask, np.ones((3, 3))))
    power, count = (
        cv2.blur(average_cells(image), (TEXTURE_KERNEL, TEXTURE_KERNEL))
        for image in (outside * values**2, outside)
    )
    return cv2.resize(power / np.maximum(count, 1e-3), values.shape[::-1])


def distance_inside(mask: np.ndarray) -> np.ndarray:
    """The distance in pixels of each pixel of a mask (height, width) from its outside."""
    padded = cv2.copyMakeBorder(np.uint8(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def mean_stroke_width(mask: np.ndarray) -> float:
    """The width in pixels of the strokes in a mask (height, width)."""
    return float(stroke_width(distance_inside(mask)[mask > 0].mean()))


def stroke_width(mean_distance: np.ndarray) -> np.ndarray:
    """The width w in pixels of strokes, from the mean `distance_inside` d of their pixels.

    In a bar of odd width, d = (w + 1)^2 / 4w. This solves it for w.
    """
    m = 2 * mean_distance - 1
    return m + np.sqrt(np.maximum(m**2 - 1, 0))
