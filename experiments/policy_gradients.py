"""Which estimator of the policy gradient is right, and which needs the fewest steps?

On a linear-quadratic regulator, whose policy gradient is known in closed form, every
estimator takes as many samples as it needs for a bias of 5 % to be seen. On CartPole,
with two discrete actions, policies learn by the estimators at equal environment steps:
every step of the simulator counts, also those of restarts.
"""

import dataclasses
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console

from . import _devices, _runs
from ._policy_bias import Measuring
from ._policy_cart_pole import Settings
from ._policy_report import make_cart_pole_table, make_regulator_table, plot
from ._policy_training import Training


@dataclasses.dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    out: Path = Path("runs/policy_gradients")
    """Folder of the results; the same command goes on where it was stopped."""
    seed: int = 0
    """First seed. A seed sets the first weights, the episodes and the draws."""
    num_seeds: int = 5
    """How many seeds, counted up from the first; divisible by `devices`."""
    smallest_bias: float = 0.05
    """Relative bias on the regulator that must be seen: it sets how many estimates are
    drawn there."""
    estimates: int = 4096
    """Gradient estimates of each seed in one call on the regulator."""
    steps: int = 60_000
    """Environment steps of each seed and estimator on CartPole."""
    eval_every: int = 3000
    """Environment steps between two looks at the learning curve; divides `steps`."""
    eval_episodes: int = 32
    """Episodes for each point of the learning curve; not counted as steps."""
    probe_steps: int = 15_000
    """Environment steps after which the variance of the gradient is measured."""
    probes: int = 128
    """Gradient estimates for that."""
    episodes: int = 8
    """Episodes for each update of the policy on CartPole."""
    restarts: int = 16
    """Visited states for each update at which the simulator restarts."""
    width: int = 32
    """Units of each hidden layer."""
    learning_rate: float = 1e-2
    """Of Adam, for the policy."""
    critic_learning_rate: float = 3e-3
    """Of Adam, for the critic."""
    critic_updates: int = 50
    """Minibatches of the critic for each update of the policy."""
    batch_size: int = 256
    """Visited states in such a minibatch."""
    discount: float = 0.99
    """Of future rewards, in the critic."""
    devices: int = 1
    """Devices to split the seeds over."""


def run(config: Config) -> dict[str, np.ndarray]:
    """Measures and trains, or goes on with it, and writes the summary.

    Args:
      config: the options.

    Returns:
      Of the regulator, in the order of its estimators: ``bias``, ``bias_error``
      (estimators, parts); ``worst_z``, ``smallest_bias`` (estimators);
      ``steps_for_ten_percent`` (estimators, parts, seeds). Of CartPole, in the order
      of its estimators: ``steps`` of the learning curves and ``curves``, mean returns
      (estimators, seeds, points); ``probe_var``, relative variance of a gradient for
      each environment step (estimators, seeds).

    Raises:
      OtherRunError: the folder holds a run of another configuration.
      OptionsError: a count does not divide another, or an option is out of range.
    """
    _runs.check_divisors(config, eval_every="steps", devices="num_seeds")
    _runs.check_at_least(
        config,
        estimates=2,
        eval_episodes=1,
        probes=2,
        episodes=2,
        restarts=1,
        width=1,
        batch_size=1,
    )
    if config.smallest_bias <= 0 or not 0 <= config.discount < 1:
        raise _runs.OptionsError(
            "`--smallest-bias` must be above 0, and `--discount` in [0, 1): got "
            f"{config.smallest_bias} and {config.discount}."
        )
    mesh = _devices.make_mesh(config.devices)
    folder = _runs.open_folder(config.out, config)
    seeds = np.arange(config.seed, config.seed + config.num_seeds)
    measuring = Measuring(
        mesh, seeds, batch_size=config.estimates, smallest_bias=config.smallest_bias
    )
    training = Training(
        mesh,
        seeds,
        Settings(
            width=config.width,
            num_episodes=config.episodes,
            learning_rate=config.learning_rate,
            critic_learning_rate=config.critic_learning_rate,
            critic_updates=config.critic_updates,
            batch_size=config.batch_size,
            discount=config.discount,
            num_restarts=config.restarts,
        ),
        steps=config.steps,
        eval_every=config.eval_every,
        eval_episodes=config.eval_episodes,
        probe_steps=config.probe_steps,
        probes=config.probes,
    )

    def advance(index, state):
        if index < measuring.count:
            moments, lines = measuring.advance(index, state["moments"])
            return state | {"moments": moments}, lines
        agents, lines = training.advance(index - measuring.count, state["agents"])
        return state | {"agents": agents}, lines

    start = {"moments": measuring.start, "agents": training.start}
    count = measuring.count + training.count
    _runs.repeat(folder, advance, start, count=count, title="policy gradients")
    log = _runs.read_log(folder)
    regulator = [row for row in log if "worst_z" in row]
    cart_pole = _summarize(log, training.arms, seeds)
    _runs.write_json(
        folder / "summary.json", {"regulator": regulator, "cart_pole": cart_pole}
    )
    names = "bias", "bias_error", "worst_z", "smallest_bias", "steps_for_ten_percent"
    arrays = {name: np.array([row[name] for row in regulator], float) for name in names}
    return arrays | {
        "steps": np.unique([line["step"] for line in log if "step" in line]),
        "curves": np.array([row["curve"] for row in cart_pole]),
        "probe_var": np.array([row["probe_var"] for row in cart_pole], float),
    }


def _summarize(log, arms, seeds):
    """One row for each estimator on CartPole."""
    probe = next(line for line in log if "probe_var" in line)["probe_var"]
    rows = []
    for name, learner in arms.items():
        curve = [line["return"] for line in log if line.get("trained_by") == name]
        curve = np.array(curve).reshape(-1, len(seeds)).T
        rows.append(
            {
                "estimator": name,
                "is_biased": learner.arm.is_biased,
                "curve": curve.tolist(),
                "mean_return": curve.mean(1).tolist(),
                "last_return": curve[:, -1].tolist(),
                "probe_var": probe[name],
            }
        )
    return rows


def main() -> None:
    """Runs the experiment from the command line."""
    config = tyro.cli(Config, description=__doc__)
    console = Console()
    with _runs.plain_errors():
        arrays = run(config)
    console.print(make_regulator_table(arrays))
    console.print(make_cart_pole_table(arrays))
    plot(arrays, config.out / "policy_gradients.png")
    console.print(f"figure and summary in {config.out}")


if __name__ == "__main__":
    main()
