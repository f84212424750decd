"""The sampling layer: mean and variance in, a draw out."""

import chex
import jax
import jax.numpy as jnp
from flax import nnx

from reparam_jax import _checks, samplers

Randomness = nnx.Rngs | nnx.RngStream | jax.Array


class Sample(nnx.Module):
    r"""Draws :math:`z = \mu + \sqrt{v} \epsilon` elementwise, like a layer.

    It has the contract of ``nnx.Dropout``: randomness comes from the constructor or
    from the call, ``deterministic`` switches it off, and ``model.eval()``,
    ``model.train()`` and ``nnx.view`` reach it.

    Args:
      deterministic: if true, the layer returns the mean. ``None`` asks for it in the
        call.
      rng_collection: the stream of ``rngs`` that keys are taken from.
      rngs: an ``nnx.Rngs`` or ``nnx.RngStream``, forked here; ``None`` asks for it in
        the call.

    Raises:
      TypeError: ``rngs`` is neither of those.

    Gradient:
      Exact and pathwise, as of :func:`reparam_jax.normal`: 1 for the mean and
      :math:`\epsilon / (2 \sqrt{v})` for the variance; with ``deterministic=True``, 1
      and 0.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> import reparam_jax as rj
      >>> mean, var = jnp.zeros((2, 8, 8, 3)), jnp.ones((2, 8, 8, 3))
      >>> rj.layers.Sample(rngs=nnx.Rngs(0))(mean, var).shape
      (2, 8, 8, 3)
      >>> layer = rj.layers.Sample()  # or with the key in the call
      >>> draw = layer(mean, var, rngs=jax.random.key(0))
      >>> bool((draw == rj.normal(jax.random.key(0), mean, var)).all())
      True
    """

    def __init__(
        self,
        *,
        deterministic: bool | None = False,
        rng_collection: str = "sample",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ):
        self.deterministic = deterministic
        self.rng_collection = rng_collection
        if isinstance(rngs, nnx.Rngs):
            self.rngs = rngs[rng_collection].fork()
        elif isinstance(rngs, nnx.RngStream):
            self.rngs = rngs.fork()
        elif rngs is None:
            self.rngs = nnx.data(None)
        else:
            raise TypeError(
                "`Sample` takes `rngs` as an nnx.Rngs or nnx.RngStream, got "
                f"{type(rngs).__name__}. Pass a key in the call: "
                "`layer(mean, var, rngs=key)`."
            )

    def __call__(
        self,
        mean: jax.Array,
        var: jax.Array,
        *,
        deterministic: bool | None = None,
        rngs: Randomness | None = None,
    ) -> jax.Array:
        """Draws once.

        Args:
          mean: the means, of any shape.
          var: the variances, not negative; broadcasts with ``mean``.
          deterministic: takes precedence over the constructor's.
          rngs: a key, ``nnx.RngStream`` or ``nnx.Rngs``; takes precedence over the
            constructor's.

        Returns:
          An array of the broadcast shape: a draw, or the mean if ``deterministic``.

        Raises:
          TypeError: ``rngs`` is none of those, or is missing.
          ValueError: the shapes do not broadcast, a concrete variance is negative, or
            ``deterministic`` is ``None`` everywhere.
        """
        parameters = _checks.check_real("Sample", mean=mean, var=var)
        shape = _checks.result_shape("Sample", None, **parameters)
        if self._is_deterministic(deterministic):
            dtype = _checks.result_dtype("Sample", None, **parameters)
            return jnp.broadcast_to(jnp.asarray(parameters["mean"], dtype), shape)
        draw = samplers.normal(self._key(rngs), mean, var)
        chex.assert_shape(draw, shape)
        return draw

    def _is_deterministic(self, deterministic):
        return nnx.module.first_from(
            deterministic,
            self.deterministic,
            error_msg="`Sample` has no `deterministic`: pass it to the constructor, to "
            "the call, or set it with `model.train()`, `model.eval()` or `nnx.view`.",
        )

    def _key(self, rngs):
        rngs = self.rngs if rngs is None else rngs
        if isinstance(rngs, nnx.Rngs):
            return rngs[self.rng_collection]()
        if isinstance(rngs, nnx.RngStream):
            return rngs()
        if rngs is None:
            raise TypeError(
                "`Sample` draws, but has no `rngs`: pass `rngs=nnx.Rngs(0)` to the "
                "constructor, pass a key, nnx.RngStream or nnx.Rngs to the call, or "
                "use `deterministic=True`."
            )
        return rngs

    def set_view(self, *, deterministic: bool | None = None):
        """Sets the mode, for ``nnx.view``.

        Args:
          deterministic: if true, the layer returns the mean; ``None`` leaves it.
        """
        if deterministic is not None:
            self.deterministic = deterministic
