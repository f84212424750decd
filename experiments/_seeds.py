"""A function of one seed for many, spread over devices."""

from collections.abc import Callable

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def place(mesh: Mesh, seeds):
    """Gives each device its share of the seeds.

    Args:
      mesh: the devices; their number divides that of the seeds.
      seeds: integers.

    Returns:
      The seeds, split.
    """
    return jax.device_put(seeds, NamedSharding(mesh, PartitionSpec("batch")))


def over_seeds(
    function: Callable, mesh: Mesh, num_split: int, num_replicated: int = 0
) -> Callable:
    """Maps over the seeds, a share of them on each device; none waits for another.

    Args:
      function: of one seed.
      mesh: the devices; their number divides that of the seeds.
      num_split: how many arguments come first that each seed has its own of.
      num_replicated: how many come after them, the same for all.

    Returns:
      The function of all seeds, jitted, with results that are split.
    """
    split, replicated = PartitionSpec("batch"), PartitionSpec()
    return jax.jit(
        jax.shard_map(
            jax.vmap(function, (0,) * num_split + (None,) * num_replicated),
            mesh=mesh,
            in_specs=(split,) * num_split + (replicated,) * num_replicated,
            out_specs=split,
            # Else a gradient for what is alike on all devices is their sum.
            check_vma=False,
        )
    )
