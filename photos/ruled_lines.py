"""The lines of ruled or squared paper."""

import cv2
import numpy as np

from photos.strokes import mean_stroke_width

MIN_RUN = 40  # pixels: a ruled line has straight runs as long as this, a digit rarely has one
RUN_OFFSET = 5  # pixels: a run of a slanting line may drift this far sideways
MIN_LENGTH_SHARE = 0.25  # of a ruled line, as a share of the image's longer side
# Largest thickness of a ruled line, and largest gap in it: these pixels plus this share of the
# image's longer side.
MAX_THICKNESS, MAX_THICKNESS_SHARE = 5, 0.0125
# A stroke crosses a ruled line if its length across the line exceeds this many thicknesses of
# the line plus this many pixels.
CROSSING_THICKNESSES, CROSSING_PIXELS = 2, 2


def find_ruled_lines(mask: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """A mask of the ruled lines in a mask of ink, without the strokes that cross them.

    Ruled lines are thin and straight, nearly horizontal or vertical, and reach the `edge` of
    the paper, a bool mask. The other masks are uint8; all are (height, width).
    """
    if not mask[edge].any():
        return np.zeros_like(mask)
    max_thickness = MAX_THICKNESS + int(MAX_THICKNESS_SHARE * max(mask.shape))
    kernel = np.ones((max_thickness, max_thickness))
    thin = mask & ~cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
    horizontal = find_horizontal_lines(mask, thin, edge, max_thickness)
    vertical = find_horizontal_lines(mask.T, thin.T, edge.T, max_thickness).T
    return (
        without_crossing_strokes(horizontal, mask & ~vertical)
        | without_crossing_strokes(vertical.T, (mask & ~horizontal).T).T
    )


def find_horizontal_lines(
    mask: np.ndarray, thin: np.ndarray, edge: np.ndarray, max_gap: int
) -> np.ndarray:
    """The nearly horizontal ruled lines: the part of the `thin` ink that lies in long runs."""
    thickened = cv2.dilate(mask, np.ones((RUN_OFFSET, 1)))
    runs = cv2.morphologyEx(thickened, cv2.MORPH_OPEN, np.ones((1, MIN_RUN)))
    if not (runs & thin).any():
        return np.zeros_like(thin)
    joined = cv2.dilate(runs, np.ones((1, max_gap)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    is_line = stats[:, cv2.CC_STAT_WIDTH] > MIN_LENGTH_SHARE * max(mask.shape)
    is_line &= np.bincount(labels[edge], minlength=count) > 0
    is_line[0] = False
    return np.uint8(is_line)[labels] & runs & thin


def without_crossing_strokes(lines: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Horizontal `lines` without the strokes of the `mask` that cross them."""
    if not lines.any():
        return lines
    min_crossing = CROSSING_PIXELS + int(CROSSING_THICKNESSES * mean_stroke_width(lines))
    return lines & ~cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((min_crossing, 1)))
