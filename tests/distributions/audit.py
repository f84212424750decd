"""Compares a log-density and all its derivatives with exact ones."""

import functools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np

from tests.distributions.laws import LAWS

_DIGITS = 40


def _map(function, tree):
    if isinstance(tree, list):
        return [_map(function, item) for item in tree]
    return function(tree)


def _leaves(tree):
    if isinstance(tree, list):
        return [leaf for item in tree for leaf in _leaves(item)]
    return [tree]


def _replace(tree, place, new):
    """The tree with the leaf at that place replaced."""
    count = iter(range(10**6))
    return _map(lambda leaf: new if next(count) == place else leaf, tree)


def rounded(tree):
    """To numbers that float32 holds."""
    return _map(lambda leaf: float(np.float32(leaf)), tree)


def exact(law, value, parameters):
    """The log-density and its derivatives, in the order of ``moving``."""
    arguments = {"value": value, **parameters}
    arguments = {k: _map(mp.mpf, rounded(v)) for k, v in arguments.items()}

    def at(arguments):
        arguments = dict(arguments)
        return law.log_density(arguments.pop("value"), **arguments)

    with mp.workdps(_DIGITS):
        expected = [at(arguments)]
        for name in moving(law, parameters):
            for place, leaf in enumerate(_leaves(arguments[name])):

                def along(x, name=name, place=place):
                    moved = _replace(arguments[name], place, x)
                    return at({**arguments, name: moved})

                expected.append(mp.diff(along, leaf))
        return np.array([float(mp.re(x)) for x in expected])


def moving(law, parameters):
    """The names of what is differentiated."""
    names = [name for name in parameters if name not in law.fixed]
    return names if law.discrete else [*names, "value"]


@functools.cache
def expectations(name):
    law = next(law for law in LAWS if law.name == name)
    return [exact(law, value, parameters) for value, parameters in law.points]


def computed(law, log_prob, dtype):
    """The same by the given function, for all points."""

    names = moving(law, law.points[0][1])

    def one(value, parameters):
        arguments = {"value": value, **parameters}

        def of(moved):
            given = {**arguments, **moved}
            return log_prob(
                law.make(**{k: given[k] for k in parameters}), given["value"]
            )

        result, slopes = jax.value_and_grad(of)({k: arguments[k] for k in names})
        flat = [jnp.ravel(slopes[name]) for name in names]
        return jnp.concatenate([result[None], *flat])

    values, parameters = zip(*law.points, strict=True)
    kind = int if law.discrete else dtype
    values = jnp.asarray([rounded(v) for v in values], kind)
    columns = {
        key: jnp.asarray([rounded(p[key]) for p in parameters], dtype)
        for key in parameters[0]
    }
    return np.asarray(jax.jit(jax.vmap(one))(values, columns), np.float64)


def audit(law, log_prob, x64):
    """The largest error over all points, relative to the size of the derivative."""
    with jax.enable_x64(x64):
        got = computed(law, log_prob, jnp.float64 if x64 else jnp.float32)
    worst = (0.0,)
    for point, row, want in zip(law.points, got, expectations(law.name), strict=True):
        value, parameters = point
        arguments = {"value": value, **parameters}
        names = moving(law, parameters)
        flat = [leaf for name in names for leaf in _leaves(arguments[name])]
        size = np.maximum(np.abs(want), _floors(want, np.abs(np.array(flat, float))))
        same = (row == want) | (np.abs(row - want) <= 1e-36)
        error = np.where(same, 0, np.abs(row - want) / np.where(size == 0, 1, size))
        error = np.where(np.isfinite(error), error, np.inf)
        if error.max() > worst[0]:
            worst = (error.max(), point, row.tolist(), want.tolist())
    return worst


def _floors(want, arguments):
    """A derivative that is small beside others is measured by them.

    By the largest, per unit of the argument and per factor of e in it.
    """
    slopes = np.abs(want[1:])
    by_unit = np.max(slopes, initial=0)
    by_factor = np.max(slopes * arguments) / np.where(arguments == 0, np.inf, arguments)
    return 1e-3 * np.concatenate([[by_unit], np.maximum(by_unit, by_factor)])
