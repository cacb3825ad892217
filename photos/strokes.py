"""The strokes of connected components: which ones a pen drew, and how long they are."""

import cv2
import numpy as np

from photos.ink import Ink

MIN_ELONGATION = 2.6  # area / squared stroke width: a blob has less
RING_KERNEL = 9  # pixels: the ring around a component reaches 4 pixels beyond it
CLEAR_CONTRAST_TO_TEXTURE = 9  # contrast of a clear stroke / texture around it
WEIGHT_EXPONENT = 4  # of sharpness and clearness: blurred strokes and texture count little


def weighted_stroke_lengths(
    ink: Ink, contrast: np.ndarray, labels: np.ndarray, area: np.ndarray
) -> np.ndarray:
    """The weighted length in pixels of the strokes of n connected components: (n,).

    Length = area / stroke width, weighted by contrast * (sharpness * clearness)^4:

    - contrast: the component's mean less the mean of a ring around it
    - sharpness: step of brightness at the component's outline / contrast, at most 1
    - clearness: contrast / CLEAR_CONTRAST_TO_TEXTURE of the texture, at most 1
    - texture: the standard deviation of the contrast in the ring

    A blob has the length 0. The argument `contrast` is the ink's without what was erased,
    `labels` are 0 outside the components; both are (height, width). `area` is (n,), in pixels.
    """
    mask = np.uint8(labels > 0)
    inside = np.flatnonzero(mask)
    outline = np.flatnonzero(mask & ~cv2.erode(mask, np.ones((3, 3))))
    # Pixels between two near components belong to one of them.
    owner = np.int32(cv2.dilate(np.float32(labels), np.ones((RING_KERNEL, RING_KERNEL))))
    ring = np.flatnonzero((owner > 0) & (cv2.dilate(mask, np.ones((3, 3))) == 0))

    def mean(image: np.ndarray, labels: np.ndarray, places: np.ndarray) -> np.ndarray:
        label = labels.ravel()[places]
        total = np.bincount(label, image.ravel()[places], len(area))
        return total / np.maximum(np.bincount(label, minlength=len(area)), 1)

    around = mean(contrast, owner, ring)
    texture = np.sqrt(np.maximum(mean(contrast**2, owner, ring) - around**2, 0))
    to_ring = np.maximum(mean(contrast, labels, inside) - around, 1e-6)
    clear_contrast = np.maximum(CLEAR_CONTRAST_TO_TEXTURE * texture, 1e-6)
    clearness = np.minimum(1, to_ring / clear_contrast)
    sharpness = mean(np.minimum(1, ink.steps / to_ring[labels]), labels, outline)
    width = np.maximum(stroke_width(mean(distance_inside(mask), labels, inside)), 1)
    is_stroke = area > MIN_ELONGATION * width**2
    return is_stroke * to_ring * (sharpness * clearness) ** WEIGHT_EXPONENT * area / width


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
