"""A digit brought to the form of MNIST's digits."""

import cv2
import numpy as np

from photos.grouping import LevelDigit
from photos.strokes import mean_stroke_width

WHITE_PERCENTILE = 80  # of a digit's ink: this strength and all above become white
MIN_STROKE_WIDTH = 2.2  # pixels of the 20 x 20: MNIST's strokes are 2 to 3 wide


def to_mnist(contrast: np.ndarray, digit: LevelDigit) -> np.ndarray:
    """Bring a digit to MNIST's form: float32 (28, 28) in [0, 1].

    `contrast` is the ink's (height, width) on the level. The form is white on black, fitted
    into 20 x 20 pixels and centred by its centre of mass, as LeCun et al. made MNIST (1998,
    section III.A).
    """
    left, top, right, bottom = digit.box
    size = max(digit.mask.shape)
    ink = np.float32(contrast[top:bottom, left:right] * digit.mask)
    ink = np.clip(ink / np.percentile(ink[digit.mask], WHITE_PERCENTILE), 0, 1)
    padding = 4 * [1 + size // 10]  # for strokes that grow
    ink = cv2.copyMakeBorder(ink, *padding, cv2.BORDER_CONSTANT)
    return center_in_28x28(thicken(ink, size))


def thicken(ink: np.ndarray, size: int) -> np.ndarray:
    """Widen strokes that would vanish in 20 x 20 pixels; `size` is the digit's longer side."""
    mask = ink > 0.5
    grow = (MIN_STROKE_WIDTH * size / 20 - mean_stroke_width(mask)) / 2
    if grow <= 0.25:  # pixels, too little to be seen
        return ink
    outside = cv2.distanceTransform(np.uint8(~mask), cv2.DIST_L2, 5)
    return np.maximum(ink, np.clip(grow + 1 - outside, 0, 1))


def center_in_28x28(ink: np.ndarray) -> np.ndarray:
    """Fit ink (height, width) into 20 x 20 of 28 x 28 pixels, centred as MNIST's digits are.

    Their centre of mass lies at row and column 14, counted from 0: half a pixel below and to
    the right of the middle.
    """
    scale = 20 / max(cv2.boundingRect(np.uint8(ink > 0))[2:])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    ink = cv2.resize(ink, None, fx=scale, fy=scale, interpolation=method)
    moments = cv2.moments(ink)
    shift = [14 - moments[key] / moments["m00"] for key in ("m10", "m01")]
    to_center = np.float32([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.warpAffine(ink, to_center, (28, 28), flags=cv2.INTER_CUBIC).clip(0, 1)
