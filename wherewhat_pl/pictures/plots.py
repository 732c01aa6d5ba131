"""Plots as PNG bytes: TPL against scores, and loss curves. matplotlib without its global state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

if TYPE_CHECKING:  # it would bring scikit-learn
    from wherewhat_pl.metrics.functional.rotation import RotationResult

INK, QUIET, GRID = "#1f2933", "#7b8794", "#e4e7eb"
COLORS = ("#2563a6", "#d97706", "#2f855a", "#9b2c5e", "#6b46c1", "#0e7490", "#b45309", "#4a5568")


class Scored(Protocol):
    """A model in the scatter plot."""

    @property
    def num_active(self) -> int:
        """Number of active dimensions."""

    @property
    def total(self) -> float:
        """TPL summed over these."""

    @property
    def scores(self) -> dict[str, float]:
        """Other scores, by metric."""


def scatter_picture(candidates: Sequence[Scored], tpl_label: str) -> bytes:
    """TPL against each score, a panel each, coloured by the number of active dimensions; PNG.

    Models carry their position among ``candidates``, which is their rank if these are ranked: names would overlap.
    Scores that only one model has are left out; without any score: TPL against the number of active dimensions.
    """
    counts = Counter(name for candidate in candidates for name in candidate.scores)
    metrics = sorted(name for name, count in counts.items() if count > 1) or [""]
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows + 0.5), layout="constrained")
    groups = sorted({candidate.num_active for candidate in candidates}, reverse=True)
    color = {active: COLORS[k % len(COLORS)] for k, active in enumerate(groups)}
    panel = None
    for position, metric in enumerate(metrics, start=1):
        panel = figure.add_subplot(rows, columns, position, sharex=panel)
        for active in groups:
            members = [c for c in candidates if c.num_active == active and (not metric or metric in c.scores)]
            heights = [c.scores[metric] if metric else float(active) for c in members]
            panel.scatter(
                [c.total for c in members],
                heights,
                s=42,
                color=color[active],
                label=f"{active} active" if active else "collapsed",
                alpha=0.85,
                edgecolors="white",
                linewidths=0.8,
                marker="o" if active else "X",
            )
            for c, height in zip(members, heights, strict=True):
                rank = str(1 + candidates.index(c))
                panel.annotate(rank, (c.total, height), (5, 4), textcoords="offset points", fontsize=8, color=QUIET)
        _dress(panel, tpl_label, metric or "active dimensions")
        panel.margins(0.15)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    ncols = min(len(labels), 3 * columns)
    figure.legend(handles, labels, loc="outside upper center", ncols=ncols, frameon=False, fontsize=9)
    return _png(figure)


def curves_picture(rows: Sequence[dict[str, Any]], panels: Sequence[tuple[str, dict[str, str]]]) -> bytes | None:
    """Curves over images seen, a panel for each title with its columns and their labels; PNG, None without data.

    Args:
        rows: of ``metrics.jsonl``.
        panels: title and column -> label; columns that no row has are left out.
    """
    present = {name for row in rows for name in row}
    wanted = [(title, {k: v for k, v in names.items() if k in present}) for title, names in panels]
    wanted = [(title, names) for title, names in wanted if names]
    if not wanted:
        return None
    figure = Figure(figsize=(3.6 * len(wanted), 2.7), layout="constrained")
    for panel, (title, names) in zip(figure.subplots(1, len(wanted), squeeze=False)[0], wanted, strict=True):
        for number, (name, label) in enumerate(names.items()):
            points = [(row["images_seen"], row[name]) for row in rows if isinstance(row.get(name), int | float)]
            x, y = zip(*points, strict=True) if points else ((), ())
            marker = "o" if len(points) < 3 else None
            panel.plot(x, y, color=COLORS[number % len(COLORS)], linewidth=1.4, label=label, marker=marker)
        _dress(panel, "images seen", "", title)
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        if len(names) > 1:
            panel.legend(frameon=False, fontsize=8)
    return _png(figure)


def rotation_picture(curves: Sequence[tuple[str, RotationResult]], distance: str) -> bytes:
    """Accumulated distance over the angle, a panel for each pair, the multiples of 90 degrees marked; PNG."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.2 * rows), layout="constrained")
    for position, (title, curve) in enumerate(curves, start=1):
        panel = figure.add_subplot(rows, columns, position)
        degrees, mean, std = curve.degrees.numpy(), curve.mean.numpy(), curve.std.numpy()
        for angle in range(-180, 181, 90):
            panel.axvline(angle, color=COLORS[1], linewidth=1, linestyle=(0, (4, 3)))
        panel.fill_between(degrees, mean - std, mean + std, color=COLORS[0], alpha=0.15, linewidth=0)
        panel.plot(degrees, mean, color=COLORS[0], linewidth=1.6)
        panel.set_xticks(range(-180, 181, 90))
        panel.margins(x=0.02)
        _dress(panel, "rotated by, in degrees", f"accumulated {distance}", title)
    return _png(figure)


def _dress(panel: Any, x: str, y: str, title: str = "") -> None:
    panel.set_title(title, fontsize=10, color=INK, loc="left")
    panel.set_xlabel(x, fontsize=9, color=INK)
    panel.set_ylabel(y, fontsize=9, color=INK)
    panel.tick_params(colors=QUIET, labelsize=8)
    panel.grid(color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(GRID)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()
