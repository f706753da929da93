# SPDX-License-Identifier: GPL-2.0-only
"""Plans carried out by itmed, beside the bound and beside demand alone."""

import agent
from bench import GRANULE
from figures import Broken
from suite import Measurement, Row, Suite, sample

MIB = 1 << 20
MODEL = 512 * MIB
MEMORY = 256 * MIB
STEPS = 16  # of as many granules each as the guest's memory allows


def play(bench, path, item_ms, passes, *options):
    return bench.replay(
        path,
        f"--bytes={MODEL}",
        "--look=lines",
        f"--item-ms={item_ms}",
        f"--units-per-s={bench.work_rate()}",
        f"--passes={passes}",
        *options,
    )["median"]


def compute_of(bench, store, item_ms):
    """Seconds of a pass with all in memory."""

    def measure():
        with bench.itme(store, dram=MODEL + 64 * MIB) as itme:
            return play(bench, itme / store.name, item_ms, 4)["seconds"]

    return bench.keep(("compute", item_ms), measure)


def dense(bench, ratio):
    """Bound / pass time, for storage : compute = ratio."""
    store = bench.store() / "data"
    bandwidth = bench.bandwidth(store)
    stream = (MODEL - MEMORY) / bandwidth
    item_ms = 1000 * stream / ratio / (MODEL // GRANULE)
    compute = compute_of(bench, store, item_ms)
    bound = max(compute, stream)
    schedule = agent.dense_schedule("data", MODEL, GRANULE, STEPS)
    passes = 8 if bench.quick else 12
    with bench.itme(store, dram=MEMORY) as itme, agent.itmed(bench, itme, {store: schedule}) as itmed:
        itmed.wait_for("a plan", lambda: itmed.plan("data"))
        # The first passes fill the memory, and tell the rates that the plan is made with.
        play(bench, itme / "data", item_ms, 6)
        cpu = itmed.cpu_seconds()
        figures = play(bench, itme / "data", item_ms, passes, "--warm=3")
        cpu = itmed.cpu_seconds() - cpu
        plan = itmed.plan("data")
        prefetch = itmed.report("prefetch")["regions"][0]
    print(f"    dense {ratio}: compute {compute:.3f} bound {bound:.3f} {figures} {plan} {prefetch} cpu {cpu}", flush=True)
    efficiency = bound / figures["seconds"]
    return sample(efficiency, efficiency=efficiency)


SUITE = Suite(
    guests={"throttled": ("--cxl=none", "--dram=1536M", "--nvme-mbps=200")},
    files={"data": MODEL},
    drive_bytes=768 * MIB,
    measurements=(
        Measurement(
            lambda bench: dense(bench, 0.5),
            (Row("dense_0.5", goal=0.90, better="higher"),),
            guest="throttled",
            runs=3,
            quick=1,
        ),
        Measurement(
            lambda bench: dense(bench, 1),
            (Row("dense_1", goal=0.90, better="higher"),),
            guest="throttled",
            runs=3,
            quick=1,
        ),
        Measurement(
            lambda bench: dense(bench, 2),
            (Row("dense_2", goal=0.90, better="higher"),),
            guest="throttled",
            runs=3,
            quick=1,
        ),
    ),
)
