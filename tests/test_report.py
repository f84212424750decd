"""Checks inside traced code cost nothing and change nothing unless `checkify` looks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

import reparam_jax as rj

VAR = np.array([[1.0, 4.0, 9.0], [0.25, 2.0, 3.0]], np.float32)
BAD = np.where(np.arange(6).reshape(2, 3) == 4, -7.0, VAR).astype(np.float32)


def draw(var):
    return rj.normal(jax.random.key(0), 1.0, var)


def reported(function, *arguments):
    error, _ = checkify.checkify(function)(*arguments)
    return error.get() or ""


def test_a_check_has_no_effect_that_would_slow_down_dispatch():
    for function in (draw, jax.grad(lambda var: jnp.sum(draw(var)))):
        assert jax.make_jaxpr(function)(VAR).effects == set()
        text = jax.jit(function).lower(VAR).as_text()
        assert "callback" not in text
        assert "custom_call" not in text


def test_a_check_takes_no_time_without_checkify():
    def cost(validated):
        with rj.validation(validated):
            compiled = jax.jit(lambda var: draw(var)).lower(VAR).compile()
        return compiled.cost_analysis()["flops"]

    assert cost(True) == cost(False)


def in_cond(flag, var):
    return jax.lax.cond(flag, draw, lambda var: var, var)


def in_while(var):
    def body(state):
        step, key, total = state
        key, sub = jax.random.split(key)
        return step + 1, key, total + rj.normal(sub, 0.0, var)

    state = (0, jax.random.key(0), jnp.zeros(var.shape))
    return jax.lax.while_loop(lambda state: state[0] < 3, body, state)[2]


def test_checkify_looks_into_control_flow():
    expected = "the smallest of those is -7.0 at index (1, 1)"
    assert expected in reported(in_cond, jnp.array(True), BAD)
    assert reported(in_cond, jnp.array(False), BAD) == ""
    assert expected in reported(in_while, BAD)
    assert reported(in_while, VAR) == ""


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (1, 1)], ids=str)
def test_vmap_of_either_parameter_keeps_draws_and_reports(axes):
    mean = np.ones((2, 3), np.float32)

    def both(mean, var):
        keys = jax.random.split(jax.random.key(0), mean.shape[axes[0] or 0])
        rows = jax.vmap(rj.normal, (0, *axes))
        if axes[0] is None:
            mean = 1.0
        if axes[1] is None:
            var = var[0]
        return rows(keys, mean, var)

    with rj.validation(False):
        expected = both(mean, VAR)
    np.testing.assert_array_equal(both(mean, VAR), expected)
    assert reported(both, mean, VAR) == ""
    bad = BAD[::-1] if axes[1] is None else BAD
    assert "the smallest of those is -7.0" in reported(both, mean, bad)


def test_nested_vmap_and_derivatives_keep_values():
    def nested(var):
        keys = jax.random.split(jax.random.key(0), (2, 3))
        inner = jax.vmap(lambda key, var: rj.normal(key, 1.0, var))
        return jax.vmap(inner)(keys, var)

    slopes = jax.jacfwd(nested)
    with rj.validation(False):
        expected = jax.jit(nested)(VAR), jax.jit(slopes)(VAR)
    np.testing.assert_array_equal(jax.jit(nested)(VAR), expected[0])
    np.testing.assert_array_equal(jax.jit(slopes)(VAR), expected[1])
    assert "the smallest of those is -7.0" in reported(nested, BAD)
    assert "the smallest of those is -7.0" in reported(jax.jit(jax.grad(total)), BAD)


def total(var):
    return jnp.sum(draw(var))
