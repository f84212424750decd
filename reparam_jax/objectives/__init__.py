"""Bounds of variational inference, in nats, one for each example; all are maximised."""

from ._elbo import elbo as elbo
from ._importance import (
    importance_sampled_log_likelihood as importance_sampled_log_likelihood,
)
from ._iwae_bound import iwae_bound as iwae_bound
from ._vimco import vimco as vimco
