"""The lines of ruled or squared paper."""

import cv2
import numpy as np

from photos.strokes import distance

# Shares are of the image's longer side.
MIN_LENGTH, MIN_LENGTH_SHARE = 96, 0.25  # of a ruled line: in pixels and as a share
MAX_THICKNESS, MAX_THICKNESS_SHARE = 5, 0.0125  # of a ruled line: pixels plus share
MAX_SLOPE = 0.2  # of a ruled line against the image's sides
MAX_GAP = 0.1  # in a ruled line, as a share of its least length
HOUGH_ANGLES = 360  # directions that are tried, half a degree apart
# A stroke that crosses a ruled line is longer than this many thicknesses of it plus pixels.
CROSSING_THICKNESSES, CROSSING_PIXELS = 2, 2


def find_ruled_lines(mask: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The pixels of ruled lines in a mask of ink; strokes that cross them stay.

    All are uint8 (height, width). Ruled lines are thin and straight, nearly level or upright,
    and reach the `edge` of the paper.
    """
    side = max(mask.shape)
    min_length = max(MIN_LENGTH, MIN_LENGTH_SHARE * side)
    max_thickness = MAX_THICKNESS + int(MAX_THICKNESS_SHARE * side)
    if min_length >= side:
        return np.zeros_like(mask)
    joined = cv2.dilate(mask, np.ones((max_thickness, max_thickness)))  # also over gaps
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    long = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) > min_length
    long &= np.bincount(labels[edge == 1], minlength=count) > 0
    if not long[1:].any():
        return np.zeros_like(mask)
    lines = cv2.HoughLinesP(
        np.uint8(long)[labels] * mask,
        rho=1,
        theta=np.pi / HOUGH_ANGLES,
        threshold=int(min_length / 2),
        minLineLength=min_length,
        maxLineGap=MAX_GAP * min_length,
    )
    level, upright = np.zeros((2, *mask.shape), np.uint8)
    for x, y, x2, y2 in [] if lines is None else lines.reshape(-1, 4).tolist():
        for drawn, across, along in ((level, y2 - y, x2 - x), (upright, x2 - x, y2 - y)):
            if abs(across) < MAX_SLOPE * abs(along):
                cv2.line(drawn, (x, y), (x2, y2), 1, max_thickness // 2)
    return leave_crossing_strokes(mask, level, upright, max_thickness)


def leave_crossing_strokes(
    mask: np.ndarray, level: np.ndarray, upright: np.ndarray, max_thickness: int
) -> np.ndarray:
    """Level and upright lines, without the strokes that cross them; all are (height, width).

    A stroke that crosses a line is longer across it than the line is thick.
    """
    inner_kernel = np.ones((max_thickness // 2, max_thickness // 2))
    inner = cv2.erode(level | upright, inner_kernel) & mask == 1
    if inner.any():
        thickness = 2 * np.median(distance(mask)[inner])
        crossing = CROSSING_PIXELS + int(CROSSING_THICKNESSES * thickness)
        max_thickness = min(max_thickness, crossing)
    down = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((max_thickness, 1)))
    right = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, max_thickness)))
    return level & (upright | ~down) | upright & ~right
