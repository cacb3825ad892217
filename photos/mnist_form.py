"""A digit brought to the form of MNIST's digits."""

import cv2
import numpy as np

from photos.ink import distance_inside, resize

WHITE_PERCENTILE = 65  # of a digit's ink: this strength and all above become white
EDGE_EXPONENT = 1.75  # weakens the blurred edges of strokes: MNIST's are sharper
MIN_STROKE_WIDTH = 2.0  # pixels of the 20 x 20: MNIST's strokes are 2 to 3 wide
NARROW = 0.5  # width / height: a narrower digit is widened, so that the loop of a 9 is seen


def to_mnist(ink: np.ndarray) -> np.ndarray:
    """Bring a digit's ink (height, width), 0 elsewhere, to MNIST's form.

    The form is float32 (28, 28) in [0, 1], white on black. As LeCun et al. made MNIST (1998,
    section III.A), the digit is fitted into 20 x 20 pixels, and its centre of mass lies at row
    and column 14, counted from 0. Then, if width / height = r is below NARROW, the digit is
    widened to sqrt(NARROW * r) (aspect ratio mapping: Liu et al., "Handwritten digit
    recognition: investigation of normalization and feature extraction techniques", 2004).
    """
    ink = np.clip(ink / np.percentile(ink[ink > 0], WHITE_PERCENTILE), 0, 1) ** EDGE_EXPONENT
    missing_width = MIN_STROKE_WIDTH * max(ink.shape) / 20 - mean_stroke_width(ink > 0.5)
    kernel_side = 1 + max(0, round(missing_width))
    ink = cv2.copyMakeBorder(ink, *4 * [kernel_side], cv2.BORDER_CONSTANT)
    ink = cv2.dilate(ink, np.ones((kernel_side, kernel_side)))  # thin strokes would vanish
    left, top, width, height = cv2.boundingRect(np.uint8(ink > 0))
    ink = resize(ink[top : top + height, left : left + width], 20)
    moments = cv2.moments(np.float64(ink))  # float32 of two columns would be a list of points
    x, y = (moments[key] / moments["m00"] for key in ("m10", "m01"))
    widen = np.sqrt(max(1, NARROW * height / width))
    to_center = np.float32([[widen, 0, 14 - widen * x], [0, 1, 14 - y]])
    return cv2.warpAffine(ink, to_center, (28, 28), flags=cv2.INTER_CUBIC).clip(0, 1)


def mean_stroke_width(mask: np.ndarray) -> float:
    """The width in pixels of the strokes in a mask (height, width).

    In a long bar, the mean of `distance_inside` is width / 4 + 1 / 2, and a little more.
    """
    return float(4 * distance_inside(mask)[mask > 0].mean() - 2)
