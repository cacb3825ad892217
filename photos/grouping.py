"""From connected components to digits, and from digits to text lines and numbers."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.components import MIN_HEIGHT_TO_WIDTH, Components

# Sizes, heights and stroke lengths are relative to those of a typical digit. The size of a
# whole digit is its height, that of anything else its longer side.
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

# Heights of a mark between digits (a comma, a dash) and of its centre above their base line, in
# heights of the digits beside it; width / height of a dash.
MAX_MARK_HEIGHT, MAX_MARK_CENTER, MIN_DASH_WIDTH = 0.55, 0.15, 1.5
MIN_LEFT_OUT_HEIGHT, MAX_LEFT_OUT_HEIGHT = 0.5, 2  # of cut-off ink, in heights of a digit
MIN_LEFT_OUT_LENGTH = 0.25  # of other ink, in typical stroke lengths

MAX_OFFSET = 0.7  # in y between neighbours on a line, in heights of the taller one
# A gap between two numbers is wider than this many median heights of the line's digits, and
# than this many times the 25th percentile of its gaps: digits with even spacing are one number.
MIN_SPACE, MIN_SPACE_TO_GAP = 0.6, 2.5


class LevelDigit(NamedTuple):
    """A digit on a level."""

    box: tuple[int, int, int, int]  # left, top, right, bottom; a piece is as high as the whole
    ink: np.ndarray  # float32 (height, width): the contrast of its ink, 0 elsewhere

    @property
    def height(self) -> int:
        """The height of the box."""
        return self.box[3] - self.box[1]

    @property
    def center_y(self) -> float:
        """The y of the box's centre."""
        return (self.box[1] + self.box[3]) / 2


def group_components(components: Components) -> tuple[list[LevelDigit], np.ndarray]:
    """Join components that stand one above the other, with a small gap, into digits.

    The typical size and length are the medians, weighted by length, of those that may be whole
    digits (at least one). Returns the digits, and the boxes (n, 4) of digit-like components
    that are left out: far larger or smaller than the digits.
    """
    boxes, length = components.boxes, components.stroke_length
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    # Digits that touch form one wide component, as high as one of them.
    size = np.where(components.may_be_digit, height, np.maximum(width, height))
    weights = length * components.may_be_digit
    typical_size, typical_length = (
        np.quantile(values, 0.5, weights=weights, method="inverted_cdf")
        for values in (size, length)
    )
    is_part = (length > MIN_LENGTH * typical_length) & (size < MAX_SIZE * typical_size)
    is_flat = height < MIN_HEIGHT_TO_WIDTH * np.minimum(width, typical_size)
    can_start = is_part & ~is_flat & (size > MIN_START_SIZE * typical_size)
    group = join_parts(components, is_part, typical_size)
    groups = np.unique(group[can_start])
    left_out = components.may_be_digit & (length > MIN_LEFT_OUT_LENGTH * typical_length)
    left_out &= ~(is_part & np.isin(group, groups))
    return [to_digit(is_part & (group == i), components) for i in groups], boxes[left_out]


def join_parts(components: Components, is_part: np.ndarray, typical_size: float) -> np.ndarray:
    """The group of each component (n,): those that make one digit have the same.

    Components that stand one above the other are joined, those with the smallest gap first, as
    long as they are no higher than one digit.
    """
    boxes, group = components.boxes, np.arange(len(is_part))
    height = boxes[:, 3] - boxes[:, 1]
    x, y = np.nonzero(is_part[components.labels].T)
    labels = components.labels[y, x]
    # The next pixel of ink in the same column; a jump in y is a gap.
    gaps = np.where(np.diff(x) == 0, np.diff(y), np.inf)
    is_pair = (labels[1:] != labels[:-1]) & (gaps < MAX_GAP * typical_size)
    upper = np.flatnonzero(is_pair)[np.argsort(gaps[is_pair], kind="stable")]
    for pair in dict.fromkeys(zip(labels[upper], labels[upper + 1], strict=True)):
        joined = np.isin(group, group[list(pair)])
        joined_height = boxes[joined, 3].max() - boxes[joined, 1].min()
        if (
            joined_height <= MAX_HEIGHT * max(typical_size, height[joined].max())
            and height[joined].sum() <= MAX_HEIGHT_SUM * joined_height
        ):
            group[joined] = group[pair[0]]
    return group


def to_digit(in_digit: np.ndarray, components: Components) -> LevelDigit:
    """The digit made of the components for which `in_digit` (n,) is True."""
    left, top = components.boxes[in_digit, :2].min(axis=0).tolist()
    right, bottom = components.boxes[in_digit, 2:].max(axis=0).tolist()
    place = np.s_[top:bottom, left:right]
    ink = np.where(in_digit[components.labels[place]], components.contrast[place], 0)
    return LevelDigit((left, top, right, bottom), ink)


def order_lines(digits: list[LevelDigit]) -> list[list[LevelDigit]]:
    """Order digits into lines, from top to bottom.

    Each digit, from left to right, joins the line whose last one is nearest in y, relative to
    the height, so that lines may slant and curve.
    """
    lines: list[list[LevelDigit]] = []
    for digit in sorted(digits, key=lambda digit: digit.box[0] + digit.box[2]):
        last = [line[-1] for line in lines]
        apart = [
            abs(digit.center_y - end.center_y) / max(digit.height, end.height) for end in last
        ]
        if apart and min(apart) < MAX_OFFSET:
            lines[np.argmin(apart)].append(digit)
        else:
            lines.append([digit])
    return sorted(lines, key=lambda line: np.mean([digit.center_y for digit in line]))


def separate_marks(line: list[LevelDigit]) -> tuple[list[LevelDigit], list[LevelDigit]]:
    """The digits of a line, and the commas and dashes beside them."""
    digits, marks = [], []
    for i, digit in enumerate(line):
        beside = line[max(i - 1, 0) : i] + line[i + 1 : i + 2]
        (marks if beside and is_mark(digit, beside) else digits).append(digit)
    return digits, marks


def is_mark(mark: LevelDigit, beside: list[LevelDigit]) -> bool:
    """Whether it is short, and low or flat, and has no loop, unlike a small 0."""
    height, width = mark.ink.shape
    digit_height = max(digit.height for digit in beside)
    base_line = np.mean([digit.box[3] for digit in beside])
    is_low = mark.center_y > base_line - MAX_MARK_CENTER * digit_height
    is_dash = width > MIN_DASH_WIDTH * height
    paper = cv2.copyMakeBorder(np.uint8(mark.ink <= 0), *4 * [1], cv2.BORDER_CONSTANT, value=1)
    has_loop = cv2.connectedComponents(paper)[0] > 2  # ink, and the paper around it
    return height < MAX_MARK_HEIGHT * digit_height and (is_low or is_dash) and not has_loop


def is_beside(box: np.ndarray, digits: list[LevelDigit]) -> bool:
    """Whether a box of (left, top, right, bottom) is about as high as a digit beside it."""
    height, y = box[3] - box[1], (box[1] + box[3]) / 2
    return any(
        abs(y - digit.center_y) < MAX_OFFSET * digit.height
        and not box[0] < digit.box[0] < box[2]
        and MIN_LEFT_OUT_HEIGHT * digit.height < height < MAX_LEFT_OUT_HEIGHT * digit.height
        for digit in digits
    )


def has_space_before(line: list[LevelDigit]) -> list[bool]:
    """Whether each digit of a line comes after a wide gap, and so starts a number."""
    boxes = np.array([digit.box for digit in line])
    gaps = np.maximum(boxes[1:, 0] - boxes[:-1, 2], 0)
    height = np.median(boxes[:, 3] - boxes[:, 1])
    usual_gap = np.percentile(gaps, 25) if len(gaps) else 0  # a single gap is never wide
    wide = gaps > max(MIN_SPACE * height, MIN_SPACE_TO_GAP * usual_gap)
    return [False, *wide.tolist()]
