"""NumPyro distribution objects, drawn by this library's samplers."""

from . import _kl as _kl
from ._sample import sample as sample
from ._sample_and_log_prob import sample_and_log_prob as sample_and_log_prob
