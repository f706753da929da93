# SPDX-License-Identifier: GPL-2.0-only
"""Medians, spreads, verdicts, and what is no measurement at all."""

import math
import statistics

# Above this share of what is possible, it is the measurement that is wrong.
MOST_EFFICIENT = 1.02


class Broken(Exception):
    """A measurement that cannot be right."""


def spread(values):
    """Half the interquartile range; 0 of a single value."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2


def share(seen, begin, end):
    """Of a core, that was used between two times: of pairs of a time and what was used until then,
    from the first to the last between them. Raises Broken."""
    within = [one for one in seen if begin <= one[0] <= end]
    if len(within) < 2:
        raise Broken(f"from {begin:.2f} to {end:.2f} s nobody looked twice at what was used")
    (first_s, first_used), (last_s, last_used) = within[0], within[-1]
    return (last_used - first_used) / (last_s - first_s)


def interval(values):
    """Where the true median is, in 95 of 100 cases whatever the values' distribution; None of few."""
    ordered, count = sorted(values), len(values)
    outside, most = 0.0, -1  # so many at each end may be left out
    while outside + math.comb(count, most + 1) / 2**count <= 0.025:
        most += 1
        outside += math.comb(count, most) / 2**count
    return [ordered[most], ordered[-1 - most]] if most >= 0 else None


def verdict(value, goal, better, within=None):
    """within: an interval all of which has to be on one side of the goal."""
    if goal is None:
        return "-"
    holds = {side <= goal if better == "lower" else side >= goal for side in within or [value]}
    if len(holds) > 1:
        return "undecided"
    return "met" if holds == {True} else "missed"


def verdict_of(entry):
    return verdict(entry["value"], entry["goal"], entry["better"], entry.get("interval"))


def result(suite, row, samples):
    """A row's entry of result.json. Raises Broken."""
    values = [sample["value"] for sample in samples]
    if not values:
        raise Broken(f"{row.name}: no run gave a value")
    if not all(0 <= value < float("inf") for value in values):
        raise Broken(f"{row.name}: {values} are no figures")
    check_efficiency(row.name, [s["efficiency"] for s in samples if "efficiency" in s])
    check_turns(row.name, [one for s in samples for one in s.get("turns", [])])
    within = {"interval": interval(values)} if row.interval else {}
    return {
        "suite": suite,
        "name": row.name,
        "value": statistics.median(values),
        "goal": row.goal,
        "better": row.better,
        "unit": row.unit,
        "runs": len(values),
        "spread": spread(values),
    } | within


def check_efficiency(name, efficiencies):
    """Raises Broken where the median run was faster than the machine can be."""
    if efficiencies and statistics.median(efficiencies) > MOST_EFFICIENT:
        raise Broken(
            f"{name}: an efficiency of {statistics.median(efficiencies):.3f}: nothing is faster"
            " than the bound, so the bandwidth or the time was measured wrong"
        )


def check_turns(name, efficiencies):
    """Each beside a bound that was measured just before and after, on a host that is not as fast
    from one moment to the next: where there are enough of them, the interval decides."""
    within = interval(efficiencies)
    if within is None or within[0] > MOST_EFFICIENT:
        check_efficiency(name, efficiencies)


def table(results):
    """For people: one line a row."""
    rows = [("NAME", "VALUE", "+-", "GOAL", "VERDICT", "RUNS", "UNIT")]
    for entry in results:
        sign = "<=" if entry["better"] == "lower" else ">="
        goal = "" if entry["goal"] is None else f"{sign} {entry['goal']:g}"
        rows.append(
            (
                entry["name"],
                f"{entry['value']:.4g}",
                f"{entry['spread']:.2g}",
                goal,
                verdict_of(entry),
                str(entry["runs"]),
                entry["unit"],
            )
        )
        if entry.get("interval"):
            low, high = entry["interval"]
            rows.append((f"  95 %: {low:.4g} to {high:.4g}", *[""] * 6))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )
