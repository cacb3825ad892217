"""From connected components to digits, and from digits to text lines and numbers."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.components import MIN_HEIGHT_TO_WIDTH, Components, mean_stroke_width

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

# A digit is split if its width / height is above this many times the median of all digits. The
# product has limits, because ones are narrow, and some people write wide digits.
MAX_WIDTH_TO_MEDIAN, MAX_WIDTH_LIMITS = 1.6, (0.75, 1.3)
MIN_PIECE_WIDTH, MIN_PIECE_HEIGHT = 0.3, 0.7  # of a piece / height of the whole
MAX_CUT_INK = 1.5  # stroke widths of ink that a cut may cross: through a 0 it crosses 2

MAX_OFFSET = 0.7  # in y between neighbours on a line, in heights of the taller one
# A gap between two numbers is wider than this many median heights of the line's digits, and
# than this many times the 25th percentile of its gaps: digits with even spacing are one number.
MIN_SPACE, MIN_SPACE_TO_GAP = 1.0, 2.5


class LevelDigit(NamedTuple):
    """A digit on a level."""

    box: tuple[int, int, int, int]  # left, top, right, bottom; a piece is as high as the whole
    ink: np.ndarray  # float32 (height, width): the contrast of its ink, 0 elsewhere


def group_components(components: Components) -> list[LevelDigit]:
    """Join components that stand one above the other, with a small gap, into digits.

    The typical size is the median, the typical length the mean, of those that may be whole
    digits (at least one), weighted by length.
    """
    boxes, length = components.boxes, components.stroke_length
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    size = np.maximum(width, height)
    weights = length * components.may_be_digit
    typical_size = np.quantile(size, 0.5, weights=weights, method="inverted_cdf")
    is_part = length > MIN_LENGTH * np.average(length, weights=weights)
    is_part &= size < MAX_SIZE * typical_size
    # Digits that touch form one wide component, so the width is capped at the typical size.
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
    # The components of several digits stay apart: each gets a group of its own.
    group = np.where(is_several[group], -np.arange(len(group)), group)
    return [to_digit(group == i, components) for i in np.unique(group[can_start])]


def to_digit(in_digit: np.ndarray, components: Components) -> LevelDigit:
    """The digit made of the components for which `in_digit` (n,) is True."""
    left, top = components.boxes[in_digit, :2].min(axis=0).tolist()
    right, bottom = components.boxes[in_digit, 2:].max(axis=0).tolist()
    place = np.s_[top:bottom, left:right]
    ink = np.where(in_digit[components.labels[place]], components.contrast[place], 0)
    return LevelDigit((left, top, right, bottom), ink)


def split_touching(digits: list[LevelDigit]) -> list[LevelDigit]:
    """Split each digit that is much wider than the others: it is several digits that touch."""
    median = np.median([digit.ink.shape[1] / digit.ink.shape[0] for digit in digits])
    max_width = np.clip(MAX_WIDTH_TO_MEDIAN * median, *MAX_WIDTH_LIMITS)
    return [piece for digit in digits for piece in split_wide(digit, max_width)]


def split_wide(digit: LevelDigit, max_width: float) -> list[LevelDigit]:
    """Split a digit wider than `max_width` heights, and its pieces, at columns of least ink."""
    left, top, right, bottom = digit.box
    height, width = digit.ink.shape
    if width < max_width * height:
        return [digit]
    margin = int(MIN_PIECE_WIDTH * height)
    crossed = (digit.ink > 0).sum(axis=0)[margin : width - margin]
    cut = margin + int(crossed.argmin())
    pieces = np.hsplit(digit.ink, [cut])
    if (
        crossed.min() > MAX_CUT_INK * mean_stroke_width(digit.ink > 0)
        or min(piece.any(axis=1).sum() for piece in pieces) < MIN_PIECE_HEIGHT * height
    ):
        return [digit]
    boxes = (left, top, left + cut, bottom), (left + cut, top, right, bottom)
    parts = map(LevelDigit, boxes, pieces)
    return [piece for part in parts for piece in split_wide(part, max_width)]


def order_lines(boxes: np.ndarray) -> list[list[int]]:
    """Order boxes (n, 4) of left, top, right, bottom into lines of their indices.

    Each box, from left to right, joins the line whose last box is nearest in y, relative to the
    height, so that lines may slant and curve. Lines are ordered from top to bottom.
    """
    x, y = (boxes[:, :2] + boxes[:, 2:]).T / 2
    height = boxes[:, 3] - boxes[:, 1]
    lines: list[list[int]] = []
    for i in np.argsort(x):
        apart = [abs(y[i] - y[line[-1]]) / max(height[i], height[line[-1]]) for line in lines]
        if apart and min(apart) < MAX_OFFSET:
            lines[np.argmin(apart)].append(i)
        else:
            lines.append([i])
    return sorted(lines, key=lambda line: y[line].mean())


def has_space_before(boxes: np.ndarray) -> list[bool]:
    """Whether each box (n, 4) of a line comes after a wide gap, and so starts a number."""
    gaps = np.maximum(boxes[1:, 0] - boxes[:-1, 2], 0)
    height = np.median(boxes[:, 3] - boxes[:, 1])
    usual_gap = np.percentile(gaps, 25) if len(gaps) else 0  # a gap alone is never wide
    wide = gaps > max(MIN_SPACE * height, MIN_SPACE_TO_GAP * usual_gap)
    return [False, *wide.tolist()]
