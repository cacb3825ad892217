"""From connected components to digits, and from digits to text lines and numbers."""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np

from photos.components import MIN_HEIGHT_TO_WIDTH, Components
from photos.mnist_form import to_mnist

# Sizes (longer sides), heights and stroke lengths are relative to those of a typical digit.
MIN_START_SIZE = 0.25  # each digit has a component that is larger
MIN_LENGTH = 0.05  # a shorter component, such as noise, does not belong to a digit
MAX_SIZE = 3  # a larger component does not belong to a digit
MAX_GAP = 0.4  # between components of one digit that stand one above the other
# Height of a digit / max(typical size, height of its tallest component): two text lines that
# nearly touch have more.
MAX_HEIGHT = 1.75
# Sum of the heights of a digit's components / height of the digit: digits side by side that
# overhang each other have more.
MAX_HEIGHT_SUM = 1.45

# A digit wider than this many typical ones may be several that touch. Typical width / height
# is the median, within limits: ones are narrow, and most digits may touch. One alone has 0.7.
MAX_WIDTH, TYPICAL_WIDTH_LIMITS, WIDTH_ALONE = 1.35, (0.5, 0.8), 0.7
CUTS_PER_HEIGHT = 12  # places where such a digit may be cut, in each height of it
MIN_PIECE_WIDTH, MAX_PIECE_WIDTH, MIN_PIECE_HEIGHT = 0.3, 1.6, 0.7  # in heights of the whole
# Costs of a cutting: of -log(confidence) and of log(width / typical width)^2 of each piece, of
# a piece as such, and of each stroke above one that a cut crosses.
DOUBT_COST, WIDTH_COST, PIECE_COST, STROKE_COST = 3, 1.5, 0.5, 1.5

# Heights of a mark between digits (a comma, a dash) and of its centre above their base line, in
# heights of the digits beside it; width / height of a dash.
MAX_MARK_HEIGHT, MAX_MARK_CENTER, MIN_DASH_WIDTH = 0.55, 0.15, 2
MIN_LEFT_OUT_HEIGHT, MAX_LEFT_OUT_HEIGHT = 0.5, 2  # of cut-off ink, in heights of a digit
MIN_LEFT_OUT_LENGTH = 0.25  # of other ink, in mean stroke lengths

MAX_OFFSET = 0.7  # in y between neighbours on a line, in heights of the taller one
# A gap between two numbers is wider than this many median heights of the line's digits, and
# than this many times the 25th percentile of its gaps: digits with even spacing are one number.
MIN_SPACE, MIN_SPACE_TO_GAP = 0.6, 2.5


# Images (n, 28, 28) in MNIST's form -> probabilities (n, 10).
Classify = Callable[[np.ndarray], np.ndarray]


class LevelDigit(NamedTuple):
    """A digit on a level."""

    box: tuple[int, int, int, int]  # left, top, right, bottom; a piece is as high as the whole
    ink: np.ndarray  # float32 (height, width): the contrast of its ink, 0 elsewhere


def group_components(components: Components) -> tuple[list[LevelDigit], np.ndarray]:
    """Join components that stand one above the other, with a small gap, into digits.

    The typical size is the median, the typical length the mean, of those that may be whole
    digits (at least one), weighted by length. Returns the digits, and the boxes (n, 4) of
    digit-like components that are left out: far larger or smaller than the digits.
    """
    boxes, length = components.boxes, components.stroke_length
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    # Digits that touch form one wide component, as large as one of them.
    size = np.where(components.may_be_digit, np.minimum(width, height), width)
    size = np.maximum(size, height)
    weights = length * components.may_be_digit
    typical_size = np.quantile(size, 0.5, weights=weights, method="inverted_cdf")
    typical_length = np.average(length, weights=weights)
    is_part = (length > MIN_LENGTH * typical_length) & (size < MAX_SIZE * typical_size)
    is_flat = height < MIN_HEIGHT_TO_WIDTH * np.minimum(width, typical_size)
    can_start = is_part & ~is_flat & (size > MIN_START_SIZE * typical_size)
    mask = np.uint8(is_part)[components.labels]
    kernel = np.ones((1 + 2 * round(MAX_GAP / 2 * typical_size), 1))
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
    count, joined, stats, _ = cv2.connectedComponentsWithStats(closed)
    group = np.zeros(len(boxes), int)
    group[components.labels[mask > 0]] = joined[mask > 0]
    tallest = np.full(count, typical_size)
    np.maximum.at(tallest, group, height)
    joined_height = stats[:, cv2.CC_STAT_HEIGHT]
    is_several = joined_height > MAX_HEIGHT * tallest
    is_several |= np.bincount(group, height * is_part) > MAX_HEIGHT_SUM * joined_height
    # The components of several digits stay apart: each becomes a new group.
    group = np.where(is_several[group], count + np.arange(len(group)), group)
    groups = np.unique(group[can_start])
    left_out = components.may_be_digit & (length > MIN_LEFT_OUT_LENGTH * typical_length)
    left_out &= ~(is_part & np.isin(group, groups))
    return [to_digit(is_part & (group == i), components) for i in groups], boxes[left_out]


def to_digit(in_digit: np.ndarray, components: Components) -> LevelDigit:
    """The digit made of the components for which `in_digit` (n,) is True."""
    left, top = components.boxes[in_digit, :2].min(axis=0).tolist()
    right, bottom = components.boxes[in_digit, 2:].max(axis=0).tolist()
    place = np.s_[top:bottom, left:right]
    ink = np.where(in_digit[components.labels[place]], components.contrast[place], 0)
    return LevelDigit((left, top, right, bottom), ink)


def split_touching(digits: list[LevelDigit], classify: Classify | None) -> list[LevelDigit]:
    """Split digits that are much wider than the others: each is several that touch."""
    ratios = [digit.ink.shape[1] / digit.ink.shape[0] for digit in digits]
    typical = (
        np.clip(np.median(ratios), *TYPICAL_WIDTH_LIMITS) if len(ratios) > 1 else WIDTH_ALONE
    )
    return [
        piece
        for digit, ratio in zip(digits, ratios, strict=True)
        for piece in (cut(digit, typical, classify) if ratio > MAX_WIDTH * typical else [digit])
    ]


def cut(digit: LevelDigit, typical: float, classify: Classify | None) -> list[LevelDigit]:
    """Cut a digit where the sum of costs is lowest, perhaps nowhere.

    The best cutting is found from left to right, as in Viterbi's algorithm.
    """
    height, width = digit.ink.shape
    columns = np.linspace(0, width, 1 + round(CUTS_PER_HEIGHT * width / height)).astype(int)
    starts = np.diff(np.int8(digit.ink > 0), axis=0, prepend=0) == 1
    extra_strokes = np.maximum(starts.sum(axis=0) - 1, 0)
    pieces = {(0, width): digit.ink} | {
        (left, right): digit.ink[:, left:right]
        for left, right in combinations(columns.tolist(), 2)
        if MIN_PIECE_WIDTH * height <= right - left <= MAX_PIECE_WIDTH * height
        and digit.ink[:, left:right].any(axis=1).sum() >= MIN_PIECE_HEIGHT * height
    }
    confidence = np.ones(len(pieces))
    if classify:
        confidence = classify(np.stack(list(map(to_mnist, pieces.values())))).max(axis=1)
    best: dict[int, tuple[float, list]] = {0: (0.0, [])}  # by the column where a cutting ends
    # They are in the order of where they start, so what ends there has been seen before.
    for ((left, right), ink), sure in zip(pieces.items(), confidence, strict=True):
        if left in best:
            cost, found = best[left]
            cost += PIECE_COST - DOUBT_COST * np.log(sure)
            cost += WIDTH_COST * np.log(ink.shape[1] / (typical * height)) ** 2
            cost += STROKE_COST * extra_strokes[left] * (left > 0)
            if right not in best or cost < best[right][0]:
                best[right] = cost, [*found, (left, right)]
    x, top, _, bottom = digit.box
    return [
        LevelDigit((x + left, top, x + right, bottom), digit.ink[:, left:right])
        for left, right in best[width][1]
    ]


def order_lines(digits: list[LevelDigit]) -> tuple[list[list[LevelDigit]], list[tuple]]:
    """Order digits into lines, and part the boxes of commas and dashes from them.

    Each digit, from left to right, joins the line whose last one is nearest in y, relative to
    the height, so that lines may slant and curve. Lines are ordered from top to bottom.
    """
    boxes = np.reshape([digit.box for digit in digits], (-1, 4))
    x, y = (boxes[:, :2] + boxes[:, 2:]).T / 2
    height = boxes[:, 3] - boxes[:, 1]
    lines: list[list[int]] = []
    for i in np.argsort(x):
        apart = [abs(y[i] - y[line[-1]]) / max(height[i], height[line[-1]]) for line in lines]
        if apart and min(apart) < MAX_OFFSET:
            lines[np.argmin(apart)].append(i)
        else:
            lines.append([i])
    found, separators = [], []
    for line in sorted(lines, key=lambda line: y[line].mean()):
        is_mark = is_separator([digits[i] for i in line])
        found.append([digits[i] for i, mark in zip(line, is_mark, strict=True) if not mark])
        separators += [digits[i].box for i, mark in zip(line, is_mark, strict=True) if mark]
    return found, separators


def is_separator(line: list[LevelDigit]) -> list[bool]:
    """Whether each part of a line is a comma or a dash; both are without loops."""
    found = []
    for i, mark in enumerate(line):
        beside = [other.box for other in line[max(i - 1, 0) : i] + line[i + 1 : i + 2]]
        height, width = mark.ink.shape
        digit_height = max((bottom - top for _, top, _, bottom in beside), default=0)
        base_line = np.mean([bottom for *_, bottom in beside] or [np.inf])
        center = (mark.box[1] + mark.box[3]) / 2
        is_low = center > base_line - MAX_MARK_CENTER * digit_height
        is_mark = height < MAX_MARK_HEIGHT * digit_height and (
            is_low or width > MIN_DASH_WIDTH * height
        )
        found.append(is_mark and not has_loop(mark.ink))
    return found


def has_loop(ink: np.ndarray) -> bool:
    """Whether the ink (height, width) of a digit encloses empty paper."""
    paper = cv2.copyMakeBorder(np.uint8(ink <= 0), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    return cv2.connectedComponents(paper)[0] > 2  # ink, and the paper around it


def cut_off_digits(cut_off: np.ndarray, lines: list[list[LevelDigit]]) -> np.ndarray:
    """The boxes (m, 4) among `cut_off` (n, 4) that lie on a line and are as high as a digit."""
    boxes = np.reshape([digit.box for line in lines for digit in line], (-1, 4))
    digit_height = np.median(boxes[:, 3] - boxes[:, 1])
    height = cut_off[:, 3] - cut_off[:, 1]
    is_high = (height > MIN_LEFT_OUT_HEIGHT * digit_height) & (
        height < MAX_LEFT_OUT_HEIGHT * digit_height
    )
    apart = np.abs(cut_off[:, [1, 3]].mean(axis=1)[:, None] - boxes[:, [1, 3]].mean(axis=1))
    return cut_off[is_high & (apart.min(axis=1, initial=np.inf) < MAX_OFFSET * digit_height)]


def has_space_before(line: list[LevelDigit]) -> list[bool]:
    """Whether each digit of a line comes after a wide gap, and so starts a number."""
    boxes = np.array([digit.box for digit in line])
    gaps = np.maximum(boxes[1:, 0] - boxes[:-1, 2], 0)
    height = np.median(boxes[:, 3] - boxes[:, 1])
    usual_gap = np.percentile(gaps, 25) if len(gaps) else 0  # a gap alone is never wide
    wide = gaps > max(MIN_SPACE * height, MIN_SPACE_TO_GAP * usual_gap)
    return [False, *wide.tolist()]
