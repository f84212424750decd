"""Tests of ``experiments._devices``, on the eight CPU devices of the session."""

import jax
import numpy as np
import pytest

from experiments import _devices


def test_split_gives_every_device_its_part():
    mesh = _devices.make_mesh(4)
    array = jax.jit(lambda: _devices.split(mesh, jax.numpy.arange(8)))()
    parts = {shard.device.id: shard.data.tolist() for shard in array.addressable_shards}
    assert sorted(parts.values()) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_replicate_gives_every_device_all():
    array = _devices.replicate(_devices.make_mesh(8), np.arange(3))
    assert [shard.data.tolist() for shard in array.addressable_shards] == [
        [0, 1, 2]
    ] * 8


@pytest.mark.parametrize("num_devices", [0, 9])
def test_impossible_numbers_of_devices_say_how_many_there_are(num_devices):
    with pytest.raises(
        _devices.TooFewDevicesError, match=f"1 to 8 here, got {num_devices}"
    ):
        _devices.make_mesh(num_devices)
