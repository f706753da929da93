# SPDX-License-Identifier: GPL-2.0-only
"""What observing costs, and whether what it says is true."""

import bisect
import json
import os
import shutil
import pathlib
import statistics
import subprocess
import tempfile
import time

from bench import PROJECT, Failure
from figures import Broken
from suite import Measurement, Row, Suite, sample

MIB = 1 << 20
DATA = 256 * MIB
RESIDENT = 64 * MIB


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
        blocks = 2 if bench.quick else 4
        return bench.program(
            "fault_attached",
            itme / "resident",
            f"--blocks={blocks}",
            f"--rounds={20 if bench.quick else 50}",
            f"--seed={bench.seed()}",
            *options,
        )


def attached(bench):
    figures = faults(bench)
    return sample(subject=figures["subject"]["p50"], peer=figures["peer"]["p50"])


def detached(bench):
    """The module as it is, beside the same without a tracepoint in it."""
    untraced = PROJECT / f"build/kmod-untraced/{os.uname().release}/itme.ko"
    bench.module()

    def reload(module):
        bench.run("rmmod", "itme")
        bench.run("insmod", module)

    traced = os.environ.get("ITME_KO", PROJECT / f"build/kmod/{os.uname().release}/itme.ko")
    seconds = {"subject": [], "peer": []}
    sides = [("subject", traced), ("peer", untraced)] * (2 if bench.quick else 4)
    bench.random.shuffle(sides)
    try:
        for side, module in sides:
            reload(module)
            seconds[side].append(faults(bench, "--only-detached")["peer"]["p50"])
    finally:
        reload(traced)
    return sample(**{side: statistics.median(values) for side, values in seconds.items()})


class Observer:
    """tests/bench/observe, for a while."""

    def __init__(self, bench, region, model):
        command = [bench.local("tests/bench/observe"), str(region), str(model)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self.process.stdout.readline() != "ready\n":
            raise Failure("observe: could not begin")

    def figures(self):
        said, _ = self.process.communicate()  # its input ends with it
        if self.process.returncode != 0:
            raise Failure(f"observe: status {self.process.returncode}")
        return json.loads(said)


class Itmed:
    """itmed as it comes, without a configuration."""

    def __init__(self, bench):
        folder = pathlib.Path(bench.stack.enter_context(tempfile.TemporaryDirectory()))
        self.bench = bench
        self.socket = folder / "itmed.sock"
        self.process = subprocess.Popen(
            [bench.local("itmed"), "--config", folder / "none.toml", "--socket", self.socket],
            stderr=subprocess.DEVNULL,
        )

    def places(self):
        """Where runs are, as itmed has it."""
        ask = ("top", "--count=1", "--json", f"--socket={self.socket}")
        return json.loads(self.bench.run(self.bench.local("itmectl"), *ask))["places"]

    def processor_s(self):
        """What it has used, with those that it has started and that have ended."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            times = stat.read().rsplit(")", 1)[1].split()[11:15]
        return sum(int(ticks) for ticks in times) / os.sysconf("SC_CLK_TCK")

    def end(self):
        self.process.terminate()
        if self.process.wait(timeout=60) != 0:
            raise Failure(f"itmed: status {self.process.returncode}")


def share_right(truth, positions):
    """The share of layers in the middle of which the position was one of theirs."""
    times = [time for time, *_ in positions]
    right = 0
    for _, layer, begin, end in truth:
        last = bisect.bisect_right(times, (begin + end) // 2) - 1
        right += last >= 0 and positions[last][2].startswith(f"blk.{layer}.")
    return right / len(truth)


def llama(bench):
    """The model, in the store, and the program that decodes and logs the truth."""
    built = PROJECT / "build/bench-llama"
    model = bench.store() / "model.gguf"
    if not model.exists():
        shutil.copyfile(built / "model.gguf", model)
    for library in built.glob("*.so"):
        bench.keep(("library", library.name), lambda path=library: bench.copy(path))
    return model, bench.keep("truth", lambda: bench.copy(built / "truth"))


def position(bench):
    """A decode of llama.cpp, observed; all of the model in memory: nothing waits."""
    model, truth = llama(bench)
    with bench.itme(model, dram=model.stat().st_size + 64 * MIB) as itme:
        observer = Observer(bench, itme / "model.gguf", model)
        try:
            said = bench.run(truth, itme / "model.gguf", 50)
        finally:
            figures = observer.figures()
    layers = [tuple(int(word) for word in line.split()) for line in said.splitlines()]
    if len(layers) != 50 * (1 + max(layer for _, layer, *_ in layers)):
        raise Broken(f"position: the truth of 50 tokens has {len(layers)} layers")
    for sentence in figures["degradations"]:
        print(f"    observe: {sentence}", flush=True)
    sources = {source for *_, source in figures["positions"]}
    print(f"    {len(figures['positions'])} positions, by {', '.join(sorted(sources))}", flush=True)
    return sample(share_right(layers, figures["positions"]))


def agent_cpu(bench):
    """The same decode, with itmed beside it, once that follows the run."""
    model, truth = llama(bench)
    with bench.itme(model, dram=model.stat().st_size + 64 * MIB) as itme:
        itmed = Itmed(bench)
        try:
            wait_until(itmed.socket.exists, "itmed listens")
            wait_until(lambda: bench.run(truth, itme / "model.gguf", 1) and itmed.places(), "a place")
            begin_s, begin = itmed.processor_s(), time.monotonic()
            bench.run(truth, itme / "model.gguf", 50)
            used_s, wall_s = itmed.processor_s() - begin_s, time.monotonic() - begin
            passes = max(place["pass"] for place in itmed.places())
        finally:
            itmed.end()
    if passes < 45:
        raise Broken(f"agent_cpu: itmed has seen {passes} passes of more than 50")
    print(f"    {used_s:.2f} s of {wall_s:.1f} s", flush=True)
    return sample(used_s / wall_s)


def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"it took longer than a minute until {what}")
        time.sleep(0.1)


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
        Measurement(detached, (Row("detached", goal=1.01),), guest="fast"),
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
