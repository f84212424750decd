"""Parameter values: what is refused, in which words, and when."""

import re
import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

import reparam_jax as rj

MEAN = np.zeros((2, 3), np.float32)
GOOD = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
BAD = np.array([[1, 2, 3], [-4, 5, np.nan]], np.float32)
SENTENCE = (
    "`normal` needs `var` to be finite and non-negative, but 2 of its 6 elements are "
    "not; the smallest of those is -4.0 at index (1, 0). Where it is the output of a "
    "network, pass that as `log_var=`, which may have any sign, or make it positive "
    "with `jax.nn.softplus`."
)


def draw(var):
    return rj.normal(jax.random.key(0), MEAN, var)


def loss(var):
    return jnp.sum(draw(var))


def rows(var):
    """Row by row, where the rows of ``BAD`` are drawn in turn."""
    return jax.random.split(jax.random.key(0), 2), var


def mapped(var):
    return jax.vmap(lambda key, row: rj.normal(key, 0.0, row))(*rows(var))


def scanned(var):
    def body(_, row):
        return None, rj.normal(row[0], 0.0, row[1])

    return jax.lax.scan(body, None, rows(var))[1]


def jvp(var):
    return jax.jvp(draw, (var,), (jnp.ones_like(var),))


def vjp(var):
    return jax.vjp(draw, var)[1](jnp.ones(var.shape))


CONCRETE = {
    "value": draw,
    "grad": jax.grad(loss),
    "value_and_grad": jax.value_and_grad(loss),
    "jvp": jvp,
    "vjp": vjp,
    "jacrev": jax.jacrev(draw),
    "linearize": lambda var: jax.linearize(draw, var),
}
TRACED = {
    "jit": jax.jit(draw),
    "grad of jit": jax.grad(jax.jit(loss)),
    "jit of grad": jax.jit(jax.grad(loss)),
    "jit of jvp": jax.jit(jvp),
    "vmap": mapped,
    "scan": scanned,
    "jit of scan": jax.jit(scanned),
    "checkpoint": jax.checkpoint(draw),
}


@pytest.mark.parametrize("form", CONCRETE)
def test_a_bad_concrete_value_raises_the_whole_sentence(form):
    with pytest.raises(ValueError, match=re.escape(SENTENCE)):
        CONCRETE[form](jnp.asarray(BAD))
    chex.assert_tree_all_finite(jax.tree.leaves(CONCRETE[form](jnp.asarray(GOOD))))


@pytest.mark.parametrize(
    "form",
    ["value", "grad", "jvp", "vjp", "jit", "jit of grad", "vmap", "scan", "checkpoint"],
)
def test_checkify_reports_a_bad_value(form):
    checked = checkify.checkify((CONCRETE | TRACED)[form])
    error, _ = checked(jnp.asarray(BAD))
    row_by_row = form in ("vmap", "scan")
    expected = SENTENCE if not row_by_row else "`normal` needs `var` to be finite"
    with pytest.raises(checkify.JaxRuntimeError, match=re.escape(expected)):
        error.throw()
    error, _ = checked(jnp.asarray(GOOD))
    assert error.get() is None


@pytest.mark.parametrize("form", ["value", "grad", "jvp", "vmap", "scan"])
def test_checkify_reports_a_bad_value_under_jit(form):
    checked = jax.jit(checkify.checkify((CONCRETE | TRACED)[form]))
    error, _ = checked(jnp.asarray(BAD))
    assert "`normal` needs `var` to be finite and non-negative" in error.get()
    assert "the smallest of those is -4.0 at index" in error.get()
    assert checked(jnp.asarray(GOOD))[0].get() is None


@pytest.mark.parametrize("form", TRACED)
def test_a_bad_traced_value_is_no_error(form):
    result = TRACED[form](jnp.asarray(BAD))
    assert np.isnan(jax.tree.leaves(result)[0][1, 0])


def test_the_users_own_variances_are_refused():
    mean, var = jax.random.normal(jax.random.key(1), (2, 1, 16, 30, 30))
    count, smallest = int(jnp.sum(var < 0)), float(jnp.min(var))
    index = np.unravel_index(int(jnp.argmin(var)), var.shape)
    found = (
        f"`var` to be finite and non-negative, but {count} of its 14400 elements are "
        f"not; the smallest of those is {np.float32(smallest)} at index "
        f"({', '.join(map(str, index))}). Where it is the output of a network, pass "
        "that as `log_var=`"
    )
    assert count > 7000

    def energy(mean, var):
        return jnp.sum(rj.normal(jax.random.key(0), mean, var) ** 2)

    for form in (energy, jax.grad(energy, argnums=(0, 1))):
        with pytest.raises(ValueError, match=re.escape(found)):
            form(mean, var)
    error, _ = jax.jit(checkify.checkify(jax.grad(energy)))(mean, var)
    assert found in error.get()


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"var": -1.0}, "1 of its 1 elements are not; the smallest of those is -1.0 "),
        ({"var": [1, np.nan]}, "1 of its 2 elements .* is nan at index (1)"),
        ({"var": [1, np.inf]}, "1 of its 2 elements .* is inf at index (1)"),
        ({"var": [np.inf, np.nan]}, "2 of its 2 elements .* is inf at index (0)"),
        ({"var": [np.nan, np.inf]}, "2 of its 2 elements .* is inf at index (1)"),
        ({"var": [np.nan, -2, -1]}, "3 of its 3 elements .* is -2.0 at index (1)"),
        ({"var": [1, -np.inf, -1]}, "2 of its 3 elements .* is -inf at index (1)"),
        ({"std": [[-3.0], [-4.0]]}, "2 of its 2 elements .* is -4.0 at index (1, 0)"),
        ({"std": [-3, -3]}, "2 of its 2 elements .* is -3.0 at index (0)"),
        ({"log_var": [1.0, 400.0]}, "1 of its 2 elements .* is 400.0 at index (1)"),
        ({"log_var": [np.nan, 0.0]}, "1 of its 2 elements .* is nan at index (0)"),
        ({"mean": [0, -np.inf, 1], "var": 1.0}, "1 of its 3 .* is -inf at index (1)"),
        ({"mean": [np.inf, -np.inf], "var": 1.0}, "2 of its 2 .* is -inf at index (1)"),
        ({"mean": np.nan, "var": 1.0}, "1 of its 1 elements .* is nan at index ()"),
    ],
    ids=str,
)
def test_the_message_names_parameter_count_value_and_index(parameters, found):
    arrays = {name: np.float32(value) for name, value in parameters.items()}
    words = {
        "mean": "finite",
        "var": "finite and non-negative",
        "std": "finite and non-negative",
        "log_var": "the log of a finite variance",
    }
    bad = next(iter(parameters))
    start = f"`normal` needs `{bad}` to be {words[bad]}, but {found}"
    pattern = re.escape(start).replace(r"\.\*", ".*")
    with pytest.raises(ValueError, match=pattern) as raised:
        rj.normal(jax.random.key(0), **({"mean": np.float32(0)} | arrays))
    advises = "`log_var=`" in str(raised.value)
    assert advises is (bad in ("var", "std"))


def test_normal_from_noise_checks_its_parameters_under_its_own_name():
    sentence = re.escape(SENTENCE.replace("normal", "normal_from_noise", 1))
    with pytest.raises(ValueError, match=sentence):
        rj.normal_from_noise(MEAN, MEAN, BAD)
    with pytest.raises(ValueError, match=sentence):
        jax.grad(lambda noise: jnp.sum(rj.normal_from_noise(noise, MEAN, BAD)))(GOOD)


def test_validation_switches_the_check_off():
    with rj.validation(False):
        values = draw(BAD)
        slopes = jax.grad(loss)(jnp.asarray(BAD))
    np.testing.assert_array_equal(np.isnan(values), [[0, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(np.isnan(slopes), [[0, 0, 0], [1, 0, 1]])
    with pytest.raises(ValueError, match="`normal` needs `var`"):
        draw(BAD)


def test_validation_nests():
    with rj.validation(False):
        with rj.validation(True):
            with pytest.raises(ValueError, match="`normal` needs `var`"):
                draw(BAD)
        assert np.isnan(draw(BAD)[1, 0])


def test_validation_is_restored_after_an_exception():
    with pytest.raises(RuntimeError, match="inside"), rj.validation(False):
        raise RuntimeError("inside")
    with pytest.raises(ValueError, match="`normal` needs `var`"):
        draw(BAD)


def test_validation_is_a_matter_of_one_thread():
    raised = []

    def other():
        try:
            draw(BAD)
        except ValueError as error:
            raised.append(str(error))

    with rj.validation(False):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert raised == [SENTENCE]


def test_validation_leaves_keys_and_shapes_checked():
    with rj.validation(False):
        with pytest.raises(TypeError, match="got the integer 3"):
            rj.normal(3, 0.0, 1.0)
        with pytest.raises(ValueError, match="cannot broadcast"):
            rj.normal(jax.random.key(0), MEAN, np.ones(4))
