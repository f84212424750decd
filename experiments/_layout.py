"""The benchmark's rows as tables and pictures."""

import pathlib

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from ._shapes import OURS

NETWORK, VAE = "network", "vae"
ERROR, VARIANCE = "gradient error", "gradient variance"
COLORS = {
    OURS: "#1b6ca8",
    "jax.random": "#e08a1e",
    "jax.random, approximate": "#e6c229",
    "numpyro": "#4d9221",
    "tfp": "#7b5ea7",
    "torch": "#c2185b",
}
# Peers of laws with a shape parameter only.
SHAPE_PEERS = ("jax.random, approximate", "tfp")


def lay_out(rows: list[dict]) -> dict[str, list[list[str]]]:
    """Lays the rows of the benchmark's ``run`` out as text.

    Args:
      rows: from the benchmark's ``run``.

    Returns:
      By sampler, a table of cells, its header first. Beside a time, in brackets, is its
      ratio to ours, but for nats; a dash stands for a peer that is not there. The
      legend tells of errors and variances.
    """
    tables, first_peers = {}, {}
    for row in rows:
        has_shape = "case" in row
        if row["sampler"] in (NETWORK, VAE):
            peers = first_peers.setdefault(row["sampler"], list(row["times"]))
        else:
            peers = [peer for peer in COLORS if has_shape or peer not in SHAPE_PEERS]
        header = ["job", "concentration" if has_shape else "elements", *peers]
        job = f"{row['job']}, {row['unit']}" if "unit" in row else row["job"]
        place = row["case"] if has_shape else _power(row["elements"])
        cells = [job, place, *(_cell(row, peer) for peer in peers)]
        tables.setdefault(row["sampler"], [header]).append(cells)
    return tables


def _power(count):
    exponent = count.bit_length() - 1
    return f"2^{exponent}" if count == 2**exponent else str(count)


def _cell(row, peer):
    if row["job"] == ERROR:
        return _error_cell(row, peer)
    if row["job"].startswith(VARIANCE):
        return _variance_cell(row, peer)
    if peer not in row["times"]:
        return "-"
    if row["unit"] == "nats":
        return f"{row['times'][peer]:.2f}"
    time = _three_digits(row["times"][peer])
    return time if peer == OURS else f"{time} ({_three_digits(row['ratios'][peer])})"


def _error_cell(row, peer):
    error = f"{row['errors'][peer]:.1e}" if peer in row["errors"] else "-"
    part = row["not_finite"].get(peer, 0)
    return f"{error} ({_percent(part)} not finite)" if part else error


def _variance_cell(row, peer):
    if peer not in row["mean_errors"]:
        return "-"
    variance = row["variances"].get(peer)
    text = "-" if variance is None else _three_digits(variance)
    is_off = abs(row["standard_errors"][peer]) > 5
    return f"{text} (mean {_percent(row['mean_errors'][peer])} off)" if is_off else text


def _percent(part):
    return f"{100 * part:.2g} %"


def _three_digits(value):
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def report(rows: list[dict]) -> list[Table]:
    """Makes a table of each sampler's rows, for the console.

    Args:
      rows: from the benchmark's ``run``.

    Returns:
      Rich tables.
    """
    tables = []
    for sampler, (header, *lines) in lay_out(rows).items():
        table = Table(title=sampler)
        for column in header:
            table.add_column(column, justify="left" if column == "job" else "right")
        for line in lines:
            table.add_row(*line)
        tables.append(table)
    return tables


def markdown(rows: list[dict]) -> str:
    """Writes each sampler's rows as a Markdown table.

    Args:
      rows: from the benchmark's ``run``.

    Returns:
      The tables, each beneath its sampler's name.
    """
    texts = []
    for sampler, (header, *lines) in lay_out(rows).items():
        rule = ["---", *["--:"] * (len(header) - 1)]
        table = ["| " + " | ".join(line) + " |" for line in (header, rule, *lines)]
        texts += [f"`{sampler}`", "\n".join(table)]
    return "\n\n".join(texts) + "\n"


def plot(rows: list[dict], path: pathlib.Path) -> None:
    """Draws time per element against elements, and the times of the network as bars.

    Laws with concentrations get two more panels: errors and variances of gradients.

    Args:
      rows: from the benchmark's ``run``.
      path: of the picture.
    """
    rows = [
        row
        for row in rows
        if not row["job"].startswith("compile") and row.get("unit") != "nats"
    ]
    panels: dict[tuple, list] = {}
    for row in rows:
        panels.setdefault((row["sampler"], row["job"]), []).append(row)
    count = -(-len(panels) // 2)
    figure = Figure(figsize=(11, 3.6 * count), layout="constrained")
    grid = figure.subplots(count, 2, squeeze=False).ravel()
    for (sampler, job), axes in zip(panels, grid, strict=False):
        axes.set_title(f"{sampler}: {job}")
        mine = panels[sampler, job]
        if sampler in (NETWORK, VAE):
            _plot_bars(axes, mine)
        elif "case" in mine[0]:
            _plot_cases(axes, mine)
        else:
            _plot_lines(axes, mine)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=150)


QUANTITIES = {
    "times": "ns per element",
    "errors": "largest relative error",
    "variances": "variance over ours",
}


def _plot_cases(axes, rows):
    quantity = next(name for name in QUANTITIES if name in rows[0])
    labels = [row["case"] for row in rows]
    ends = {}
    for peer, color in COLORS.items():
        values = [row[quantity].get(peer, np.nan) for row in rows]
        drawn = [value for value in values if value > 0]
        if drawn:
            axes.plot(range(len(rows)), values, marker=".", color=color)
            ends[peer] = drawn[-1]
    axes.set_xticks(range(len(rows)), labels)
    axes.set(yscale="log", xlabel="concentration", ylabel=QUANTITIES[quantity])
    axes.grid(alpha=0.3)
    _label_ends(axes, ends)


def _plot_lines(axes, rows):
    peers = [peer for peer in COLORS if peer in rows[0]["times"]]
    for peer in peers:
        elements = [row["elements"] for row in rows]
        times = [row["times"][peer] for row in rows]
        axes.plot(elements, times, marker=".", color=COLORS[peer])
    axes.set_xscale("log", base=2)
    axes.set(yscale="log", xlabel="elements", ylabel="ns per element")
    axes.grid(alpha=0.3)
    _label_ends(axes, {peer: rows[-1]["times"][peer] for peer in peers})


def _label_ends(axes, ends):
    low, high = np.log(axes.get_ylim())
    place = -np.inf
    for peer, value in sorted(ends.items(), key=lambda end: end[1]):
        place = max((np.log(value) - low) / (high - low), place + 0.08)
        axes.text(
            1.02,
            place,
            peer,
            color=COLORS[peer],
            transform=axes.transAxes,
            va="center",
        )


def _plot_bars(axes, rows):
    (row,) = rows
    names = [peer.replace(", ", "\n") for peer in row["times"]]
    times = list(row["times"].values())
    colors = [COLORS.get(peer, "#8c8c8c") for peer in row["times"]]
    bars = axes.barh(names, times, color=colors)
    axes.bar_label(bars, labels=map(_three_digits, times), padding=3)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.2 * max(times)), xlabel=row["unit"])
