"""Read a person's picture, find every digit, bring each to MNIST's form.

| step | file |
|---|---|
| path -> upright RGB image | files.py |
| grey image -> sheet of paper, ink | ink.py |
| ink -> connected components | components.py, strokes.py |
| connected components -> digits, text lines | grouping.py |
| digit -> 28 x 28 | mnist_form.py |

`search.py` calls them in this order. It finds ink and components on up to three levels, most
often for both polarities, and keeps the best.

- level: a size to which the image is scaled
- polarity: dark ink on light paper, or light ink on dark paper
- frame: the outermost pixels of the image
- edge: the boundary of the paper
- outline: the outermost pixels of a component
"""

from photos.files import find_files, read_image
from photos.search import Digit, find_digits

__all__ = ["Digit", "find_digits", "find_files", "read_image"]
