"""The lines of ruled or squared paper."""

import cv2
import numpy as np

from photos.strokes import distance

# A ruled line is longer than this many pixels and than this share of the image's longer side.
SHORTEST, SHORTEST_SHARE = 96, 0.25
# It is thinner than this many pixels plus this share of the longer side.
THICKEST, THICKEST_SHARE = 5, 0.0125
ANGLES = 360  # directions that are tried, half a degree apart
STEEPEST = 0.2  # slope against the image's sides: a ruled line is less steep
# A stroke that crosses a line is longer across it than CROSSING thicknesses plus ROOM pixels.
CROSSING, ROOM = 2, 2
GAP = 0.1  # share of the shortest line: gaps in a ruled line are not longer


def find_ruled_lines(mask: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The pixels of ruled lines in a mask of ink; strokes that cross them stay.

    All are uint8 (height, width). Ruled lines are thin and straight, nearly level or upright,
    and reach the `edge` of the paper.
    """
    side = max(mask.shape)
    shortest = max(SHORTEST, SHORTEST_SHARE * side)
    thick = THICKEST + int(THICKEST_SHARE * side)
    if shortest >= side:
        return np.zeros_like(mask)
    joined = cv2.dilate(mask, np.ones((thick, thick)))  # also over gaps
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    long = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1) > shortest
    long &= np.bincount(labels[edge == 1], minlength=count) > 0
    if not long[1:].any():
        return np.zeros_like(mask)
    lines = cv2.HoughLinesP(
        np.uint8(long)[labels] * mask,
        rho=1,
        theta=np.pi / ANGLES,
        threshold=int(shortest / 2),
        minLineLength=shortest,
        maxLineGap=GAP * shortest,
    )
    level, upright = np.zeros((2, *mask.shape), np.uint8)
    for x, y, x2, y2 in [] if lines is None else lines.reshape(-1, 4).tolist():
        for drawn, across, along in ((level, y2 - y, x2 - x), (upright, x2 - x, y2 - y)):
            if abs(across) < STEEPEST * abs(along):
                cv2.line(drawn, (x, y), (x2, y2), 1, thick // 2)
    band = level | upright
    inner = cv2.erode(band, np.ones((thick // 2, thick // 2))) & mask == 1
    if inner.any():
        thickness = 2 * np.median(distance(mask)[inner])
        thick = min(thick, ROOM + int(CROSSING * thickness))
    # What is long across a line is a stroke that crosses it.
    down = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((thick, 1)))
    right = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((1, thick)))
    return level & (upright | ~down) | upright & ~right
