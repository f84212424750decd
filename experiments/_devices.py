"""Data parallelism over devices and hosts: one mesh axis, named ``batch``."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


class DevicesError(ValueError):
    """A mesh of so many devices cannot be made here."""


class ProcessesError(ValueError):
    """The options about processes do not fit together, or not this machine."""


def join(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    num_devices: int,
) -> None:
    """Joins the processes that train together, before any JAX computation.

    Args:
      coordinator: ``host:port`` at which process 0 is reached; ``"auto"`` where JAX
        finds out by itself; ``None`` for one process alone.
      num_processes: how many processes; only with ``host:port``.
      process_id: which of them this one is, counted from 0; only with ``host:port``.
      num_devices: of all processes together; with ``host:port`` a CPU is split into
        this one's share.

    Raises:
      ProcessesError: the arguments contradict each other, or JAX finds no cluster.
    """
    match coordinator, num_processes, process_id:
        case None, None, None:
            pass
        case "auto", None, None:
            try:
                jax.distributed.initialize()
            except ValueError as error:
                raise ProcessesError(
                    f"JAX finds no cluster here ({error}): instead of `auto` pass "
                    "`--coordinator HOST:PORT`."
                ) from error
        case str(), int(), int() if ":" in coordinator:
            if not 0 <= process_id < num_processes or num_devices % num_processes:
                raise ProcessesError(
                    "`--process-id` counts from 0 to one less than `--num-processes`, "
                    f"which divides `--devices`: got process_id={process_id}, "
                    f"num_processes={num_processes}, devices={num_devices}."
                )
            jax.config.update("jax_num_cpu_devices", num_devices // num_processes)
            jax.distributed.initialize(coordinator, num_processes, process_id)
        case _:
            raise ProcessesError(
                "`--coordinator HOST:PORT`, `--num-processes` and `--process-id` go "
                "together, `--coordinator auto` alone: got "
                f"coordinator={coordinator}, num_processes={num_processes}, "
                f"process_id={process_id}."
            )


def make_mesh(num_devices: int) -> Mesh:
    """Makes a mesh over the first devices, splitting the CPU if it must.

    Args:
      num_devices: how many devices; all there are, if several processes have them.

    Returns:
      An automatic mesh with the one axis ``batch``.

    Raises:
      DevicesError: there are fewer devices, or processes would go without.
    """
    configured = jax.config.jax_num_cpu_devices  # pyright: ignore
    if num_devices > max(configured, 1) and not jax.distributed.is_initialized():
        # Once the backend has started this raises; the count below then decides.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)
    devices = jax.devices()
    fewest = 1 if jax.process_count() == 1 else len(devices)
    if not fewest <= num_devices <= len(devices):
        raise DevicesError(
            f"`--devices` takes {fewest} to {len(devices)} here, got {num_devices}: "
            f"{jax.process_count()} process(es) have {len(devices)} "
            f"{devices[0].platform} device(s)."
        )
    return jax.make_mesh(
        (num_devices,),
        ("batch",),
        axis_types=(AxisType.Auto,),
        devices=devices[:num_devices],
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """Names the sharding in which every device has all.

    Args:
      mesh: the devices.

    Returns:
      The sharding.
    """
    return NamedSharding(mesh, PartitionSpec())


def replicate(mesh: Mesh, tree):
    """Puts a copy of ``tree`` on every device of ``mesh``.

    Args:
      mesh: the devices.
      tree: a pytree of arrays.

    Returns:
      The same tree, replicated.
    """
    return jax.device_put(tree, replicated(mesh))


def split(mesh: Mesh, tree):
    """Splits the leading axis of every leaf over ``mesh``, inside ``jax.jit``.

    Args:
      mesh: the devices; their number divides the leading axes.
      tree: a pytree of arrays.

    Returns:
      The same tree, split.
    """
    return jax.lax.with_sharding_constraint(
        tree, NamedSharding(mesh, PartitionSpec("batch"))
    )


def feed(mesh: Mesh, tree, rows: np.ndarray):
    """Splits the chosen rows over ``mesh``; a process reads those of its devices only.

    Args:
      mesh: the devices; their number divides that of the rows.
      tree: a pytree of NumPy arrays, the same in every process.
      rows: indices into the leading axes, the same in every process; or those of
        several minibatches, of shape (minibatches, rows).

    Returns:
      The tree of ``leaf[rows]``, split along the last axis of ``rows``.
    """
    lead = (None,) * (rows.ndim - 1)
    sharding = NamedSharding(mesh, PartitionSpec(*lead, "batch"))

    def feed_leaf(leaf):
        return jax.make_array_from_callback(
            (*rows.shape, *leaf.shape[1:]),
            sharding,
            lambda index: leaf[rows[index[: rows.ndim]]],  # pyright: ignore
        )

    return jax.tree.map(feed_leaf, tree)


def in_batches(
    program: Callable[[Any, jax.Array], Any],
    tree,
    key: jax.Array,
    *,
    mesh: Mesh,
    batch_size: int,
):
    """Applies a program to all rows of a tree, batch by batch, split over ``mesh``.

    Args:
      program: ``(batch, key)`` to a pytree of arrays with one row for each of the
        batch's, all on every device.
      tree: a pytree of NumPy arrays, the same in every process.
      key: split over the batches.
      mesh: the devices; their number divides ``batch_size``.
      batch_size: rows of a batch; the last one is filled up from the first.

    Returns:
      The program's results for all rows, as NumPy arrays.
    """
    count = len(jax.tree.leaves(tree)[0])
    results = []
    for number, first in enumerate(range(0, count, batch_size)):
        rows = np.arange(first, first + batch_size) % count
        batch = feed(mesh, tree, rows)
        results.append(program(batch, jax.random.fold_in(key, number)))
    return jax.tree.map(
        lambda *parts: np.concatenate(parts)[:count], *jax.device_get(results)
    )
