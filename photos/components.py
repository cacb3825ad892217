"""From ink to connected components. Ruled lines and what is cut off by the edge are removed."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink
from photos.strokes import distance_inside, find_ruled_lines, weighted_stroke_lengths

MIN_CONTRAST = 0.05  # of ink: the texture of the background has less
MIN_CONTRAST_TO_NOISE = 5  # contrast of ink / standard deviation of the noise
THRESHOLD_FACTOR = 0.85  # the thinnest parts of strokes are a little weaker than the rest
RIM_KERNEL = 5  # pixels: erased ink leaves a blurred rim of 2 pixels, which is erased, too
# A component that touches the edge is cut off if it lies in a corner, or if its centre is this
# near to the edge, as a share of the image's shorter side.
MAX_CUT_OFF_DISTANCE = 0.2
MAX_EDGE_SHARE = 0.5  # of the edge: a component that covers more is the background
MIN_SIZE = 12  # pixels: longer side of a digit
MIN_HEIGHT_TO_WIDTH = 0.45  # height / width of a digit
MIN_INSIDE_SHARE = 0.35  # stroke length inside a drawn border / stroke length of the border


class Components(NamedTuple):
    """The connected components of ink on one level: n labels, 0 is the rest of the image."""

    contrast: np.ndarray  # (height, width): that of `Ink`, 0 where something was erased
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4): left, top, right, bottom; the last two are exclusive
    stroke_length: np.ndarray  # (n,): weighted, in pixels; 0 for what is no handwriting
    may_be_digit: np.ndarray  # (n,): True for what has the size and shape of a whole digit
    score: float  # stroke length of whole digits / longer side: on fine levels, digits break


def find_components(ink: Ink) -> Components:
    """Find the connected components of ink, and the length of their strokes."""
    edge_distance = distance_inside(ink.paper_mask)
    mask = to_mask(ink.contrast, ink.noise)
    contrast = erase(find_ruled_lines(mask, edge_distance <= 1), ink.contrast, mask)
    # The strongest component is often one that is cut off. Without it, the second pass has a
    # lower threshold and finds weaker ink.
    for _ in range(2):
        mask = to_mask(contrast, ink.noise)
        _, labels, stats, centers = cv2.connectedComponentsWithStats(mask)
        boxes = np.hstack([stats[:, :2], stats[:, :2] + stats[:, 2:4]])
        cut_off = find_cut_off(labels, boxes, centers, edge_distance)
        if not cut_off.any():
            break
        contrast = erase(np.uint8(cut_off)[labels], contrast, mask)
    width, height, area = stats[:, 2:].T
    may_be_digit = np.maximum(width, height) >= MIN_SIZE
    may_be_digit &= height > MIN_HEIGHT_TO_WIDTH * width
    length = weighted_stroke_lengths(contrast, ink.local_range, labels, area)
    length[cut_off] = 0
    length[find_drawn_borders(boxes, length)] = 0
    score = (length * may_be_digit).sum() / max(labels.shape)
    return Components(contrast, labels, boxes, length, may_be_digit, score)


def to_mask(contrast: np.ndarray, noise: float) -> np.ndarray:
    """A mask of the ink, uint8 (height, width), by Otsu's threshold (1979) or lower limits."""
    scale = 255 / max(contrast.max(), 1e-6)
    otsu, _ = cv2.threshold(np.uint8(scale * contrast.clip(0)), 0, 255, cv2.THRESH_OTSU)
    threshold = max(otsu / scale, MIN_CONTRAST_TO_NOISE * noise, MIN_CONTRAST)
    return np.uint8(contrast > THRESHOLD_FACTOR * threshold)


def erase(erased: np.ndarray, contrast: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The contrast, 0 at the `erased` ink and at its rim; other ink of the `mask` stays."""
    rim = cv2.dilate(erased, np.ones((RIM_KERNEL, RIM_KERNEL)))
    return np.where(rim & (erased | ~mask), 0, contrast)


def find_cut_off(
    labels: np.ndarray, boxes: np.ndarray, centers: np.ndarray, edge_distance: np.ndarray
) -> np.ndarray:
    """Which components (n,) are cut off by the paper's edge, or cover most of that edge."""
    at_edge = np.bincount(labels[edge_distance <= 1], minlength=len(boxes))
    is_background = at_edge > MAX_EDGE_SHARE * at_edge.sum()
    at_edge[0] = 0
    x, y = centers.astype(int).T
    near = edge_distance[y, x] < MAX_CUT_OFF_DISTANCE * min(labels.shape)
    in_corner = ((boxes[:, :2] == 0) ^ (boxes[:, 2:] == labels.shape[::-1])).all(axis=1)
    return (at_edge > 0) & (near | in_corner | is_background)


def find_drawn_borders(boxes: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The indices of components that enclose long strokes, such as the border of a table."""
    counted = np.flatnonzero(length)
    start, stop = boxes[counted, :2], boxes[counted, 2:]
    inside = (start > start[:, None]) & (stop < stop[:, None])
    return counted[inside.all(axis=2) @ length[counted] > MIN_INSIDE_SHARE * length[counted]]
