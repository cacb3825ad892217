"""The lines of ruled or squared paper."""

import cv2
import numpy as np

from photos.strokes import distance_inside

# Shares are of the image's longer side.
MIN_LENGTH, MIN_LENGTH_SHARE = 88, 0.25  # of a ruled line: the larger of pixels and share
MAX_THICKNESS, MAX_THICKNESS_SHARE = 5, 0.0125  # of a ruled line: the sum of pixels and share
MAX_SLOPE = 0.2  # of a ruled line against the image's sides
MAX_GAP = 0.1  # in a ruled line, as a share of its least length
HOUGH_ANGLES = 360  # directions that are tried, half a degree apart
# A stroke crosses a ruled line if its length across the line exceeds this many thicknesses of
# the line plus this many pixels.
CROSSING_THICKNESSES, CROSSING_PIXELS = 2, 2


def find_ruled_lines(mask: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """A mask of the ruled lines in a mask of ink, without the strokes that cross them.

    All are uint8 (height, width). Ruled lines are thin and straight, nearly horizontal or
    vertical, and reach the `edge` of the paper.
    """
    side = max(mask.shape)
    min_length = max(MIN_LENGTH, MIN_LENGTH_SHARE * side)
    max_thickness = MAX_THICKNESS + int(MAX_THICKNESS_SHARE * side)
    if min_length >= side:
        return np.zeros_like(mask)
    joined = cv2.dilate(mask, np.ones((max_thickness, max_thickness)))  # closes gaps in a line
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    long = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) > min_length
    long &= np.bincount(labels[edge == 1], minlength=count) > 0
    if not long[1:].any():
        return np.zeros_like(mask)
    segments = cv2.HoughLinesP(
        np.uint8(long)[labels] * mask,
        rho=1,
        theta=np.pi / HOUGH_ANGLES,
        threshold=int(min_length / 2),
        minLineLength=min_length,
        maxLineGap=MAX_GAP * min_length,
    )
    horizontal, vertical = np.zeros((2, *mask.shape), np.uint8)
    for x, y, x2, y2 in [] if segments is None else segments.reshape(-1, 4).tolist():
        for drawn, across, along in ((horizontal, y2 - y, x2 - x), (vertical, x2 - x, y2 - y)):
            if abs(across) < MAX_SLOPE * abs(along):
                cv2.line(drawn, (x, y), (x2, y2), 1, max_thickness // 2)
    return without_crossing_strokes(mask, horizontal, vertical, max_thickness)


def without_crossing_strokes(
    mask: np.ndarray, horizontal: np.ndarray, vertical: np.ndarray, max_thickness: int
) -> np.ndarray:
    """The ruled lines, `horizontal` and `vertical`, without the strokes that cross them.

    The masks are uint8 (height, width), `max_thickness` is in pixels.
    """
    inner_kernel = np.ones((max_thickness // 2, max_thickness // 2))
    inner = cv2.erode(horizontal | vertical, inner_kernel) & mask == 1
    min_crossing = max_thickness
    if inner.any():
        thickness = 2 * np.median(distance_inside(mask)[inner])
        min_crossing = min(
            min_crossing, CROSSING_PIXELS + int(CROSSING_THICKNESSES * thickness)
        )
    tall = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((min_crossing, 1)))
    wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, min_crossing)))
    # Where two ruled lines cross, each looks like a stroke across the other.
    kept_horizontal = horizontal & (vertical | ~tall)
    return kept_horizontal | vertical & ~wide
