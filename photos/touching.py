"""Digits that touch, cut apart where the model is most confident."""

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from photos.grouping import LevelDigit
from photos.mnist_form import to_mnist

# A digit wider than this many typical widths may be several that touch. The typical width /
# height is the median, within limits: a 1 is narrow, and most digits may touch. For one digit
# alone it is 0.7.
MAX_WIDTH, TYPICAL_WIDTH_LIMITS, WIDTH_ALONE = 1.35, (0.5, 0.8), 0.7
SEAMS_PER_HEIGHT = 12  # where such a digit may be cut, in each height of it
MAX_SEAM_OFFSET = 0.2  # of a seam from its column, in heights of the digit
MIN_PIECE_WIDTH, MAX_PIECE_WIDTH, MIN_PIECE_HEIGHT = 0.3, 1.6, 0.8  # in heights of the whole
# The cost of a piece is PIECE_COST - DOUBT_COST * log(confidence) + WIDTH_COST * log(width /
# typical width)^2 + STROKE_COST * (strokes beyond one that the seam at its left crosses).
DOUBT_COST, WIDTH_COST, PIECE_COST, STROKE_COST = 3, 1.5, 0.4, 1.5

# Images (n, 28, 28) in MNIST's form -> probabilities (n, 10).
Classify = Callable[[np.ndarray], np.ndarray]


def split_touching(digits: list[LevelDigit], classify: Classify) -> list[LevelDigit]:
    """Split digits that are much wider than the others: each may be several that touch."""
    ratios = [digit.ink.shape[1] / digit.ink.shape[0] for digit in digits]
    typical = np.clip(np.median(ratios), *TYPICAL_WIDTH_LIMITS)
    if len(digits) == 1:
        typical = WIDTH_ALONE
    return [piece for digit in digits for piece in cut(digit, typical, classify)]


def cut(digit: LevelDigit, typical: float, classify: Classify) -> list[LevelDigit]:
    """Cut a digit along the seams where the sum of costs is lowest, perhaps nowhere.

    The best cutting is found from left to right, as in Viterbi's algorithm.
    """
    height, width = digit.ink.shape
    if width < MAX_WIDTH * typical * height:
        return [digit]
    seams, strokes = find_seams(digit.ink)
    pieces = find_pieces(digit, seams)
    pixels = np.stack([to_mnist(piece.ink) for piece in pieces.values()])
    confidence = classify(pixels).max(axis=1)
    best: dict[int, tuple[float, list]] = {0: (0.0, [])}  # last seam -> lowest cost, its pieces
    # Sorted by their left seam: what ends at seam i came before, so best[i] is final.
    for ((i, j), piece), sure in zip(pieces.items(), confidence, strict=True):
        if i in best:
            cost, found = best[i]
            cost += PIECE_COST - DOUBT_COST * np.log(sure)
            cost += WIDTH_COST * np.log(piece.ink.shape[1] / (typical * height)) ** 2
            cost += STROKE_COST * max(strokes[i] - 1, 0) * (i > 0)
            if j not in best or cost < best[j][0]:
                best[j] = cost, [*found, piece]
    return best[len(seams) - 1][1]


def find_seams(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The seams along which ink (height, width) may be cut, and how many strokes they cross.

    A seam is the path of least cost from top to bottom near a column. The cost is the number of
    strokes, half the share of its pixels that are ink, and its mean distance from the column in
    heights. Method: seam carving (Avidan and Shamir, 2007), with another cost. Returns the
    seams' columns (n, height) and the numbers of strokes (n,).
    """
    height, width = ink.shape
    columns = np.linspace(0, width, 1 + round(SEAMS_PER_HEIGHT * width / height)).astype(int)
    reach = int(MAX_SEAM_OFFSET * height)
    offsets = np.arange(-reach, reach + 1)
    padded = np.pad(ink > 0, ((0, 0), (reach, reach + 1)))
    is_ink = padded[:, columns[:, None] + offsets + reach]  # (height, n, offsets)
    cost = (is_ink / 2 + np.abs(offsets) / height) / height
    total, steps = cost[0] + is_ink[0], []
    # From one row to the next, a path moves by at most one column.
    for y in range(1, height):
        enters = is_ink[y][..., None] > neighbours(is_ink[y - 1], True)
        totals = neighbours(total, np.inf) + enters
        steps.append(totals.argmin(axis=-1) - 1)
        total = totals.min(axis=-1) + cost[y]
    path = [total.argmin(axis=1)]
    for step in reversed(steps):
        path.append(path[-1] + step[np.arange(len(columns)), path[-1]])
    seams = columns[:, None] + np.transpose(path[::-1]) - reach
    seams[0], seams[-1] = 0, width
    # The whole part of the cost is the number of strokes: the rest is at most 0.7.
    return seams.clip(0, width), total.min(axis=1).astype(int)


def neighbours(values: np.ndarray, beyond: float) -> np.ndarray:
    """Each of `values` (n, m) between its neighbours in the row: (n, m, 3)."""
    padded = np.pad(values, ((0, 0), (1, 1)), constant_values=beyond)
    return sliding_window_view(padded, 3, axis=1)


def find_pieces(digit: LevelDigit, seams: np.ndarray) -> dict[tuple[int, int], LevelDigit]:
    """The whole, and each possible digit between two seams, by the seams' numbers (i, j)."""
    height = len(digit.ink)
    place = seams.mean(axis=1) / height
    pieces = {(0, len(seams) - 1): digit}
    for i, j in combinations(range(len(seams)), 2):
        if MIN_PIECE_WIDTH <= place[j] - place[i] <= MAX_PIECE_WIDTH:
            piece = between(seams[i], seams[j], digit)
            if piece.ink.any(axis=1).sum() >= MIN_PIECE_HEIGHT * height:
                pieces[i, j] = piece
    return pieces


def between(left: np.ndarray, right: np.ndarray, digit: LevelDigit) -> LevelDigit:
    """The piece of a digit between two seams (height,); it keeps the digit's height."""
    columns = np.arange(digit.ink.shape[1])
    ink = np.where((left[:, None] <= columns) & (columns < right[:, None]), digit.ink, 0)
    start, _, width, _ = cv2.boundingRect(np.uint8(ink > 0))
    x, top, _, bottom = digit.box
    return LevelDigit(
        (x + start, top, x + start + width, bottom), ink[:, start : start + width]
    )
