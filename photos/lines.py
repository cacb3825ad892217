"""From digits to lines and numbers."""

import numpy as np

SAME_LINE = 0.6  # of the taller digit's height, that the next digit is higher or lower
# A gap parts two numbers if it is wider than so many heights of a typical digit, and than so
# many narrow gaps of its line: digits that are written apart evenly are one number.
SPACE, WIDER = 1.0, 2.5


def order_lines(boxes: np.ndarray) -> list[list[int]]:
    """Order boxes (n, 4) of left, top, right, bottom: lines of indices, as one reads.

    From left to right, each joins the line whose last one is next to it; so lines may slant
    and curve.
    """
    left, top, right, bottom = boxes.T.astype(float)
    x, y, height = (left + right) / 2, (top + bottom) / 2, bottom - top
    y = y - slope(x, y) * x  # as if the lines were level
    lines: list[list[int]] = []
    for i in np.argsort(x):
        apart = [abs(y[i] - y[line[-1]]) / max(height[i], height[line[-1]]) for line in lines]
        if apart and min(apart) < SAME_LINE:
            lines[int(np.argmin(apart))].append(i)
        else:
            lines.append([i])
    return sorted(lines, key=lambda line: y[line].mean())


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The median slope from each of n digits to its nearest neighbour on the right."""
    run, rise = x - x[:, None], y - y[:, None]
    distance = np.where((run > 0) & (np.abs(rise) < run), np.hypot(run, rise), np.inf)
    pairs = [(i, j) for i, j in enumerate(distance.argmin(axis=1)) if distance[i, j] < np.inf]
    return float(np.median([rise[pair] / run[pair] for pair in pairs])) if pairs else 0.0


def starts_number(line: np.ndarray) -> list[bool]:
    """Whether a gap clearly wider than a digit comes before each box (n, 4) of a line."""
    if len(line) < 3:  # one gap has no other to compare with
        return [False] * len(line)
    gaps = np.maximum(line[1:, 0] - line[:-1, 2], 0)
    height = np.median(line[:, 3] - line[:, 1])
    wide = gaps > max(SPACE * height, WIDER * np.percentile(gaps, 25))
    return [False, *wide.tolist()]
