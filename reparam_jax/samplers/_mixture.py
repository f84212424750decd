"""Mixtures of any family, with implicit gradients for weights and components."""

import functools
import inspect
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from reparam_jax import _checks, _domains
from reparam_jax import noise as noise_room
from reparam_jax._domains import Domain, Parameter

from ._implicit import implicit
from ._implicit_sampler import check_float, check_shape


def mixture(
    key: jax.Array,
    logits: ArrayLike,
    sample_components: Callable[..., jax.Array],
    cdf: Callable[[jax.Array], jax.Array],
    logpdf: Callable[[jax.Array], jax.Array],
    *,
    event_ndim: int = 0,
    shape: tuple[int, ...] | None = None,
    dtype: jax.typing.DTypeLike | None = None,
) -> jax.Array:
    r"""Draws from a mixture, with gradients for its weights and its components.

    .. math:: p(z) = \sum_k w_k \, p_k(z), \qquad w = \mathrm{softmax}(\ell)

    for ``logits`` :math:`\ell`. The components are given by three functions that close
    over their parameters. Those of ``cdf`` and ``logpdf`` see the draws with an axis of
    length 1 for the components and return a value for each, so that functions as in
    ``jax.scipy.stats`` of parameters of shape (..., K) fit as they are.

    **Vectors** (``event_ndim=1``): any family whose coordinates, each given those
    before it, have a distribution function. ``cdf`` and ``logpdf`` return those of
    every component and coordinate, :math:`F_k(z_d \mid z_1 \dots z_{d-1})` and the log
    of its density. For a product of one-dimensional families that is each family's own.
    For normal vectors with means :math:`\mu_k` and Cholesky factors :math:`L_k` it is
    :math:`\Phi(e_d)` and :math:`\log \phi(e_d) - \log L_{k,dd}` with
    :math:`e = L_k^{-1} (z - \mu_k)`.

    Args:
      key: one key from ``jax.random.key``. Used once.
      logits: :math:`\ell`, of shape (..., K): finite, or -inf for a component that is
        absent.
      sample_components: ``(key, shape)``, or ``(key)`` alone, to one draw of every
        component, of shape (..., K), or (..., K, dim) for vectors. It is not
        differentiated.
      cdf: of draws of shape (..., 1), or (..., 1, dim), to :math:`F_k`, of shape
        (..., K), or (..., K, dim). What is common to the components may be added: only
        differences between them and derivatives in parameters are read, so minus the
        survival function serves as well, and ``jnp.where(z > middle, -sf, cdf)`` keeps
        the digits of both tails.
      logpdf: likewise, to :math:`\log p_k`, in nats.
      event_ndim: 0 for numbers, 1 for vectors along the last axis.
      shape: shape of the whole result, (...) or (..., dim), to which the leading axes
        of ``logits`` must broadcast. By default those of ``logits``; vectors need it
        where ``sample_components`` takes a shape. Where it does not, its result says.
      dtype: dtype of the result. By default, that of the components' draws. ``cdf`` and
        ``logpdf`` see float32 where those are shorter.

    Returns:
      Independent draws. Where the logits lie
      outside their domain the call raises when they are concrete; under ``jax.jit``
      the draw is NaN there, as are its gradients, and wherever the draw of a component
      is NaN. An eager call runs the three functions one operation at a time, so its
      gradients may differ from those under ``jax.jit`` by rounding.

    Raises:
      TypeError: ``key`` is not a JAX PRNG key, or the components draw no floats.
      ValueError: ``key`` is a batch of keys, a shape does not fit, or concrete logits
        lie outside their domain.

    Gradient:
      ``logits``, and all that ``cdf`` and ``logpdf`` close over: implicit, to every
      order and in every mode in which those two have derivatives (for vectors also in
      the draws). For numbers

      .. math:: \frac{\partial z}{\partial \ell_k} = -w_k \frac{F_k(z) - F(z)}{p(z)},
         \qquad \frac{\partial z}{\partial \theta_k} =
         -w_k \frac{\partial F_k(z) / \partial \theta_k}{p(z)}, \qquad
         F = \sum_k w_k F_k.

      For vectors that of the Knothe-Rosenblatt map: coordinate after coordinate, the
      weights of the components conditioned on the coordinates before, and a triangular
      solve. In the upper tail, where all :math:`F_k` are near 1, their difference has
      lost an absolute :math:`\epsilon / p(z)`, 1e-2 at the quantile 1 - 1e-6 in
      float32, unless ``cdf`` is minus the survival function there.

    References:
      Graves. Stochastic backpropagation through mixture density distributions. 2016,
      section 3. Figurnov, Mohamed, Mnih. Implicit reparameterization gradients. NeurIPS
      2018, sections 3 and 4.

    Example:
      >>> import jax, jax.numpy as jnp, reparam_jax as rj
      >>> from jax.scipy.stats import norm
      >>> def mean(logits, loc, scale):
      ...   draws = rj.mixture(
      ...     jax.random.key(0),
      ...     logits,
      ...     lambda key, shape: rj.normal(key, loc, std=scale, shape=shape),
      ...     lambda z: norm.cdf(z, loc, scale),
      ...     lambda z: norm.logpdf(z, loc, scale),
      ...     shape=(20_000,),
      ...   )
      ...   return draws.mean()
      >>> logits, loc = jnp.log(jnp.array([0.3, 0.7])), jnp.array([[-1.0, 1.5]])
      >>> slopes = jax.grad(mean, (0, 1))(logits, loc, jnp.array([[0.5, 0.8]]))
      >>> bool(jnp.allclose(slopes[0], jnp.array([-0.525, 0.525]), atol=0.02))
      True
      >>> bool(jnp.allclose(slopes[1], jnp.array([[0.3, 0.7]]), atol=0.02))
      True
    """
    function = "mixture"
    key = _checks.check_key(function, key)
    logits = _checks.check_real(function, logits=logits)["logits"]
    if not jnp.ndim(logits) or not jnp.shape(logits)[-1]:
        raise ValueError(
            f"`{function}` needs `logits` to be of shape (..., K) for K components, "
            f"got {jnp.shape(logits)}."
        )
    if event_ndim not in (0, 1):
        raise ValueError(
            f"`{function}` draws numbers (event_ndim=0) or vectors (event_ndim=1), got "
            f"event_ndim={event_ndim!r}."
        )
    key_choice, key_components = jax.random.split(key)
    components = _components(
        function, key_components, logits, sample_components, event_ndim, shape
    )
    dtype = _checks.result_dtype(function, dtype, components=components)
    compute_dtype = _checks.noise_dtype(components.dtype)
    constraints = {"logits": Parameter(logits, LOGITS)}
    (logits,) = _domains.check_values(function, compute_dtype, constraints)
    logits = jnp.asarray(logits).astype(compute_dtype)
    components = lax.stop_gradient(components.astype(compute_dtype))
    draw, logits, valid = choose(key_choice, logits, components, event_ndim)

    def law(z):
        return [
            _per_component(function, name, callable_(z), components.shape, event_ndim)
            for name, callable_ in (("cdf", cdf), ("logpdf", logpdf))
        ]

    place = -1 - event_ndim
    draw = at(draw, logits, lambda z: law(jnp.expand_dims(z, place)), event_ndim)
    return _domains.poison(draw, valid).astype(dtype)


def at(
    draw: jax.Array,
    logits: ArrayLike,
    law: Callable[[jax.Array], Sequence[jax.Array]],
    event_ndim: int,
) -> jax.Array:
    """Gives a draw from a mixture its derivative, for weights and components.

    Args:
      draw: of shape (...), or (..., dim) for vectors.
      logits: of shape (..., K).
      law: of draws, the distribution functions and log-densities of the components, of
        shape (..., K), or (..., K, dim); those of each coordinate given the ones before
        it.
      event_ndim: 1 for vectors, else 0.

    Returns:
      The draw.
    """

    def combined(z):
        cdf, logpdf = law(z)
        return _combine(logits, cdf, logpdf, event_ndim)

    return implicit(draw, combined, event_ndim)


def _are_logits(logits):
    below = jnp.all(logits < jnp.inf, -1)  # neither NaN nor inf
    return below & jnp.any(logits > -jnp.inf, -1)


LOGITS = Domain(
    _are_logits,
    "finite or -inf, and not all -inf",
    things="vectors",
    measure=lambda logits: jnp.max(logits, -1),
    measure_words="largest element",
    event_ndim=1,
)


def _components(function, key, logits, sample_components, event_ndim, shape):
    """Draws one of each component, of shape (..., K) and the event's."""
    *batch, count = jnp.shape(logits)
    takes_shape = _takes_shape(sample_components)
    components = expected = None
    if shape is not None:
        shape = _checks.result_shape(function, shape)
        if len(shape) < event_ndim:
            raise ValueError(f"`{function}` draws vectors here, got shape=().")
        place = len(shape) - event_ndim
        expected = (*shape[:place], count, *shape[place:])
        _checks.result_shape(function, expected[: place + 1], logits=logits)
    elif takes_shape and event_ndim:
        raise ValueError(
            f"`{function}` needs `shape=(..., dim)` to draw vectors where "
            "`sample_components` takes a shape."
        )
    elif takes_shape:
        expected = (*batch, count)
    if takes_shape:
        components = jnp.asarray(sample_components(key, expected))
    else:
        components = jnp.asarray(sample_components(key))
    check_float(function, "sample_components", components)
    place = components.ndim - event_ndim
    if expected is not None:
        check_shape(function, "sample_components", components, expected)
    elif place < 1 or components.shape[place - 1] != count:
        raise ValueError(
            f"`{function}` needs `sample_components` to return an array of shape (..., "
            f"K{', dim' * event_ndim}) with K = {count}, as `logits` has, got "
            f"{components.shape}."
        )
    else:
        _checks.result_shape(function, components.shape[:place], logits=logits)
    return components


def _takes_shape(sample_components):
    try:
        inspect.signature(sample_components).bind(None, ())
    except TypeError:
        return False
    except ValueError:  # written in C
        pass
    return True


# The scores alone decide, and what they are added from is materialised: however the
# program is compiled, the same component is chosen.
@functools.partial(jax.jit, static_argnums=3)
def choose(key, logits, components, event_ndim):
    """Chooses a component for every draw, and says where that makes sense."""
    events, axis = tuple(range(-event_ndim, 0)), -1 - event_ndim
    batch = components.shape[: components.ndim - event_ndim]
    logits = jnp.broadcast_to(logits, batch)
    # Their sum would have the sharding that the noise needs.
    sharding = jax.typeof(lax.add(logits, jnp.sum(components, events))).sharding
    noise = noise_room.gumbel(key, logits.shape, logits.dtype, out_sharding=sharding)
    noise, scores = lax.optimization_barrier((noise, lax.stop_gradient(logits)))
    chosen = jnp.argmax(noise + scores, -1, keepdims=True)
    index = jnp.arange(batch[-1]).reshape((1,) * (len(batch) - 1) + (-1,))
    is_chosen = jnp.expand_dims(chosen == index, events)
    draw = jnp.sum(jnp.where(is_chosen, components, 0), axis)
    is_number = jnp.all(components == components, (axis, *events))
    valid = jnp.expand_dims(_are_logits(logits) & is_number, events)
    return draw, logits, jnp.broadcast_to(valid, draw.shape)


def _per_component(function, name, value, shape, event_ndim):
    """Checks what `cdf` or `logpdf` returns."""
    place = len(shape) - 1 - event_ndim
    found = jnp.shape(value)
    if found == (*shape[:place], 1, *shape[place:]):  # the axis made once more
        value = jnp.squeeze(value, place)
    check_shape(function, name, value, shape)
    return value


def _combine(logits, cdf, logpdf, event_ndim):
    """The distribution function and log-density of the mixture.

    For vectors, of each coordinate given those before, on which the weights depend.
    """
    log_weights = jax.nn.log_softmax(logits)
    if event_ndim:
        until = jnp.cumsum(logpdf, -1)
        before = jnp.concatenate([jnp.zeros_like(until[..., :1]), until[..., :-1]], -1)
        log_weights = jax.nn.log_softmax(log_weights[..., None] + before, -2)
    axis = -1 - event_ndim
    total = jnp.sum(jnp.exp(log_weights) * cdf, axis)
    return total, jax.nn.logsumexp(log_weights + logpdf, axis)
