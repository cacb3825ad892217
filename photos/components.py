"""From ink to connected components, and how much each looks like handwriting."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.ink import Ink, distance_inside, erase, find_rectangles, to_mask

# Shares of the image's shorter side. A component nearer to the edge than the first is cut off
# if it lies in a corner, or if its centre is nearer than the second.
MAX_EDGE_DISTANCE, MAX_CENTER_DISTANCE = 0.0075, 0.2
MAX_DRAWING_NOISE = 0.001  # of a picture drawn on a screen: photos have grain
MAX_EDGE_SHARE = 0.5  # of the edge: a component that covers more is the background
MIN_SIZE = 12  # pixels: longer side of a digit
MIN_HEIGHT_TO_WIDTH = 0.45  # height / width of a digit
MIN_LENGTH_TO_WIDTH = 1.5  # stroke length / width of digits that touch: a line has 1
# Area / squared stroke width: a blot has less than the first, a digit more than the second.
MAX_BLOT_ELONGATION, MIN_ELONGATION = 2.0, 2.6
# Area / squared depth of a digit; the depth is the distance of the innermost pixel from the
# outside. Solid objects have less. So have bold digits in small images, which are not tested.
MIN_AREA_TO_DEPTH, MIN_PHOTO_SIDE = 9, 128  # a small image's longer side has fewer pixels
MIN_ENCLOSED = 0.15  # stroke length of digits inside a circle or a grid / its own stroke length
RING_KERNEL = np.ones((9, 9))  # the ring around a component reaches 4 pixels beyond it
CLEAR_CONTRAST_TO_TEXTURE = 9  # contrast of a clear stroke / texture around it
WEIGHT_EXPONENT = 4  # of sharpness and clearness: blurred strokes and texture count little


class Components(NamedTuple):
    """The connected components of ink on one level: n labels, 0 is the rest of the image."""

    contrast: np.ndarray  # (height, width): that of `Ink`, 0 on what is cut off
    labels: np.ndarray  # (height, width)
    boxes: np.ndarray  # (n, 4): left, top, right, bottom; the last two are exclusive
    stroke_length: np.ndarray  # (n,): weighted, in pixels; 0 for what is no digit's part
    may_be_digit: np.ndarray  # (n,): True for what has the size and shape of a whole digit
    cut_off: np.ndarray  # (m, 4): the boxes of what the paper's edge cuts off, already erased
    score: float  # stroke length of what looks like digits or circles / level's longer side


def find_components(ink: Ink) -> Components:
    """Find the connected components of ink, and the weighted length of their strokes.

    The length is area / stroke width. Ink that the paper's edge cuts off is erased, and the
    rest is searched again: that ink may be stronger than the writing and raise the threshold.
    """
    mask = to_mask(ink)
    _, labels, stats, centers = cv2.connectedComponentsWithStats(mask)
    boxes = np.hstack([stats[:, :2], stats[:, :2] + stats[:, 2:4]])
    cut_off = find_cut_off(labels, boxes, centers, ink)
    if cut_off.any():
        contrast = erase(ink.contrast, np.uint8(cut_off)[labels], mask)
        rest = find_components(ink._replace(contrast=contrast))
        return rest._replace(cut_off=np.vstack([rest.cut_off, boxes[cut_off]]))
    distance, area = distance_inside(mask), stats[:, cv2.CC_STAT_AREA]
    # As in mean_stroke_width of mnist_form.py, for all components at once.
    stroke_width = 4 * np.bincount(labels.ravel(), distance.ravel()) / area - 2
    elongation = area / stroke_width**2
    may_be_digit = have_shape_of_digit(labels, stats, distance, stroke_width)
    # The label at a pixel or near it: of two components near it, the one with the higher label.
    owner = np.int32(cv2.dilate(np.float32(labels), RING_KERNEL))
    length = area / stroke_width * handwriting_weights(ink, labels, owner)
    length[elongation < MAX_BLOT_ELONGATION] = 0
    length[continue_as_background(ink, labels, owner)] = 0
    length[0] = 0  # the background
    length[np.unique(labels[find_rectangles(mask)])] = 0
    score = length[may_be_digit].sum() / max(labels.shape)
    # A circle around digits is written, but is no digit.
    length[enclose_digits(labels, boxes, length * may_be_digit)] = 0
    return Components(ink.contrast, labels, boxes, length, may_be_digit, boxes[cut_off], score)


def find_cut_off(
    labels: np.ndarray, boxes: np.ndarray, centers: np.ndarray, ink: Ink
) -> np.ndarray:
    """Which components (n,) are cut off by the paper's edge, or cover most of that edge.

    A drawing, which has no grain, was made inside its frame: only what reaches from side to
    side is cut off.
    """
    side = min(labels.shape)
    edge = (ink.edge_distance > 0) & (ink.edge_distance <= 1 + MAX_EDGE_DISTANCE * side)
    at_edge = np.bincount(labels[edge], minlength=len(boxes))
    is_background = at_edge > MAX_EDGE_SHARE * at_edge.sum()
    at_edge[0] = 0
    x, y = centers.astype(int).T
    near = ink.edge_distance[y, x] < MAX_CENTER_DISTANCE * side
    at_start, at_end = boxes[:, :2] == 0, boxes[:, 2:] == labels.shape[::-1]  # in x and y
    in_corner = (at_start ^ at_end).all(axis=1)  # at one side in x, and at one in y
    is_through = (at_start & at_end).any(axis=1)  # from side to side
    is_cut = (near | in_corner) & ((ink.noise > MAX_DRAWING_NOISE) | is_through)
    return (at_edge > 0) & (is_cut | is_background)


def have_shape_of_digit(
    labels: np.ndarray, stats: np.ndarray, distance: np.ndarray, stroke_width: np.ndarray
) -> np.ndarray:
    """Which components (n,) have the size and shape of whole digits; `stats` is OpenCV's."""
    width, height, area = stats[:, 2:].T
    elongation = area / stroke_width**2
    is_flat = height < MIN_HEIGHT_TO_WIDTH * width
    is_flat &= area / stroke_width < MIN_LENGTH_TO_WIDTH * width
    has_shape = (
        (np.maximum(width, height) >= MIN_SIZE) & ~is_flat & (elongation > MIN_ELONGATION)
    )
    if max(labels.shape) < MIN_PHOTO_SIDE:
        return has_shape
    depth = np.zeros(len(area))
    np.maximum.at(depth, labels[labels > 0], distance[labels > 0])
    return has_shape & (area > MIN_AREA_TO_DEPTH * depth**2)


def handwriting_weights(ink: Ink, labels: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Weights (n,): how much each component in `labels` (height, width) looks like handwriting.

    Handwriting is sharp and clear; texture and shadows are not, so the weight is
    contrast_to_ring * (sharpness * clearness)^WEIGHT_EXPONENT:

    - contrast_to_ring: mean contrast of the component less that of a ring around it
    - sharpness: mean of local range / contrast_to_ring at the outline, each at most 1
    - clearness: contrast_to_ring / (CLEAR_CONTRAST_TO_TEXTURE * texture), at most 1
    - texture: standard deviation of the contrast in the ring
    """
    count = labels.max() + 1
    mask = np.uint8(labels > 0)
    outline = mask > cv2.erode(mask, np.ones((3, 3)))
    ring = (owner > 0) & (cv2.dilate(mask, np.ones((3, 3))) == 0)

    def mean(image: np.ndarray, labels: np.ndarray, places: np.ndarray) -> np.ndarray:
        total = np.bincount(labels[places], image[places], count)
        return total / np.maximum(np.bincount(labels[places], minlength=count), 1)

    around = mean(ink.contrast, owner, ring)
    texture = np.sqrt(np.maximum(mean(ink.contrast**2, owner, ring) - around**2, 1e-12))
    contrast_to_ring = np.maximum(mean(ink.contrast, labels, mask > 0) - around, 1e-6)
    clearness = np.minimum(1, contrast_to_ring / (CLEAR_CONTRAST_TO_TEXTURE * texture))
    sharpness = mean(np.minimum(1, ink.local_range / contrast_to_ring[labels]), labels, outline)
    return contrast_to_ring * (sharpness * clearness) ** WEIGHT_EXPONENT


def continue_as_background(ink: Ink, labels: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Which components (n,) in `labels` lie beside background that is as dark as they are.

    Such are the gap between two tiles on a page, and the edge of a shadow.
    """
    count = np.bincount(labels.ravel())
    brightness = np.bincount(labels.ravel(), ink.image.ravel()) / count
    is_beside = (owner > labels) & (ink.edge_distance > 0)
    is_as_dark = is_beside & (ink.background < brightness[owner])
    return np.bincount(owner[is_as_dark], minlength=len(count)) > 0


def enclose_digits(labels: np.ndarray, boxes: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Which components (n,) have digits inside, as a circle around a number has.

    `length` (n,) is the stroke length, 0 for what cannot be a digit.
    """
    result = np.zeros(len(length), bool)
    for i in np.flatnonzero(length):
        inside = (boxes[:, :2] > boxes[i, :2]).all(axis=1)
        inside &= (boxes[:, 2:] < boxes[i, 2:]).all(axis=1)
        enclosed = [
            j for j in np.flatnonzero(inside * length) if is_around(labels == i, boxes[j])
        ]
        result[i] = length[enclosed].sum() > MIN_ENCLOSED * length[i]
    return result


def is_around(mask: np.ndarray, box: np.ndarray) -> bool:
    """Whether a mask lies to the left, to the right, above and below a box's centre."""
    x, y = (box[:2] + box[2:]) // 2
    return all(side.any() for side in (mask[y, :x], mask[y, x:], mask[:y, x], mask[y:, x]))
