"""Tests of ``experiments.vae`` and the trainings behind it, at toy size."""

import dataclasses
import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import reparam_jax as rj
from experiments import _data, _devices, _runs, _vae_figure, _vae_training, vae
from experiments._vae_model import bound, init_network, make_train
from experiments._vae_training import Config, choose_rows

OBJECTIVES = ("elbo", "stl", "iwae", "dreg")
LATENTS = ("normal", "von_mises_fisher", "dirichlet")
TOY = Config(
    num_seeds=2,
    objectives=("elbo", "dreg"),
    num_samples=3,
    latents=3,
    width=8,
    steps=4,
    eval_every=2,
    batch_size=32,
    test_samples=6,
    chunk_size=2,
    checkpoint_seconds=0.0,
)

TRIALS = [(seed, objective) for seed in (0, 1) for objective in TOY.objectives]


def arguments(config):
    words = ["vae"]
    for name, value in dataclasses.asdict(config).items():
        if value != getattr(Config(), name):
            values = value if isinstance(value, tuple) else (value,)
            words += ["--" + name.replace("_", "-"), *map(str, values)]
    return words


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`, and what it drew: folder, config, arrays."""
    config = dataclasses.replace(TOY, out=tmp_path_factory.mktemp("finished"))
    drawn = []

    def plot(arrays, path):
        drawn.append(arrays)
        _vae_figure.plot(arrays, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments(config))
        patch.setattr(vae, "plot", plot)
        vae.main()
    return config.out, drawn[0]


def small_vae(latent="normal", **changes):
    options = {"image_size": 8, "network": "dense", "width": 8, "latents": 3}
    options |= {"latent": latent} | changes
    return init_network(jax.random.key(5), **options)


def pixels(count=6):
    return _data.binarize("digits")[0].pixels[:count]


@pytest.mark.slow
def test_log_has_every_interval_and_the_scores_of_every_training(finished):
    log = _runs.read_log(finished[0])
    assert [(r["seed"], r["objective"], r["step"]) for r in log if "bound" in r] == [
        (*trial, step) for trial in TRIALS for step in (2, 4)
    ]
    scored = [row for row in log if "log_likelihood" in row]
    assert [(row["seed"], row["objective"]) for row in scored] == TRIALS
    for row in scored:
        # 64 fair coins, and the bound below the bound of many draws.
        assert -64 < row["elbo"] < row["log_likelihood"] < -20
        assert 1 <= row["ess"] <= TOY.test_samples
    summary = json.loads((finished[0] / "summary.json").read_text())
    names = ["objective", "seed", "elbo", "log_likelihood", "ess"]
    assert summary == [{name: row[name] for name in names} for row in scored]


@pytest.mark.slow
def test_arrays_and_figure_show_the_first_seed(finished):
    folder, arrays = finished
    assert (folder / "vae.png").read_bytes().startswith(b"\x89PNG")
    table = {
        (row["objective"], row["seed"]): row["elbo"]
        for row in json.loads((folder / "summary.json").read_text())
    }
    expected = [[table[which, seed] for seed in (0, 1)] for which in TOY.objectives]
    np.testing.assert_array_equal(arrays["elbo"], expected)
    _, test = _data.binarize("digits")
    np.testing.assert_array_equal(arrays["originals"], test.pixels[:10, ..., 0])
    np.testing.assert_array_equal(arrays["labels"], test.labels)
    assert arrays["places"].shape == (2, 297, 3)
    for name in ("reconstructions", "samples"):
        assert arrays[name].shape == (2, 10, 8, 8)
        assert arrays[name].min() > 0
        assert arrays[name].max() < 1
    # 4 steps from the same first weights, and the same noise: near, but not the same.
    gap = np.abs(arrays["samples"][0] - arrays["samples"][1])
    assert 0 < gap.max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [0, 1, 4, 7])
@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_interrupted_and_resumed_is_bit_for_bit_the_same(
    finished, tmp_path, monkeypatch, stop_at, seconds
):
    config = dataclasses.replace(TOY, out=tmp_path, checkpoint_seconds=seconds)
    calls = iter(range(9))

    def fail_there(*args, **options):
        if next(calls) == stop_at:
            raise KeyboardInterrupt
        return choose_rows(*args, **options)

    monkeypatch.setattr(_vae_training, "choose_rows", fail_there)
    with pytest.raises(KeyboardInterrupt):
        vae.run(config)
    monkeypatch.undo()
    assert not (tmp_path / "summary.json").exists()
    arrays = vae.run(config)
    for name in ("metrics.jsonl", "summary.json"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()
    assert arrays.keys() == finished[1].keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, finished[1][name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [2, 8])
def test_more_devices_give_the_losses_of_one(finished, num_devices):
    config = dataclasses.replace(TOY, devices=num_devices, num_seeds=1)
    mesh = _devices.make_mesh(num_devices)
    lines, shown = [], {}
    advance, state, count = _vae_training.make_trainings(
        config, mesh, shown.__setitem__
    )
    for index in range(count):
        state, new = advance(index, state)
        lines += new
    log = _runs.read_log(finished[0])[: len(lines)]
    assert len(lines) == 6
    for line, expected in zip(lines, log, strict=True):
        assert line.keys() == expected.keys()
        for name in line.keys() & {"bound", "elbo", "log_likelihood", "ess"}:
            np.testing.assert_allclose(line[name], expected[name], rtol=1e-5)
    for row, objective in enumerate(TOY.objectives):
        for name, array in shown[objective].items():
            one = finished[1][name][row]
            np.testing.assert_allclose(array, one, rtol=1e-4, atol=1e-6)
    kernel = state["params"]["encoder"]["hidden"]["kernel"][...]
    assert len(kernel.sharding.device_set) == num_devices


# By hand, from the same noise: z = mean + std * noise, and each gradient's own terms.
def by_hand(params, graphdef, images, objective, num_samples):
    vae = nnx.merge(graphdef, params)
    held = nnx.merge(graphdef, jax.tree.map(jax.lax.stop_gradient, params))
    guide = vae.guide(images)
    draws = 1 if objective in ("elbo", "stl") else num_samples
    noise = rj.Pathwise().draw(jax.random.key(8), guide, draws)
    (noise,) = jax.tree.leaves(noise)

    def normal(z, mean, std):
        terms = -(((z - mean) / std) ** 2) / 2 - jnp.log(std)
        return jnp.sum(terms - np.log(2 * np.pi) / 2, -1)

    with jax.numpy_rank_promotion("allow"):
        mean, std = guide.base_dist.loc, guide.base_dist.scale
        mean_held, std_held = map(jax.lax.stop_gradient, (mean, std))
        z = mean + std * noise

        def log_weight(z, vae, mean, std):
            log_likelihood = jax.vmap(lambda z: vae.log_likelihood(z, images))(z)
            return log_likelihood + normal(z, 0.0, 1.0) - normal(z, mean, std)

        if objective == "elbo":
            kl = jnp.sum((mean**2 + std**2 - 1) / 2 - jnp.log(std), -1)
            return jnp.mean(vae.log_likelihood(z[0], images) - kl)
        if objective == "stl":
            return jnp.mean(log_weight(z, vae, mean_held, std_held))
        weights = log_weight(z, vae, mean, std)
        value = jax.nn.logsumexp(weights, 0) - jnp.log(draws)
        if objective == "iwae":
            return jnp.mean(value)
        share = jax.lax.stop_gradient(jax.nn.softmax(weights, 0))
        of_guide = share**2 * log_weight(z, held, mean_held, std_held)
        fixed = jax.lax.stop_gradient(z)
        of_model = share * log_weight(fixed, vae, mean_held, std_held)
        surrogate = jnp.sum(of_guide + of_model, 0)
        value = jax.lax.stop_gradient(value - surrogate) + surrogate
        return jnp.mean(value)


def assert_close_trees(found, expected):
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    close = functools.partial(
        np.testing.assert_allclose, rtol=1e-4, atol=1e-5 * largest
    )
    jax.tree.map(close, found, expected)


@pytest.mark.slow
def test_objectives_have_their_own_value_and_gradient():
    graphdef, params = small_vae()
    images = pixels()

    def ours(params, objective):
        vae = nnx.merge(graphdef, params)
        key = jax.random.key(8)
        bounds = bound(key, vae, images, objective=objective, num_samples=4)
        return jnp.mean(bounds)

    grads = {}
    for objective in OBJECTIVES:
        value, grads[objective] = jax.jit(
            jax.value_and_grad(functools.partial(ours, objective=objective))
        )(params)
        hand = functools.partial(
            by_hand,
            graphdef=graphdef,
            images=images,
            objective=objective,
            num_samples=4,
        )
        expected, expected_grads = jax.jit(jax.value_and_grad(hand))(params)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        assert_close_trees(grads[objective], expected_grads)
    # And no two of them are alike.
    kernels = [
        np.asarray(g["encoder"]["readout"]["kernel"][...]) for g in grads.values()
    ]
    for place, one in enumerate(kernels):
        for other in kernels[:place]:
            assert np.abs(one - other).max() > 1e-3 * np.abs(one).max()


# The best model whose pixels are independent knows how often each one is white.
@pytest.mark.slow
@pytest.mark.parametrize("latent", LATENTS)
def test_each_latent_beats_independent_pixels(latent):
    images = pixels(600)
    chance = np.clip(images.mean(0), 1e-3, 1 - 1e-3)
    terms = images * np.log(chance) + (1 - images) * np.log1p(-chance)
    independent = terms.sum((1, 2, 3)).mean()
    graphdef, params = small_vae(latent, width=32, latents=4)
    optimizer = optax.adam(1e-2)
    train = make_train(
        graphdef,
        objective="elbo",
        num_samples=1,
        optimizer=optimizer,
        mesh=_devices.make_mesh(1),
    )
    state = params, optimizer.init(params)
    values = []
    for interval in range(3):
        rows = choose_rows(0, interval, count=600, shape=(100, 50))
        first = np.uint32(100 * interval)
        *state, value = train(*state, images[rows], jax.random.key(9), first)
        values.append(float(value))
    assert values == sorted(values)
    assert values[-1] > independent + 1.5


@pytest.mark.slow
def test_intervals_of_steps_make_one_training():
    graphdef, params = small_vae()
    optimizer = optax.adam(1e-2)
    train = make_train(
        graphdef,
        objective="stl",
        num_samples=1,
        optimizer=optimizer,
        mesh=_devices.make_mesh(1),
    )
    batches = pixels(24).reshape(4, 6, 8, 8, 1)
    key, start = jax.random.key(3), (params, optimizer.init(params))
    *whole, value = train(*start, batches, key, np.uint32(0))
    *half, first = train(*start, batches[:2], key, np.uint32(0))
    *both, second = train(*half, batches[2:], key, np.uint32(2))
    np.testing.assert_allclose((first + second) / 2, value, rtol=1e-6)
    assert_close_trees(both, whole)


@pytest.mark.slow
def test_debug_stops_at_gradients_that_are_not_finite():
    graphdef, params = small_vae()
    params["decoder"]["readout"]["bias"][...] = jnp.full(64, jnp.nan)
    optimizer = optax.sgd(1.0)
    train, checked = (
        make_train(
            graphdef,
            objective="elbo",
            num_samples=1,
            optimizer=optimizer,
            mesh=_devices.make_mesh(1),
            debug=debug,
        )
        for debug in (False, True)
    )
    state = params, optimizer.init(params), pixels(6)[None]
    *_, value = train(*state, jax.random.key(0), np.uint32(0))
    assert np.isnan(value)
    with pytest.raises(AssertionError, match="assert_tree_all_finite"):
        checked(*state, jax.random.key(0), np.uint32(0))


def test_rows_depend_on_seed_and_interval_only():
    rows = choose_rows(1, 2, count=5, shape=(30, 7))
    assert rows.shape == (30, 7)
    assert set(rows.ravel()) == set(range(5))
    assert rows.tolist() == choose_rows(1, 2, count=5, shape=(30, 7)).tolist()
    for other in ((0, 2), (1, 0)):
        assert rows.tolist() != choose_rows(*other, count=5, shape=(30, 7)).tolist()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"eval_every": 3}, "`--eval-every` must divide `--steps`"),
        ({"batch_size": 9, "devices": 2}, "`--devices` must divide `--batch-size`"),
        ({"chunk_size": 4}, "`--chunk-size` must divide `--test-samples`"),
    ],
)
def test_options_that_do_not_divide_are_refused(tmp_path, changes, sentence):
    config = dataclasses.replace(TOY, out=tmp_path, **changes)
    with pytest.raises(_runs.OptionsError, match=sentence):
        vae.run(config)


def test_missing_data_end_with_a_sentence(tmp_path, monkeypatch):
    config = dataclasses.replace(
        TOY, out=tmp_path / "out", data="fashion", data_dir=tmp_path / "no"
    )
    monkeypatch.setattr(sys, "argv", arguments(config))
    with pytest.raises(SystemExit, match="apt-get install dataset-fashion-mnist"):
        vae.main()


def test_places_are_laid_out_in_the_plane():
    flatten = _vae_figure.flatten
    corners = flatten(np.eye(3), latent="dirichlet")
    sides = [np.linalg.norm(corners[i] - corners[i - 1]) for i in range(3)]
    np.testing.assert_allclose(sides, 1)
    pairs = np.array([[1.0, 2.0], [3.0, 5.0]])
    np.testing.assert_array_equal(flatten(pairs, latent="normal"), pairs)
    line = flatten(pairs[:, :1], latent="normal")
    np.testing.assert_array_equal(line, [[1, 0], [3, 0]])
    # Of points on a line through space, one axis is left.
    space = np.outer(np.arange(-2.0, 3.0), [2.0, 3.0, 6.0])
    found = flatten(space, latent="von_mises_fisher")
    np.testing.assert_allclose(np.abs(found[:, 0]), [14, 7, 0, 7, 14], atol=1e-12)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-12)


def test_table_has_means_errors_and_gains():
    arrays = {
        "objectives": np.array(["elbo", "iwae"]),
        "seeds": np.arange(2),
        "latent": np.array("normal"),
        "elbo": np.array([[-19.0, -19.0], [-20.0, -20.0]]),
        "log_likelihood": np.array([[-18.0, -17.0], [-17.0, -16.4]]),
        "ess": np.array([[100.0, 101.0], [50.0, 52.0]]),
    }
    table = vae.make_table(arrays)
    cells = [list(column.cells) for column in table.columns]
    assert cells == [
        ["elbo", "iwae"],
        ["-19.00 +- 0.00", "-20.00 +- 0.00"],
        ["-17.50 +- 0.50", "-16.70 +- 0.30"],
        ["0.00 +- 0.00", "0.80 +- 0.20"],
        ["100", "51"],
    ]
