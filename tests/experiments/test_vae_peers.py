"""Tests of the VAE's training step that the benchmark times; none of timings."""

import functools
import importlib
import json
import sys

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import _data, _vae_peers, _vae_step, _vae_torch, benchmark
from experiments._peers import installed
from experiments._shapes import OURS
from tests import hlo

pytestmark = pytest.mark.slow
TORCH = [peer for peer in _vae_torch.VARIANTS if installed("torch")]


@pytest.fixture(scope="module")
def digits():
    train, test = _data.binarize("digits")
    return train.pixels, test.pixels


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`, without torch: its folder."""
    out = tmp_path_factory.mktemp("finished")
    words = ["vae", "--vae-data", "digits", "--vae-steps", "60", "--vae-seeds", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_vae_peers, "installed", lambda _: False)
        patch.setattr(benchmark._peers, "installed", lambda name: name != "torch")
        patch.setattr(sys, "argv", ["", *words, "--repeats", "1", "--out", str(out)])
        benchmark.main()
    return out


def test_rows_are_times_memory_and_bounds(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["missing"] == ["torch"]
    found = {row["job"]: (row["unit"], row["times"]) for row in summary["rows"]}
    bounds = [f"test bound after 60 steps, seed {seed}" for seed in (0, 1)]
    assert list(found) == ["training step", "first step", "memory of a step", *bounds]
    unit, times = found["training step"]
    assert unit == "ms"
    assert list(times) == [OURS, f"{OURS}, in a scan"]
    assert min(times.values()) > 0
    # The gradients of encoder and decoder alone are 4 bytes for each parameter.
    _, state = _vae_step.init(0, 8)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert found["memory of a step"][1][OURS] > 4e-6 * parameters
    # 64 fair coins are -44 nats.
    for bound in bounds:
        assert -44 < found[bound][1][OURS] < -15
    assert found[bounds[0]][1] != found[bounds[1]][1]
    text = (finished / "benchmark.md").read_text()
    assert "Not installed, so not timed: torch." in text
    assert f"{found[bounds[0]][1][OURS]:.2f} | - |" in text
    assert (finished / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_no_program_of_the_step_has_a_convolution(digits):
    pixels = digits[0][:4]
    graphdef, state = _vae_step.init(0, 8)
    step = _vae_step.make_step(graphdef)

    def steps(state, batches):
        return jax.lax.scan(step, state, batches)

    for program, batch in ((step, pixels), (steps, pixels[None])):
        text = hlo.compiled(program, state, batch)
        assert " convolution(" not in text
        assert " dot(" in text or "dot_general" in text


def test_a_scan_makes_the_steps_that_calls_make(digits):
    batches = digits[0][:24].reshape(3, 8, 8, 8, 1)
    graphdef, state = _vae_step.init(0, 8)
    step = _vae_step.make_step(graphdef)
    again = state._replace(key=jax.random.clone(state.key))
    scanned, bounds = jax.jit(functools.partial(jax.lax.scan, step))(again, batches)
    one = jax.jit(step)
    for batch, expected in zip(batches, bounds, strict=True):
        state, bound = one(state, batch)
        np.testing.assert_allclose(bound, expected, rtol=1e-5)
    for mine, theirs in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(scanned.params), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.skipif(not TORCH, reason="torch is not installed")
@pytest.mark.parametrize("image_size", [8, 28])
def test_both_networks_are_one_function_with_one_gradient(image_size):

    torch = importlib.import_module("torch")
    rng = np.random.default_rng(0)
    pixels = rng.uniform(size=(3, image_size, image_size, 1)).astype(np.float32)
    graphdef, state = _vae_step.init(0, image_size)

    def total(params):
        networks = nnx.merge(graphdef, params)
        features = networks["encoder"](pixels)
        logits = networks["decoder"](features[:, : _vae_step.LATENTS])
        return (logits**2).sum(), (features, logits)

    grads, (features, logits) = jax.grad(total, has_aux=True)(state.params)
    arrays = jax.tree.map(np.asarray, nnx.to_pure_dict(state.params))
    network = _vae_torch.make_network(image_size)
    first = _vae_torch.to_torch(arrays, image_size)
    network.load_state_dict({name: torch.tensor(x) for name, x in first.items()})
    theirs = network.encode(torch.tensor(_vae_peers._nchw(pixels)))
    np.testing.assert_allclose(theirs.detach(), features, rtol=1e-3, atol=1e-5)
    pictures = network.decode(theirs[:, : _vae_step.LATENTS])
    np.testing.assert_allclose(
        pictures.detach().permute(0, 2, 3, 1), logits, rtol=1e-3, atol=1e-5
    )
    pictures.square().sum().backward()
    expected = _vae_torch.to_torch(
        jax.tree.map(np.asarray, nnx.to_pure_dict(grads)), image_size
    )
    for name, parameter in network.named_parameters():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            parameter.grad, expected[name], rtol=1e-3, atol=1e-4 * scale
        )


@pytest.mark.skipif(not TORCH, reason="torch is not installed")
def test_torch_bounds_what_we_bound_and_trains_as_far(digits):
    train, test = digits
    for steps in (0, 60):
        found = _vae_peers.bounds(train, test, steps=steps, seed=0)
        assert found["torch"] == pytest.approx(found[OURS], abs=0.5)


@pytest.mark.skipif(not TORCH, reason="torch is not installed")
def test_torch_programs_train_and_their_memory_is_counted(digits):
    pixels = digits[0][:8]
    eager = {k: v for k, v in _vae_torch.VARIANTS.items() if not v.get("compiled")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_vae_torch, "VARIANTS", eager)
        programs = _vae_peers.step_programs(pixels)
        found = _vae_peers.step_bytes(pixels)
    assert list(programs) == [OURS, f"{OURS}, in a scan", *eager]
    for peer in eager:
        assert programs[peer]().item() > programs[peer]().item()
        gradients = sum(x.numel() for x in _vae_torch.make_network(8).parameters())
        assert 4 * gradients <= found[peer] < 100 * gradients
