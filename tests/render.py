"""Images of digits as people make them, rendered from MNIST: what preparation is tested on."""

import io

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy import ndimage

LEVELS = ("clean", "photo", "hard", "tiny")


def render(digit: np.ndarray, level: str, rng: Generator, others: np.ndarray) -> Image.Image:
    """An image of `digit`, uint8 (28, 28), as one of LEVELS; `others` may be its neighbours.

    "clean" is drawn on screen, at any size, some of it on transparency; "photo" is ink on
    unevenly lit paper, grainy, blurred and compressed; "hard" adds faint ink, small digits,
    ruled lines, page edges, neighbours and what shows through; "tiny" is 8 x 8 pixels.
    """
    if level == "tiny":
        return to_image(tiny(digit), rng)
    if level == "clean":
        side = int(rng.choice([28, 64, 100, 200, 400, 600]))
    else:
        side = int(rng.integers(200, 600))
    frame = (side, int(side * rng.uniform(0.8, 1.25)))
    fill = rng.uniform(0.15, 0.5) if level == "hard" else rng.uniform(0.35, 0.95)
    height = max(14, fill * min(frame))
    width = max(1, height * np.exp(rng.uniform(np.log(0.02), np.log(0.16))))
    ink = redraw(digit, height, width)
    room = np.maximum(np.subtract(frame, ink.shape), 0)
    corner = (room * rng.normal(0.5, 0.15, 2).clip(0.1, 0.9)).astype(int)
    sheet = stamp(np.zeros(frame), ink, corner)

    if level == "clean":
        if rng.random() < 0.3:  # ink on nothing, as drawing programs save it
            alpha = Image.fromarray(np.uint8(255 * sheet))
            color = Image.new("L", alpha.size, int(rng.choice([0, 255])))
            return Image.merge("LA", [color, alpha])
        paper = rng.choice([0, rng.uniform(0, 0.2)])
        return to_image(paper + rng.uniform(0.5, 1 - paper) * sheet, rng)
    if level == "photo":
        contrast = rng.uniform(0.35, 0.75)
        scene = contrast * uneven(sheet, rng)
    else:
        contrast = rng.uniform(0.15, 0.4)
        drawn = sheet > 0.3
        if rng.random() < 0.5:
            near = redraw(rng.choice(others), height, width)
            cut = int(rng.uniform(0.3, 0.7) * near.shape[1])
            beside = rng.choice([-cut, frame[1] - cut])
            sheet = stamp(sheet, near, (corner[0] + int(rng.normal(0, 0.1) * height), beside))
        scene = contrast * uneven(sheet, rng)
        if rng.random() < 0.4:
            scene = np.maximum(scene, contrast * rng.uniform(0.15, 0.4) * ruled(frame, rng))
        if rng.random() < 0.3:
            back = redraw(rng.choice(others), height, width)[:, ::-1]
            back = stamp(np.zeros(frame), back, (rng.uniform(0, 0.8, 2) * frame).astype(int))
            through = contrast * rng.uniform(0.1, 0.35) * ndimage.gaussian_filter(back, 2)
            scene = np.maximum(scene, through)
        if rng.random() < 0.3:
            scene = scene + rng.uniform(0.2, 0.7) * beyond_page(drawn, rng)
    return photograph(scene + rng.uniform(0.05, 0.2), level == "hard", rng)


def tiny(digit: np.ndarray) -> np.ndarray:
    """`digit` without its margin, filling 8 x 8 pixels of 17 grey levels, in [0, 1]."""
    rows, columns = np.nonzero(digit)
    ink = digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    square = stamp(np.zeros((20, 20), np.uint8), ink, np.subtract(20, ink.shape) // 2)
    small = Image.fromarray(square).resize((8, 8), Image.Resampling.BOX)
    return np.round(np.asarray(small) / 255 * 16) / 16


def redraw(digit: np.ndarray, height: float, width: float) -> np.ndarray:
    """Ink in [0, 1]: `digit` `height` pixels tall, by a pen `width` pixels wide."""
    fine = ndimage.zoom(np.pad(digit / 255, 2), 6, order=1)
    depth = ndimage.distance_transform_edt(ndimage.gaussian_filter(fine, 2) > 0.45)
    middle = (depth > 0) & (depth >= 0.65 * ndimage.maximum_filter(depth, 7))
    rows, columns = np.nonzero(middle)
    middle = middle[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = (height - width) / max(middle.shape)
    margin = int(np.ceil((width / 2 + 2) / scale)) + 1
    distance = ndimage.distance_transform_edt(~np.pad(middle, margin))
    if scale > 0.5:
        distance = ndimage.zoom(distance, scale, order=1, mode="nearest") * scale
        return np.clip(width / 2 + 0.5 - distance, 0, 1)
    # A small digit is drawn large and then shrunk, or its middle line would fall apart.
    large = np.clip(width / 2 / scale + 0.5 - distance, 0, 1).astype(np.float32)
    size = [max(1, round(n * scale)) for n in reversed(large.shape)]
    return np.asarray(Image.fromarray(large).resize(size, Image.Resampling.BOX))


def stamp(sheet: np.ndarray, ink: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """`sheet` with `ink` laid on at its upper left `corner`; what is outside is cut off."""
    start, stop = np.maximum(corner, 0), np.minimum(np.add(corner, ink.shape), sheet.shape)
    if (stop > start).all():
        place = tuple(map(slice, start, stop))
        inner = tuple(map(slice, start - corner, stop - corner))
        sheet = sheet.copy()
        sheet[place] = np.maximum(sheet[place], ink[inner])
    return sheet


def uneven(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """`ink` as a pen leaves it, a little lighter here and there."""
    return np.clip(ink * (1 + 0.15 * rng.normal(size=ink.shape)), 0, 1)


def across(shape: tuple[int, int], angle: float) -> np.ndarray:
    """A ramp over an image of `shape` in the direction of `angle`, 0 in the middle."""
    rows, columns = np.indices(shape) / max(shape) - 0.5
    return np.cos(angle) * columns + np.sin(angle) * rows


def ruled(shape: tuple[int, int], rng: Generator) -> np.ndarray:
    """True on the lines of ruled or squared paper, a little askew."""
    askew, gap = rng.normal(0, 0.02), rng.uniform(0.15, 0.4)
    thick, offset = max(1.5 / max(shape), 0.004), rng.uniform(0, gap)
    lines = (across(shape, np.pi / 2 + askew) + offset) % gap < thick
    if rng.random() < 0.4:
        lines |= (across(shape, askew) + offset) % gap < thick
    return lines


def beyond_page(drawn: np.ndarray, rng: Generator) -> np.ndarray:
    """True beyond an edge of the page that leaves what is `drawn` on the page."""
    ramp = across(drawn.shape, rng.uniform(0, 2 * np.pi))
    inside = ramp[ndimage.binary_dilation(drawn, iterations=3)].max()
    return ramp > max(inside, rng.uniform(0.8, 0.95) * ramp.max())


def photograph(scene: np.ndarray, hard: bool, rng: Generator) -> Image.Image:
    """A photo of a dark `scene` in [0, 1]: light from the side, shadow, grain, blur, JPEG."""
    light = 1 + rng.normal(scale=0.35 if hard else 0.2) * across(scene.shape, rng.uniform(0, 7))
    if rng.random() < 0.4:
        edge = across(scene.shape, rng.uniform(0, 7)) - rng.uniform(-0.3, 0.3)
        light *= 1 - rng.uniform(0.1, 0.35) / (1 + np.exp(-edge / rng.uniform(0.01, 0.1)))
    scene = 1 - (1 - scene.clip(0, 1)) * light.clip(0.2, 1.3)
    grain = ndimage.gaussian_filter(rng.normal(size=scene.shape), 1.5)
    scene = scene + (0.02 if hard else 0.008) * grain / grain.std()
    scene = ndimage.gaussian_filter(scene, rng.uniform(0.3, 1.2) * (len(scene) / 400 + 0.4))
    scene = scene + rng.uniform(0.005, 0.03) * rng.normal(size=scene.shape)
    file = io.BytesIO()
    to_image(scene, rng).convert("RGB").save(file, "JPEG", quality=int(rng.integers(40, 95)))
    return Image.open(file)


def to_image(scene: np.ndarray, rng: Generator) -> Image.Image:
    """A grey image of a scene in [0, 1], three in ten with light ink on dark."""
    pixels = np.uint8(255 * scene.clip(0, 1))
    return Image.fromarray(pixels if rng.random() < 0.3 else 255 - pixels)
