"""Pen strokes and ruled lines: how wide and how long they are, and which is which."""

import cv2
import numpy as np

MIN_RUN = 40  # pixels: a ruled line has straight runs as long as this, a digit rarely has one
RUN_OFFSET = 5  # pixels: a run of a slanting line may drift this far sideways
MIN_LENGTH_SHARE = 0.25  # of a ruled line, as a share of the image's longer side
# A ruled line is thinner than these pixels plus this share of the image's longer side.
MAX_THICKNESS, MAX_THICKNESS_SHARE = 5, 0.0125
# A stroke that crosses a ruled line is longer, in the direction across the line, than this many
# times the line's thickness plus this many pixels.
CROSSING_THICKNESSES, CROSSING_PIXELS = 2, 2

MIN_ELONGATION = 2.6  # area / squared stroke width: a blob has less
RING_KERNEL = 9  # pixels: the ring around a component reaches 4 pixels beyond it
CLEAR_CONTRAST_TO_TEXTURE = 9  # contrast of a clear stroke / texture around it
WEIGHT_EXPONENT = 4  # of sharpness and clearness: blurred strokes and texture count little


def distance_inside(mask: np.ndarray) -> np.ndarray:
    """The distance in pixels of each pixel of a mask (height, width) from the outside."""
    padded = cv2.copyMakeBorder(np.uint8(mask), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def mean_stroke_width(mask: np.ndarray) -> float:
    """The width in pixels of the strokes in a mask (height, width)."""
    return float(stroke_width(distance_inside(mask)[mask > 0].mean()))


def stroke_width(mean_distance: np.ndarray) -> np.ndarray:
    """The width w in pixels of strokes: a bar's mean `distance_inside` is (w + 1)^2 / 4w."""
    m = 2 * mean_distance - 1
    return m + np.sqrt(np.maximum(m**2 - 1, 0))


def find_ruled_lines(mask: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The ruled lines in a mask of ink, without the strokes that cross them.

    `mask` and the result are uint8, `edge` is True at the paper's edge: all (height, width).
    """
    horizontal = find_horizontal_lines(mask, edge)
    vertical = find_horizontal_lines(mask.T, edge.T).T
    lines = horizontal | vertical
    if not lines.any():
        return lines
    crossing = CROSSING_PIXELS + int(CROSSING_THICKNESSES * mean_stroke_width(lines))
    down = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((crossing, 1)))
    across = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, crossing)))
    return (horizontal & (vertical | ~down)) | (vertical & (horizontal | ~across))


def find_horizontal_lines(mask: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The nearly horizontal ruled lines: the thin ink in long runs that reach the edge."""
    if not mask[edge].any():
        return np.zeros_like(mask)
    side = max(mask.shape)
    thickness = MAX_THICKNESS + int(MAX_THICKNESS_SHARE * side)
    thin = mask & ~cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thickness, thickness)))
    thickened = cv2.dilate(mask, np.ones((RUN_OFFSET, 1)))
    runs = cv2.morphologyEx(thickened, cv2.MORPH_OPEN, np.ones((1, MIN_RUN)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(runs)
    is_line = stats[:, cv2.CC_STAT_WIDTH] > MIN_LENGTH_SHARE * side
    is_line &= np.bincount(labels[edge], minlength=count) > 0
    return np.uint8(is_line)[labels] & runs & thin


def weighted_stroke_lengths(
    contrast: np.ndarray, local_range: np.ndarray, labels: np.ndarray, area: np.ndarray
) -> np.ndarray:
    """The weighted length in pixels of the strokes of n labels, 0 for label 0: (n,).

    Handwriting is long, sharp and clear; texture and shadows are not. Length = area / stroke
    width, 0 for a blob. Its weight is contrast_to_ring * (sharpness * clearness)^4:

    - contrast_to_ring: mean contrast of the component less that of a ring around it
    - sharpness: local range of the contrast at the outline / contrast_to_ring, at most 1
    - clearness: contrast_to_ring / (CLEAR_CONTRAST_TO_TEXTURE * texture), at most 1
    - texture: the standard deviation of the contrast in the ring

    `contrast`, 0 where something was erased, `local_range` and `labels` are (height, width);
    `area` is (n,).
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
    contrast_to_ring = np.maximum(mean(contrast, labels, inside) - around, 1e-6)
    clear_contrast = np.maximum(CLEAR_CONTRAST_TO_TEXTURE * texture, 1e-6)
    clearness = np.minimum(1, contrast_to_ring / clear_contrast)
    sharpness = mean(np.minimum(1, local_range / contrast_to_ring[labels]), labels, outline)
    width = np.maximum(stroke_width(mean(distance_inside(mask), labels, inside)), 1)
    weight = contrast_to_ring * (sharpness * clearness) ** WEIGHT_EXPONENT
    return np.where(area > MIN_ELONGATION * width**2, weight * area / width, 0)
