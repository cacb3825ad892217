"""The sheet of paper that lies in view, on a table or another sheet."""

import cv2
import numpy as np

from photos.files import resize

SEARCH_SIDE = 128  # pixels: the image is reduced to this longer side
WRITING_KERNEL = 9  # pixels: wider than strokes
EDGE_KERNEL = 5  # pixels: wider than a sharp edge
MAX_EDGE_RATIO = 0.85  # darker side / brighter side of a sharp edge
MIN_AREA = 0.06  # of a sheet, as a share of the image
MIN_CONVEXITY = 0.93  # area of a sheet / area of its convex hull
# Share of a sheet's outline on the frame. The lit region beside a shadow has more.
MAX_AT_FRAME = 0.3
MAX_AROUND_TO_SHEET = 0.8  # median brightness outside the sheet / brightness of its pixels
MIN_BRIGHT_SHARE = 0.92  # of a sheet's pixels; fewer are bright inside a large light 0


def find_sheet(grey: np.ndarray) -> np.ndarray | None:
    """A small mask of the sheet of paper in a grey image (height, width), if there is one.

    Regions are smooth areas between sharp steps of brightness. The sheet is the largest that is
    convex, mostly inside the image and brighter than the rest of it. The mask is uint8, its
    longer side SEARCH_SIDE pixels.
    """
    grey = resize(grey, SEARCH_SIDE)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (WRITING_KERNEL, WRITING_KERNEL))
    blank = cv2.morphologyEx(grey + 1e-3, cv2.MORPH_CLOSE, kernel)  # without writing
    square = np.ones((EDGE_KERNEL, EDGE_KERNEL))
    smooth = cv2.erode(blank, square) > MAX_EDGE_RATIO * cv2.dilate(blank, square)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.uint8(smooth))
    for label in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA]):
        region = cv2.dilate(np.uint8(labels == label), square)  # its rim was not smooth
        if region.mean() < MIN_AREA:
            break
        contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contour = max(contours, key=cv2.contourArea)
        sheet = cv2.drawContours(np.zeros_like(region), [contour], 0, 1, cv2.FILLED)
        hull = cv2.convexHull(contour)
        at_frame = (contour == 0) | (contour == np.subtract(grey.shape[::-1], 1))
        if (
            cv2.contourArea(contour) <= MIN_CONVEXITY * cv2.contourArea(hull)
            or at_frame.any(axis=2).mean() > MAX_AT_FRAME
        ):
            continue
        bright = np.median(grey[sheet == 0]) < MAX_AROUND_TO_SHEET * grey[sheet == 1]
        if bright.mean() > MIN_BRIGHT_SHARE:
            return sheet
    return None
