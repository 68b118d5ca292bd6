"""The outcome of a run in words: tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from bench.figures import percentile
from simulation.measures import Outcome, Sample
from simulation.scenario import Burst, Fault, NodesFail, RelaysFail, StoreAway

Row = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def section(outcome: Outcome, image: str) -> str:
    """All that there is to tell of one run."""
    scenario = outcome.scenario
    kinds = ", ".join(f"{kind.nodes} nodes of {kind.slots_per_node} slots ({kind.id})" for kind in scenario.classes)
    parts = [
        f"## {scenario.title}",
        f"{kinds}: {scenario.slots:,} slots; {scenario.relays} relays for {scenario.relay_capacity} sessions each, in "
        f"{scenario.zones} zones; {scenario.seconds / 3600:.3g} hours, seed {scenario.seed}.\n"
        + "".join(f"\n- {_fault(fault)}" for fault in scenario.faults),
        f"![{scenario.title}]({image})",
        _sessions(outcome),
        table(("seconds", "of", "p50", "p95", "p99", "longest"), _waits(outcome)),
        table(("of the fleet", "mean", "most"), _fleet(outcome.samples)),
        _estimates(outcome),
        _work(outcome),
    ]
    return "\n\n".join(part for part in parts if part)


def _fault(fault: Fault) -> str:
    at = f"after {fault.at_s / 3600:.3g} h"
    match fault:
        case NodesFail():
            how = "crash, and are back after" if fault.crash else "are cut off by their network for"
            return f"{at}: {fault.count} nodes {how} {fault.lasts_s:g} s"
        case RelaysFail():
            how = "with their hosts" if fault.hosts_gone else "killed"
            return f"{at}: {fault.count} of the relays die ({how}), back after {fault.lasts_s:g} s"
        case StoreAway():
            return f"{at}: the store is away for {fault.lasts_s:g} s"
        case Burst():
            return f"{at}: one owner asks for {fault.count} sessions of {fault.node_class} within a second"


def _sessions(outcome: Outcome) -> str:
    counts = outcome.counts
    rows = [
        ("made", f"{counts.created:,}"),
        ("answers 503 while the store was away", f"{counts.unanswered:,}"),
        ("answers 429, every queue full", f"{counts.refused:,}"),
        *((f"ended: {reason}", f"{count:,}") for reason, count in counts.ends.most_common()),
        ("viewers cut off by a relay that died", f"{counts.cut_by_relays:,}"),
        ("sessions routed anew", f"{len(outcome.waits.rerouted_s):,}"),
        ("faults of the books (claims, pools, slots with two backends)", f"{len(outcome.faults)}"),
    ]
    return table(("sessions", "count"), rows)


def _waits(outcome: Outcome) -> list[Row]:
    waits = outcome.waits
    named: dict[str, Sequence[float]] = {}
    named |= {f"from request to ready, {name}": values for name, values in sorted(waits.to_ready_s.items())}
    named |= {f"in the queue, {name}": values for name, values in sorted(waits.queued_s.items())}
    named |= {
        "in the queue, the burst's owner": waits.of_burst_s,
        "in the queue, all others": waits.of_others_s,
        "from a dead relay to a new route": waits.rerouted_s,
        "from a dead relay to a picture again": waits.picture_again_s,
    }
    return [_spread(name, values) for name, values in named.items() if values]


def _spread(name: str, values: Sequence[float]) -> Row:
    marks = (percentile(values, 50), percentile(values, 95), percentile(values, 99), max(values))
    return (name, f"{len(values):,}", *(f"{mark:.1f}" for mark in marks))


def _fleet(samples: Sequence[Sample]) -> list[Row]:
    shares: Mapping[str, Sequence[float]] = {
        "slots in use, of those on nodes that are up": [one.used for one in samples],
        "least loaded relay, of its capacity": [one.relay_fill[0] for one in samples],
        "most loaded relay, of its capacity": [one.relay_fill[2] for one in samples],
        "relay ports in use or lingering": [one.ports_used for one in samples],
        "free ports whose partner is not free": [one.lone_ports for one in samples],
    }
    numbers: Mapping[str, Sequence[int]] = {
        "sessions ready": [one.ready for one in samples],
        "sessions that wait for a slot": [one.queued for one in samples],
        "slots free of another class, while as many wait": [one.stranded for one in samples],
    }
    return [
        *((name, f"{fmean(values):,.0f}", f"{max(values):,}") for name, values in numbers.items()),
        *((name, f"{fmean(values):.1%}", f"{max(values):.1%}") for name, values in shares.items()),
    ]


_WORTH_TELLING_S = 10.0


def _estimates(outcome: Outcome) -> str:
    """How good the first estimate was that those were told who then waited for long enough to care."""
    ratios = [told / had for told, had in outcome.waits.told_s if had >= _WORTH_TELLING_S]
    if not ratios:
        return ""
    low, middle, high = (percentile(ratios, percent) for percent in (10, 50, 90))
    return (
        f"Who waited for {_WORTH_TELLING_S:g} s and more and was given an estimate on joining ({len(ratios):,}) was "
        f"told {middle:.2f} times the wait that came (p50; p10 {low:.2f}, p90 {high:.2f})."
    )


def _work(outcome: Outcome) -> str:
    counts = outcome.counts
    each = max(counts.created, 1)
    return (
        f"For each session, over its whole life: {counts.looks / each:.1f} steps of the core, "
        f"{counts.writes / each:.1f} writes to the store, {counts.events / each:.1f} events, "
        f"{counts.commands.total() / each:.1f} commands."
    )
