"""From ink to connected components, and which of them may be handwriting."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink
from photos.ruled_lines import find_ruled_lines
from photos.strokes import Measures, measure

FAINTEST = 0.05  # weaker ink is the texture of the background
ABOVE_NOISE = 5  # standard deviations of the noise by which ink exceeds it
WEAK = 0.75  # hysteresis: a component has strong ink, and ends where ink is weaker than this
# Largest distance from the edge of the paper to the centre of a component that the edge cuts
# off, as a share of the image's shorter side.
CUT_OFF = 0.2
FILLS = 0.85  # share of both sides of the image above which a component fills the image
CLEAR_INK = 0.2  # least mean ink of a digit that fills the image
SMALLEST = 12  # pixels of the longer side of a digit
DETAILED = 32  # pixels from which a digit shows all that MNIST's 20 x 20 show
FLATTEST = 0.45  # height / width of the flattest digit
# What is below one of these limits is no stroke:
LEAST_ELONGATION = 2.4  # area / squared stroke width
LEAST_SHARPNESS = 0.6  # step of brightness at the outline / contrast
LEAST_PROMINENCE = 0.3  # contrast to the median / contrast to the background
BOX_AROUND = 0.2  # strokes inside a drawn box / strokes of the box


class Components(NamedTuple):
    """The n connected components of ink on one level; index 0 is the rest of the image."""

    dark_ink: bool  # the polarity: dark on light, or light on dark
    score: float  # how much handwriting the level shows: about its strokes' length / its size
    ink: np.ndarray  # (height, width), without ruled lines and what is cut off
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4): left, top, right, bottom
    length: np.ndarray  # (n,): of strokes in pixels, shortened where blurred; 0: no handwriting
    whole: np.ndarray  # (n,): True for what may be a whole digit, by its size and shape


class Connected(NamedTuple):
    """The n connected components of ink, strokes or not; index 0 is the rest of the image."""

    ink: np.ndarray  # (height, width), without ruled lines and what is cut off
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4): left, top, right, bottom
    area: np.ndarray  # (n,): pixels
    kept: np.ndarray  # (n,): True for what has strong ink and is not cut off
    fills: np.ndarray  # (n,): True for what covers most of both sides of the image


def find_components(ink: Ink) -> Components:
    """Find the connected components of ink, and measure how much handwriting each is."""
    connected = connect(ink)
    measures = measure(ink, connected.ink, connected.labels)
    stroke = is_stroke(connected, measures)
    mass = connected.kept * measures.contrast * connected.area
    length = stroke * measures.sharpness**4 * mass / measures.stroke_width
    width, height = (connected.boxes[:, 2:] - connected.boxes[:, :2]).T
    size = np.maximum(width, height)
    whole = (size >= SMALLEST) & (height > FLATTEST * width)
    length[enclosing(connected.boxes, length * whole)] = 0
    # A level shows handwriting if its strokes are long, large enough to be read, and most of
    # its ink. Parts of digits do not count: other levels show them as a whole.
    share = mass[stroke].sum() / max(mass.sum(), 1e-6)
    detail = np.minimum(1, size / DETAILED)
    score = share * (detail * length)[whole].sum() / max(connected.labels.shape)
    return Components(
        ink.dark_ink,
        score,
        connected.ink,
        connected.labels,
        connected.boxes,
        length,
        whole,
    )


def connect(ink: Ink) -> Connected:
    """Remove ruled lines and what is cut off, and label the connected components."""
    values, lines = ink.values, None
    edge = 1 - cv2.erode(ink.paper, np.ones((3, 3)), borderValue=0)
    for _ in range(2):  # what is removed is often the strongest ink and sets the threshold
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
    """Whether each component is cut off by the `edge` of the paper: (n,).

    It touches the edge, and either its centre is near the edge or it touches two sides of the
    image. `stats` (n, 5) and `centers` (n, 2) are OpenCV's, `edge` is a mask.
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
    """Whether a pen may have drawn each component: (n,).

    A pen's strokes are long and thin, have sharp edges, and differ from the background and
    from the median around them.
    """
    long = connected.area > LEAST_ELONGATION * measures.stroke_width**2
    sharp = measures.sharpness > LEAST_SHARPNESS
    stands_out = measures.to_median > LEAST_PROMINENCE * measures.contrast
    # The median around a digit that fills the image is its own ink.
    return long & sharp & np.where(connected.fills, measures.contrast > CLEAR_INK, stands_out)


def otsu_threshold(values: np.ndarray) -> float:
    """Otsu's threshold (1979) between weak and strong ink; negative values count as 0."""
    scale = 255 / max(values.max(), 1e-6)
    return cv2.threshold(np.uint8(scale * values.clip(0)), 0, 255, cv2.THRESH_OTSU)[0] / scale


def enclosing(boxes: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The indices of drawn boxes: components with other ones inside; `length` is (n,)."""
    long = np.flatnonzero(length)
    start, stop = boxes[long, :2], boxes[long, 2:]
    inside = (start > start[:, None]) & (stop < stop[:, None])
    return long[inside.all(axis=2) @ length[long] > BOX_AROUND * length[long]]
