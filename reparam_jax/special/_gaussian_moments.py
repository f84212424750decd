"""Moments of a piece of the normal density, free of cancellation and underflow."""

import functools

import jax
import jax.numpy as jnp

from ._quadrature import integrate


# The integrand is positive, so that neither narrow nor distant pieces cancel. It is cut
# where the exponential, of argument -decay, is less than an ulp of the whole: later for
# powers that rise. The nodes are as many as an exponential of that range needs.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def gaussian_moment(i: int, j: int, start: jax.Array, width: jax.Array) -> jax.Array:
    r"""Returns :math:`\int_0^w t^i (w - t)^j e^{-s t - t^2 / 2} \, dt`.

    With :math:`i = j = 0` it is the mass of a normal law on ``[s, s + w]``, over the
    density at :math:`s`.

    Args:
      i: the first power.
      j: the second power.
      start: :math:`s \ge 0`.
      width: :math:`w \ge 0`; may be huge, but not infinite.
    """
    decay, count = (17, 14) if start.dtype == jnp.float32 else (38, 40)
    decay += 3 * i
    # Where start t + t^2 / 2 = decay; its square must not overflow, nor does it matter.
    root = jnp.sqrt(jnp.square(jnp.minimum(start, 1e4)) + 2 * decay)
    reach = 2 * decay / (start + jnp.maximum(start, root))
    end = jnp.minimum(width, reach)

    def integrand(point, start, width, end):
        t = end * point
        return t**i * (width - t) ** j * jnp.exp(-t * (start + t / 2))

    return end * integrate(integrand, count, start, width, end)


# By differentiation under the integral; at its end only j = 0 contributes.
@gaussian_moment.defjvp
def _gaussian_moment_jvp(i, j, primals, tangents):
    start, width = primals
    start_dot, width_dot = tangents
    in_start = -gaussian_moment(i + 1, j, start, width)
    if j:
        in_width = j * gaussian_moment(i, j - 1, start, width)
    else:
        in_width = width**i * jnp.exp(-width * (start + width / 2))
    value = gaussian_moment(i, j, start, width)
    return value, in_start * start_dot + in_width * width_dot
