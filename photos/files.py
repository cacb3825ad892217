"""From paths to upright RGB images of a bounded size."""

import re
import warnings
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError
from pillow_heif import register_heif_opener

from cli import InputError

# Pixels: larger images are shrunk. A digit of 24 pixels is then 1.5 % of the image's side.
MAX_SIDE = 1600
# Pillow counts previews, depth maps and layers of these formats as frames.
ONE_PAGE = {"MPO", "PSD"}

register_heif_opener()  # iPhones save HEIC


def find_files(paths: Sequence[str | Path]) -> tuple[list[str], list[str]]:
    """The picture files in `paths`, and the files of other types in folders.

    Folders are searched with their subfolders, in natural order, without hidden files. A
    path that is no folder, or a folder without pictures, is itself in the first list.
    """
    formats = Image.registered_extensions()
    pictures, others = [], []
    for path in map(Path, paths):
        found = []
        for name in sorted(glob("**", root_dir=path, recursive=True), key=natural_order):
            file = path / name
            media_type = Image.MIME.get(formats.get(file.suffix.lower()), "")
            if file.is_file():
                (found if media_type.startswith("image/") else others).append(str(file))
        pictures += found or [str(path)]
    return pictures, others


def natural_order(name: str) -> str:
    """A sorting key by which `2.png` comes before `10.png`."""
    return re.sub("[0-9]+", lambda match: match[0].zfill(20), name.lower())


def read_image(path: str | Path) -> Image.Image:
    """Read an image file as 8-bit RGB, its longer side at most MAX_SIDE pixels.

    It is turned upright as its EXIF orientation says. Of several pages or frames, the first is
    read; `image.info["pages"]` is their number. Raises InputError if the file cannot be read or
    has more than 89 million pixels, or 179 million in a JPEG file, which is decoded at reduced
    size (Pillow's limits against decompression bombs).
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder with no picture files in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size, which is checked below; of damaged EXIF
            with Image.open(path) as file:
                pages = 1 if file.format in ONE_PAGE else getattr(file, "n_frames", 1)
                full_side = max(file.size)
                file.draft("RGB", (MAX_SIDE, MAX_SIDE))  # decodes JPEG files at reduced size
                if file.width * file.height > Image.MAX_IMAGE_PIXELS:
                    raise ValueError("too many pixels: shrink it to 9,000 a side")
                image = to_upright_rgb(file)
    except UnidentifiedImageError as error:
        with open(path, "rb") as file:
            if file.read(5) == b"%PDF-":
                raise InputError(f"{path}: a PDF: export the page as PNG or JPEG") from error
        raise InputError(f"{path}: not a picture of a known format") from error
    except Exception as error:  # Pillow's many decoders fail in as many ways
        reason = getattr(error, "strerror", None) or f"cannot be read as a picture: {error}"
        raise InputError(f"{path}: {reason}") from error
    image.info |= {"pages": pages, "shrink_factor": full_side / max(image.size)}
    return image


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as upright RGB, its longer side at most MAX_SIDE pixels.

    Transparent parts become white, or black if the drawing is light. `info["shrink_factor"]` of
    the result is the longer side before / after.
    """
    full_side = max(image.size)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # the brightest value becomes white
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
        values -= min(values.min(), 0)
        image = Image.fromarray(np.uint8(values * (255 / max(values.max(), 1e-6))))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        drawing = ImageStat.Stat(image.convert("L"), mask=image.getchannel("A"))
        backdrop = "white" if drawing.mean[0] < 128 else "black"
        image = Image.alpha_composite(Image.new("RGBA", image.size, backdrop), image)
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    image.info["shrink_factor"] = full_side / max(image.size)
    return image


def resize(grey: np.ndarray, side: int) -> np.ndarray:
    """`grey` (height, width) with `side` pixels on its longer side."""
    scale = side / max(grey.shape)
    size = [max(1, round(scale * length)) for length in reversed(grey.shape)]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(grey, size, interpolation=method).clip(0, 1)
