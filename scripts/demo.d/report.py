#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Judge the demo's runs: a table, build/demo/result.json, data for the picture.

usage: report.py FOLDER

FOLDER holds settings and runs/, as scripts/demo and scripts/demo.d/guest left
them. Status 0 when the runs gave the same tokens and the check was able to
fail; 1 otherwise.
"""

import json
import pathlib
import shlex
import sys

LEAST_TOKENS, LEAST_DISTINCT = 16, 8

# Passes that are not counted: what is in memory has to settle first.
SETTLING = 2

MIB = 1 << 20

NOTES = """\
 * The CXL tier is a stand-in: a NUMA node of its own, reached the way CXL memory
   is (dax, kmem), at the speed of DRAM. The drive is emulated and throttled.
 * All start with nothing cached (auto may fetch from when the model is attached), in
   a cgroup that has what the runtime itself needs; ext4's has the sum of both tiers on
   top, all of it DRAM, for its page cache. Counted are the passes after the first {settling}; cold start is
   loading and the first token."""


class Failure(Exception):
    """The demo did not show what it is for."""


def read_settings(path):
    settings = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition("=")
        value = " ".join(shlex.split(value))
        settings[name] = int(value) if value.isdigit() else value
    return settings


def read_counters(path):
    """Lines of a name and a number; other lines are left out."""
    if not path.exists():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def read_run(folder, name):
    path = folder / f"{name}.jsonl"
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise Failure(f"the run '{name}' left no record: {error}") from error
    if not records or records[0]["pass"] != "load":
        raise Failure(f"the run '{name}' did not load the model")
    before = read_counters(folder / f"{name}.instance-before")
    after = read_counters(folder / f"{name}.instance")
    return {
        "name": name,
        "load": records[0],
        "passes": [record for record in records if record["pass"] == "token"],
        "mapped_huge_bytes": records[-1].get("mapped_huge_bytes"),
        "group": read_counters(folder / f"{name}.group"),
        "instance": {key: value - before.get(key, 0) for key, value in after.items()},
    }


def ids(run):
    return [entry["id"] for entry in run["passes"]]


def mean(entries, key):
    return sum(entry[key] for entry in entries) / len(entries)


def summary(run, settling=SETTLING):
    """What result.json says about a run."""
    steady = run["passes"][settling:]
    cold = [run["load"], run["passes"][0]]
    return {
        "name": run["name"],
        "seconds_per_token": mean(steady, "seconds"),
        "store_bytes_per_token": mean(steady, "store_bytes"),
        "store_reads_per_token": mean(steady, "store_reads"),
        "major_faults_per_token": mean(steady, "major_faults"),
        "minor_faults_per_token": mean(steady, "minor_faults"),
        "counted_tokens": len(steady),
        "cold_start_seconds": sum(entry["seconds"] for entry in cold),
        "cold_start_store_bytes": sum(entry["store_bytes"] for entry in cold),
        "mapped_huge_bytes": run["mapped_huge_bytes"],
        "cgroup": run["group"],
        "instance": run["instance"],
        "seconds": [entry["seconds"] for entry in run["passes"]],
        "store_bytes": [entry["store_bytes"] for entry in run["passes"]],
    }


def compare(ext4, itme, auto, corrupt):
    """The checks, as a list of (what is claimed, whether it holds)."""
    last = itme["passes"][-1]
    total, distinct = len(ids(itme)), len(set(ids(itme)))
    same_ids = ids(ext4) == ids(itme) == ids(auto)
    same_logits = all(
        run["passes"][-1]["all_logits"] == last["all_logits"] for run in (ext4, auto)
    )
    so_far = itme["passes"][len(corrupt["passes"]) - 1]
    seen = corrupt["passes"][-1]["all_logits"] != so_far["all_logits"]
    return [
        (f"the same {total} tokens from all three", same_ids and total >= LEAST_TOKENS),
        (f"{distinct} of them distinct", distinct >= LEAST_DISTINCT),
        (f"the same logits, bit for bit ({last['all_logits']})", same_logits),
        ("a corrupted granule changes the logits: the check can fail", seen),
    ]


def table(memory, ext4, itme, auto, settings):
    least = least_bytes(settings)
    bound = bound_seconds(settings, memory["seconds_per_token"])
    rows = [("", "s/token", "MiB read/token", "faults/token (major)", "cold start")]
    for title, entry in (
        ("all in memory", memory),
        ("ext4, page cache", ext4),
        ("ITME, demand only", itme),
        ("ITME, auto", auto),
    ):
        rows.append(
            (
                title,
                f"{entry['seconds_per_token']:.2f}",
                f"{entry['store_bytes_per_token'] / MIB:.1f}",
                f"{entry['major_faults_per_token'] + entry['minor_faults_per_token']:.0f}"
                f" ({entry['major_faults_per_token']:.0f})",
                f"{entry['cold_start_seconds']:.1f} s",
            )
        )
    rows.append(("the bound", f"{bound:.2f}", f"{least / MIB:.1f}", "", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def least_bytes(settings):
    """What any policy has to read for a token: what memory cannot hold."""
    return settings["model_bytes"] - settings["dram_bytes"] - settings["cxl_bytes"]


def bound_seconds(settings, compute):
    """The least time of a token: what has to be computed and what has to be read, side by side."""
    return max(compute, least_bytes(settings) / settings["drive_bytes_per_second"])


def times(ratio, better, worse):
    return f"{ratio:.2f} times {better}" if ratio >= 1 else f"{1 / ratio:.2f} times {worse}"


def set_up(settings, cxl, at):
    """The set-up in a line."""
    model, dram, cxl_mib = (
        settings[key] / MIB for key in ("model_bytes", "dram_bytes", "cxl_bytes")
    )
    speed = settings["drive_bytes_per_second"] / 1e6
    return (
        f"a {model:.0f} MiB model in {dram:.0f} MiB DRAM + {cxl_mib:.0f} MiB {cxl},"
        f" NVMe {at} {speed:.0f} MB/s"
    )


def write_picture_data(folder, settings, memory, ext4, itme, auto):
    lines = ["# token, MiB and seconds: ext4, ITME on demand, ITME auto"]
    for i in range(len(ext4["seconds"])):
        cells = [
            f"{run['store_bytes'][i] / MIB:.3f} {run['seconds'][i]:.4f}"
            for run in (ext4, itme, auto)
        ]
        lines.append(f"{i + 1} {' '.join(cells)}")
    (folder / "result.dat").write_text("\n".join(lines) + "\n")
    model = settings["model_bytes"] / MIB
    values = {
        "model": f"{model:.3f}",
        "least": f"{least_bytes(settings) / MIB:.3f}",
        "bound": f"{bound_seconds(settings, memory['seconds_per_token']):.4f}",
        "ext4_mib": f"{ext4['store_bytes_per_token'] / MIB:.3f}",
        "itme_mib": f"{itme['store_bytes_per_token'] / MIB:.3f}",
        "auto_mib": f"{auto['store_bytes_per_token'] / MIB:.3f}",
        "ext4_seconds": f"{ext4['seconds_per_token']:.4f}",
        "itme_seconds": f"{itme['seconds_per_token']:.4f}",
        "auto_seconds": f"{auto['seconds_per_token']:.4f}",
        "tokens": len(ext4["seconds"]),
        "title": f'"llama.cpp decoding {set_up(settings, "CXL (stand-in)", "throttled to")}"',
    }
    lines = [f"{key} = {value}\n" for key, value in values.items()]
    (folder / "result.gp").write_text("".join(lines))


def main(folder):
    settings = read_settings(folder / "settings")
    wanted = {
        "memory": settings["memory_tokens"],
        "ext4": settings["tokens"],
        "itme": settings["tokens"],
        "auto": settings["tokens"],
        "corrupt": settings["corrupt_tokens"],
    }
    runs = {name: read_run(folder / "runs", name) for name in wanted}
    for name, tokens in wanted.items():
        if len(runs[name]["passes"]) != tokens:
            raise Failure(f"the run '{name}' did not decode {tokens} tokens")

    checks = compare(runs["ext4"], runs["itme"], runs["auto"], runs["corrupt"])
    # Nothing to settle there, and what else the host did is no part of computing.
    memory = summary(runs["memory"], settling=0)
    memory["seconds_per_token"] = min(memory["seconds"])
    ext4, itme, auto = (summary(runs[name]) for name in ("ext4", "itme", "auto"))
    match = all(holds for _, holds in checks[:3])
    result = {
        "tokens_match": match,
        "corruption_seen": checks[3][1],
        "model_bytes": settings["model_bytes"],
        "dram_bytes": settings["dram_bytes"],
        "cxl_bytes": settings["cxl_bytes"],
        "cxl_is_stand_in": True,
        "drive_bytes_per_second": settings["drive_bytes_per_second"],
        "runtime_bytes": runs["itme"]["group"].get("memory.max"),
        "least_store_bytes_per_token": least_bytes(settings),
        "compute_seconds_per_token": memory["seconds_per_token"],
        "bound_seconds_per_token": bound_seconds(settings, memory["seconds_per_token"]),
        "tokens": ids(runs["itme"]),
        "logits_hash": runs["itme"]["passes"][-1]["all_logits"],
        "runs": [ext4, itme, auto],
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    write_picture_data(folder, settings, memory, ext4, itme, auto)

    def ratios(run):
        read = ext4["store_bytes_per_token"] / max(run["store_bytes_per_token"], 1)
        decoded = ext4["seconds_per_token"] / run["seconds_per_token"]
        return f"reads {times(read, 'less', 'more')} and decodes {times(decoded, 'faster', 'slower')}"

    reached = result["bound_seconds_per_token"] / auto["seconds_per_token"]
    print(f"  llama.cpp, {set_up(settings, 'CXL', 'at')}\n")
    print(table(memory, ext4, itme, auto, settings))
    print(
        f"\n  On demand alone ITME {ratios(itme)} than the page cache.\n"
        f"  With itmed, which is told nothing, it {ratios(auto)}:\n"
        f"  {reached:.0%} of what the bound allows.\n"
    )
    print(NOTES.format(settling=SETTLING) + "\n")
    for claim, holds in checks:
        print(f"  {'ok    ' if holds else 'FAILED'}  {claim}")
    return 0 if all(holds for _, holds in checks) else 1


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stdout if len(sys.argv) == 2 else sys.stderr)
        sys.exit(0 if len(sys.argv) == 2 else 2)
    try:
        sys.exit(main(pathlib.Path(sys.argv[1])))
    except Failure as failure:
        print(f"demo: {failure}", file=sys.stderr)
        sys.exit(1)
