"""From ink to connected components: without ruled lines and what the paper's edge cuts off."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink
from photos.ruled_lines import find_ruled_lines
from photos.strokes import weighted_stroke_lengths

MIN_CONTRAST = 0.05  # of ink: the texture of the background has less
MIN_CONTRAST_TO_NOISE = 5  # contrast of ink / standard deviation of the noise
# A component has a pixel above the threshold. All its pixels are above this share of it.
HYSTERESIS = 0.75
# A component that is cut off has its centre this near to the edge of the paper, as a share of
# the image's shorter side.
MAX_CUT_OFF_DEPTH = 0.2
MIN_FILL = 0.8  # a digit that fills the image covers this share of its width and its height
MIN_SIZE = 12  # pixels: longer side of a digit
MIN_HEIGHT_TO_WIDTH = 0.45  # height / width of a digit
MIN_INSIDE_LENGTH = 0.2  # stroke length inside a drawn box / stroke length of the box itself


class Components(NamedTuple):
    """The connected components of ink on one level: n labels, 0 is the rest of the image."""

    dark_ink: bool  # the polarity: dark on light, or light on dark
    values: np.ndarray  # (height, width): ink without ruled lines and what is cut off
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4): left, top, right, bottom
    length: np.ndarray  # (n,): weighted stroke length in pixels; 0 for what is no handwriting
    may_be_digit: np.ndarray  # (n,): True for what has the size and shape of a whole digit

    @property
    def score(self) -> float:
        """How much handwriting the level shows: stroke length / longer side of the level.

        Parts of digits do not count: a coarser level shows the digits as a whole.
        """
        return (self.length * self.may_be_digit).sum() / max(self.labels.shape)


def find_components(ink: Ink) -> Components:
    """Find the connected components of ink, and the length of their strokes."""
    values, labels, stats = remove_lines_and_cut_off(ink)
    boxes = np.hstack([stats[:, :2], stats[:, :2] + stats[:, 2:4]])
    width, height = stats[:, 2], stats[:, 3]
    may_be_digit = np.maximum(width, height) >= MIN_SIZE
    may_be_digit &= height > MIN_HEIGHT_TO_WIDTH * width
    length = weighted_stroke_lengths(ink, values, labels, stats[:, cv2.CC_STAT_AREA])
    length[find_drawn_boxes(boxes, length * may_be_digit)] = 0
    return Components(ink.dark_ink, values, labels, boxes, length, may_be_digit)


def remove_lines_and_cut_off(ink: Ink) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ink without ruled lines and what is cut off, its labels, and OpenCV's stats (n, 5).

    A component without ink above the threshold gets the label 0.
    """
    values, ruled = ink.values, None
    edge = 1 - cv2.erode(ink.paper_mask, np.ones((3, 3)), borderValue=0)
    # A second pass sets the threshold anew: the strongest ink is often what the first removes.
    for _ in range(2):
        threshold = max(otsu_threshold(values), MIN_CONTRAST_TO_NOISE * ink.noise, MIN_CONTRAST)
        mask = np.uint8(values > HYSTERESIS * threshold)
        if ruled is None:  # the first pass removes them all
            ruled = find_ruled_lines(mask, edge)
        count, labels, stats, centers = cv2.connectedComponentsWithStats(mask & ~ruled)
        cut_off = is_cut_off(labels, stats, centers, edge)
        if not (cut_off.any() or ruled.any()):
            break
        # What is removed takes its blurred edges with it.
        removed = cv2.dilate(np.uint8(cut_off)[labels] | ruled, np.ones((5, 5)))
        values = np.where(removed & np.uint8((labels == 0) | cut_off[labels]), 0, values)
    kept = ~cut_off & (np.bincount(labels[values > threshold], minlength=count) > 0)
    return values, np.where(kept[labels], labels, 0), stats


def otsu_threshold(values: np.ndarray) -> float:
    """Otsu's threshold (1979) between weak and strong ink; negative values count as 0."""
    scale = 255 / max(values.max(), 1e-6)
    return cv2.threshold(np.uint8(scale * values.clip(0)), 0, 255, cv2.THRESH_OTSU)[0] / scale


def is_cut_off(
    labels: np.ndarray, stats: np.ndarray, centers: np.ndarray, edge: np.ndarray
) -> np.ndarray:
    """Whether each component is cut off by the `edge` of the paper: (n,).

    It touches the edge, and either its centre is near the edge or it touches two sides of the
    image. A digit that fills the image is not cut off. `labels`, `stats` (n, 5) and `centers`
    (n, 2) are OpenCV's, `edge` is a mask.
    """
    at_edge = np.bincount(labels[edge == 1], minlength=len(stats)) > 0
    at_edge[0] = False
    if not at_edge.any():
        return at_edge
    depth = cv2.distanceTransform(1 - edge, cv2.DIST_L2, 3)
    x, y = centers.astype(int).T
    size = labels.shape[::-1]
    start, stop = stats[:, :2], stats[:, :2] + stats[:, 2:4]
    sides = np.hstack([start == 0, stop == size]).sum(axis=1)
    fills = (stop - start > np.multiply(MIN_FILL, size)).all(axis=1)
    return at_edge & ((depth[y, x] < MAX_CUT_OFF_DEPTH * min(size)) | (sides > 1)) & ~fills


def find_drawn_boxes(boxes: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The indices of components with long strokes inside, as of a drawn box."""
    counted = np.flatnonzero(length)
    start, stop = boxes[counted, :2], boxes[counted, 2:]
    inside = (start > start[:, None]) & (stop < stop[:, None])
    return counted[inside.all(axis=2) @ length[counted] > MIN_INSIDE_LENGTH * length[counted]]
