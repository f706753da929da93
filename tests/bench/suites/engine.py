# SPDX-License-Identifier: GPL-2.0-only
"""The module's own mechanisms: faults, fills, prefetch, hints, metadata."""

from bench import GRANULE, Failure
from suite import Measurement, Row, Suite, sample

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40

DATA = 512 * MIB


def percentile_curves(figures, subject, peer):
    """The distribution of both sides' times, in milliseconds."""
    return {
        "x": "percentile",
        "y": "milliseconds",
        "lines": {
            title: [[2 * i, 1e3 * value] for i, value in enumerate(figures[side]["percentiles"])]
            for title, side in ((subject, "subject"), (peer, "peer"))
        },
    }


def pair(figures, **more):
    return sample(subject=figures["subject"]["p50"], peer=figures["peer"]["p50"], **more)


def fault_resident(bench):
    size = 64 * MIB
    peer = bench.tmpfs() / "file"
    if not peer.exists():
        bench.run("dd", "if=/dev/zero", f"of={peer}", "bs=2M", f"count={size // GRANULE}")
    store = bench.store() / "data"
    with bench.itme(store, dram=size + 32 * MIB) as itme:
        rounds = 20 if bench.quick else 100
        return pair(
            bench.program(
                "fault_resident",
                itme / "data",
                peer,
                f"--bytes={size}",
                f"--rounds={rounds}",
                f"--seed={bench.seed()}",
            )
        )


def fault_miss(bench):
    store = bench.store() / "data"
    with bench.itme(store, dram=64 * MIB) as itme:
        count = 50 if bench.quick else 200
        options = (f"--samples={count}", f"--seed={bench.seed()}")
        figures = bench.program("fault_miss", itme / "data", store, *options)
    curves = percentile_curves(figures, "fault on an absent granule", "pread, O_DIRECT")
    return pair(figures, curves={"fault_miss": curves})


def depth_curve(rates):
    return {
        "x": "depth of fio, O_DIRECT reads of 2 MiB",
        "y": "MB/s",
        "lines": {"fio": [[depth, rate / 1e6] for depth, rate in sorted(rates.items())]},
    }


def prefetch_rate(bench):
    store = bench.store() / "data"
    rates = bench.fio_depths(store, DATA)
    depth = bench.best_depth(store, DATA)

    def prefetch():
        with bench.itme(store, dram=DATA + 64 * MIB) as itme:
            return bench.program("prefetch_rate", itme / "data")["bytes_per_s"]

    first, second = (prefetch, lambda: bench.fio(store, depth, DATA)), None
    both = {"subject": first[0], "peer": first[1]}
    order = list(both)
    bench.random.shuffle(order)
    measured = {side: both[side]() for side in order}
    ratio = measured["subject"] / measured["peer"]
    return sample(**measured, efficiency=ratio, curves={"fio_depth": depth_curve(rates)})


SUITE = Suite(
    guests={
        # As fast as it can be: what software adds to the latency of a drive shows.
        "fast": ("--cxl=none", "--dram=1536M"),
        # Storage and processor in the proportion of a real machine: see rig.
        "throttled": ("--cxl=none", "--dram=1536M", "--nvme-mbps=200"),
    },
    files={"data": DATA},
    drive_bytes=768 * MIB,
    measurements=(
        Measurement(fault_resident, (Row("fault_resident", goal=1.2),), guest="fast"),
        Measurement(fault_miss, (Row("fault_miss", goal=1.15),), guest="fast"),
        Measurement(
            prefetch_rate, (Row("prefetch_rate", goal=0.95, better="higher"),), guest="throttled"
        ),
    ),
)
