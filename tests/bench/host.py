#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""make bench: boot the guests of each suite, judge what they measured, draw it.

usage: host.py [OPTION...] [SUITE...]

  --quick        fewer runs of each pair
  --seed=N       of the order of runs, and of all else that is random
  --only=ROW     what measures this row alone; may be repeated
  --list         the suites and their rows
  --out=DIR      where result.json and the pictures go, in build/ [build/bench]
  --suites=DIR   where the suites are [tests/bench/suites]
  --here         measure on this machine, without a guest

Status: 0 everything was measured, whether a goal was missed or not; 1 something
failed, or a measurement cannot be right; 2 usage; or that of scripts/vm.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import figures
import picture
import suite as suites

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
GUEST_TIMEOUT = 5400


class Failed(Exception):
    """Something did not run; its status."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def make_drive(suite, folder):
    """An image with ext4 and the suite's files."""
    image = folder / "drive.img"
    with tempfile.TemporaryDirectory(dir=folder) as files:
        for name, size in suite.files.items():
            make = [PROJECT / "build/replay", "make", f"--bytes={size}"]
            subprocess.run([*make, f"{files}/{name}"], check=True)
        with image.open("w") as file:
            file.truncate(suite.drive_bytes)
        quiet = ["-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"]
        subprocess.run(["mkfs.ext4", *quiet, "-d", files, image], check=True)
    return image


def run_guest(name, guest, suite, options, drive):
    """The samples that a guest of a suite measured, by row."""
    out = options.out / f"{name}-{guest}.jsonl"
    out.unlink(missing_ok=True)
    command = [PROJECT / "tests/bench/guest.py", name, guest, f"--out={out}"]
    command += [f"--seed={options.seed}", f"--suites={options.suites}"]
    command += ["--quick"] if options.quick else []
    command += [f"--only={row}" for row in options.only]
    if not options.here:
        vm = [PROJECT / "scripts/vm", "run", f"--timeout={GUEST_TIMEOUT}", *suite.guests[guest]]
        vm += [f"--nvme-image={drive}"] if drive else []
        command = [*vm, "--", *command]
    done = subprocess.run([str(word) for word in command], check=False)
    if done.returncode != 0:
        raise Failed(f"the guest '{guest}' ended with status {done.returncode}", done.returncode)
    samples = {}
    for line in out.read_text().splitlines():
        entry = json.loads(line)
        samples.setdefault(entry["row"], []).append(entry["sample"])
    return samples


def run_suite(name, options):
    """The results of a suite, and the samples behind them by row."""
    suite = suites.load(name, options.suites)
    measured = [
        m
        for m in suite.measurements
        if not options.only or any(row.name in options.only for row in m.rows)
    ]
    samples, drive = {}, None
    try:
        if suite.files and measured:
            drive = make_drive(suite, options.out)
        for guest in dict.fromkeys(m.guest for m in measured):
            samples |= run_guest(name, guest, suite, options, drive)
    finally:
        if drive:
            drive.unlink(missing_ok=True)
    rows = [row for m in measured for row in m.rows]
    return [figures.result(name, row, samples.get(row.name, [])) for row in rows], samples


def busy():
    """The host's load, where it is more than its processors and the guest's can take."""
    load = os.getloadavg()[1]
    return load if load > os.cpu_count() + 1 else None


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n", 1)[1], add_help=False)
    parser.add_argument("names", nargs="*", metavar="SUITE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 30))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, default=PROJECT / "build/bench")
    parser.add_argument("--suites", type=pathlib.Path, default=suites.SUITES)
    parser.add_argument("--here", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    options = parser.parse_args()
    options.out, options.suites = options.out.resolve(), options.suites.resolve()
    if not options.here and not options.out.is_relative_to(PROJECT / "build"):
        parser.error("--out: a folder in build/, as the guest writes nowhere else")
    return options


def main():
    options = arguments()
    if options.help:
        print(__doc__.split("\n\n", 1)[1].strip())
        return 0
    known = suites.names(options.suites)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        print(f"bench: no suite '{unknown[0]}': there are {', '.join(known)}", file=sys.stderr)
        return 2
    rows = {row.name for name in known for row in suites.load(name, options.suites).rows()}
    for row in options.only:
        if row not in rows:
            print(f"bench: no row '{row}': --list shows them", file=sys.stderr)
            return 2
    if options.list:
        for name in options.names or known:
            print(name, *(f"  {row.name}" for row in suites.load(name, options.suites).rows()), sep="\n")
        return 0

    # Nothing of an earlier run is taken for this one's.
    options.out.mkdir(parents=True, exist_ok=True)
    for kind in ("json", "jsonl", "dat", "gp", "png"):
        for file in options.out.glob(f"*.{kind}"):
            file.unlink()
    print(f"bench: --seed={options.seed} repeats this order of runs", flush=True)
    results = []
    for name in options.names or known:
        print(f"\n{name}:", flush=True)
        own, samples = run_suite(name, options)
        results += own
        (options.out / f"{name}-samples.json").write_text(json.dumps(samples, indent=1) + "\n")
        picture.draw(options.out, name, own, samples)
        print(f"\n{figures.table(own)}\n")
    (options.out / "result.json").write_text(json.dumps(results, indent=2) + "\n")
    if (load := busy()) is not None:
        print(f"The host was busy with more than this: a load of {load:.1f}. Measure again when it is quiet.")
    print("VALUE: the median of the runs; +-: half their interquartile range.")
    verdicts = [(entry, figures.verdict_of(entry)) for entry in results if entry["goal"] is not None]
    others = [f"\n  {said}: {e['suite']}: {e['name']}" for e, said in verdicts if said != "met"]
    print(f"{len(verdicts) - len(others)} of {len(verdicts)} goals met" + "".join(others))
    print(options.out / "result.json")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, figures.Broken, FileNotFoundError, subprocess.CalledProcessError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(getattr(failure, "status", 1))
