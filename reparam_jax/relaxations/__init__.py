"""Continuous stand-ins for discrete draws, with the bias that each states."""

from ._gumbel_softmax import gumbel_softmax as gumbel_softmax
from ._gumbel_softmax import gumbel_softmax_from_noise as gumbel_softmax_from_noise
from ._hard_concrete import hard_concrete as hard_concrete
from ._hard_concrete import hard_concrete_from_noise as hard_concrete_from_noise
from ._hard_concrete import hard_concrete_nonzero_prob as hard_concrete_nonzero_prob
from ._log_gumbel_softmax import log_gumbel_softmax as log_gumbel_softmax
from ._log_gumbel_softmax import (
    log_gumbel_softmax_from_noise as log_gumbel_softmax_from_noise,
)
from ._log_gumbel_softmax import (
    log_gumbel_softmax_log_prob as log_gumbel_softmax_log_prob,
)
from ._logit_relaxed_bernoulli import logit_relaxed_bernoulli as logit_relaxed_bernoulli
from ._logit_relaxed_bernoulli import (
    logit_relaxed_bernoulli_from_noise as logit_relaxed_bernoulli_from_noise,
)
from ._logit_relaxed_bernoulli import (
    logit_relaxed_bernoulli_log_prob as logit_relaxed_bernoulli_log_prob,
)
from ._relaxed_bernoulli import relaxed_bernoulli as relaxed_bernoulli
from ._relaxed_bernoulli import (
    relaxed_bernoulli_from_noise as relaxed_bernoulli_from_noise,
)
from ._saturation import saturated_fraction as saturated_fraction
from ._straight_through import straight_through as straight_through
from ._straight_through import (
    straight_through_from_noise as straight_through_from_noise,
)
