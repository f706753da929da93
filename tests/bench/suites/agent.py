# SPDX-License-Identifier: GPL-2.0-only
"""Plans carried out by itmed, beside the bound and beside demand alone."""

import pathlib

import agent
from bench import GRANULE
from suite import Measurement, Row, Suite, sample

MIB = 1 << 20
MODEL = 512 * MIB
MEMORY = 256 * MIB
SMALL = 128 * MIB  # fits
STEPS = 16  # of as many granules each as the guest's memory allows
REGION = pathlib.Path("/sys/fs/itme/bench/regions/data")


def play(bench, path, item_ms, passes, *options):
    return bench.replay(
        path,
        "--look=lines",
        f"--item-ms={item_ms}",
        f"--units-per-s={bench.work_rate()}",
        f"--passes={passes}",
        *options,
    )


def counter(name):
    return int((REGION / name).read_text())


class Dense:
    """A dense cycle over twice the memory, with storage : compute = ratio."""

    def __init__(self, bench, ratio):
        store = bench.store() / "data"
        passes = 8 if bench.quick else 12
        stream_s = (MODEL - MEMORY) / bench.bandwidth(store)
        item_ms = 1000 * stream_s / ratio / (MODEL // GRANULE)
        with bench.itme(store, dram=MODEL + 64 * MIB) as itme:
            compute_s = play(bench, itme / "data", item_ms, 5, "--warm=2")["median"]["seconds"]
        schedule = agent.dense_schedule("data", MODEL, GRANULE, STEPS)
        with bench.itme(store, dram=MEMORY) as itme:
            with agent.itmed(bench, itme, {store: schedule}) as itmed:
                itmed.wait_for("a plan", lambda: itmed.plan("data"))
                # Enough for the rates that the last plan is made with.
                play(bench, itme / "data", item_ms, 10)
                before = {name: counter(name) for name in ("fill_bytes", "wasted_bytes")}
                cpu_s = itmed.cpu_seconds()
                figures = play(bench, itme / "data", item_ms, passes, "--warm=3")
                cpu_s = itmed.cpu_seconds() - cpu_s
                plan = itmed.plan("data")
                filled = {name: counter(name) - value for name, value in before.items()}
        median = figures["median"]
        streamed = plan["streamed_bytes"] / GRANULE
        self.seconds = median["seconds"]
        self.efficiency = max(compute_s, stream_s) / self.seconds
        self.predicted = plan["predicted_ns"] / 1e9 / self.seconds
        self.late = median["late"] / streamed
        self.miss = median["misses"] / streamed
        self.wasted = filled["wasted_bytes"] / filled["fill_bytes"]
        self.cpu = cpu_s / sum(one["seconds"] for one in figures["passes"])
        print(
            f"    storage : compute {stream_s / compute_s:.2f}, a pass {self.seconds:.3f} s of"
            f" {compute_s:.3f} s, {plan['slots']} slots, {streamed:.0f} granules streamed",
            flush=True,
        )

    def row(self):
        return sample(self.efficiency, efficiency=self.efficiency)


def dense_05(bench):
    one = Dense(bench, 0.5)
    return {
        "dense_0.5": one.row(),
        "late": sample(one.late),
        "wasted": sample(one.wasted),
        "miss": sample(one.miss),
        "itmed_cpu": sample(one.cpu),
    }


def dense_1(bench):
    one = Dense(bench, 1)
    return {"dense_1": one.row(), "predict": sample(one.predicted)}


def dense_2(bench):
    return Dense(bench, 2).row()


def learned(bench):
    """Five programs, each in three passes over a region that nothing is known of."""
    with bench.itme(bench.store() / "small", dram=SMALL // 2) as itme:
        return sample(bench.program("learned", itme / "small")["share"])


def harm(bench):
    """Everything fits: what itmed costs then."""
    store = bench.store() / "small"
    schedule = agent.dense_schedule("small", SMALL, GRANULE, STEPS)
    passes = 10 if bench.quick else 30

    def seconds(itme):
        return play(bench, itme / "small", 1, passes, "--warm=3")["median"]["seconds"]

    with bench.itme(store, dram=MEMORY) as itme:
        alone = seconds(itme)
        with agent.itmed(bench, itme, {store: schedule}) as itmed:
            itmed.wait_for("a plan", lambda: itmed.plan("small"))
            beside = seconds(itme)
        after = seconds(itme)
    return sample(subject=(alone + after) / 2, peer=beside)


def measurement(measure, *rows):
    return Measurement(measure, rows, guest="throttled", runs=3, quick=1)


SUITE = Suite(
    guests={"throttled": ("--cxl=none", "--dram=1536M", "--nvme-mbps=200")},
    files={"data": MODEL, "small": SMALL},
    drive_bytes=768 * MIB,
    measurements=(
        measurement(
            dense_05,
            Row("dense_0.5", goal=0.90, better="higher"),
            Row("late", unit="of streamed bytes", goal=0.05),
            Row("wasted", unit="of streamed bytes", goal=0.02),
            Row("miss", unit="of streamed bytes", goal=0.02),
            Row("itmed_cpu", unit="of a core", goal=0.02),
        ),
        measurement(
            dense_1, Row("dense_1", goal=0.90, better="higher"), Row("predict", unit="of measured")
        ),
        measurement(dense_2, Row("dense_2", goal=0.90, better="higher")),
        measurement(learned, Row("learned", unit="of programs", goal=1.0, better="higher")),
        measurement(harm, Row("harm", goal=0.98, better="higher")),
    ),
)
