import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro.distributions import transforms

from reparam_jax.distributions import _transforms


def law(*chain):
    base = dist.Normal(jnp.zeros(3), 1.0)
    if any(part.domain.event_dim for part in _transforms.parts(list(chain))):
        base = base.to_event(1)
    return dist.TransformedDistribution(base, list(chain))


CHAINS = {
    "compose": law(
        transforms.ComposeTransform(
            [transforms.ExpTransform(), transforms.PowerTransform(1.5)]
        ),
        transforms.ExpTransform().inv,
        transforms.AffineTransform(0.5, 2.0),
    ),
    "independent": law(
        transforms.IndependentTransform(transforms.SigmoidTransform(), 1)
    ),
    "stick": law(transforms.StickBreakingTransform()),
    "ordered": law(transforms.SoftplusTransform(), transforms.OrderedTransform()),
}


@pytest.mark.parametrize("name", CHAINS)
def test_determinants_are_those_of_numpyro(name):
    chain = CHAINS[name]
    x = jnp.array([0.5, -1.0, 2.0])
    with jax.numpy_rank_promotion("allow"):
        steps = _transforms.push(chain, x)
        total, event_dim = _transforms.sum_log_dets(steps, chain.event_dim)
        value = steps[-1].after
        base = chain.base_dist.log_prob(x)
        terms = base if event_dim == chain.base_dist.event_dim else jnp.sum(base, -1)
        want = chain.log_prob(value)
    np.testing.assert_allclose(terms - total, want, rtol=2e-5)


def test_powers_neither_overflow_nor_underflow():
    transform, x = transforms.PowerTransform(-4.0), jnp.array([1e-12, 1e12])
    chain = dist.TransformedDistribution(dist.Exponential(jnp.ones(2)), transform)
    with jax.numpy_rank_promotion("allow"):
        total, _ = _transforms.sum_log_dets(_transforms.push(chain, x), 0)
    np.testing.assert_allclose(total, np.log(4) - 5 * np.log(x), rtol=1e-6)


def test_held_values_do_not_move_without_parameters():
    x = jnp.array([200.0, -200.0, 0.5])

    def before(shift):
        chain = law(transforms.SigmoidTransform())
        steps = _transforms.push(chain, x + shift)
        after = jax.lax.stop_gradient(steps[-1].after)
        return _transforms.hold(steps, after)[0].before

    value, moved = jax.jvp(before, (0.0,), (1.0,))
    assert value.tolist() == x.tolist()
    assert moved.tolist() == [0, 0, 0]
