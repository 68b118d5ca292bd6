"""Draws a run's samples as one SVG: who is there, how full the fleet is, who waits."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulation.measures import Outcome

_BLUE, _RED, _GREEN, _GREY = "#3b78c4", "#c4553b", "#4c9a5f", "#8a8a8a"
_DECIMALS = re.compile(r"(\d\.\d)\d+")
"""What a picture of this size does not show, and half of its bytes."""


def draw(outcome: Outcome, path: Path) -> None:
    """Write the picture; the same outcome always gives the same bytes."""
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "pixelferry", "font.size": 9, "axes.edgecolor": _GREY}
    ):
        figure = Figure(figsize=(8, 7), layout="constrained")
        upper, middle, lower = figure.subplots(3, 1, sharex=True)
        _draw_sessions(outcome, upper)
        _draw_fill(outcome, middle)
        _draw_waiting(outcome, lower)
        for axes in (upper, middle, lower):
            for fault in outcome.scenario.faults:
                axes.axvline(fault.at_s / _unit(outcome)[0], color=_RED, alpha=0.35, linewidth=1, linestyle=":")
            axes.legend(loc="upper left", frameon=False, ncols=3)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        lower.set_xlabel(f"{_unit(outcome)[1]}; dotted: something fails")
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(_DECIMALS.sub(r"\1", drawn.getvalue()))


def _unit(outcome: Outcome) -> tuple[float, str]:
    return (3600.0, "hours") if outcome.scenario.seconds > 4 * 3600 else (60.0, "minutes")


def _times(outcome: Outcome) -> list[float]:
    return [sample.at_s / _unit(outcome)[0] for sample in outcome.samples]


def _draw_sessions(outcome: Outcome, axes: Axes) -> None:
    times, samples = _times(outcome), outcome.samples
    axes.plot(times, [sum(one.slots_up.values()) for one in samples], color=_GREY, label="slots on nodes that are up")
    axes.plot(times, [one.ready for one in samples], color=_BLUE, label="sessions ready")
    axes.margins(y=0.25)
    axes.set_ylabel("sessions")


def _draw_fill(outcome: Outcome, axes: Axes) -> None:
    times, samples = _times(outcome), outcome.samples
    low, mean, high = zip(*(one.relay_fill for one in samples), strict=True)
    axes.fill_between(times, low, high, color=_GREEN, alpha=0.3, linewidth=0, label="relays, least to most loaded")
    axes.plot(times, mean, color=_GREEN, label="relays, mean")
    axes.plot(times, [one.used for one in samples], color=_BLUE, label="slots")
    axes.plot(times, [one.ports_used for one in samples], color=_GREY, label="relay ports")
    axes.set_ylabel("share in use")
    axes.margins(y=0.25)


def _draw_waiting(outcome: Outcome, axes: Axes) -> None:
    times, samples = _times(outcome), outcome.samples
    axes.plot(times, [one.queued for one in samples], color=_RED, label="wait for a slot")
    axes.plot(times, [one.pending - one.queued for one in samples], color=_BLUE, label="are being prepared")
    axes.plot(times, [one.stranded for one in samples], color=_GREY, label="slots free of another class, meanwhile")
    axes.set_ylabel("sessions, slots")
    axes.margins(y=0.3)
