"""Tests of the benchmark's laws with a shape parameter, at toy size; none of timings.

Where a test is of the bookkeeping, the library's sampler is a stand-in whose gradient
is known.
"""

import importlib
import json
import sys

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import stats

import reparam_jax as rj
from experiments import _accuracy, _peers, _shape_peers, _shapes, benchmark
from experiments._shape_peers import DRAW, GRADIENT
from experiments._shapes import OURS, SHAPES

HAS_TORCH = _peers.installed("torch")
HAS_TFP = _peers.installed(_peers.TFP)
HAS_METHODS = jax.__version_info__ >= (0, 12)
PEERS = ["jax.random", *[_shape_peers.APPROXIMATE] * HAS_METHODS, "numpyro"]
PEERS += ["tfp"] * HAS_TFP + ["torch"] * HAS_TORCH


@pytest.fixture(autouse=True)
def same_key_every_time():
    """Timed programs run again and again with one key."""
    with jax.debug_key_reuse(False), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def stand_in(monkeypatch):
    """Makes draws 1 + i / n with slopes of one's choice the library's gamma."""

    def install(slope_of):
        @jax.custom_jvp
        def draw(concentration):
            return 1 + jnp.arange(len(concentration)) / len(concentration)

        @draw.defjvp
        def _draw_jvp(primals, tangents):
            draws = draw(*primals)
            return draws, slope_of(*primals, draws) * tangents[0]

        for room, name, function in (
            (rj, "gamma", lambda key, concentration: draw(concentration)),
            (rj.special, "gamma_pathwise_grad", jax.lax.random_gamma_grad),
        ):
            monkeypatch.setattr(room, name, function, raising=False)
        monkeypatch.setattr(_peers, "installed", lambda _: False)
        clear()

    yield install
    clear()


def clear():
    _shape_peers._jitted.cache_clear()
    _shape_peers._slopes.cache_clear()


def expectation(sampler, concentration):
    """Of the statistic, by quadrature."""
    c = mpmath.mpf(concentration)
    if sampler in ("gamma", "log_gamma"):
        return mpmath.quad(
            lambda y: y * mpmath.exp(c * y - mpmath.exp(y)) / mpmath.gamma(c),
            [-60 / c, -10, -1, 0, 1, 3, 6],
        )
    if sampler == "student_t":
        law = (
            mpmath.gamma((c + 1) / 2) / mpmath.gamma(c / 2) / mpmath.sqrt(c * mpmath.pi)
        )
        return 2 * mpmath.quad(
            lambda y: (
                y * mpmath.exp(y) * law * (1 + mpmath.exp(2 * y) / c) ** (-(c + 1) / 2)
            ),
            [-60, -10, -1, 0, 1, 3, 10, 90 / min(c, 1)],
        )
    if sampler == "von_mises":
        weights = [
            mpmath.quad(
                lambda x, power=power: (
                    mpmath.cos(x) ** power * mpmath.exp(c * mpmath.cos(x))
                ),
                [-mpmath.pi, -1, 0, 1, mpmath.pi],
            )
            for power in (0, 1)
        ]
        return weights[1] / weights[0]
    raise KeyError(sampler)


@pytest.mark.parametrize("concentration", [0.5, 4.0])
@pytest.mark.parametrize("sampler", ["gamma", "log_gamma", "student_t", "von_mises"])
def test_closed_forms_are_derivatives_of_expectations(sampler, concentration):
    slope = mpmath.diff(lambda c: expectation(sampler, c), concentration, h=1e-4)
    assert SHAPES[sampler].slope(concentration) == pytest.approx(float(slope), rel=1e-4)


def test_closed_forms_of_one_parameter_of_several():
    step = 1e-5

    def mean_of_beta(one):
        return one / (one + 0.3)

    difference = (mean_of_beta(0.3 + step) - mean_of_beta(0.3 - step)) / (2 * step)
    assert SHAPES["beta"].slope(0.3) == pytest.approx(difference, rel=1e-6)
    rows = np.full((2, 4), 0.3)
    rows[:, 0] += [step, -step]
    means = rows[:, 0] / rows.sum(1)
    difference = (means[0] - means[1]) / (2 * step)
    assert SHAPES["dirichlet"].slope(0.3) == pytest.approx(difference, rel=1e-6)
    for low in (0.1, 1.0, 30.0):
        means = [stats.truncnorm(low * (1 + h), 2 * low).mean() for h in (1e-4, -1e-4)]
        difference = (means[0] - means[1]) / (2e-4 * low)
        slope = SHAPES["truncated_normal"].slope(low)
        assert slope == pytest.approx(difference, rel=1e-5)


CDFS = {
    "gamma": stats.gamma(3).cdf,
    "log_gamma": stats.loggamma(3).cdf,
    "beta": stats.beta(3, 3).cdf,
    "dirichlet": stats.beta(3, 9).cdf,
    "student_t": stats.t(3).cdf,
    "von_mises": stats.vonmises(3).cdf,
    "truncated_normal": stats.truncnorm(3, 6).cdf,
}
ABSENT = {
    ("von_mises", "jax.random"),
    ("von_mises", _shape_peers.APPROXIMATE),
    ("truncated_normal", _shape_peers.APPROXIMATE),
    ("truncated_normal", "torch"),
}


# Drawing through gammas takes JAX seconds to compile.
@pytest.mark.parametrize(
    "sampler",
    [
        pytest.param(
            sampler,
            marks=[]
            if sampler in ("von_mises", "truncated_normal")
            else pytest.mark.slow,
        )
        for sampler in SHAPES
    ],
)
def test_every_peer_draws_from_the_law(sampler, alpha):
    if HAS_TORCH:
        importlib.import_module("torch").manual_seed(0)
    size = 2**12
    programs = {}
    with pytest.MonkeyPatch.context() as patch:
        if not hasattr(rj, sampler):
            patch.setattr(rj, sampler, None, raising=False)
        programs = _shape_peers.draw_programs(sampler, DRAW, np.full(size, 3.0, "f4"))
    ours = programs.pop(OURS)
    if hasattr(rj, sampler):
        programs[OURS] = ours
    expected = [peer for peer in PEERS if (sampler, peer) not in ABSENT]
    assert sorted(programs.keys() - {OURS}) == sorted(expected)
    for peer, program in programs.items():
        draws = np.asarray(program(), np.float64)
        if sampler == "dirichlet":
            assert draws.shape == (size // 4, 4)
            draws = draws[..., 0]
        # Approximate draws are such: Wilson and Hilferty's are off by 1e-3.
        level = alpha if peer != _shape_peers.APPROXIMATE else 1e-6
        assert stats.kstest(draws, CDFS[sampler]).pvalue > level, peer


def test_peers_without_a_gradient_are_known():
    assert not _shape_peers.differentiable("von_mises", "numpyro")
    assert _shape_peers.differentiable("gamma", "numpyro")
    assert _shape_peers.differentiable("truncated_normal", "numpyro")
    if HAS_TORCH:
        assert not _shape_peers.differentiable("von_mises", "torch")
        assert _shape_peers.differentiable("dirichlet", "torch")


def test_mixed_concentrations_are_log_uniform():
    logs = np.log10(_shapes.concentrations(None, 4000))
    assert stats.kstest(logs, stats.uniform(-3, 9).cdf).pvalue > 1e-3
    np.testing.assert_array_equal(_shapes.concentrations(0.1, 3), np.float32([0.1] * 3))


@pytest.mark.slow
def test_errors_are_relative_to_the_exact_gradient_and_nan_is_counted(stand_in):
    def slope_of(concentration, draws):
        slopes = jax.lax.random_gamma_grad(concentration, draws)
        slopes = slopes * jnp.where(draws < 1.5, 1, 1.01)
        return jnp.where(draws > 1.74, jnp.nan, slopes)

    stand_in(slope_of)
    errors, not_finite = _accuracy.gradient_errors("gamma", np.full(100, 2.0, "f4"))
    assert errors[OURS] == pytest.approx(0.01, rel=1e-3)
    assert not_finite[OURS] == 0.25
    assert errors["jax.random"] < 1e-5
    assert not_finite["jax.random"] == 0
    assert _shape_peers.APPROXIMATE not in errors


def test_variances_are_over_ours_and_means_over_the_closed_form(stand_in):
    # Of log z: slopes of 1 +- 0.5, which the draw divides out.
    def slope_of(concentration, draws):
        sign = jnp.where(jnp.arange(len(draws)) % 2, 1, -1)
        return draws * (1 + 0.5 * sign)

    stand_in(slope_of)
    found = _accuracy.gradient_variances("gamma", 2.0, 4000)
    exact = np.pi**2 / 6 - 1  # trigamma(2)
    assert found["variances"][OURS] == 1
    assert found["mean_errors"][OURS] == pytest.approx(1 / exact - 1, rel=1e-6)
    scatter = 0.5 / 4000**0.5
    errors = found["standard_errors"]
    assert errors[OURS] == pytest.approx((1 - exact) / scatter, rel=1e-4)
    assert abs(errors["jax.random"]) < 5
    # Var of (dz/da) / z, from mpmath at 2e5 draws' worth of quadrature.
    assert found["variances"]["jax.random"] == pytest.approx(
        variance_of_log_slope(2.0) / 0.25, rel=0.2
    )


def variance_of_log_slope(concentration):
    u = (np.arange(4000) + 0.5) / 4000
    z = stats.gamma(concentration).ppf(u)
    step = 1e-4
    slopes = (
        stats.gamma(concentration + step).ppf(u)
        - stats.gamma(concentration - step).ppf(u)
    ) / (2 * step)
    return np.var(slopes / z)


WORDS = ["gamma", "--concentrations", "0.5", "20", "--concentration-exponent", "6"]
WORDS += ["--concentration-repeats", "2", "--error-draws", "16"]
WORDS += ["--variance-draws", "1000"]


@pytest.mark.slow  # a whole run of the benchmark
def test_a_run_writes_times_errors_and_variances(
    stand_in, monkeypatch, tmp_path, capsys
):
    stand_in(lambda concentration, draws: jnp.ones_like(draws))
    monkeypatch.setattr(sys, "argv", ["benchmark", *WORDS, "--out", str(tmp_path)])
    benchmark.main()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["missing"] == ["numpyro", "torch", _peers.TFP]
    rows = summary["rows"]
    cases = ["0.5", "20", "mixed"]
    variance = "gradient variance, log z"
    assert [(row["job"], row["case"]) for row in rows] == [
        *[(job, case) for job in (DRAW, GRADIENT, "gradient error") for case in cases],
        (variance, "0.5"),
        (variance, "20"),
    ]
    peers = [OURS, "jax.random", *[_shape_peers.APPROXIMATE] * HAS_METHODS]
    for row in rows[:6]:
        assert list(row["times"]) == peers
        assert row["elements"] == 64
        for peer, time in row["times"].items():
            assert row["ratios"][peer] == pytest.approx(time / row["times"][OURS])
    text = (tmp_path / "benchmark.md").read_text()
    lines = [line[2:-2].split(" | ") for line in text.splitlines() if line[:1] == "|"]
    header, _, *body = lines
    assert header[:3] == ["job", "concentration", OURS]
    assert len(body) == len(rows)
    for row, (_, case, *cells) in zip(rows, body, strict=True):
        assert case == row["case"]
        # NumPyro, TFP and torch are not there.
        assert cells[3:] == ["-"] * 3
    errors = rows[6]["errors"]
    assert body[6][2] == f"{errors[OURS]:.1e}"
    off = 100 * rows[9]["mean_errors"][OURS]
    assert body[9][2] == f"1 (mean {off:.2g} % off)"
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    printed = " ".join(capsys.readouterr().out.split())
    assert "2^6 elements, medians of 2" in printed
    assert "16 draws of each" in printed
    assert "Not installed, so not timed: numpyro, torch, tensorflow_prob" in printed


def test_all_names_the_laws_that_exist(monkeypatch):
    monkeypatch.setattr(rj, "gamma", lambda key, concentration: key, raising=False)
    monkeypatch.delattr(rj, "beta", raising=False)
    chosen = benchmark._chosen(("all",))
    assert "gamma" in chosen
    assert "beta" not in chosen
    assert chosen[-2:] == ["network", "vae"]
