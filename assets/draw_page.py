"""Draw a photo-like page of digits, for the README's picture of its being read.

python assets/draw_page.py outputs/page.png
python predict.py outputs/page.png --output assets/page.png
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import data  # noqa: E402
import pages  # noqa: E402

KIND, SEED = "ruled", 2


def main(path: str) -> None:
    """Draw the page into a picture file, from the bundled test digits."""
    digits = data.load_bundled()
    rng = np.random.default_rng(SEED)
    image, _ = pages.render_page(KIND, rng, digits.x_test, digits.y_test)
    image.save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
