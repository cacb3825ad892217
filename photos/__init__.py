"""Read a person's picture, find every digit, bring each to MNIST's form.

| step | file |
|---|---|
| path -> upright RGB image | files.py |
| grey image -> sheet of paper, ink | ink.py |
| ink -> connected components | components.py, strokes.py |
| connected components -> digits, text lines | grouping.py |
| digit -> 28 x 28 | mnist_form.py |

`search.py` calls them in this order. Ink is what is darker, or lighter, than the background, by
more than the noise. Its connected components are scored by how much they look like strokes of a
pen: long, sharp and clear. Ruled lines, borders and what the edge cuts off do not count. This
is done on up to three levels, for one or both polarities; the components with the best score
become digits. All limits were tuned on people's pictures and on rendered ones.

- level: a size to which the image is scaled
- polarity: dark ink on light paper, or light ink on dark paper
- contrast: brightness of ink against the background, as a share
- sheet: a sheet of paper on a table or another sheet
- frame: the outermost pixels of the image
- edge: the boundary of the paper
- outline: the outermost pixels of a component
"""

from photos.files import find_files, read_image
from photos.search import Digit, find_digits

__all__ = ["Digit", "find_digits", "find_files", "read_image"]
