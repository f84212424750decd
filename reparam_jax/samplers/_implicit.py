"""The implicit derivative of a draw, for laws that close over their parameters."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from reparam_jax._meshes import place

# Of a draw and its parameters, to its derivative in each of them.
Slopes = Callable[..., tuple[jax.Array, ...]]
# Of draws, the distribution functions and the log-densities at them.
Law = Callable[[jax.Array], tuple[jax.Array, jax.Array]]


def at_its_quantile(slopes: Slopes) -> Callable[..., jax.Array]:
    """Gives draws the derivatives with which they stay at their quantile.

    Args:
      slopes: ``(draw, *parameters)`` to the derivative of the draw in each parameter.

    Returns:
      ``(draw, *parameters) -> draw``, for a draw made in any way, itself not
      differentiated, with those derivatives, of every order that ``slopes`` has.
    """

    @jax.custom_jvp
    def at(draw, *parameters):
        del parameters
        return draw

    # Of its own function's draw, so that the next order knows that it depends on them.
    @at.defjvp
    def _at_jvp(primals, tangents):
        draw = at(*primals)
        terms = [
            slope * tangent
            for slope, tangent in zip(
                slopes(draw, *primals[1:]), tangents[1:], strict=True
            )
        ]
        return draw, sum(terms[1:], terms[0])

    return at


def implicit(draw: jax.Array, law: Law, event_ndim: int = 0) -> jax.Array:
    r"""Gives a draw the derivative it has at its place in the law.

    Args:
      draw: of shape (...) or (..., dim).
      law: of draws, the distribution function and its log-density, of the same shape;
        for vectors those of each coordinate given the coordinates before it. It may
        close over traced arrays: those are the parameters.
      event_ndim: 1 where the draws are vectors along the last axis, else 0.

    Returns:
      The draw, with the derivative along which the distribution functions do not
      change, for all that ``law`` closes over; none for ``draw`` itself.

    Gradient:
      To every order, in every mode that ``law`` has.
    """
    # What `law` closes over becomes an argument, be it traced by a transformation
    # outside or not: the rule may run when that transformation is done.
    draw = lax.stop_gradient(draw)

    def typed(draw):
        return tuple(jnp.asarray(x).astype(draw.dtype) for x in law(draw))

    closed, shapes = jax.make_jaxpr(typed, return_shape=True)(draw)

    def at(parameters, draw):
        given = core.ClosedJaxpr(  # pyright: ignore[reportPrivateImportUsage]
            closed.jaxpr, parameters
        )
        flat = core.jaxpr_as_fun(given)(draw)
        return jax.tree.unflatten(jax.tree.structure(shapes), flat)

    return _implicit(at, event_ndim, draw, closed.consts)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _implicit(law, event_ndim, draw, parameters):
    del law, event_ndim, parameters
    return draw


# F(z(theta); theta) stays what it is, so (dF/dz) dz + (dF/dtheta) dtheta = 0. For one
# dimension dF/dz is the density (Figurnov, Mohamed, Mnih 2018, equation 5). For
# vectors F_d is that of coordinate d given those before it: dF/dz is lower triangular,
# with the conditional densities on its diagonal (equation 8 there), by which the rows
# are divided. The rule speaks of its own function's draw, so that differentiating it
# again gives the derivatives of higher order.
@_implicit.defjvp
def _implicit_jvp(law, event_ndim, primals, tangents):
    draw = _implicit(law, event_ndim, *primals)
    parameters, directions = primals[1], tangents[1]
    values, slopes = jax.jvp(lambda p: law(p, draw), (parameters,), (directions,))
    density = lax.exp(values[1])
    change = lax.neg(lax.div(slopes[0], density))
    if not event_ndim or draw.shape[-1] == 1:
        return draw, change

    def along(direction):
        direction = jnp.zeros_like(draw) + direction
        return jax.jvp(lambda z: law(parameters, z)[0], (draw,), (direction,))[1]

    basis = jnp.eye(draw.shape[-1], dtype=draw.dtype)
    basis = basis.reshape(basis.shape[:1] + (1,) * (draw.ndim - 1) + basis.shape[1:])
    rows = jax.vmap(along, out_axes=-1)(basis) / density[..., None]
    solve = functools.partial(
        lax.linalg.triangular_solve, left_side=True, lower=True, unit_diagonal=True
    )
    sharding = jax.typeof(rows).sharding
    return draw, place(solve, rows, change[..., None], out_sharding=sharding)[..., 0]
