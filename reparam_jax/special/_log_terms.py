"""Terms of log-densities, with derivatives that neither cancel nor turn into NaN."""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma

from reparam_jax import _meshes

from ._digamma import digamma_above_log, lowest
from ._digamma_difference import digamma_lag

_ZERO = jax.custom_derivatives.SymbolicZero

# JAX 0.12 cannot place its own on explicit axes.
gammaln = _meshes.elementwise(jax.scipy.special.gammaln)


@jax.custom_jvp
def xlogy(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns ``x log y``, 0 where x is 0.

    The derivative in y is 0 where x is, also at y = 0; that in x is ``log y`` to the
    end, infinite at y = 0. Both have one shape and dtype.
    """
    zero = x == 0
    return jnp.where(zero, 0, x * jnp.log(jnp.where(zero, 1, y)))


def _xlogy_jvp(primals, tangents):
    x, y = primals
    total = jnp.zeros_like(x)
    if not isinstance(tangents[0], _ZERO):
        total = total + tangents[0] * jnp.log(y)
    if not isinstance(tangents[1], _ZERO):
        total = total + tangents[1] * x / jnp.where((x == 0) & (y == 0), 1, y)
    return xlogy(x, y), total


xlogy.defjvp(_xlogy_jvp, symbolic_zeros=True)


@jax.custom_jvp
def xlog1py(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns ``x log(1 + y)``, 0 where x is 0, as :func:`xlogy` of 1 + y."""
    zero = x == 0
    return jnp.where(zero, 0, x * jnp.log1p(jnp.where(zero, 0, y)))


def _xlog1py_jvp(primals, tangents):
    x, y = primals
    total = jnp.zeros_like(x)
    if not isinstance(tangents[0], _ZERO):
        total = total + tangents[0] * jnp.log1p(y)
    if not isinstance(tangents[1], _ZERO):
        total = total + tangents[1] * x / (1 + jnp.where((x == 0) & (y == -1), 0, y))
    return xlog1py(x, y), total


xlog1py.defjvp(_xlog1py_jvp, symbolic_zeros=True)


# With r = u / (2 + u), log(1 + u) = 2 atanh(r), and 2 r - u = -u r.
@jax.custom_jvp
def log1p_excess(u: jax.Array) -> jax.Array:
    """Returns ``log(1 + u) - u``, which is about ``-u^2 / 2``, to full precision."""
    near = jnp.abs(u) < 0.5
    return jnp.where(near, _series(jnp.where(near, u, 0)), jnp.log1p(u) - u)


@log1p_excess.defjvp
def _log1p_excess_jvp(primals, tangents):
    (u,) = primals
    return log1p_excess(u), -u / (1 + u) * tangents[0]


@jax.custom_jvp
def log_ratio_excess(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns ``log(x / y) - (x / y - 1)`` of positive numbers, to full precision."""
    u = (x - y) / y
    near = jnp.abs(u) < 0.5
    return jnp.where(near, _series(jnp.where(near, u, 0)), jnp.log(x / y) - u)


@log_ratio_excess.defjvp
def _log_ratio_excess_jvp(primals, tangents):
    x, y = primals
    u = (x - y) / y
    return log_ratio_excess(x, y), u / y * tangents[1] - u / x * tangents[0]


@jax.custom_jvp
def expm1_excess(x: jax.Array) -> jax.Array:
    """Returns ``exp(x) - 1 - x``, about ``x^2 / 2``, to full precision up to 1."""
    series = jnp.ones_like(x)
    for k in range(12 if x.dtype == jnp.float32 else 20, 2, -1):
        series = 1 + series * x / k
    return jnp.where(jnp.abs(x) < 1, x * x / 2 * series, jnp.expm1(x) - x)


@expm1_excess.defjvp
def _expm1_excess_jvp(primals, tangents):
    return expm1_excess(*primals), jnp.expm1(*primals) * tangents[0]


def _series(u):
    ratio = u / (2 + u)
    square = ratio * ratio
    series = jnp.zeros_like(u)
    for k in reversed(range(8 if u.dtype == jnp.float32 else 16)):
        series = series * square + 1 / (2 * k + 3)
    return ratio * (2 * square * series - u)


# By log Gamma(x) = x log x - x + E(x), in which the large terms cancel by hand.
@jax.custom_jvp
def log_rising(a: jax.Array, steps: jax.Array) -> jax.Array:
    r"""Returns :math:`\log \Gamma(a + n) - \log \Gamma(a)` for positive a, n >= 0.

    Its derivative in a, a difference of digammas, is precise for all a and n.
    """
    some = steps > 0
    steps = jnp.where(some, steps, 1)
    total = a + steps
    powers = steps * jnp.log(total) + a * log1p_excess(steps / a)
    return jnp.where(some, powers + log_gamma_excess(total) - log_gamma_excess(a), 0)


@log_rising.defjvp
def _log_rising_jvp(primals, tangents):
    a, steps = primals
    total = a + steps
    slope = digamma_lag(a, steps) + jnp.log1p(steps / a) + steps / (a * total)
    in_steps = digamma(total)
    return log_rising(a, steps), slope * tangents[0] + in_steps * tangents[1]


@jax.custom_jvp
def log_gamma_excess(x: jax.Array) -> jax.Array:
    r"""Returns :math:`\log \Gamma(x) - x \log x + x` for positive x.

    About :math:`-\log(x / 2 \pi) / 2` for large x, where its terms are larger.
    """
    # From where the series is precise; below, less is lost to the difference.
    start = 5 if x.dtype == jnp.float32 else 16
    large = x > start
    safe = jnp.where(large, x, start)
    inverse = 1 / safe
    square = inverse * inverse
    # Stirling's series (DLMF 5.11.1): B_2k / (2k (2k - 1) x^(2k - 1)).
    terms = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    series = jnp.zeros_like(x)
    for term in reversed(terms):
        series = series * square + term
    far = inverse * series - jnp.log(safe / (2 * jnp.pi)) / 2
    near = jnp.where(large, start, x)
    return jnp.where(large, far, gammaln(near) - near * jnp.log(near) + near)


@log_gamma_excess.defjvp
def _log_gamma_excess_jvp(primals, tangents):
    (x,) = primals
    return log_gamma_excess(x), digamma_minus_log(x) * tangents[0]


def digamma_minus_log(x: jax.Array) -> jax.Array:
    """Returns ``digamma(x) - log x`` for positive x, which is about ``-1 / (2 x)``."""
    large = x >= lowest(x.dtype)
    safe = jnp.where(large, x, lowest(x.dtype))
    near = jnp.where(large, 1, x)
    return jnp.where(
        large, digamma_above_log(safe) - 1 / safe, digamma(near) - jnp.log(near)
    )
