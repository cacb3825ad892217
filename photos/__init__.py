"""A person's picture: read, every digit found, each brought to MNIST's form.

| step | file |
|---|---|
| path -> upright RGB image | files.py |
| grey image -> ink | sheet.py, ink.py |
| ink -> connected components | components.py, ruled_lines.py, strokes.py |
| connected components -> digits -> lines | grouping.py, lines.py |
| digit -> 28 x 28 | mnist_form.py |

`find_digits.py` calls them in this order.
"""

from photos.files import find_files, read_image
from photos.find_digits import Digit, find_digits

__all__ = ["Digit", "find_digits", "find_files", "read_image"]
