"""From connected components to digits: parts are merged, touching digits split."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.components import FLATTEST, Components
from photos.strokes import distance, stroke_width

# In sizes, lengths or contrasts of the typical component, weighted by length.
FAINTEST = 0.4  # contrast of the faintest component that belongs to a digit
SMALLEST_BODY, LARGEST_BODY, SHORTEST_BODY = 0.35, 3, 0.1  # a digit, or the most of it
LARGEST_PART, SHORTEST_PART = 1.2, 0.03  # a bar or a dot beside a body

# Two components one above the other are one digit
OVERLAP = 0.3  # if they share so much of the narrower one's columns,
TALLEST = 1.3  # and together are at most so many typical digits tall.
PART_GAP = 0.15  # largest gap between a part and its digit, as a share of the larger one

WIDEST = 1.4  # width of the widest digit, in median heights; a wider one is several
UPRIGHT = 1.3  # width / height below which nothing is split
MARGIN = 0.3  # of the height: few digits are narrower
MOST_CUT = 1.6  # ink that the cut between two digits crosses at most, in stroke widths
LOWEST = 0.6  # height of the lower part of a cut, as a share of the whole


class Shape(NamedTuple):
    """The form of a digit."""

    box: tuple[int, int, int, int]  # left, top, right, bottom on the level
    mask: np.ndarray  # bool (height, width) of the box


def group_components(components: Components) -> list[Shape]:
    """The digits that the components make up.

    Bodies have the size of a digit or its greater part. Those that stand one above the other,
    as the bar of a 5 above its body, are one digit if that is no taller than others; smaller
    parts go to the digit next to them.
    """
    boxes, length = components.boxes, components.length
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    size = np.maximum(width, height)
    weights = length * components.whole
    typical, typical_length = (weighted_median(values, weights) for values in (size, length))
    body = (size > SMALLEST_BODY * typical) & (size < LARGEST_BODY * typical)
    body &= length > SHORTEST_BODY * typical_length
    body &= height > FLATTEST * np.minimum(width, typical)  # digits that touch are wide
    part = (length > 0) & ~body & (size < LARGEST_PART * typical)
    groups = merge_stacked(np.flatnonzero(body), boxes, typical)
    for i in np.flatnonzero(part) if groups else ():
        add_to_nearest(i, groups, boxes)
    return [to_shape(group, components) for group in groups]


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value (of n) up to which half of the weights lie.

    `np.quantile` takes twenty times as long: a tenth of the time of a small picture.
    """
    order = np.argsort(values)
    up_to = np.cumsum(weights[order])
    return values[order][np.searchsorted(up_to, up_to[-1] / 2)]


def box_around(boxes: np.ndarray) -> np.ndarray:
    """The box around boxes (n, 4): left, top, right, bottom."""
    return np.hstack([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def merge_stacked(bodies: np.ndarray, boxes: np.ndarray, typical: float) -> list[list[int]]:
    """Groups of the indices `bodies` whose boxes stand one above the other."""
    groups: list[list[int]] = []
    for i in bodies:
        for group in groups:
            if is_stacked(box_around(boxes[group]), boxes[i], typical):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def is_stacked(box: np.ndarray, other: np.ndarray, typical: float) -> bool:
    """Whether two boxes share columns and together are no taller than a typical digit."""
    gap = np.maximum(box[:2], other[:2]) - np.minimum(box[2:], other[2:])
    narrower = min(box[2] - box[0], other[2] - other[0])
    taller = max(box[3] - box[1], other[3] - other[1])
    height = max(box[3], other[3]) - min(box[1], other[1])
    return -gap[0] > OVERLAP * narrower and height < TALLEST * max(typical, taller)


def add_to_nearest(part: int, groups: list[list[int]], boxes: np.ndarray) -> None:
    """Add the index of a loose part to the digit nearest to it, if one is near."""
    around = np.array([box_around(boxes[group]) for group in groups])
    gap = np.maximum(boxes[part, :2] - around[:, 2:], around[:, :2] - boxes[part, 2:])
    part_size = (boxes[part, 2:] - boxes[part, :2]).max()
    size = np.maximum((around[:, 2:] - around[:, :2]).max(axis=1), part_size)
    share = gap.max(axis=1) / size
    if share.min() < PART_GAP:
        groups[share.argmin()].append(part)


def to_shape(group: list[int], components: Components) -> Shape:
    """The shape of a group of components, given by their indices."""
    left, top, right, bottom = box = box_around(components.boxes[group]).tolist()
    chosen = np.zeros(len(components.boxes), bool)
    chosen[group] = True
    return Shape(tuple(box), chosen[components.labels[top:bottom, left:right]])


def split_touching(shapes: list[Shape]) -> list[Shape]:
    """Cut upright what is too wide for one digit."""
    return [part for shape in shapes for part in cut_up(shape)] if len(shapes) > 1 else shapes


def cut_up(shape: Shape) -> list[Shape]:
    """Cut a shape upright until no part is wider than `widest`.

    A cut crosses as little ink as possible and leaves two parts nearly as high as the whole.
    Nothing is cut that is hardly wider than high, or where a cut would cross much ink.
    """
    height, width = shape.mask.shape
    if width < UPRIGHT * height:
        return [shape]
    crossed, margin = shape.mask.sum(axis=0), int(MARGIN * height)
    inner = crossed[margin : width - margin]
    thinnest = margin + np.flatnonzero(inner == inner.min())
    cut = int(thinnest[len(thinnest) // 2])
    parts = part_of(shape, 0, cut), part_of(shape, cut, width)
    if (
        crossed[cut] > MOST_CUT * stroke_width(distance(shape.mask)[shape.mask].mean())
        or min(len(part.mask) for part in parts) < LOWEST * height
    ):
        return [shape]
    return [piece for part in parts for piece in cut_up(part)]


def part_of(shape: Shape, start: int, stop: int) -> Shape:
    """What a shape has in the columns from `start` to `stop` of its mask."""
    left, top = shape.box[:2]
    x, y, width, height = cv2.boundingRect(np.uint8(shape.mask[:, start:stop]))
    x += start
    box = (left + x, top + y, left + x + width, top + y + height)
    return Shape(box, shape.mask[y : y + height, x : x + width])
