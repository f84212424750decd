"""Tests of ``experiments._data``."""

import gzip
import struct

import numpy as np
import pytest

from experiments import _data


def idx(array):
    header = (
        b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    )
    return header + array.astype(np.uint8).tobytes()


def write_split(folder, split, count, *, zipped=False, num_labels=None, start=0):
    pixels = (start + np.arange(count * 12).reshape(count, 4, 3)) % 256
    labels = np.arange(num_labels or count) % 10
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        path = folder / f"{split}-{name}-ubyte"
        if zipped:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx(array)))
        else:
            path.write_bytes(idx(array))
    return pixels, labels


@pytest.mark.parametrize("zipped", [False, True])
def test_read_images_returns_what_was_written(tmp_path, zipped):
    pixels, labels = write_split(tmp_path, "train", 7, zipped=zipped)
    images = _data.read_images(tmp_path, "train")
    np.testing.assert_array_equal(images.labels, labels)
    np.testing.assert_array_equal(images.pixels[..., 0] * 255, pixels)
    assert images.pixels.dtype == np.float32
    assert images.labels.dtype == np.int32


def test_missing_files_name_the_package_and_the_option(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset-fashion-mnist.*--data-dir"):
        _data.load("fashion", tmp_path, seed=0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x89PNG and so on", "is not an IDX file of bytes: it starts with 89 50"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "is not an IDX file of bytes"),
        (b"\0\0", "is not an IDX file of bytes"),
        (b"\0\0\x08\x03\0\0\0\x01", "is cut short"),
        (idx(np.ones((2, 3)))[:-1], r"promises shape \(2, 3\), but has 5 bytes"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, sentence):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        _data.read_idx(path)


def test_images_without_their_labels_are_refused(tmp_path):
    write_split(tmp_path, "train", 7, num_labels=6)
    with pytest.raises(ValueError, match="7 images but 6 labels"):
        _data.read_images(tmp_path, "train")


def test_idx_files_keep_their_test_split(tmp_path):
    write_split(tmp_path, "train", 20)
    pixels, _ = write_split(tmp_path, "t10k", 4, start=100)
    splits, others = (_data.load("fashion", tmp_path, seed=seed) for seed in (0, 1))
    assert [len(part.labels) for part in splits] == [10, 10, 4]
    assert (splits.train.pixels != others.train.pixels).mean() > 0.5
    for test in (splits.test, others.test):
        np.testing.assert_array_equal(test.pixels[..., 0] * 255, pixels)


def test_digits_are_split_without_overlap():
    splits = _data.load("digits", seed=0)
    assert [len(part.labels) for part in splits] == [450, 449, 898]
    images = np.concatenate([part.pixels for part in splits]).reshape(1797, -1)
    every = np.concatenate(
        [images, np.concatenate([part.labels for part in splits])[:, None]], axis=1
    )
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    original = np.concatenate([pixels / 16, labels[:, None]], axis=1)
    np.testing.assert_array_equal(np.unique(every, axis=0), np.unique(original, axis=0))
    assert len(np.unique(every, axis=0)) == 1797


def test_seed_chooses_the_splits():
    first, again, other = (_data.load("digits", seed=seed) for seed in (0, 0, 1))
    for one, same, another in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one.pixels, same.pixels)
        assert (one.labels[:400] != another.labels[:400]).mean() > 0.5


def test_unknown_data_are_refused():
    with pytest.raises(ValueError, match="got 'mnist'"):
        _data.load("mnist", seed=0)


def test_sensor_noise_has_the_variance_it_reports():
    images = _data.load("digits", seed=0).test
    rng = np.random.default_rng(5)
    measured = _data.measure(images, low_std=0.1, high_std=1.0, rng=rng)
    noise = (measured.mean - images.pixels) / np.sqrt(measured.var)
    position = np.log(measured.var / 0.1**2) / np.log(1.0**2 / 0.1**2)
    for values, mean, var, fourth in (
        (noise, 0.0, 1.0, 3.0),
        (position, 0.5, 1 / 12, 1 / 80),
    ):
        values = np.asarray(values, np.float64).ravel()
        assert abs(values.mean() - mean) < 5 * np.sqrt(var / values.size)
        error = np.sqrt((fourth - var**2) / values.size)
        assert abs(values.var() - var) < 5 * error
    assert position.min() > -1e-6
    assert position.max() < 1 + 1e-6
    np.testing.assert_array_equal(measured.labels, images.labels)
