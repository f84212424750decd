"""Closed-form divergences to second order, against exact ones."""

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import numpyro.distributions as dist
import pytest

from reparam_jax.distributions import _kl

kl_divergence = _kl.divergence


def _chance(logit):
    return 1 / (1 + mp.exp(-logit))


def _bernoulli(p, q):
    return p * mp.log(p / q) + (1 - p) * mp.log((1 - p) / (1 - q))


def _same(x):
    return x


def _geometric(p, q):
    return mp.log(p / q) + (1 - p) / p * mp.log((1 - p) / (1 - q))


def _laplace(m, s, n, t):
    apart = abs(m - n)
    return mp.log(t / s) + apart / t + s / t * mp.exp(-apart / s) - 1


def _von_mises(m, k, n, c):
    length = mp.besseli(1, k) / mp.besseli(0, k)
    norms = mp.log(mp.besseli(0, c) / mp.besseli(0, k))
    return norms + k * length - c * length * mp.cos(m - n)


def _log_gamma(b, a):
    return mp.loggamma(b) - mp.loggamma(a) - (b - a) * mp.digamma(a)


def _gamma(a, r, b, q):
    return _log_gamma(b, a) + b * mp.log(r / q) + a * (q - r) / r


def _dirichlet(*concentrations):
    half = len(concentrations) // 2
    p, q = concentrations[:half], concentrations[half:]
    parts = mp.fsum(_log_gamma(b, a) for a, b in zip(p, q, strict=True))
    return parts - _log_gamma(mp.fsum(q), mp.fsum(p))


def _categorical(*logits):
    def shares(logits):
        total = mp.fsum(mp.exp(logit) for logit in logits)
        return [mp.exp(logit) / total for logit in logits]

    half = len(logits) // 2
    p, q = shares(logits[:half]), shares(logits[half:])
    return mp.fsum(a * mp.log(a / b) for a, b in zip(p, q, strict=True))


def _logits_pair(law, p, q):
    kinds = {"Logits": _chance, "Probs": _same}
    exact = {"Bernoulli": _bernoulli, "Geometric": _geometric}[law]

    def make(kind):
        return getattr(dist, f"{law}{kind}")

    def of(a, b):
        return exact(kinds[p](a), kinds[q](b))

    values = {"Logits": (0.0, 1.0, -2.5), "Probs": (0.5, 0.9, 0.0625)}
    points = list(zip(values[p], values[q][1:] + values[q][:1], strict=True))
    points += [(values[p][0], values[q][0])]
    if p == q == "Logits":
        points += [(6.0, -6.0), (-6.0, 5.0), (1e-2, 0.0), (3.0, 3.0)]
    return f"{law}{p}-{law}{q}", lambda a, b: (make(p)(a), make(q)(b)), of, points


CASES = [
    _logits_pair(law, p, q)
    for law in ("Bernoulli", "Geometric")
    for p, q in itertools.product(("Logits", "Probs"), repeat=2)
]
CASES += [
    (
        "Categorical",
        lambda *x: (
            dist.CategoricalLogits(jnp.stack(x[:3])),
            dist.CategoricalLogits(jnp.stack(x[3:])),
        ),
        _categorical,
        [
            (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
            (1.0, -0.5, 0.25, 0.0, 0.0, 2.0),
            (4.0, -4.0, 0.0, -3.0, 3.0, 1.0),
        ],
    ),
    (
        "Poisson",
        lambda a, b: (dist.Poisson(a), dist.Poisson(b)),
        lambda a, b: a * mp.log(a / b) - a + b,
        [(1.0, 1.0), (2.5, 0.5), (1e6, 1.001e6)],
    ),
    (
        "Laplace",
        lambda m, s, n, t: (dist.Laplace(m, s), dist.Laplace(n, t)),
        _laplace,
        [(0.5, 1.0, 2.0, 3.0), (2.0, 0.5, -1.0, 0.25), (-30.0, 1.0, 20.0, 2.0)],
    ),
    (
        "Gamma",
        lambda a, r, b, q: (dist.Gamma(a, r), dist.Gamma(b, q)),
        _gamma,
        [
            (1.0, 1.0, 2.5, 0.5),
            (0.01, 2.0, 0.25, 3.0),
            (1e4, 2.0, 20.0, 0.0042),
            (30.0, 3.0, 1e4, 1100.0),
        ],
    ),
    (
        "Beta",
        lambda a, b, c, d: (dist.Beta(a, b), dist.Beta(c, d)),
        _dirichlet,
        [(1.0, 2.5, 2.0, 0.5), (0.01, 3.0, 0.25, 0.5), (4e3, 1e4, 3e2, 7e2)],
    ),
    (
        "Dirichlet",
        lambda *x: (dist.Dirichlet(jnp.stack(x[:3])), dist.Dirichlet(jnp.stack(x[3:]))),
        _dirichlet,
        [
            (0.1, 1.0, 3.0, 0.5, 0.5, 0.5),
            (2.0, 30.0, 100.0, 3.0, 20.0, 1e4),
            (1e4, 2e3, 3e3, 90.0, 20.0, 33.0),
        ],
    ),
    (
        "VonMises",
        lambda m, k, n, c: (dist.VonMises(m, k), dist.VonMises(n, c)),
        _von_mises,
        [(0.5, 1.0, 2.0, 3.0), (2.0, 0.25, -1.0, 20.0), (0.01, 1e4, 0.0, 2e4)],
    ),
]


def exact(function, point):
    """The value, the gradient, and the Hessian's upper triangle."""
    with mp.workdps(40):
        point = [mp.mpf(float(np.float32(x))) for x in point]
        size = len(point)
        orders = [tuple(int(i == j) for i in range(size)) for j in range(size)]
        seconds = [
            tuple(x + y for x, y in zip(orders[i], orders[j], strict=True))
            for i in range(size)
            for j in range(i, size)
        ]
        derivatives = [mp.diff(function, tuple(point), o) for o in orders + seconds]
        return np.array([float(mp.re(x)) for x in [function(*point), *derivatives]])


def computed(make, points, dtype):
    size = len(points[0])
    upper = np.triu_indices(size)

    def one(point):
        def divergence(*point):
            return kl_divergence(*make(*point))

        def of(point):
            return divergence(*(point[i] for i in range(size)))

        hessian = jax.hessian(of)(point)
        return jnp.concatenate([of(point)[None], jax.grad(of)(point), hessian[upper]])

    points = np.asarray(points, np.float32).astype(dtype)
    return np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(points)), np.float64)


@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case[0], marks=[] if i == 0 else pytest.mark.slow)
        for i, case in enumerate(CASES)
    ],
)
def test_divergences_are_exact_to_second_order(case, x64):
    _, make, function, points = case
    with jax.enable_x64(x64):
        got = computed(make, points, np.float64 if x64 else np.float32)
    want = np.stack([exact(function, point) for point in points])
    size = len(points[0])
    for order in (slice(0, 1), slice(1, 1 + size), slice(1 + size, None)):
        scale = np.max(np.abs(want[:, order]), -1, keepdims=True) + 1e-6
        error = np.abs(got[:, order] - want[:, order])
        assert np.all(error <= (1e-11 if x64 else 3e-4) * scale), (error / scale).max()


@pytest.mark.slow
def test_extreme_logits_have_finite_divergences():
    first, second = jnp.array([200.0, -200.0, 0.0]), jnp.array([-200.0, 0.0, -200.0])

    def total(law):
        return lambda a, b: jnp.sum(kl_divergence(law(a), law(b)))

    bernoulli = kl_divergence(dist.BernoulliLogits(first), dist.BernoulliLogits(second))
    want = [200.0, np.log(2), 100 - np.log(2)]
    np.testing.assert_allclose(bernoulli, want, rtol=1e-6)
    slopes = jax.grad(total(dist.BernoulliLogits), (0, 1))(first, second)
    np.testing.assert_allclose(slopes[0], [0, 0, 50.0], atol=1e-20)
    np.testing.assert_allclose(slopes[1], [-1, 0.5, -0.5], rtol=1e-6)
    # e - 2 + O(p), for logits that differ by 1
    near = (
        dist.GeometricLogits(jnp.array(-200.0)),
        dist.GeometricLogits(jnp.array(-199.0)),
    )
    np.testing.assert_allclose(kl_divergence(*near), np.e - 2, rtol=2e-5)


@pytest.mark.slow
def test_impossible_outcomes_count_as_nothing():
    p, q = jnp.array([0.0, 0.25, 0.75]), jnp.zeros(3)
    logits = jnp.array([-1e30, 0.25, 0.75])
    want = np.log(3) + 0.25 * np.log(0.25) + 0.75 * np.log(0.75)
    mixed = kl_divergence(dist.CategoricalProbs(p), dist.CategoricalLogits(q))
    np.testing.assert_allclose(mixed, want, rtol=1e-6)

    def backward(law, of):
        return jax.grad(lambda x: kl_divergence(law(x), of))(logits)

    slopes = backward(dist.CategoricalLogits, dist.CategoricalLogits(q))
    assert slopes[0] == 0
    assert np.all(np.isfinite(slopes))
    probs = [dist.BernoulliProbs(jnp.array(x)) for x in (0.0, 1.0, 0.25)]
    np.testing.assert_allclose(
        kl_divergence(probs[0], probs[2]), -np.log(0.75), rtol=1e-6
    )
    np.testing.assert_allclose(
        kl_divergence(probs[1], probs[2]), -np.log(0.25), rtol=1e-6
    )
    assert kl_divergence(probs[2], probs[0]) == np.inf
    slope = jax.grad(lambda q: kl_divergence(probs[0], dist.BernoulliProbs(q)))(0.25)
    np.testing.assert_allclose(slope, 4 / 3, rtol=1e-6)


# The second derivative of the divergence of two Laplace laws at one location, where
# abs has a kink: 1 / (s t).
@pytest.mark.slow
def test_laplace_laws_at_one_location_have_a_second_derivative():
    def divergence(loc):
        return kl_divergence(dist.Laplace(loc, 2.0), dist.Laplace(0.0, 3.0))

    assert jax.grad(divergence)(0.0) == 0
    np.testing.assert_allclose(jax.hessian(divergence)(0.0), 1 / 6, rtol=1e-6)


def _dense(law):
    if isinstance(law, dist.MultivariateNormal):
        return law
    covariance = law.cov_factor @ law.cov_factor.T + jnp.diag(law.cov_diag)
    return dist.MultivariateNormal(law.loc, covariance)


@pytest.mark.slow
@pytest.mark.parametrize("dense", [(0, 0), (0, 1), (1, 0)])
def test_low_rank_normal_laws_agree_with_dense_ones(dense):
    with jax.enable_x64(True):

        def laws(loc, factor, diagonal):
            p = dist.LowRankMultivariateNormal(loc, factor, diagonal)
            q = dist.LowRankMultivariateNormal(
                jnp.array([0.5, -1.0, 2.0]), factor[::-1] * 0.5, diagonal + 0.5
            )
            return p, q

        def ours(*parameters):
            pair = zip(laws(*parameters), dense, strict=True)
            return kl_divergence(*(_dense(law) if d else law for law, d in pair))

        def theirs(*parameters):
            return kl_divergence(*map(_dense, laws(*parameters)))

        parameters = (
            jnp.array([0.25, 1.0, -1.5]),
            jnp.array([[1.0, 0.5], [-0.25, 2.0], [0.75, 0.125]]),
            jnp.array([0.5, 1.5, 0.75]),
        )
        every = (0, 1, 2)
        for derivative in (
            lambda f: f,
            lambda f: jax.grad(f, every),
            lambda f: jax.hessian(f, every),
        ):
            got = jax.jit(derivative(ours))(*parameters)
            want = jax.jit(derivative(theirs))(*parameters)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13),
                got,
                want,
            )


def test_low_rank_normal_laws_of_other_sizes_raise():
    def law(size):
        return dist.LowRankMultivariateNormal(
            jnp.zeros(size), jnp.ones((size, 1)), jnp.ones(size)
        )

    with pytest.raises(ValueError, match="event shape"):
        kl_divergence(law(2), law(3))


@pytest.mark.slow
def test_divergences_go_through_wrappers():
    logits = jnp.array([[0.0], [1.0]])
    p = dist.BernoulliLogits(logits).expand([2, 3]).to_event(1)
    q = dist.BernoulliLogits(jnp.array([0.5, -1.0, 2.0])).to_event(1)
    each = kl_divergence(
        dist.BernoulliLogits(jnp.broadcast_to(logits, (2, 3))),
        dist.BernoulliLogits(jnp.broadcast_to(jnp.array([0.5, -1.0, 2.0]), (2, 3))),
    )
    with jax.numpy_rank_promotion("allow"):  # NumPyro's sum over the event
        got = kl_divergence(p, q.expand([2]))
    np.testing.assert_allclose(got, each.sum(-1), rtol=1e-6)


def test_closed_forms_of_numpyro_stay():
    pair = dist.CategoricalProbs, dist.CategoricalProbs
    before = dist.kl_divergence.funcs[pair]
    _kl._register(*pair, lambda p, q: None)
    assert dist.kl_divergence.funcs[pair] is before


# NumPyro's is off by 3, from terms of the size of 1e6.
def test_laws_of_large_concentrations_are_told_apart():
    p, q = 1e5 * jnp.array([1.0, 2.0, 3.0]), 1.01e5 * jnp.array([1.0, 2.0, 3.0])
    with mp.workdps(40):
        wanted = float(_dirichlet(*map(mp.mpf, np.concatenate([p, q]).tolist())))
    found = jax.jit(lambda p, q: kl_divergence(dist.Dirichlet(p), dist.Dirichlet(q)))
    np.testing.assert_allclose(found(p, q), wanted, atol=2e-6)
    laws = dist.Beta(p[0], p[1]), dist.Beta(q[0], q[1] + 1e3)
    with mp.workdps(40):
        parameters = (p[0], p[1], q[0], q[1] + 1e3)
        wanted = float(_dirichlet(*(mp.mpf(float(x)) for x in parameters)))
    np.testing.assert_allclose(kl_divergence(*laws), wanted, rtol=1e-4)
