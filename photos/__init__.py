"""Read a person's picture, find every digit, bring each to MNIST's form.

| step | file |
|---|---|
| path -> upright RGB image | files.py |
| grey image -> sheet of paper, ink | ink.py |
| ink -> connected components | components.py |
| connected components -> digits, text lines, marks between them | grouping.py |
| digit -> 28 x 28 | mnist_form.py |

`search.py` calls them in this order. Ink is what is darker, or lighter, than the background, by
more than the noise. Its connected components are scored by how much they look like strokes of a
pen: long, sharp and clear. Ruled lines, frames and what the edge of the paper cuts off do not
count. Digits that touch are cut where a network, if one is given, is most confident. The image
is searched at up to three sizes, the levels, for dark and for light ink, the polarities. All
limits were tuned on people's pictures and on rendered ones.
"""

from photos.files import find_files, read_image
from photos.search import Digit, Writing, find_digits, find_writing

__all__ = ["Digit", "Writing", "find_digits", "find_files", "find_writing", "read_image"]
