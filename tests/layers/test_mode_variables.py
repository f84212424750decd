import os
import subprocess
import sys

PROGRAM = """
import jax
import jax.numpy as jnp
from flax import nnx

import reparam_jax as rj

layer = rj.layers.StochasticConv(2, 3, (3, 3), rngs=nnx.Rngs(0))
graph, state = nnx.split(layer)
ones = jnp.ones((1, 5, 5, 2))

@jax.jit
def step(state):
    layer = nnx.merge(graph, state)
    return layer(ones, ones), nnx.state(layer)

first, state = step(state)
second, _ = step(state)
print(nnx.graphlib.set_graph_mode.current_value(), jnp.any(first == second))
"""


def test_layers_work_with_tree_mode_set_by_environment_variables():
    modes = {"NNX_GRAPH_MODE": "false", "NNX_GRAPH_UPDATES": "false"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=os.environ | modes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.split() == ["False", "False"], result.stderr
