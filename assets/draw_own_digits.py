"""Draw eight images as people might make them, for the README's picture of their being read.

python assets/draw_own_digits.py outputs/own_digits
python predict.py outputs/own_digits --output assets/own_digits.png
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import data  # noqa: E402
import render  # noqa: E402

# Which of the bundled test digits, and how it is rendered.
DRAWINGS = {
    "drawn": (48, "clean"),
    "shadow": (9, "hard"),
    "neighbour": (13, "hard"),
    "show-through": (10, "hard"),
    "squared paper": (34, "hard"),
    "page edge": (58, "hard"),
    "dim": (1, "hard"),
    "ruled paper": (49, "hard"),
}


def main(folder: str) -> None:
    """Draw every one of DRAWINGS into a PNG file in `folder`."""
    digits = data.load_mnist(str(data.BUNDLED)).x_test
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, (number, level) in DRAWINGS.items():
        rng = np.random.default_rng(number)
        render.render(digits[number], level, rng, digits).save(Path(folder, f"{name}.png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
