"""Labelled images, their splits, and what a noisy sensor reports of them."""

import gzip
import struct
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
MAX_VALIDATION = 1000
Part = TypeVar("Part")


class Images(NamedTuple):
    """Pixels in [0, 1], of shape (count, height, width, 1), and their labels."""

    pixels: np.ndarray
    labels: np.ndarray


class Measured(NamedTuple):
    """What a sensor knows of each pixel: a mean and a variance."""

    mean: np.ndarray
    var: np.ndarray
    labels: np.ndarray


class Splits(NamedTuple, Generic[Part]):
    """One thing for each of the three splits."""

    train: Part
    validation: Part
    test: Part


def load(name: str, data_dir: Path | None = None, *, seed: int) -> Splits[Images]:
    """Loads a data set in three disjoint splits.

    Half of the training images, 1000 at most, is the validation split. Digits come
    without a test split: a random half is held out. IDX files keep their own.

    Args:
      name: ``"digits"`` (scikit-learn's, 8 x 8) or ``"fashion"`` (IDX files).
      data_dir: folder of the IDX files; the Debian package's by default.
      seed: chooses the splits.

    Returns:
      The images of the splits, shuffled.

    Raises:
      FileNotFoundError: the IDX files are not there.
      ValueError: ``name`` is unknown, or a file is not IDX.
    """
    if name == "digits":
        held_out, rest = _halves(_digits(), seed)
    elif name == "fashion":
        folder = FASHION_FOLDER if data_dir is None else data_dir
        held_out, rest = read_images(folder, "t10k"), read_images(folder, "train")
    else:
        raise ValueError(f"`load` knows 'digits' and 'fashion', got {name!r}.")
    order = np.random.default_rng([seed, 1]).permutation(len(rest.labels))
    num_validation = min(len(order) // 2, MAX_VALIDATION)
    return Splits(
        train=_take(rest, order[num_validation:]),
        validation=_take(rest, order[:num_validation]),
        test=held_out,
    )


def binarize(name: str, data_dir: Path | None = None) -> tuple[Images, Images]:
    """Loads a data set of black and white pixels, in its order.

    Args:
      name: ``"digits"``, 1500 for training and the other 297 for the test, white above
        7.5 of 16; or ``"fashion"``, white above half, in the splits of its files.
      data_dir: folder of the IDX files; the Debian package's by default.

    Returns:
      The images for training and those of the test; pixels are 0 or 1.

    Raises:
      FileNotFoundError: the IDX files are not there.
      ValueError: ``name`` is unknown, or a file is not IDX.
    """
    if name == "digits":
        images, threshold = _digits(), 7.5 / 16
        rows = np.arange(len(images.labels))
        parts = _take(images, rows[:1500]), _take(images, rows[1500:])
    elif name == "fashion":
        folder, threshold = FASHION_FOLDER if data_dir is None else data_dir, 0.5
        parts = read_images(folder, "train"), read_images(folder, "t10k")
    else:
        raise ValueError(f"`binarize` knows 'digits' and 'fashion', got {name!r}.")
    train, test = (
        Images((part.pixels > threshold).astype(np.float32), part.labels)
        for part in parts
    )
    return train, test


def measure(
    images: Images, *, low_std: float, high_std: float, rng: np.random.Generator
) -> Measured:
    """Measures every pixel once, with noise of its own known variance.

    Args:
      images: the true pixels.
      low_std: smallest standard deviation of the noise.
      high_std: largest one; between them it is log-uniform, pixel by pixel.
      rng: source of the noise and of its variances.

    Returns:
      The measured values as means, the variances of the noise, and the labels.
    """
    shape = images.pixels.shape
    std = np.exp(rng.uniform(np.log(low_std), np.log(high_std), shape))
    std = std.astype(np.float32)
    noise = rng.standard_normal(shape, np.float32)
    return Measured(images.pixels + std * noise, std**2, images.labels)


def read_images(folder: Path, split: str) -> Images:
    """Reads one split, ``"train"`` or ``"t10k"``, from a folder of IDX files.

    Args:
      folder: holds ``train-images-idx3-ubyte`` and so on, gzipped (``.gz``) or not.
      split: first word of the file names.

    Returns:
      The images, with one channel, and their labels.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file is not IDX, or images and labels differ in number.
    """
    pixels = read_idx(_find(folder, f"{split}-images-idx3-ubyte"))
    labels = read_idx(_find(folder, f"{split}-labels-idx1-ubyte"))
    if len(pixels) != len(labels):
        raise ValueError(f"{folder}: {len(pixels)} images but {len(labels)} labels.")
    return Images(pixels[..., None].astype(np.float32) / 255, labels.astype(np.int32))


def read_idx(path: Path) -> np.ndarray:
    """Reads one IDX file of bytes, gzipped if its name ends in ``.gz``.

    Args:
      path: the file.

    Returns:
      An array of ``uint8``.

    Raises:
      ValueError: the file is not IDX, does not hold bytes, or is cut short.
    """
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(
            f"{path} is not an IDX file of bytes: it starts with "
            f"{content[:4].hex(' ')}, not with 00 00 08."
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path} is cut short: {len(content)} bytes, no whole header.")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=int):
        raise ValueError(f"{path} promises shape {shape}, but has {values.size} bytes.")
    return values.reshape(shape)


def _find(folder, name):
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(
        f"{folder} has neither {name} nor {name}.gz. Fashion-MNIST is in Debian's "
        "package: `apt-get install dataset-fashion-mnist`; for IDX files elsewhere, "
        "pass their folder with `--data-dir`."
    )


def _digits():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = np.asarray(pixels, np.float32).reshape(-1, 8, 8, 1) / 16
    return Images(pixels, np.asarray(labels, np.int32))


def _halves(images, seed):
    order = np.random.default_rng([seed, 0]).permutation(len(images.labels))
    middle = len(order) // 2
    return _take(images, order[:middle]), _take(images, order[middle:])


def _take(images, index):
    return Images(images.pixels[index], images.labels[index])
