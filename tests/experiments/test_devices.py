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


def test_feed_gives_every_device_its_rows():
    tree = {"square": 10 * np.arange(6), "pair": np.arange(12).reshape(6, 2)}
    fed = _devices.feed(_devices.make_mesh(4), tree, np.array([5, 0, 0, 1]))
    parts = {
        name: [shard.data.tolist() for shard in leaf.addressable_shards]
        for name, leaf in fed.items()
    }
    assert parts == {
        "square": [[50], [0], [0], [10]],
        "pair": [[[10, 11]], [[0, 1]], [[0, 1]], [[2, 3]]],
    }


def test_feed_of_several_minibatches_gives_every_device_its_rows_of_each():
    rows = np.array([[5, 0, 0, 1], [2, 3, 4, 5]])
    fed = _devices.feed(_devices.make_mesh(2), 10 * np.arange(6), rows)
    parts = [shard.data.tolist() for shard in fed.addressable_shards]
    assert parts == [[[50, 0], [20, 30]], [[0, 10], [40, 50]]]


def test_in_batches_takes_every_row_once_and_another_key_for_each_batch():
    mesh = _devices.make_mesh(2)
    key = jax.random.key(0)

    def program(batch, key):
        noise = jax.random.uniform(key, (len(batch["x"]),))
        return {"double": 2 * batch["x"], "noise": noise}

    found = _devices.in_batches(
        program, {"x": np.arange(7)}, key, mesh=mesh, batch_size=4
    )
    assert found["double"].tolist() == [0, 2, 4, 6, 8, 10, 12]
    noise = [
        jax.random.uniform(jax.random.fold_in(key, number), (4,)) for number in (0, 1)
    ]
    assert found["noise"].tolist() == np.concatenate(noise)[:7].tolist()


@pytest.mark.parametrize("num_devices", [0, 9])
def test_impossible_numbers_of_devices_say_how_many_there_are(num_devices):
    with pytest.raises(_devices.DevicesError, match=f"1 to 8 here, got {num_devices}"):
        _devices.make_mesh(num_devices)


def test_several_processes_take_all_their_devices(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(_devices.DevicesError, match=r"8 to 8 here, got 4: 2 process"):
        _devices.make_mesh(4)
    assert _devices.make_mesh(8).size == 8


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ((None, 2, None), "go together, .* num_processes=2"),
        ((None, None, 0), "go together, .* process_id=0"),
        (("host:1", 2, None), "go together, .* coordinator=host:1"),
        (("host", 2, 0), "go together, .* coordinator=host,"),
        (("auto", 2, 0), "go together, .* coordinator=auto"),
        (("host:1", 3, 0), "divides `--devices`: .* devices=8"),
        (("host:1", 0, 0), "divides `--devices`: .* num_processes=0"),
        (("host:1", 2, 2), "counts from 0 .* process_id=2"),
        (("host:1", 2, -1), "counts from 0 .* process_id=-1"),
    ],
)
def test_places_that_contradict_themselves_are_refused(place, sentence, monkeypatch):
    monkeypatch.setattr(jax.distributed, "initialize", pytest.fail)
    with pytest.raises(_devices.ProcessesError, match=sentence):
        _devices.join(*place, num_devices=8)


def test_auto_asks_jax_which_may_find_no_cluster(monkeypatch):
    asked = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda: asked.append("auto"))
    _devices.join(None, None, None, num_devices=8)
    assert asked == []
    _devices.join("auto", None, None, num_devices=8)
    assert asked == ["auto"]

    def find_no_cluster():
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", find_no_cluster)
    with pytest.raises(_devices.ProcessesError, match="finds no cluster here"):
        _devices.join("auto", None, None, num_devices=8)
