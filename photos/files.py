"""From paths to upright RGB images of a bounded size."""

import os
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
    """The picture files in `paths`, and the files of other types in folders, each once.

    Folders are searched with their subfolders, in natural order, without hidden files. A
    path that is no folder, or a folder without pictures, is itself in the first list. A path
    that does not exist may be a pattern, such as `*.jpg`: Windows leaves it to the program.
    """
    pictures, others = [], []
    expanded = [name for path in paths for name in expand(str(path))]
    for path in map(Path, expanded):
        names = sorted(glob("**", root_dir=path, recursive=True), key=natural_order)
        files = [path / name for name in names if (path / name).is_file()]
        pictures += list(filter(is_picture, files)) or [path]
        others += [file for file in files if not is_picture(file)]
    return each_once(pictures), each_once(others)


def expand(path: str) -> list[str]:
    """The files that match a pattern, or the path itself."""
    matches = [] if os.path.lexists(path) else sorted(glob(path), key=natural_order)
    return matches or [path]


def is_picture(file: Path) -> bool:
    """Whether a file's ending is that of a picture."""
    image_format = Image.registered_extensions().get(file.suffix.lower())
    return Image.MIME.get(image_format, "").startswith("image/")


def each_once(files: Sequence[Path]) -> list[str]:
    """`files` in their order; of several that are the same through links, the shortest path."""
    longest_first = sorted(files, key=lambda file: len(str(file)), reverse=True)
    shortest = set({os.path.realpath(file): file for file in longest_first}.values())
    return [str(file) for file in dict.fromkeys(files) if file in shortest]


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
                file.draft("RGB", (MAX_SIDE, MAX_SIDE))  # decodes large JPEG files smaller
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


def open_picture(picture: str | Path | Image.Image) -> Image.Image:
    """A path or an image as upright RGB: see `read_image` and `to_upright_rgb`."""
    return to_upright_rgb(picture) if isinstance(picture, Image.Image) else read_image(picture)


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
