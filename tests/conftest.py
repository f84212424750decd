"""Makes JAX strict for the whole session, on eight CPU devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)

# The chance that a right library fails the statistical tests of one run with new seeds,
# shared out over those tests. Counted as 200 at least, so that a test keeps its level
# when it runs alone and when a few others are added.
ALPHA_SUITE = 1e-3
FEWEST_STATISTICAL_TESTS = 200


@pytest.fixture(autouse=True, scope="session")
def strict_jax():
    with jax.debug_key_reuse(True), jax.numpy_rank_promotion("raise"):
        yield


def pytest_collection_modifyitems(config, items):
    statistical = sum("alpha" in getattr(item, "fixturenames", ()) for item in items)
    config.alpha = ALPHA_SUITE / max(statistical, FEWEST_STATISTICAL_TESTS)


@pytest.fixture
def alpha(request):
    """The level of one statistical test."""
    return request.config.alpha
