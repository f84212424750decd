import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.estimators import _bits
from tests.estimators import exact, pairs

PROBS = np.array([0.1, 0.4, 0.15, 0.35])


def bits_of(law):
    return _bits.bits_of("Here", law)


def categorical(probs):
    return dist.Categorical(logits=jnp.log(jnp.asarray(probs, jnp.float32)))


def test_a_category_is_the_first_bit_and_has_its_probability():
    bits = bits_of(categorical(PROBS))
    np.testing.assert_allclose(bits.logits, pairs.stick_logits(PROBS), rtol=1e-6)
    outcomes = np.asarray(exact.bits(3))
    theta = np.asarray(jax.nn.sigmoid(bits.logits), np.float64)
    weights = np.prod(np.where(outcomes, theta, 1 - theta), -1)
    draws = np.asarray(bits.value(jnp.asarray(outcomes, bool)))
    found = np.bincount(draws, weights, minlength=4)
    np.testing.assert_allclose(found, PROBS, rtol=1e-6)


def test_the_most_probable_category_has_the_first_bit():
    bits = bits_of(categorical(PROBS))
    draws = bits.value(jnp.tri(4, 3, -1, dtype=bool)[:, ::-1])
    np.testing.assert_array_equal(draws, [0, 2, 3, 1])


def test_a_one_hot_draw_is_that_of_the_index():
    indices = bits_of(categorical(PROBS))
    one_hot = bits_of(dist.Multinomial(1, logits=jnp.log(jnp.asarray(PROBS))))
    outcomes = jnp.asarray(exact.bits(3), bool)
    expected = jax.nn.one_hot(indices.value(outcomes), 4)
    np.testing.assert_array_equal(one_hot.value(outcomes), expected)
    assert one_hot.value(outcomes).dtype == indices.value(outcomes).dtype == jnp.int32


def test_each_law_of_a_batch_has_its_own_order():
    law = dist.Categorical(logits=jnp.log(jnp.array([[0.2, 0.8], [0.8, 0.2]])))
    bits = bits_of(law)
    np.testing.assert_allclose(bits.logits, [[np.log(4)], [np.log(4)]], rtol=1e-6)
    draws = bits.value(jnp.array([[[True], [True]], [[False], [False]]]))
    np.testing.assert_array_equal(draws, [[1, 0], [0, 1]])


def test_the_logits_of_the_bits_are_exact_where_one_category_dominates():
    logits = jnp.array([0.0, -60.0, -61.0])
    expected = [60.0 - np.log1p(np.exp(-1.0)), 1.0]
    bits = bits_of(dist.Categorical(logits=logits))
    np.testing.assert_allclose(bits.logits, expected, rtol=1e-6)


def test_categories_of_probability_zero_are_not_drawn_and_have_derivative_zero():
    def bit(logits):
        law = dist.Categorical(logits=logits, validate_args=False)
        return bits_of(law).logits

    logits = jnp.log(jnp.array([0.0, 0.5, 0.0, 0.5]))
    slopes = jax.jit(jax.jacobian(bit))(logits)
    np.testing.assert_allclose(slopes[0], [0, 1, 0, -1], atol=1e-6)
    np.testing.assert_array_equal(slopes[:, jnp.array([0, 2])], 0)
    theta = jax.nn.sigmoid(bit(logits))
    np.testing.assert_array_equal(theta[:2], [0.5, 1])


def test_one_category_has_no_bits():
    bits = bits_of(dist.Categorical(logits=jnp.zeros((2, 1))))
    assert bits.noise_shape == (2, 0)
    np.testing.assert_array_equal(bits.value(jnp.ones((3, 2, 0), bool)), [[0, 0]] * 3)


def test_a_bernoulli_law_is_one_bit():
    bits = bits_of(dist.Bernoulli(logits=jnp.array([0.3, -2.0])))
    assert bits.noise_shape == (2,)
    np.testing.assert_array_equal(bits.logits, jnp.array([[0.3], [-2.0]]))
    draws = bits.value(jnp.array([[[True], [False]]]))
    np.testing.assert_array_equal(draws, [[1, 0]])


def test_bits_are_looked_at_up_to_the_first_one():
    bits = jnp.array([[0, 0, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    expected = [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(_bits.reached(bits), np.array(expected, bool))


@pytest.mark.parametrize(
    ("law", "other"),
    [
        (dist.Normal(0.0, 1.0).expand([3]).to_event(1), "Normal: `Pathwise` works"),
        (dist.Poisson(2.0), "Poisson: `ScoreFunction` works"),
        (dist.Multinomial(2, jnp.ones(3) / 3), "Probs: `ScoreFunction` works"),
    ],
)
def test_other_laws_are_refused_with_what_works_for_them(law, other):
    with pytest.raises(TypeError, match=f"`Here` needs Bernoulli .* got .*{other}"):
        bits_of(law)
