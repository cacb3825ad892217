"""From a grey image to the sheet of paper and the ink: what stands out from the background."""

from typing import NamedTuple

import cv2
import numpy as np

from photos.files import resize

SHEET_SIDE = 128  # pixels: a sheet is searched in an image of this longer side
WRITING_KERNEL = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))  # wider than strokes
STEP_KERNEL = np.ones((5, 5))  # pixels: wider than a sharp step of brightness
MAX_STEP_RATIO = 0.8  # darker side / brighter side of a sharp step, such as a sheet's edge
MAX_REGIONS = 3  # smooth regions to try: the table is often larger than the sheet
MIN_SHEET_WIDTH = 0.17  # shorter side / longer side of the image: thick strokes have less
MIN_SOLIDITY = 0.93  # area less its holes / area of the convex hull: a thick 0 has less
# Share of a sheet's outline on the image's frame. The lit region beside a shadow has more.
MAX_AT_FRAME = 0.3

BACKGROUND_KERNEL = np.ones((64, 64))  # pixels: a dark square this large is background
GRAIN_KERNEL = 5  # pixels: the median filter that removes grain from the background
BLUR_SIGMA = 0.7  # pixels: the Gaussian blur that removes grain from the ink
MIN_WHITE = 0.05  # brightness: lower limit of white, so that black images have no light ink


def find_sheet(grey: np.ndarray) -> np.ndarray:
    """Find the sheet of paper in grey (height, width), if one lies on a table or another sheet.

    It is the largest region without sharp steps of brightness that is wide, convex, mostly in
    the image and brighter than the rest. Returns a uint8 mask of SHEET_SIDE, 1 on the sheet, or
    everywhere if there is none.
    """
    grey = resize(grey, SHEET_SIDE)
    blank = cv2.morphologyEx(grey + 1e-3, cv2.MORPH_CLOSE, WRITING_KERNEL)  # without writing
    smooth = cv2.erode(blank, STEP_KERNEL) > MAX_STEP_RATIO * cv2.dilate(blank, STEP_KERNEL)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.uint8(smooth))
    for label in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:MAX_REGIONS]:
        region = cv2.dilate(np.uint8(labels == label), STEP_KERNEL)  # its rim was not smooth
        (contour,), _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        sheet = cv2.drawContours(np.zeros_like(region), [contour], 0, 1, cv2.FILLED)
        at_frame = (contour == 0) | (contour == np.subtract(grey.shape[::-1], 1))
        if (
            min(cv2.minAreaRect(contour)[1]) > MIN_SHEET_WIDTH * SHEET_SIDE
            and region.sum() > MIN_SOLIDITY * cv2.contourArea(cv2.convexHull(contour))
            and at_frame.any(axis=2).mean() < MAX_AT_FRAME
            and np.median(grey[sheet == 0]) < MAX_STEP_RATIO * np.median(grey[sheet == 1])
        ):
            return sheet
    return np.ones(grey.shape, np.uint8)


class Ink(NamedTuple):
    """The ink on one level of an image; all arrays are (height, width).

    The contrast of dark ink is (background - pixel) / background, that of light ink is
    (pixel - background) / white. The divisors have lower limits. The mean contrast of empty
    paper is subtracted.
    """

    contrast: np.ndarray  # 0 on empty paper and outside the sheet; may be negative
    local_range: np.ndarray  # range of the contrast around each pixel less the background's
    noise: float  # standard deviation of the contrast on empty paper
    paper_mask: np.ndarray  # uint8, 1 on the sheet or, if there is none, everywhere


def find_ink(grey: np.ndarray, sheet: np.ndarray, dark_ink: bool) -> Ink:
    """The ink on a level, grey (height, width) in [0, 1]; `sheet` is a mask of any size."""
    paper_mask = cv2.resize(sheet, grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(255 * (grey if dark_ink else 1 - grey), (0, 0), BLUR_SIGMA)
    smooth = cv2.medianBlur(np.uint8(image), GRAIN_KERNEL)
    border = cv2.BORDER_REFLECT  # without it, noise on a gradient is read as digits
    background = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, BACKGROUND_KERNEL, borderType=border)
    # A shadow darkens paper and dark ink by the same factor. The lower limit keeps the texture
    # of a dark table weak.
    lower_limit = np.float32(background.max() / 2 + 1)
    white = np.float32(255 * max(grey.max(), MIN_WHITE))
    divisor = np.maximum(background, lower_limit) if dark_ink else white
    contrast = (background - image) / divisor
    # Subtract the background's range: the borders of blobs and pages are no strokes.
    local_range = cv2.subtract(range_around(np.uint8(image)), range_around(background))
    # Ink may cover half of the image, so low percentiles measure empty paper: the 10th and the
    # 30th of a normal distribution are 1.28 and 0.52 standard deviations below its mean.
    paper = contrast[::2, ::2][paper_mask[::2, ::2] == 1]
    at_10, at_30 = np.percentile(paper, (10, 30)).tolist()
    noise = (at_30 - at_10) / (1.28 - 0.52)
    mean = at_30 + 0.52 * noise
    return Ink((contrast - mean) * paper_mask, local_range / divisor, noise, paper_mask)


def range_around(grey: np.ndarray) -> np.ndarray:
    """The brightest less the darkest pixel around each one."""
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, STEP_KERNEL)
