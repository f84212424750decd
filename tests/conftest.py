"""Makes JAX strict for the whole session, on eight CPU devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture(autouse=True, scope="session")
def strict_jax():
    with jax.debug_key_reuse(True), jax.numpy_rank_promotion("raise"):
        yield
