# SPDX-License-Identifier: GPL-2.0-only
"""What observing costs, and whether what it says is true."""

import bisect
import contextlib
import os
import pathlib
import statistics

import agent
from bench import PROJECT
from figures import Broken
from suite import Measurement, Row, Suite, sample

MIB = 1 << 20
DATA = 256 * MIB
RESIDENT = 64 * MIB
TOKENS = 50


def stall_truth(bench):
    """The share that the worst cause is off by, and each cause's own ratio."""
    cxl = f"16M@{os.environ['ITME_CXL_NODE']}"
    with bench.itme(bench.store() / "data", dram=DATA + 64 * MIB, cxl=cxl) as itme:
        samples = 16 if bench.quick else 48
        options = (f"--samples={samples}", f"--seed={bench.seed()}")
        figures = bench.program("stall_truth", itme / "data", *options)
    for cause, sums in figures.items():
        if sums["count"] < samples // 2:
            raise Broken(f"stall_truth: only {sums['count']} touches of {samples} were {cause}")
    ratios = {cause: sums["accounted_ns"] / sums["timed_ns"] for cause, sums in figures.items()}
    return {
        "stall_truth": sample(max(abs(1 - ratio) for ratio in ratios.values())),
        "stall_truth_miss": sample(ratios["miss"]),
        "stall_truth_late": sample(ratios["late"]),
        "stall_truth_promote": sample(ratios["promote"]),
    }


def faults(bench, *options):
    """Seconds of a fault on what is in memory."""
    resident = bench.store() / "resident"
    with bench.itme(resident, dram=RESIDENT + 32 * MIB) as itme:
        seed = f"--seed={bench.seed()}"
        return bench.program("fault_attached", itme / "resident", seed, *options)


def attached(bench):
    blocks, rounds = (2, 20) if bench.quick else (4, 50)
    figures = faults(bench, f"--blocks={blocks}", f"--rounds={rounds}")
    return sample(subject=figures["subject"]["p50"], peer=figures["peer"]["p50"])


def detached(bench):
    """The module as it is, beside the same without a tracepoint in it: ABBA or BAAB, so that
    what changes steadily meanwhile is in neither."""
    release = os.uname().release
    traced = os.environ.get("ITME_KO", PROJECT / f"build/kmod/{release}/itme.ko")
    modules = {"subject": traced, "peer": PROJECT / f"build/kmod-untraced/{release}/itme.ko"}
    bench.module()

    def reload(module):
        bench.run("rmmod", "itme")
        bench.run("insmod", module)

    seconds = {"subject": [], "peer": []}
    first, second = bench.random.sample(sorted(modules), 2)
    try:
        for side in (first, second, second, first):
            reload(modules[side])
            figures = [faults(bench, "--only-detached", "--blocks=1", "--rounds=50") for _ in range(3)]
            seconds[side].append(statistics.median(figure["peer"]["p50"] for figure in figures))
    finally:
        reload(traced)
    return sample(**{side: statistics.mean(values) for side, values in seconds.items()})


def share_right(layers, trail):
    """The share of layers in the middle of which the position was one of theirs."""
    times = [position["time_ns"] for position in trail]
    right = 0
    for _, layer, begin, end in layers:
        last = bisect.bisect_right(times, (begin + end) // 2) - 1
        right += last >= 0 and trail[last]["step"].startswith(f"blk.{layer}.")
    return right / len(layers)


@contextlib.contextmanager
def observed(bench):
    """A model, all of it in memory so that nothing waits, and an itmed that follows it."""
    model = bench.model("model.gguf")
    with bench.itme(model, dram=model.stat().st_size + 64 * MIB) as itme:
        with agent.itmed(bench, {itme: {model: "auto"}}) as itmed:
            itmed.wait_for("a plan", lambda: itmed.plan(model.name))
            yield itme / model.name, itmed


def position(bench):
    """Where a decode of llama.cpp is, as itmed publishes it, beside what the decode logs."""
    with observed(bench) as (region, itmed):
        layers, trail = itmed.follow(lambda: bench.decode(region, TOKENS))
    sources = {position["known_by"] for position in trail}
    print(f"    {len(trail)} positions, by {', '.join(sorted(sources))}", flush=True)
    return sample(share_right(layers, sorted(trail, key=lambda position: position["time_ns"])))


def agent_cpu(bench):
    """The same decode; nobody asks itmed for anything."""
    touches = pathlib.Path("/sys/fs/itme/bench/regions/model.gguf/touch_count")
    with observed(bench) as (region, itmed):
        before_s, before = itmed.cpu_seconds(), int(touches.read_text())
        layers = bench.decode(region, TOKENS)
        used_s, seen = itmed.cpu_seconds() - before_s, int(touches.read_text()) - before
    decode_s = (layers[-1][3] - layers[0][2]) / 1e9
    if seen < 0.95 * len(layers):
        raise Broken(f"agent_cpu: {seen} touches of {len(layers)} layers: itmed did not follow")
    print(f"    {used_s:.2f} s of {decode_s:.1f} s, {seen} touches", flush=True)
    return sample(used_s / decode_s)


SUITE = Suite(
    guests={
        # As fast as it can be: what a fault costs shows.
        "fast": ("--cxl=none", "--dram=1536M"),
        # A read, and a copy from CXL memory, take long beside a fault of an emulated
        # processor, as on a real one.
        "throttled": ("--cxl=type3", "--cxl-size=256M", "--dram=1536M", "--nvme-mbps=100"),
    },
    files={"data": DATA, "resident": RESIDENT},
    drive_bytes=768 * MIB,
    measurements=(
        Measurement(
            detached,
            (Row("detached", goal=1.01, interval=True),),
            guest="fast",
            runs=32,
            quick=6,
        ),
        Measurement(attached, (Row("attached", goal=1.03),), guest="fast"),
        Measurement(
            stall_truth,
            (
                Row("stall_truth", unit="off by", goal=0.05),
                Row("stall_truth_miss"),
                Row("stall_truth_late"),
                Row("stall_truth_promote"),
            ),
            guest="throttled",
            runs=5,
        ),
        Measurement(
            position,
            (Row("position", unit="of layers", goal=0.99, better="higher"),),
            guest="fast",
            runs=3,
            quick=1,
        ),
        Measurement(
            agent_cpu,
            (Row("agent_cpu", unit="of a core", goal=0.01),),
            guest="fast",
            runs=3,
            quick=1,
        ),
    ),
)
