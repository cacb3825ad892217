"""Picture files: found in folders, and loaded as upright RGB images of a bounded size."""

import os
import re
import warnings
from collections.abc import Sequence
from glob import glob
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, ImageStat, UnidentifiedImageError
from pillow_heif import register_heif_opener

from cli import InputError

# Pixels: larger pictures are shrunk. A digit of 24 pixels is then 1.5 % of the longer side.
MAX_SIDE = 1600
# Pillow counts previews, depth maps and layers of these formats as frames.
ONE_PAGE = {"MPO", "PSD"}

register_heif_opener()  # iPhones save HEIC


def find_files(paths: Sequence[str | Path]) -> tuple[list[str], list[str]]:
    """Find the picture files in `paths`, and the files of other types in folders, each once.

    Folders are searched with their subfolders, in natural order, without hidden files. A path
    that is no folder, or a folder without pictures, counts as a picture file.
    """
    pictures, others = [], []
    for path in chain.from_iterable(map(expand, paths)):
        names = sorted(glob("**", root_dir=path, recursive=True), key=natural_order)
        files = [path / name for name in names if (path / name).is_file()]
        pictures += list(filter(is_picture, files)) or [path]
        others += [file for file in files if not is_picture(file)]
    return each_once(pictures), each_once(others)


def expand(path: str | Path) -> list[Path]:
    """The files that match a pattern such as `*.jpg`, which Windows leaves to the program.

    A path that exists, or that nothing matches, is returned itself.
    """
    matches = [] if os.path.lexists(path) else sorted(glob(str(path)), key=natural_order)
    return list(map(Path, matches or [path]))


def natural_order(name: str) -> str:
    """A sorting key by which `2.png` comes before `10.png`."""
    return re.sub("[0-9]+", lambda match: match[0].zfill(20), name.lower())


def is_picture(file: Path) -> bool:
    """Whether a file's extension is that of a picture."""
    image_format = Image.registered_extensions().get(file.suffix.lower())
    return Image.MIME.get(image_format, "").startswith("image/")


def each_once(files: Sequence[Path]) -> list[str]:
    """`files` in their order; of paths linked to one file, the shortest."""
    names = list(map(str, files))
    longest_first = sorted(names, key=len, reverse=True)
    shortest = set({os.path.realpath(name): name for name in longest_first}.values())
    return [name for name in dict.fromkeys(names) if name in shortest]


def load_picture(picture: str | Path | Image.Image) -> Image.Image:
    """Load a picture as 8-bit RGB, upright, its longer side at most MAX_SIDE pixels.

    `picture` is a path or an image of any mode; of several pages or frames in a file, the first
    is loaded. In the result, `info["full_size"]` is the upright picture's width and height
    before it was shrunk, and `info["pages"]` the number of pages.

    Raises InputError if the picture cannot be loaded, or if a file has more than 89 million
    pixels, Pillow's limit against decompression bombs. A JPEG file may have 179 million if it
    can be decoded at reduced size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size is checked here; damaged EXIF is ignored
            in_memory = isinstance(picture, Image.Image)
            with picture.copy() if in_memory else Image.open(picture) as image:
                pages = 1 if image.format in ONE_PAGE else getattr(image, "n_frames", 1)
                full_size = image.size
                image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # decodes large JPEG files smaller
                if not in_memory and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                    raise ValueError("too many pixels: shrink it to at most 89 million")
                upright = ImageOps.exif_transpose(image)
                if image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8):
                    full_size = full_size[::-1]  # it lay on its side
                loaded = to_rgb(upright)
    except Exception as error:  # Pillow's many decoders fail in as many ways
        raise InputError(f"{picture}: {why_not_loaded(str(picture), error)}") from error
    loaded.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    loaded.info |= {"full_size": full_size, "pages": pages}
    return loaded


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as 8-bit RGB.

    Transparent parts become white, or black if the drawing is light.
    """
    if image.mode.startswith(("I", "F")):  # the brightest value becomes white
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
        values -= min(values.min(), 0)
        image = Image.fromarray(np.uint8(values * (255 / max(values.max(), 1e-6))))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        drawing = ImageStat.Stat(image.convert("L"), mask=image.getchannel("A"))
        backdrop = "white" if drawing.mean[0] < 128 else "black"
        image = Image.alpha_composite(Image.new("RGBA", image.size, backdrop), image)
    return image.convert("RGB")


def why_not_loaded(name: str, error: Exception) -> str:
    """What the user is told about a picture that cannot be loaded."""
    if Path(name).is_dir():
        return "a folder with no picture files in it"
    if isinstance(error, UnidentifiedImageError):
        with open(name, "rb") as file:
            if file.read(5) == b"%PDF-":
                return "a PDF: export the page as PNG or JPEG"
        return "not a picture of a known format"
    return getattr(error, "strerror", None) or f"cannot be read as a picture: {error}"
