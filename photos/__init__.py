"""Read a person's picture: find every digit, bring each to MNIST's form, ask a model.

| step | file |
|---|---|
| path -> what a model reads | reading.py |
| path -> upright RGB image | files.py |
| RGB image -> digits, by the steps below | search.py |
| grey image -> sheet of paper, ink | ink.py |
| ink -> connected components | components.py |
| connected components -> digits, text lines, marks between them | grouping.py |
| digits that touch -> each alone | touching.py |
| digit -> 28 x 28 | mnist_form.py |

`search.py` finds components in up to three sizes of the picture, the levels, for dark and for
light ink, the polarities. Ink differs from the background by more than the noise. Components of
ink are scored by how much they look like strokes of a pen: long, sharp and clear. Ruled lines,
frames, circles around digits and what the edge of the paper cuts off do not count. Digits that
touch are cut where the model is most confident. All limits were tuned on people's pictures and
on rendered ones.

What a rule is worth: pictures lost without it, with one network, of 55 photos, 120 made ones of
twelve kinds and 43 without digits. `python tests/benchmark.py reading --without NAME=VALUE`
measures a rule on your own pictures.

| rule, and the value that turns it off | photos | made | none |
|---|---|---|---|
| thin strokes are thickened, MIN_STROKE_WIDTH 0 | 10 | 0 | 0 |
| what a photo's edge cuts off, MAX_DRAWING_NOISE 9 | 4 | -1 | 1 |
| sharp and clear, WEIGHT_EXPONENT 0 | 3 | 2 | 1 |
| height of pieces, MIN_PIECE_HEIGHT 0 | 3 | 1 | 0 |
| least score, MIN_SCORE 0 | 3 | 0 | 1 |
| sheet, MIN_SHEET_WIDTH 9 | 2 | 0 | 0 |
| tight lines, MAX_HEIGHT 99 | 1 | 10 | 0 |
| lines to the edge, MIN_LENGTH_SHARE 9 | 1 | 3 | 0 |
| what continues as background (no constant) | 1 | 2 | 1 |
| solid objects, MIN_AREA_TO_DEPTH 0 | 1 | 0 | 4 |
| contrast to noise, MIN_CONTRAST_TO_NOISE 0 | 1 | 0 | 3 |
| least contrast, MIN_CONTRAST 0; widening, NARROW 0 | 1; 1 | 0 | 0 |
| frames, MIN_RECTANGULARITY 9 | 0 | 14 | 0 |
| circles around digits, MIN_ENCLOSED 9 | 0 | 10 | 0 |
| cutting, MAX_WIDTH 99 | 0 | 10 | 0 |
| costs of a piece, WIDTH_COST 0; DOUBT_COST 0 | 0 | 9; 7 | 0 |
| colour, MIN_COLOUR_TO_GREY 9e9 | 0 | 9 | 0 |
| lines that end early, MIN_FREE_LENGTH_SHARE 9 | 0 | 5 | 0 |
| parts above one another, MAX_GAP 0 | 0 | 4 | 0 |
| flat digits that touch, MIN_LENGTH_TO_WIDTH 9 | 0 | 3 | 0 |
| least length, MIN_LENGTH 0; least size, MIN_START_SIZE 0 | 0 | 2; 1 | 0 |
| seams, MAX_SEAM_OFFSET 0; marks, MAX_MARK_HEIGHT 0 | 0 | 1; 1 | 0 |
| background at the edge, MAX_EDGE_SHARE 9 | 0 | 1 | 0 |

Others lose nothing there, but elsewhere: MIN_ELONGATION 0 loses 11 and EDGE_ZONE -1 loses 3 of
256 pictures without digits, MAX_HEIGHT_SUM 99 adds 18 wrong digits to 330 distorted photos, and
STROKE_COST 0 cuts 4 of 6,000 single MNIST digits more. Without MAX_SIZE, MIN_SOLIDITY or
MAX_BLOT_ELONGATION a test fails. MAX_SEAM_OFFSET 0 loses 5 of 30 pictures of digits that touch,
and a PIECE_COST of 0.25 loses 5 of 84 rendered pages.
"""

from photos.files import find_files, load_picture
from photos.reading import Model, Reading, read_picture, read_pictures
from photos.search import Digit, Writing, find_writing

__all__ = [
    "Digit",
    "Model",
    "Reading",
    "Writing",
    "find_files",
    "find_writing",
    "load_picture",
    "read_picture",
    "read_pictures",
]
