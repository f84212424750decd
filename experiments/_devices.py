"""Data parallelism: one mesh axis, named ``batch``."""

import contextlib

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


class TooFewDevicesError(ValueError):
    """A mesh of so many devices cannot be made in this process."""


def make_mesh(num_devices: int) -> Mesh:
    """Makes a mesh over the first devices, splitting the CPU if it must.

    Args:
      num_devices: how many devices.

    Returns:
      An automatic mesh with the one axis ``batch``.

    Raises:
      TooFewDevicesError: there are fewer devices.
    """
    configured = jax.config.jax_num_cpu_devices  # pyright: ignore
    if num_devices > max(configured, 1):
        # Once the backend has started this raises; the count below then decides.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)
    devices = jax.devices()
    if not 1 <= num_devices <= len(devices):
        raise TooFewDevicesError(
            f"`--devices` takes 1 to {len(devices)} here, got {num_devices}: this "
            f"process has {len(devices)} {devices[0].platform} device(s)."
        )
    return jax.make_mesh(
        (num_devices,),
        ("batch",),
        axis_types=(AxisType.Auto,),
        devices=devices[:num_devices],
    )


def replicate(mesh: Mesh, tree):
    """Puts a copy of ``tree`` on every device of ``mesh``.

    Args:
      mesh: the devices.
      tree: a pytree of arrays.

    Returns:
      The same tree, replicated.
    """
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


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
