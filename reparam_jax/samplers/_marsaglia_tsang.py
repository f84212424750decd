"""Standard gamma draws, as a factor and an exponent that cannot underflow."""

import jax
import jax.numpy as jnp
from jax import lax

from reparam_jax import noise
from reparam_jax._domains import POSITIVE

from ._rejection import first_accepted, noise_like


def gamma_parts(
    key: jax.Array, concentration: jax.Array
) -> tuple[jax.Array, jax.Array]:
    r"""Draws :math:`z \sim` Gamma(concentration, 1) as ``factor * exp(-exponent)``.

    .. math:: z = g \, e^{-e / a}, \qquad g \sim \text{Gamma}(a + 1, 1), \quad
       e \sim \text{Exponential}(1), \qquad a < 1,

    and :math:`z = g` with exponent 0 from :math:`a = 1` on.

    Args:
      key: one typed key. Used once.
      concentration: :math:`a`, at the shape and sharding of the result. Where it is not
        positive, the draw is one of concentration 1.

    Returns:
      The factor, between 1e-20 and the order of the concentration, and the exponent.

    References:
      Marsaglia, Tsang. A simple method for generating gamma variables. ACM TOMS 26,
      2000.
    """
    one = jnp.ones_like(concentration)
    concentration = jnp.where(POSITIVE.holds(concentration), concentration, one)
    below_one = concentration < 1
    boosted = jnp.where(below_one, concentration + 1, concentration)
    propose_key, exponent_key = jax.random.split(key)
    factor = first_accepted(_proposals(boosted), propose_key, like=boosted)
    exponential = noise_like(concentration, noise.exponential, exponent_key)
    # Times the reciprocal, into which XLA turns some divisions and not others, and
    # rounded before anything is added: an exponential would magnify the difference.
    exponent = jnp.where(below_one, exponential * (1 / concentration), 0)
    return lax.optimization_barrier((factor, exponent))


# With d = a - 1/3, normal x and y = x / (3 sqrt(d)), the candidate is d (1 + y)^3, kept
# with probability exp(h),
#   h = x^2 / 2 + d (1 - v + log v) = 3 d (log(1 + y) - y + y^2 / 2 - y^3 / 3),
# where v = (1 + y)^3: 95 % at a = 1, and more above. For small y the logarithm cancels,
# and the first terms of its series are exact to 2^-12 of h, far below what a draw can
# tell: 3 d y^4 = x^2 y^2 / 3.
def _proposals(concentration):
    depth = concentration - 1 / 3
    step = lax.rsqrt(depth) / 3

    def propose(key):
        normal_key, exponential_key = jax.random.split(key)
        normal = noise_like(concentration, noise.normal, normal_key)
        exponential = noise_like(concentration, noise.exponential, exponential_key)
        y = step * normal
        is_positive = y > -1
        y = jnp.where(is_positive, y, 0)
        is_small = jnp.abs(y) < 1 / 16
        series = -((normal * y) ** 2) * (1 / 12 - y * (1 / 15 - y * (1 / 18 - y / 21)))
        log = jnp.log1p(y)
        exact = 3 * depth * (log - y * (1 - y * (1 / 2 - y / 3)))
        log_probability = jnp.where(is_small, series, exact)
        root = 1 + y
        candidate = depth * root * root * root
        return candidate, is_positive & (exponential + log_probability > 0)

    return propose
