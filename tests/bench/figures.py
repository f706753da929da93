# SPDX-License-Identifier: GPL-2.0-only
"""Medians, spreads, verdicts, and what is no measurement at all."""

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


def verdict(value, goal, better):
    if goal is None:
        return "-"
    holds = value <= goal if better == "lower" else value >= goal
    return "met" if holds else "missed"


def result(suite, row, samples):
    """A row's entry of result.json. Raises Broken."""
    values = [sample["value"] for sample in samples]
    if not values:
        raise Broken(f"{row.name}: no run gave a value")
    if not all(0 <= value < float("inf") for value in values):
        raise Broken(f"{row.name}: {values} are no figures")
    check_efficiency(row.name, [s["efficiency"] for s in samples if "efficiency" in s])
    return {
        "suite": suite,
        "name": row.name,
        "value": statistics.median(values),
        "goal": row.goal,
        "better": row.better,
        "unit": row.unit,
        "runs": len(values),
        "spread": spread(values),
    }


def check_efficiency(name, efficiencies):
    """Raises Broken where the median run was faster than the machine can be."""
    if efficiencies and statistics.median(efficiencies) > MOST_EFFICIENT:
        raise Broken(
            f"{name}: an efficiency of {statistics.median(efficiencies):.3f}: nothing is faster"
            " than the bound, so the bandwidth or the time was measured wrong"
        )


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
                verdict(entry["value"], entry["goal"], entry["better"]),
                str(entry["runs"]),
                entry["unit"],
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )
