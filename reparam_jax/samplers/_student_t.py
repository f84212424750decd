"""Student's t distribution."""

import jax
import jax.numpy as jnp

from reparam_jax import noise
from reparam_jax.special._student_t import student_t_slope

from . import _family
from ._implicit import at_its_quantile
from ._marsaglia_tsang import gamma_parts
from ._rejection import noise_like


def student_t(
    key: jax.Array,
    df: jax.typing.ArrayLike,
    loc: jax.typing.ArrayLike = 0.0,
    scale: jax.typing.ArrayLike = 1.0,
    *,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from Student's t distribution, with gradients for all parameters.

    .. math:: z = \mu + \sigma t, \qquad
       p(t) \propto (1 + t^2 / \nu)^{-(\nu + 1) / 2}.

    With few degrees of freedom the tails are so heavy that draws exceed the largest
    float: below 0.02, more than a thousandth of them in float32. Those are infinite.

    Args:
      key: one key from ``jax.random.key``. Used once.
      df: degrees of freedom :math:`\nu > 0`, finite, of any shape.
      loc: location :math:`\mu`, finite, in the unit of the draws.
      scale: :math:`\sigma \ge 0`, finite, in the unit of the draws.
      shape: shape of the whole result, not a prefix. The parameters must broadcast to
        it. By default, their own broadcast shape.
      dtype: dtype of the result. By default, the parameters' promoted float dtype.
        Draws below 32 bits are rounded once, from float32.

    Returns:
      Independent draws. An element whose parameters lie outside their domain raises
      when concrete, and is NaN under ``jax.jit``, as are its gradients.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or a parameter is not real.
      ValueError: ``key`` is a batch of keys, the shapes do not broadcast, or a concrete
        parameter lies outside its domain.

    Gradient:
      Exact, in forward, reverse and mixed mode. ``loc``, ``scale``: pathwise, to every
      order, 1 and :math:`t`. ``df``: implicit, to second order,
      :math:`-\sigma \partial_\nu F(t; \nu) / p(t)`, see
      :func:`reparam_jax.special.student_t_pathwise_grad`: it depends on the draw alone,
      and its variance is about :math:`\nu` times below that of the gradient through a
      normal and a gamma variable.

    References:
      Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS 2018.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> key = jax.random.key(0)
      >>> def mean_square(df):
      ...   return jnp.mean(jnp.square(rj.student_t(key, df, shape=(200_000,))))
      >>> round(float(jax.grad(mean_square)(10.0)), 3)  # -2 / (df - 2)^2 = -0.03125
      -0.031
    """
    parameters = {"df": df, "loc": loc, "scale": scale}
    return _family.draw(FAMILY, key, parameters, shape, dtype)


def _standard(key, df, loc, scale):
    """A normal over the root of a gamma variable of mean 1."""
    del loc, scale
    normal_key, gamma_key = jax.random.split(key)
    normal = noise_like(df, noise.normal, normal_key)
    factor, exponent = gamma_parts(gamma_key, df / 2)
    return normal * jnp.sqrt(df / (2 * factor)) * jnp.exp(exponent / 2)


_standard_at = at_its_quantile(lambda draw, df: (student_t_slope(df, draw),))


def _at(draw, df, loc, scale):
    return loc + scale * _standard_at(draw, df)


def _constraints(df, loc, scale):
    return _family.all_positive(df=df) | _family.loc_and_scale(loc, scale)


FAMILY = _family.Family("student_t", None, _at, _constraints, standard=_standard)
