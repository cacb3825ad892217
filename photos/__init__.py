"""Read a person's picture: find every digit, bring each to MNIST's form, ask a model.

| step | file |
|---|---|
| path -> upright RGB image | files.py |
| grey image -> sheet of paper, ink | ink.py |
| ink -> connected components | components.py |
| connected components -> digits, text lines, marks between them | grouping.py |
| digit -> 28 x 28 | mnist_form.py |
| all digits -> what a model reads | reading.py |

`search.py` calls the first five in this order, and `reading.py` calls `search.py`. Ink is what
is darker, or lighter, than the background, by more than the noise. Its connected components are
scored by how much they look like strokes of a pen: long, sharp and clear. Ruled lines, frames
and what the edge of the paper cuts off do not count. Digits that touch are cut where the model
is most confident. The image is searched at up to three sizes, the levels, for dark and for
light ink, the polarities. All limits were tuned on people's pictures and on rendered ones.
"""

from photos.files import find_files, open_picture
from photos.reading import Model, Reading, read_images, read_picture
from photos.search import Digit, Writing, find_writing

__all__ = [
    "Digit",
    "Model",
    "Reading",
    "Writing",
    "find_files",
    "find_writing",
    "open_picture",
    "read_images",
    "read_picture",
]
