"""Does a policy learn through the gradient of its own draws?

Soft actor-critic swings up Gymnasium's pendulum: the policy's actions are drawn by
``rj.tanh_normal``, and its gradient goes through the draw into the critics. All seeds
are trained at once, each by one scan over its environment steps; the mean return over
many episodes from fresh starts is the result.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from . import _devices, _pendulum, _runs, _seeds
from ._sac import Settings, SoftActorCritic

NUM_FILMED = 1
FRAMES = np.arange(7, 103, 8)  # every 0.4 seconds


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/sac")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets the first weights, the episodes and the draws."""
    num_seeds: int = 5
    """How many seeds, counted up from the first; divisible by `devices`."""
    steps: int = 20_000
    """Environment steps of each seed."""
    eval_every: int = 1000
    """Environment steps between two looks at the learning curve; divides `steps`."""
    steps_per_call: int | None = None
    """Environment steps in one compiled call: all by default. With fewer, a multiple of
    `eval_every`, there is progress to see, and a killed run goes on."""
    eval_episodes: int = 20
    """Episodes for each point of the learning curve."""
    test_episodes: int = 1000
    """Episodes for the result."""
    width: int = 64
    """Units of each hidden layer."""
    batch_size: int = 128
    """Transitions in a minibatch."""
    learning_rate: float = 1e-3
    """Of Adam, for policy, critics and temperature."""
    discount: float = 0.98
    """Of future rewards."""
    target_rate: float = 0.01
    """How far the target critics go to the critics in an update."""
    random_steps: int = 1000
    """Environment steps with uniform actions, before the policy acts."""
    steps_per_update: int = 2
    """Environment steps for each gradient step; divides `eval_every`."""
    devices: int = 1
    """Devices to split the seeds over."""


def run(config: Config) -> dict[str, np.ndarray]:
    """Trains all seeds, or goes on with them, and writes the summary.

    Args:
      config: the options.

    Returns:
      ``seeds``; ``steps`` of the learning curve and ``curve``, mean returns of shape
      (seeds, points); ``returns`` of shape (seeds, episodes); ``angles`` in radians, of
      the first episodes, of shape (seeds, episodes, steps).

    Raises:
      OtherRunError: the folder holds a run of another configuration.
      OptionsError: a count does not divide another, or is too small.
    """
    per_call = config.steps if config.steps_per_call is None else config.steps_per_call
    _runs.check_divisors(
        dataclasses.replace(config, steps_per_call=per_call),
        steps_per_update="eval_every",
        eval_every="steps_per_call",
        steps_per_call="steps",
        devices="num_seeds",
    )
    _runs.check_at_least(
        config, width=1, batch_size=1, eval_episodes=1, test_episodes=2
    )
    mesh = _devices.make_mesh(config.devices)
    folder = _runs.open_folder(config.out, config)
    learner = SoftActorCritic(
        Settings(
            width=config.width,
            batch_size=config.batch_size,
            learning_rate=config.learning_rate,
            discount=config.discount,
            target_rate=config.target_rate,
            random_steps=config.random_steps,
            steps_per_update=config.steps_per_update,
            capacity=config.steps,
        )
    )
    seeds = np.arange(config.seed, config.seed + config.num_seeds)
    init, train, test = _make_programs(learner, config, per_call, mesh)
    on_mesh = _seeds.place(mesh, seeds)

    def advance(index, agents):
        agents, curve = train(agents, on_mesh, np.uint32(index * per_call))
        lines = []
        for point, returns in enumerate(np.asarray(curve).T):
            step = index * per_call + (point + 1) * config.eval_every
            lines += [
                {"step": step, "seed": int(seed), "return": float(value)}
                for seed, value in zip(seeds, returns, strict=True)
            ]
        return agents, lines

    agents = _runs.repeat(
        folder,
        advance,
        init(on_mesh),
        count=config.steps // per_call,
        title="training",
    )
    returns, angles = map(np.asarray, test(agents.parameters.policy, on_mesh))
    _runs.write_json(
        folder / "summary.json",
        [
            {
                "seed": int(seed),
                "return": float(row.mean()),
                "standard_error": float(row.std(ddof=1) / np.sqrt(len(row))),
                "episodes": len(row),
                "steps": config.steps,
            }
            for seed, row in zip(seeds, returns, strict=True)
        ],
    )
    log = _runs.read_log(folder)
    return {
        "seeds": seeds,
        "steps": np.unique([line["step"] for line in log]),
        "curve": np.array([line["return"] for line in log]).reshape(-1, len(seeds)).T,
        "returns": returns,
        "angles": angles,
    }


def _make_programs(learner, config, per_call, mesh):
    """The jitted ``init``, ``train`` and ``test``, of all seeds at once."""

    def keys_of(seed):
        return jax.random.split(jax.random.key(seed), 4)

    def init(seed):
        return learner.init(keys_of(seed)[0])

    def train(agent, seed, first):
        _, train_key, eval_key, _ = keys_of(seed)

        def interval(agent, start):
            agent = learner.train(agent, start, train_key, num_steps=config.eval_every)
            returns, _ = learner.rollouts(
                agent.parameters.policy,
                jax.random.fold_in(eval_key, start),
                num_episodes=config.eval_episodes,
            )
            return agent, jnp.mean(returns)

        starts = first + jnp.arange(0, per_call, config.eval_every, dtype=jnp.uint32)
        return jax.lax.scan(interval, agent, starts)

    def test(policy, seed):
        returns, angles = learner.rollouts(
            policy, keys_of(seed)[3], num_episodes=config.test_episodes
        )
        return returns, angles[:NUM_FILMED]

    return (
        _seeds.over_seeds(init, mesh, 1),
        _seeds.over_seeds(train, mesh, 2, 1),
        _seeds.over_seeds(test, mesh, 2),
    )


def plot(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Draws the learning curves, and an episode of every seed frame by frame.

    Args:
      arrays: from :func:`run`.
      path: of the picture.
    """
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    curve, film = figure.subplots(1, 2, width_ratios=(1, 1.5))
    _plot_curves(curve, arrays["steps"], arrays["curve"])
    _plot_film(film, arrays["seeds"], arrays["angles"][:, 0], arrays["returns"][:, 0])
    figure.savefig(path, dpi=150)


def _plot_curves(axes, steps, curve):
    for returns in curve:
        axes.plot(steps, returns, color="#1b6ca8", alpha=0.3, linewidth=1)
    mean, std = curve.mean(0), curve.std(0, ddof=min(1, len(curve) - 1))
    axes.plot(steps, mean, color="#1b6ca8", label="mean of the seeds")
    axes.fill_between(
        steps,
        mean - std,
        mean + std,
        color="#1b6ca8",
        alpha=0.15,
        label="their standard deviation",
    )
    axes.set(
        xlabel="environment steps of each seed",
        ylabel="return of an episode",
        title="Learning curve (a thin line is a seed)",
    )
    axes.locator_params("x", nbins=5)
    axes.legend(frameon=False, loc="lower right")


def _plot_film(axes, seeds, angles, returns):
    for row, (seed, episode, total) in enumerate(
        zip(seeds, angles, returns, strict=True)
    ):
        for column, angle in enumerate(episode[FRAMES]):
            tip = 0.42 * np.sin(angle), 0.42 * np.cos(angle)
            x = np.array([column, column - tip[0]])
            y = np.array([-row, -row + tip[1]])
            axes.plot(x, y, color="#e08a1e", linewidth=3, solid_capstyle="round")
            axes.plot(column, -row, ".", color="black", markersize=3)
        axes.text(-0.9, -row, f"seed {seed}\n{total:.0f}", ha="right", va="center")
    axes.set(
        aspect="equal",
        xlim=(-0.6, len(FRAMES) - 0.4),
        ylim=(0.5 - len(seeds), 0.6),
        xticks=np.arange(len(FRAMES)),
        xticklabels=[f"{_pendulum.TIME_STEP * (frame + 1):.1f}" for frame in FRAMES],
        yticks=[],
        xlabel="seconds",
        title="An episode of each seed, and its return",
    )
    axes.spines[["left", "right", "top"]].set_visible(False)


def make_table(arrays: dict[str, np.ndarray]) -> Table:
    """Lays out the mean return of every seed.

    Args:
      arrays: from :func:`run`.

    Returns:
      A rich table.
    """
    returns = arrays["returns"]
    table = Table(title=f"return over {returns.shape[1]} episodes from fresh starts")
    for name in ("seed", "mean", "standard error", "worst"):
        table.add_column(name, justify="right")
    for seed, row in zip(arrays["seeds"], returns, strict=True):
        error = row.std(ddof=1) / np.sqrt(len(row))
        table.add_row(
            str(seed), f"{row.mean():.1f}", f"{error:.1f}", f"{row.min():.0f}"
        )
    return table


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    console.print(make_table(arrays))
    plot(arrays, config.out / "sac.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
