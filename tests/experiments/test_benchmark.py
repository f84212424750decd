"""Tests of ``experiments.benchmark`` and its peers, at toy size; none of timings."""

import functools
import importlib
import json
import sys

import jax
import numpy as np
import pytest
from scipy import stats

from experiments import _peers, _timing, benchmark
from experiments._peers import BACKWARD, DRAW, FORWARD, GRADIENT, LAWS, OURS
from experiments.benchmark import Config

# A run of the benchmark for each process that tests run in.
pytestmark = pytest.mark.slow

COMPILE = "compile 2 draws"
TOY = {"repeats": 2, "compile_draws": 2, "compile_lengths": (4,), "network_size": 6}
WORDS = ["--exponents", "6", "8", "--repeats", "2", "--compile-draws", "2"]
JOBS = [
    *[("normal", job, size) for job in (DRAW, GRADIENT) for size in (64, 256)],
    ("normal", COMPILE, 4),
    *[("network", job, 6 * 6 * 16) for job in (FORWARD, BACKWARD)],
]
HAS_TORCH = _peers.installed("torch")
JAX_PEERS = [OURS, "jax.random", "numpyro"]
CONVOLUTIONS = [
    f"{library}, convolution alone" for library in ("jax", *["torch"] * HAS_TORCH)
]


@pytest.fixture(autouse=True, scope="module")
def same_key_every_time():
    """Timed programs run again and again with one key."""
    with jax.debug_key_reuse(False):
        yield


def call(monkeypatch, out, *words):
    monkeypatch.setattr(sys, "argv", ["benchmark", *words, "--out", str(out)])
    benchmark.main()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run through `main`: its folder."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        words = [*WORDS, "--compile-lengths", "4", "--network-size", "6"]
        call(patch, out, "normal", "network", *words)
    return out


@pytest.fixture(scope="module")
def rows(finished):
    return json.loads((finished / "summary.json").read_text())["rows"]


def test_rows_hold_a_positive_time_of_every_installed_peer(rows):
    assert [(row["sampler"], row["job"], row["elements"]) for row in rows] == JOBS
    torch = ["torch"] * HAS_TORCH
    for row in rows:
        expected = {
            "network": [OURS, "jax.random", *torch, *CONVOLUTIONS],
            "normal": JAX_PEERS + torch * (row["job"] != COMPILE),
        }[row["sampler"]]
        assert sorted(row["times"]) == sorted(expected)
        assert min(row["times"].values()) > 0


def test_ratios_are_quotients_to_our_time(rows):
    for row in rows:
        assert list(row["ratios"]) == list(row["times"])
        for peer, time in row["times"].items():
            assert row["ratios"][peer] == pytest.approx(time / row["times"][OURS])


def test_times_are_in_the_unit_of_the_row(monkeypatch, tmp_path):
    def seconds(programs, *_):
        return dict.fromkeys(programs, 0.5)

    monkeypatch.setattr(benchmark._timing, "interleaved_seconds", seconds)
    monkeypatch.setattr(benchmark._timing, "compile_seconds", lambda *_: 0.5)
    config = Config(("normal", "network"), exponents=(6, 8), out=tmp_path, **TOY)
    times = [(row["times"][OURS], row["unit"]) for row in benchmark.run(config)]
    draws = [(0.5e9 / 2**6, "ns"), (0.5e9 / 2**8, "ns")] * 2
    assert times == [*draws, (0.5, "s"), (500, "ms"), (500, "ms")]


def test_a_killed_run_has_kept_its_finished_rows(monkeypatch, tmp_path):
    def die(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(benchmark, "_time_compilation", die)
    with pytest.raises(ZeroDivisionError):
        benchmark.run(Config(exponents=(6, 8), out=tmp_path, **TOY))
    kept = json.loads((tmp_path / "summary.json").read_text())["rows"]
    assert [(row["sampler"], row["job"], row["elements"]) for row in kept] == JOBS[:4]


def test_markdown_has_one_line_per_row_with_its_figures(finished, rows):
    text = (finished / "benchmark.md").read_text()
    assert text.startswith("`python -m experiments.benchmark normal network --exp")
    assert f"jax {jax.__version__}, numpyro " in text
    lines = [line[2:-2].split(" | ") for line in text.splitlines() if line[:1] == "|"]
    table, network = lines[: len(rows)], lines[len(rows) :]
    assert len(lines) == len(rows) + 2 * 2
    for header, rule, *body in (table[:7], [*table[7:], *network]):
        assert set(rule) == {"---", "--:"}
        sampler = "normal" if "numpyro" in header else "network"
        mine = [row for row in rows if row["sampler"] == sampler]
        for row, (job, elements, *cells) in zip(mine, body, strict=True):
            assert job == f"{row['job']}, {row['unit']}"
            base, _, exponent = elements.partition("^")
            assert int(base) ** int(exponent or 1) == row["elements"]
            for peer, cell in zip(header[2:], cells, strict=True):
                expected = [row[column].get(peer) for column in ("times", "ratios")]
                if expected[0] is None:
                    assert cell == "-"
                    continue
                figures = [float(word.strip("()")) for word in cell.split()]
                expected = expected[: 1 if peer == OURS else 2]
                assert figures == pytest.approx(expected, rel=5.1e-3)


def test_interleaved_seconds_are_medians_over_turns_without_the_first_calls(
    monkeypatch,
):
    clock, calls = [0.0], []
    steps = {"a": iter([9, 1, 3, 9, 5, 7, 9, 30, 50]), "b": iter([9, 2, 2] * 3)}

    def program(name):
        calls.append(name)
        clock[0] += next(steps[name])

    monkeypatch.setattr(_timing.time, "perf_counter", lambda: clock[0])
    programs = {name: functools.partial(program, name) for name in steps}
    seconds = _timing.interleaved_seconds(programs, repeats=3, calls=2)
    assert seconds == {"a": 6, "b": 2}
    turns = ["".join(calls[i : i + 6]) for i in range(0, 18, 6)]
    # In every round each has its turn, and not always after the same other.
    assert set(turns) == {"aaabbb", "bbbaaa"}


def test_compile_seconds_compiles_draws_of_every_length():
    shapes = []

    def draw(key, low, high):
        shapes.append((low.shape, high.shape))
        return jax.random.uniform(key, low.shape, minval=low, maxval=high)

    assert _timing.compile_seconds(draw, (0.5, 2.0), num_draws=3, length=4) > 0
    assert shapes == [((7,), (7,)), ((6,), (6,)), ((5,), (5,))]


def test_the_picture_is_there(finished):
    assert (finished / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_missing_peers_are_named_and_skipped(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_peers, "installed", lambda library: library != "torch")
    call(monkeypatch, tmp_path, "normal", *WORDS, "--compile-lengths")
    printed = " ".join(capsys.readouterr().out.split())
    assert "Not installed, so not timed: torch." in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["missing"] == ["torch"]
    for row in summary["rows"]:
        assert list(row["times"]) == JAX_PEERS
    monkeypatch.setattr(_peers, "installed", lambda _: False)
    assert list(_peers.draw_programs("normal", DRAW, 4)) == [OURS, "jax.random"]
    assert _peers.missing() == ["numpyro", "torch"]


def test_an_unknown_sampler_ends_with_what_there_is(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match=r"No sampler `no_such` .* There are: normal"):
        call(monkeypatch, tmp_path, "normal", "no_such")
    assert not (tmp_path / "summary.json").exists()


def test_all_is_every_sampler_the_library_has():
    chosen = benchmark._chosen(("all",))
    assert chosen == [*_peers.existing(), "network", "vae"]
    assert "normal" in chosen


def test_only_these_laws_are_missing_elsewhere():
    for name, law in LAWS.items():
        for library in filter(_peers.installed, _peers.OPTIONAL):
            lacking = _peers._distribution(library, law) is None
            assert not lacking or (name, library) in {
                ("rayleigh", "numpyro"),
                ("rayleigh", "torch"),
                ("logistic", "torch"),
            }


@pytest.mark.parametrize("job", [DRAW, GRADIENT])
@pytest.mark.parametrize("sampler", LAWS)
def test_every_peer_draws_from_the_same_law(sampler, job, alpha):
    if HAS_TORCH:
        importlib.import_module("torch").manual_seed(0)
    programs = _peers.draw_programs(sampler, job, 2**14)
    results = {}
    for peer, program in programs.items():
        result = program()
        results[peer] = [result] if job == DRAW else result[1]
        assert len(results[peer]) == (1 if job == DRAW else len(LAWS[sampler].values))
    reference, *others = results.values()
    for other in others:
        for mine, theirs in zip(reference, other, strict=True):
            assert mine.shape == theirs.shape == (2**14,)
            assert stats.ks_2samp(np.asarray(mine), np.asarray(theirs)).pvalue > alpha


def test_the_networks_are_one_network(alpha):
    if HAS_TORCH:
        importlib.import_module("torch").manual_seed(0)
    outputs = {
        peer: np.asarray(program())
        for peer, program in _peers.network_programs(FORWARD, 60).items()
    }
    for peer in outputs:
        if peer.startswith("torch"):
            outputs[peer] = np.moveaxis(outputs[peer], 1, 3)
    alone = [outputs.pop(peer) for peer in CONVOLUTIONS]
    for other in alone[1:]:
        assert np.linalg.norm(other - alone[0]) <= 1e-5 * np.linalg.norm(alone[0])
    # Every third pixel: no two of them share a draw.
    reference, *others = [(x - alone[0])[0, ::3, ::3, 0] for x in outputs.values()]
    for other in others:
        assert stats.ks_2samp(reference.ravel(), other.ravel()).pvalue > alpha
    programs = _peers.network_programs(BACKWARD, 6)
    for peer, program in programs.items():
        loss, gradients = program()
        assert loss.item() > 0
        assert len(gradients) == (2 if peer in CONVOLUTIONS else 3)
        assert all(float(abs(gradient).sum()) > 0 for gradient in gradients)
