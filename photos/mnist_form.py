"""A digit brought to the form of MNIST's digits."""

import cv2
import numpy as np

from photos.grouping import Shape
from photos.strokes import distance, stroke_width

FULL = 80  # the percentile of a digit's ink that becomes white
FAINT = 0.15  # share of white: weaker pixels do not count for a digit's size
SMOOTH = 0.3  # pixels of the 28 x 28: standard deviation of the blur before shrinking
THINNEST = 2.2  # pixels of the 20 x 20: strokes are not thinner; MNIST's are 2 to 3 wide


def to_mnist(ink: np.ndarray, shape: Shape) -> np.ndarray:
    """Bring a digit's shape to MNIST's form: float32 (28, 28) in [0, 1].

    `ink` is (height, width) of the level. The form is white on black, fitted into 20 x 20
    pixels and centred by its centre of mass, as LeCun et al. made MNIST (1998, section III.A).
    """
    left, top, right, bottom = shape.box
    size = max(shape.mask.shape)
    mask = add_margin(np.uint8(shape.mask), 1 + size // 10)
    ink = add_margin(np.float32(ink[top:bottom, left:right]), 1 + size // 10)
    ink = np.clip(ink / np.percentile(ink[mask > 0], FULL), 0, 1)
    ink *= cv2.dilate(mask, np.ones((3, 3)))  # with soft edges
    return center_in_frame(thicken(ink, size))


def add_margin(image: np.ndarray, margin: int) -> np.ndarray:
    """Add `margin` pixels of 0 on each side of an image (height, width)."""
    return cv2.copyMakeBorder(image, *[margin] * 4, cv2.BORDER_CONSTANT)


def thicken(ink: np.ndarray, size: int) -> np.ndarray:
    """Widen strokes that would vanish in 20 x 20 pixels; `size` is the digit's longer side."""
    mask = ink > 0.5
    grow = (THINNEST * size / 20 - stroke_width(distance(mask)[mask].mean())) / 2
    if grow <= 0.25:
        return ink
    outside = cv2.distanceTransform(np.uint8(~mask), cv2.DIST_L2, 5)
    return np.maximum(ink, np.clip(grow + 1 - outside, 0, 1))


def center_in_frame(ink: np.ndarray) -> np.ndarray:
    """Fit ink (height, width) into 20 x 20 of 28 x 28 pixels, centred as MNIST's digits are.

    Their centre of mass lies at row and column 14, counted from 0: half a pixel below and to
    the right of the middle.
    """
    scale = 20 / max(cv2.boundingRect(np.uint8(ink > FAINT))[2:])
    if scale < 1:
        ink = cv2.GaussianBlur(ink, (0, 0), SMOOTH / scale)
    moments = cv2.moments(ink)
    shift = [14 - scale * moments[key] / moments["m00"] for key in ("m10", "m01")]
    to_form = np.float32([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(ink, to_form, (28, 28), flags=cv2.INTER_CUBIC).clip(0, 1)
