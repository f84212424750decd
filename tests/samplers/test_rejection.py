import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from reparam_jax.samplers._rejection import first_accepted

SHAPE = (3000,)


def above(threshold):
    """Uniforms, accepted above a threshold, with their squares beside them."""

    def propose(key):
        uniform = jax.random.uniform(key, SHAPE)
        return (uniform, uniform**2), uniform > threshold

    return propose


def draw(threshold, number=0):
    key = jax.random.key(number)
    return jax.jit(lambda key, t: first_accepted(above(t), key, (t, t)))(key, threshold)


def test_accepted_candidates_have_the_law_cut_at_the_threshold(alpha):
    uniform, square = draw(np.full(SHAPE, 0.8, np.float32))
    assert float(uniform.min()) > 0.8
    assert scipy.stats.kstest((uniform - 0.8) / 0.2, "uniform").pvalue > alpha
    np.testing.assert_array_equal(square, np.asarray(uniform) ** 2)


def test_what_an_element_gets_does_not_depend_on_the_others():
    threshold = np.full(SHAPE, 0.1, np.float32)
    slow = threshold.copy()
    slow[::2] = 0.95
    quick, _ = draw(threshold)
    mixed, _ = draw(slow)
    np.testing.assert_array_equal(quick[1::2], mixed[1::2])
    assert np.mean(np.asarray(quick[::2]) != np.asarray(mixed[::2])) > 0.9


def test_the_first_accepted_candidate_is_kept():
    """An element that the first round accepts keeps that round's candidate."""
    threshold = np.full(SHAPE, 0.5, np.float32)
    everything, _ = draw(np.full(SHAPE, -1, np.float32))
    chosen, _ = draw(threshold)
    first = np.asarray(everything) > threshold
    np.testing.assert_array_equal(chosen[first], everything[first])
    assert np.all(np.asarray(chosen)[~first] != np.asarray(everything)[~first])


def test_keys_mapped_over_give_what_each_gives():
    keys = jax.random.split(jax.random.key(1), 3)
    threshold = jnp.full(SHAPE, 0.7)

    def one(key):
        return first_accepted(above(threshold), key, (threshold, threshold))[0]

    mapped = jax.jit(jax.vmap(one))(keys)
    np.testing.assert_array_equal(mapped, np.stack([jax.jit(one)(k) for k in keys]))
