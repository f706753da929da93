#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The part of make bench inside the guest: measure, in random order.

usage: guest.py SUITE GUEST --out=FILE [--seed=N] [--quick] [--only=ROW] [--suites=DIR]

FILE gets a line of JSON for each sample: {"row": NAME, "sample": {...}}.
Status: 0 all was measured; 1 something failed, and stderr says what.
"""

import argparse
import json
import random
import subprocess
import sys

import bench
import figures
import suite as suites


def plan(suite, guest, quick, only, seed):
    """The runs of all measurements of a guest, in random order."""
    runs = [
        measurement
        for measurement in suite.measurements
        if measurement.guest == guest and wanted(measurement, only)
        for _ in range(measurement.quick if quick else measurement.runs)
    ]
    random.Random(seed).shuffle(runs)
    return runs


def wanted(measurement, only):
    return not only or any(row.name in only for row in measurement.rows)


def samples_of(measurement, machine):
    """Name and sample of each row."""
    measured = measurement.measure(machine)
    if "value" in measured:
        measured = {measurement.rows[0].name: measured}
    names = {row.name for row in measurement.rows}
    if set(measured) != names:
        raise figures.Broken(f"{sorted(names)} were to be measured, and {sorted(measured)} were")
    return measured.items()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite")
    parser.add_argument("guest")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--suites", default=suites.SUITES)
    options = parser.parse_args()

    suite = suites.load(options.suite, options.suites)
    runs = plan(suite, options.guest, options.quick, options.only, options.seed)
    try:
        with (
            bench.Bench(random.Random(options.seed), options.quick) as machine,
            open(options.out, "w", encoding="ascii") as out,
        ):
            for number, measurement in enumerate(runs, 1):
                name = measurement.rows[0].name
                print(f"  {options.guest}: {number} of {len(runs)}: {name}", flush=True)
                for row, sample in samples_of(measurement, machine):
                    print(json.dumps({"row": row, "sample": sample}), file=out, flush=True)
    except (figures.Broken, bench.Failure, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
