"""Read a person's picture, find every digit, bring each to MNIST's form.

| step | file |
|---|---|
| path -> upright RGB image | files.py |
| grey image -> ink | sheet.py, ink.py |
| ink -> connected components | components.py with ruled_lines.py and strokes.py |
| connected components -> digits | grouping.py |
| digits -> text lines | text_lines.py |
| digit -> 28 x 28 | mnist_form.py |

`search.py` calls them in this order. It finds ink and components on up to three levels (sizes
of the image) and for both polarities (dark or light ink), and keeps the best. The frame is the
outermost pixels of the image, the edge is that of the paper, an outline is the outermost pixels
of a component.
"""

from photos.files import find_files, read_image
from photos.search import Digit, find_digits

__all__ = ["Digit", "find_digits", "find_files", "read_image"]
