"""Deterministic functions JAX lacks: pathwise derivatives of draws, and their CDFs."""
