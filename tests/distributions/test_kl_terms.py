import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reparam_jax.distributions import _kl_terms as terms

P, Q = np.array([0.3, 0.5, 1e-3, 0.9]), np.array([0.6, 0.5, 0.25, 1e-4])


@pytest.mark.parametrize(
    ("function", "first", "second"),
    [
        (terms.term_of_probs, lambda p: p, lambda q: q),
        (terms.term_of_logs, jnp.log, jnp.log),
        (terms.term_of_log_prob, jnp.log, lambda q: q),
        (terms.term_of_prob_log, lambda p: p, jnp.log),
    ],
)
def test_terms_by_every_view_of_the_probabilities(function, first, second):
    with jax.enable_x64(True):

        def total(p, q):
            return jnp.sum(function(first(p), second(q)))

        got = jax.jit(jax.value_and_grad(total, (0, 1)))(jnp.array(P), jnp.array(Q))
    np.testing.assert_allclose(got[0], np.sum(P * np.log(P / Q) - P + Q), rtol=1e-13)
    np.testing.assert_allclose(got[1][0], np.log(P / Q), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(got[1][1], 1 - P / Q, rtol=1e-12, atol=1e-15)


def test_what_is_impossible_adds_the_other_probability():
    zero, some = jnp.array(0.0), jnp.array(0.25)
    assert terms.term_of_probs(zero, some) == 0.25
    assert terms.term_of_log_prob(jnp.log(zero), some) == 0.25
    assert terms.term_of_prob_log(zero, jnp.log(some)) == 0.25
    assert terms.term_of_logs(jnp.log(zero), jnp.log(some)) == 0.25
    assert terms.term_of_probs(some, zero) == jnp.inf
    for function in (terms.term_of_probs, terms.term_of_log_prob):
        first = zero if function is terms.term_of_probs else jnp.log(zero)
        assert jax.grad(function, 1)(first, some) == 1
        assert jax.grad(function, 1)(first, zero) == 1
