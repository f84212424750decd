"""How right a peer's gradients are: draw by draw, in the mean, and how they scatter."""

import jax
import jax.numpy as jnp
import numpy as np

from . import _shape_peers
from ._shape_peers import DRAWN, STATISTIC
from ._shapes import OURS, SHAPES


def gradient_errors(
    sampler: str, concentrations: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """Compares gradients with the exact ones at each peer's own draws.

    Args:
      sampler: a name in :data:`SHAPES`.
      concentrations: one for each element.

    Returns:
      By peer, the largest relative error of finite gradients, for peers whose gradient
      is the implicit one; and the fraction that is not finite.
    """
    law = SHAPES[sampler]
    found = _shape_peers.gradients(sampler, DRAWN, concentrations)
    errors, not_finite = {}, {}
    for peer, (draws, slopes) in found.items():
        finite = np.isfinite(slopes)
        not_finite[peer] = float(np.mean(~finite))
        if peer not in law.implicit:
            continue
        exact = _exact(law, concentrations, draws)
        # Where a draw underflowed or sits at an end there is nothing to compare.
        known = finite & np.isfinite(exact) & (exact != 0)
        relative = np.abs(slopes[known] - exact[known]) / np.abs(exact[known])
        errors[peer] = float(np.max(relative, initial=0.0))
    return errors, not_finite


def _exact(law, concentrations, draws):
    with jax.enable_x64(True):
        wide = [
            jnp.asarray(x, np.float64) for x in (*law.parameters(concentrations), draws)
        ]
        with jax.numpy_rank_promotion("allow"):
            # Draws at the end of the support lie outside the domain: NaN.
            exact = jax.jit(law.pathwise)(*wide)
        return np.asarray(exact)


def gradient_variances(
    sampler: str, concentration: float, num_draws: int
) -> dict[str, dict[str, float]]:
    """Returns how the gradient estimates of a statistic's expectation scatter.

    Args:
      sampler: a name in :data:`SHAPES`.
      concentration: of all draws.
      num_draws: for each peer.

    Returns:
      ``variances`` by peer over ours; ``mean_errors``, of the estimates' mean relative
      to the closed form; and these in ``standard_errors``. Gradients that are not
      finite are left out.
    """
    law = SHAPES[sampler]
    concentrations = np.full(num_draws, concentration, np.float32)
    found = _shape_peers.gradients(sampler, STATISTIC, concentrations)
    exact = float(law.slope(float(np.float32(concentration))))
    variances, mean_errors, standard_errors = {}, {}, {}
    for peer, (_, slopes) in found.items():
        slopes = slopes[np.isfinite(slopes)].astype(np.float64)
        if len(slopes) < 2:
            continue
        error = np.mean(slopes) - exact
        # A constant gradient has no scatter but that of rounding.
        scatter = np.std(slopes) / len(slopes) ** 0.5 + 1e-7 * abs(exact)
        variances[peer] = float(np.var(slopes))
        mean_errors[peer] = float(error / exact)
        standard_errors[peer] = float(error / scatter)
    ours = variances.get(OURS, np.nan)
    return {
        "variances": {peer: value / ours for peer, value in variances.items() if ours},
        "mean_errors": mean_errors,
        "standard_errors": standard_errors,
    }
