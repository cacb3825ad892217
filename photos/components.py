"""From ink to connected components, and which of them may be handwriting."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink
from photos.ruled_lines import find_ruled_lines
from photos.strokes import Measures, measure

ABOVE_NOISE = 5  # standard deviations of the noise by which ink exceeds it
FAINTEST = 0.05  # ink below which there is nothing but the grain of the paper
WEAK = 0.75  # hysteresis: components need strong ink, and end with ink this much weaker
# Left out is a component that touches the frame and has its centre at most this far from it.
CUT_OFF = 0.2  # of the shorter side of the image
# A digit cropped to its bounding box covers so much of both sides of the image, in clear ink.
FILLS, CLEAR_INK = 0.85, 0.2
SMALLEST = 12  # pixels of a digit
DETAILED = 32  # pixels of a digit that shows all that MNIST's 20 x 20 do; smaller counts less
BOLDEST = 2.4  # area of the boldest stroke, in squares of its width; else it is a blob
SHARPEST = 0.6  # steps of brightness at the outline of the most blurred stroke / contrast
STANDS_OUT = 0.3  # least ink against the median around / contrast
FLATTEST = 0.45  # height of the flattest digit, as a share of its width; else it is a part
BOX_AROUND = 0.2  # strokes inside a drawn box, as a share of its own


class Components(NamedTuple):
    """The connected components of ink on one level; n counts label 0, which is no ink."""

    dark_ink: bool  # the polarity: dark on light, or light on dark
    score: float  # length of all strokes / longer side of the level * their share of all ink
    ink: np.ndarray  # (height, width), without what is left out
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4): left, top, right, bottom
    length: np.ndarray  # (n,): of strokes, less where faint or blurred; 0: no handwriting
    contrast: np.ndarray  # (n,): mean ink
    whole: np.ndarray  # (n,): True for what has the size and shape of a whole digit


class Connected(NamedTuple):
    """Ink with its n connected components, all of them, before any is judged."""

    values: np.ndarray  # (height, width): the ink, without what is left out
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4)
    area: np.ndarray  # (n,): pixels
    kept: np.ndarray  # (n,): True where ink is strong and not cut off by the edge of the paper
    fills: np.ndarray  # (n,): True for what is as large as the image


def find_components(ink: Ink) -> Components:
    """The connected components of ink, and how much each looks like handwriting."""
    connected = connect(ink)
    measures = measure(ink, connected.values, connected.labels)
    stroke = is_stroke(connected, measures)
    mass = connected.kept * measures.contrast * connected.area
    length = stroke * measures.sharpness**4 * mass / measures.stroke_width
    width, height = (connected.boxes[:, 2:] - connected.boxes[:, :2]).T
    size = np.maximum(width, height)
    whole = (size >= SMALLEST) & (height > FLATTEST * width)
    length[enclosing(connected.boxes, length * whole)] = 0
    share = mass[stroke].sum() / max(mass.sum(), 1e-6)
    detail = np.minimum(1, size / DETAILED)
    score = share * (detail * length)[whole].sum() / max(connected.labels.shape)
    return Components(
        ink.dark_ink,
        score,
        connected.values,
        connected.labels,
        connected.boxes,
        length,
        measures.contrast,
        whole,
    )


def connect(ink: Ink) -> Connected:
    """Label the connected components of ink; ruled lines and what is cut off are left out."""
    values, lines = ink.values, None
    edge = 1 - cv2.erode(ink.paper, np.ones((3, 3)), borderValue=0)
    for _ in range(2):  # the second time without what is left out, which is often the strongest
        strong = max(otsu_threshold(values), ABOVE_NOISE * ink.noise, FAINTEST)
        mask = np.uint8(values > WEAK * strong)
        if lines is None:
            lines = find_ruled_lines(mask, edge)
        count, labels, stats, centers = cv2.connectedComponentsWithStats(mask & ~lines)
        fills = (stats[:, 2:4] > np.multiply(FILLS, values.shape[::-1])).all(axis=1)
        cut_off = is_cut_off(labels, stats, centers, edge) & ~fills
        if not (cut_off.any() or lines.any()):
            break
        around = cv2.dilate(np.uint8(cut_off)[labels] | lines, np.ones((5, 5)))
        values = np.where(around & np.uint8((labels == 0) | cut_off[labels]), 0, values)
    kept = ~cut_off & (np.bincount(labels[values > strong], minlength=count) > 0)
    kept[0] = False
    boxes = np.hstack([stats[:, :2], stats[:, :2] + stats[:, 2:4]])
    return Connected(values, labels, boxes, stats[:, cv2.CC_STAT_AREA], kept, fills)


def is_cut_off(
    labels: np.ndarray, stats: np.ndarray, centers: np.ndarray, edge: np.ndarray
) -> np.ndarray:
    """(n,) True for components that touch the `edge` of the paper and lie near it.

    A component that touches two sides of the image is cut off wherever it lies. `stats`
    (n, 5) and `centers` (n, 2) are OpenCV's.
    """
    at_edge = np.bincount(labels[edge == 1], minlength=len(stats)) > 0
    at_edge[0] = False
    if not at_edge.any():
        return at_edge
    depth = cv2.distanceTransform(1 - edge, cv2.DIST_L2, 3)
    x, y = centers.astype(int).T
    start, stop = stats[:, :2], stats[:, :2] + stats[:, 2:4]
    sides = np.hstack([start == 0, stop == labels.shape[::-1]]).sum(axis=1)
    return at_edge & ((depth[y, x] < CUT_OFF * min(labels.shape)) | (sides > 1))


def is_stroke(connected: Connected, measures: Measures) -> np.ndarray:
    """(n,) True for what a pen may have drawn.

    Handwriting is made of long, thin strokes with sharp edges, which stand out from what is
    next to them and from most of what is around them.
    """
    long = connected.area > BOLDEST * measures.stroke_width**2
    sharp = measures.sharpness > SHARPEST
    stands_out = measures.prominence > STANDS_OUT * measures.contrast
    # A digit that fills the image is most of what is around it.
    return long & sharp & np.where(connected.fills, measures.contrast > CLEAR_INK, stands_out)


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that best parts ink; what is negative counts as no ink."""
    scale = 255 / max(values.max(), 1e-6)
    return cv2.threshold(np.uint8(scale * values.clip(0)), 0, 255, cv2.THRESH_OTSU)[0] / scale


def enclosing(boxes: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The indices of components around others with a fifth of their strokes: a drawn box."""
    large = np.flatnonzero(length)
    start, stop = boxes[large, :2], boxes[large, 2:]
    inside = (start > start[:, None]) & (stop < stop[:, None])
    return large[inside.all(axis=2) @ length[large] > BOX_AROUND * length[large]]
