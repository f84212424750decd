"""The noise is one value of the program: XLA must not run the cipher twice."""

import jax
import jax.numpy as jnp
import pytest

import reparam_jax as rj
from tests import hlo

SHAPE = (64, 512)

# From jax 0.12 on, XLA's CPU backend keeps the optimisation barrier until after fusion.
# In 0.10 it drops the barrier before, and fuses the cipher into consumers of the noise.
BARRIER_HOLDS = jax.__version_info__ >= (0, 12)


def loss(mean, var, key):
    return jnp.sum(jnp.sin(rj.normal(key, mean, var)))


def jvp(mean, var, key):
    def draw(mean, var):
        return jnp.sin(rj.normal(key, mean, var))

    return jax.jvp(draw, (mean, var), (mean, var))


def three_uses(mean, var, key):
    noise = rj.noise.normal(key, SHAPE)
    return noise + mean, noise * var, jnp.sum(noise)


@pytest.mark.parametrize(
    ("program", "copies_without_barrier"),
    [
        (jax.grad(loss, argnums=(0, 1)), 3),
        (jax.value_and_grad(loss, argnums=(0, 1)), 4),
        (jvp, 4),
        (three_uses, 4),
    ],
    ids=["grad", "value_and_grad", "jvp", "three_uses"],
)
def test_a_program_runs_the_cipher_once(program, copies_without_barrier):
    text = hlo.compiled(program, jnp.zeros(SHAPE), jnp.ones(SHAPE), jax.random.key(0))
    most = 1 if BARRIER_HOLDS else copies_without_barrier
    assert 1 <= hlo.copies_of_cipher(text) <= most
    assert hlo.copies_of_inverse_erf(text) == 1


def test_a_barrier_stands_behind_every_draw():
    for shape, barriers in [((7,), 1), (SHAPE, 1)]:
        lowered = jax.jit(lambda key, shape=shape: rj.noise.normal(key, shape))
        text = lowered.lower(jax.random.key(0)).as_text()
        assert text.count("optimization_barrier") == barriers
