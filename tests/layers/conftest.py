"""The two modes of Flax nnx."""

import pytest
from flax import nnx


@pytest.fixture(params=["graph", "tree"])
def nnx_mode(request):
    is_graph = request.param == "graph"
    with nnx.set_graph_mode(is_graph), nnx.set_graph_updates(is_graph):
        yield request.param
