# SPDX-License-Identifier: GPL-2.0-only
"""Plans carried out by itmed, beside the bound and beside demand alone."""

import json
import os
import pathlib
import statistics
import subprocess

import agent
from bench import GRANULE, layers_of
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


class Experts:
    """A model of experts, three times as large as the memory that is left for them."""

    LAYERS, EXPERTS, PICKED = 8, 32, 4
    SHARED, EXPERT = 2 * GRANULE, GRANULE  # of a layer, of an expert
    WHOLE = LAYERS * (SHARED + EXPERTS * EXPERT)
    BUDGET = (LAYERS * SHARED + LAYERS * EXPERTS * EXPERT // 3) // GRANULE * GRANULE
    ROUTING = (
        "--program=moe",
        f"--layers={LAYERS}",
        f"--experts={EXPERTS}",
        f"--picked={PICKED}",
        f"--shared-bytes={SHARED}",
        f"--expert-bytes={EXPERT}",
    )

    @classmethod
    def schedule(cls):
        """As itmectl schedule derive has it: a layer is a step that all read, and one that chooses."""
        objects, groups, steps, end = [], [], [], 0

        def add(name, kind, length):
            nonlocal end
            objects.append({"name": name, "kind": kind, "extents": [[0, end, length]]})
            end += length
            return name

        for layer in range(cls.LAYERS):
            shared = add(f"blk.{layer}.shared", "weight", cls.SHARED)
            names = [
                add(f"blk.{layer}.e{expert}", "expert", cls.EXPERT)
                for expert in range(cls.EXPERTS)
            ]
            groups.append({"name": f"blk.{layer}.experts", "objects": names})
            steps.append({"name": shared, "read": [shared]})
            chosen = f"blk.{layer}.experts"
            steps.append({"name": chosen, "choice": chosen, "pick": cls.PICKED})
        return {
            "itme_schedule": 1,
            "name": "experts",
            "regions": [{"name": "experts", "file": "experts", "bytes": cls.WHOLE}],
            "objects": objects,
            "groups": groups,
            "programs": [{"name": "pass", "cyclic": True, "steps": steps}],
            "streams": [{"name": "pass", "program": "pass", "weight": 1}],
        }

    def __init__(self, bench):
        self.bench = bench
        self.store = bench.store() / "experts"
        # A pass computes about as long as the store takes for what it has to send.
        self.item_ms = 5
        self.seed = bench.seed()
        self.passes, self.warm = (40, 24) if bench.quick else (64, 32)

    def play(self, path, *options, replay=None):
        return (replay or self.bench.replay)(
            path,
            *self.ROUTING,
            "--look=lines",
            f"--item-ms={self.item_ms}",
            f"--units-per-s={self.bench.work_rate()}",
            f"--passes={self.passes}",
            f"--warm={self.warm}",
            f"--seed={self.seed}",
            *options,
        )["median"]

    def page_cache(self):
        """With so much memory for what it reads, and what the replayer needs itself."""
        limit = self.BUDGET + 4 * MIB
        replayer = (self.bench.local("replay"), "run", "--json")
        return self.play(
            self.store, replay=lambda *words: json.loads(in_group(self.bench, limit, *replayer, *words))
        )

    def itmed(self, *options):
        """With the plan's report, when all has been read."""
        with self.bench.itme(self.store, dram=self.BUDGET) as itme:
            with agent.itmed(self.bench, itme, {self.store: self.schedule()}) as itmed:
                itmed.wait_for("a plan", lambda: itmed.plan("experts"))
                os.environ["ITME_EVENTS"] = str(itmed.socket.parent / "events.sock")
                median = self.play(itme / "experts", *options)
                return median, itmed.plan("experts")


def moe_exact(bench):
    """Experts are asked for when they are picked, and nothing is guessed."""
    experts = Experts(bench)
    alone = experts.page_cache()
    beside, plan = experts.itmed("--needs")
    print(
        f"    page cache {alone['seconds']:.3f} s a pass, {alone['store_bytes'] / MIB:.0f} MiB read;"
        f" itmed {beside['seconds']:.3f} s, {beside['store_bytes'] / MIB:.0f} MiB,"
        f" {beside['late']:.0f} late, {beside['misses']:.0f} misses, {plan['state']}",
        flush=True,
    )
    return sample(subject=alone["seconds"], peer=beside["seconds"])


def moe_predicted(bench):
    """Two guesses of three are right, as of the better predictors that are known."""
    experts = Experts(bench)
    without, _ = experts.itmed("--needs")
    beside, plan = experts.itmed("--needs", f"--guesses={Experts.PICKED}", "--right=0.7")
    print(
        f"    {without['seconds']:.3f} s a pass without guesses, {beside['seconds']:.3f} s with"
        f" them: {plan['guesses_why']}",
        flush=True,
    )
    return sample(subject=without["seconds"], peer=beside["seconds"])


GROUPS = pathlib.Path("/sys/fs/cgroup")
GROUP = GROUPS / "bench"
TOKENS = 16
SETTLING = 6  # tokens: what is kept has to come in, and the rates have to be known


def make_group():
    if not GROUPS.is_mount():
        subprocess.run(["mount", "-t", "cgroup2", "none", GROUPS], check=True)
    (GROUPS / "cgroup.subtree_control").write_text("+memory\n")
    GROUP.mkdir()


def in_group(bench, limit, *command):
    """What a command says, in a cgroup of its own with so many bytes, or "max", and a clean page cache."""
    bench.keep("group", make_group)
    (GROUP / "memory.max").write_text(f"{limit}\n")
    os.sync()  # what is dirty would stay, and be charged to others
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    return bench.run("bash", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', GROUP, *command)


class Decode:
    """llama.cpp as it is, in a cgroup of its own with so many bytes, or without a limit."""

    def __init__(self, bench, model, limit="max"):
        said = in_group(bench, limit, bench.decoder(), model, TOKENS)
        self.peak = int((GROUP / "memory.peak").read_text())
        passes = {}
        for number, _, begin, end in layers_of(said, TOKENS):
            first, last = passes.get(number, (begin, end))
            passes[number] = (min(first, begin), max(last, end))
        times = [(end - begin) / 1e9 for begin, end in passes.values()]
        self.seconds = statistics.median(times[SETTLING:])


def llama(bench):
    """Nothing is declared; memory for two thirds of the model."""
    model = bench.model("large.gguf")
    size = model.stat().st_size
    memory = size * 2 // 3 // GRANULE * GRANULE
    whole = bench.keep("whole", lambda: Decode(bench, model))
    runtime = whole.peak - size + MIB  # the kernel charges in batches
    with bench.itme(model, dram=size + 64 * MIB) as itme:
        compute_s = bench.keep("resident", lambda: Decode(bench, itme / model.name)).seconds
    bound_s = max(compute_s, (size - memory) / bench.bandwidth(model))
    page_cache = Decode(bench, model, memory + runtime)
    with bench.itme(model, dram=memory, window=3 * GRANULE) as itme:
        with agent.itmed(bench, itme, {model: "auto"}) as itmed:
            itmed.wait_for("a plan", lambda: itmed.plan(model.name))
            auto = Decode(bench, itme / model.name, runtime)
    print(
        f"    a token: bound {bound_s:.2f} s, computing {compute_s:.2f} s, page cache"
        f" {page_cache.seconds:.2f} s, auto {auto.seconds:.2f} s",
        flush=True,
    )
    efficiency = bound_s / auto.seconds
    return {
        "llama_auto": sample(efficiency, efficiency=efficiency),
        "llama_gain": sample(subject=page_cache.seconds, peer=auto.seconds),
    }


def measurement(measure, *rows):
    return Measurement(measure, rows, guest="throttled", runs=3, quick=1)


SUITE = Suite(
    guests={
        "throttled": ("--cxl=none", "--dram=1536M", "--nvme-mbps=200"),
        # A third of a model in about the time of computing on all of it.
        "llama": ("--cxl=none", "--dram=1536M", "--nvme-mbps=50"),
    },
    files={"data": MODEL, "small": SMALL, "experts": Experts.WHOLE},
    drive_bytes=2048 * MIB,
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
        measurement(moe_exact, Row("moe_exact", goal=1.5, better="higher")),
        measurement(moe_predicted, Row("moe_predicted", goal=0.98, better="higher")),
        measurement(learned, Row("learned", unit="of programs", goal=1.0, better="higher")),
        measurement(harm, Row("harm", goal=0.98, better="higher")),
        Measurement(
            llama,
            (
                Row("llama_auto", goal=0.85, better="higher"),
                Row("llama_gain", goal=2.2, better="higher"),
            ),
            guest="llama",
            runs=3,
            quick=1,
        ),
    ),
)
