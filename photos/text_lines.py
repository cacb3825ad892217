"""From digits to text lines, and from text lines to numbers."""

import numpy as np

MAX_OFFSET = 0.7  # in y between neighbours on a line, in heights of the taller one
# A gap between two numbers is wider than this many median heights of the line's digits, and
# than this many times the 25th percentile of its gaps: digits with even spacing are one number.
MIN_SPACE, MIN_SPACE_TO_GAP = 1.0, 2.5


def order_lines(boxes: np.ndarray) -> list[list[int]]:
    """Order boxes (n, 4) of left, top, right, bottom into lines of their indices.

    Each box, from left to right, joins the line whose last box is nearest to it in y, so that
    lines may slant and curve. Lines are ordered from top to bottom.
    """
    left, top, right, bottom = boxes.T.astype(float)
    x, y, height = (left + right) / 2, (top + bottom) / 2, bottom - top
    lines: list[list[int]] = []
    for i in np.argsort(x):
        apart = [abs(y[i] - y[line[-1]]) / max(height[i], height[line[-1]]) for line in lines]
        if apart and min(apart) < MAX_OFFSET:
            lines[int(np.argmin(apart))].append(i)
        else:
            lines.append([i])
    return sorted(lines, key=lambda line: y[line].mean())


def has_space_before(boxes: np.ndarray) -> list[bool]:
    """Whether each box (n, 4) of a line comes after a wide gap, and so starts a number."""
    if len(boxes) < 3:  # one gap has no other to compare with
        return [False] * len(boxes)
    gaps = np.maximum(boxes[1:, 0] - boxes[:-1, 2], 0)
    height = np.median(boxes[:, 3] - boxes[:, 1])
    wide = gaps > max(MIN_SPACE * height, MIN_SPACE_TO_GAP * np.percentile(gaps, 25))
    return [False, *wide.tolist()]
