# SPDX-License-Identifier: GPL-2.0-only
"""Plans carried out by itmed, beside the bound and beside demand alone."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import time

import agent
import figures
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


def against_neighbours(apart, beside, at_least=0):
    """How much faster the one is than the other, in seconds, which is so much at least. The same
    work may take half as long again within seconds, with whoever else is on the host: so both are
    measured by turns, and each with its neighbours."""
    ratios = [
        max((before + after) / 2, at_least) / one
        for before, one, after in zip(apart, beside, apart[1:])
    ]
    said = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"    {statistics.median(apart):.4f} s apart; turns of {said}", flush=True)
    return ratios


class Dense:
    """A dense cycle over twice the memory, with storage : compute = ratio."""

    TURNS = 6

    def __init__(self, bench, ratio):
        store = bench.store() / "data"
        stream_s = (MODEL - MEMORY) / bench.bandwidth(store)
        item_ms = 1000 * stream_s / ratio / (MODEL // GRANULE)
        schedule = agent.dense_schedule("data", MODEL, GRANULE, STEPS)
        resident, beside, predicted, passes, cores = [], [], [], [], []
        filled = {"fill_bytes": 0, "wasted_bytes": 0}

        def median(runs, field):
            return statistics.median(one[field] for one in runs)

        with contextlib.ExitStack() as stack:
            # What computing takes, where all of it is in memory.
            twin = bench.store() / "twin"
            whole = stack.enter_context(bench.itme(twin, dram=MODEL + 64 * MIB, name="whole"))
            itme = stack.enter_context(bench.itme(store, dram=MEMORY))
            mounted = {itme: {store: schedule}, whole: {twin: "none"}}
            itmed = stack.enter_context(agent.itmed(bench, mounted))

            def compute():
                return play(bench, whole / "twin", item_ms, 3, "--warm=1")["median"]["seconds"]

            itmed.wait_for("a plan", lambda: itmed.plan("data"))
            play(bench, whole / "twin", item_ms, 1, "--warm=0")
            # Enough for the rates that the plans are made with.
            play(bench, itme / "data", item_ms, 10)
            plan = itmed.plan("data")
            resident.append(compute())
            for _ in range(self.TURNS):
                before = {name: counter(name) for name in filled}
                with itmed.watched() as seen:
                    turn = play(bench, itme / "data", item_ms, 6, "--warm=2")["passes"]
                    end = time.monotonic()
                measured_s = sum(one["seconds"] for one in turn)
                cores.append(figures.share(seen, end - measured_s, end))
                for name in filled:
                    filled[name] += counter(name) - before[name]
                beside.append(median(turn, "seconds"))
                predicted.append(plan["predicted_ns"] / 1e9 / beside[-1])
                plan = itmed.plan("data")
                passes += turn
                resident.append(compute())

        streamed = plan["streamed_bytes"] / GRANULE
        self.efficiencies = against_neighbours(resident, beside, at_least=stream_s)
        self.predicted = statistics.median(predicted)
        self.late = median(passes, "late") / streamed
        self.miss = median(passes, "misses") / streamed
        self.wasted = filled["wasted_bytes"] / filled["fill_bytes"]
        self.cpu = statistics.median(cores)
        print(
            f"    storage : compute {stream_s / statistics.median(resident):.2f}, a pass"
            f" {statistics.median(beside):.3f} s, predicted / measured {self.predicted:.3f},"
            f" {plan['slots']} slots, {streamed:.0f} granules streamed,"
            f" itmed {', '.join(f'{share:.4f}' for share in cores)} of a core",
            flush=True,
        )

    def row(self):
        return sample(statistics.median(self.efficiencies), turns=self.efficiencies)


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
    return {"dense_1": one.row(), "predict": sample(abs(1 - one.predicted))}


def dense_2(bench):
    return Dense(bench, 2).row()


def learned(bench):
    """Five programs, each in three passes over a region that nothing is known of."""
    with bench.itme(bench.store() / "small", dram=SMALL // 2) as itme:
        return sample(bench.program("learned", itme / "small")["share"])


def harm(bench):
    """Everything fits: what itmed costs then. It comes and goes beside one reader, since each that
    is started anew has a pace of its own."""
    store = bench.store() / "small"
    schedule = agent.dense_schedule("small", SMALL, GRANULE, STEPS)
    turns, window_s, others_s = 16, 3, 10  # others: itmed starts and ends
    passes, windows = [], []

    def read(itme, count):
        found = play(bench, itme / "small", 1, count, "--warm=3")
        end = time.monotonic()
        for one in reversed(found["passes"]):
            passes.append((end - one["seconds"], end, one["seconds"]))
            end -= one["seconds"]

    def look():
        begin = time.monotonic()
        time.sleep(window_s)
        windows.append((begin, time.monotonic()))

    def median(window):
        return statistics.median(
            seconds for begin, end, seconds in passes if window[0] <= begin and end <= window[1]
        )

    with bench.itme(store, dram=MEMORY) as itme, concurrent.futures.ThreadPoolExecutor() as pool:
        total_s = window_s + turns * (2 * window_s + others_s)
        pass_s = play(bench, itme / "small", 1, 20, "--warm=3")["median"]["seconds"]
        reader = pool.submit(read, itme, int(total_s / pass_s))
        look()
        for _ in range(turns):
            with agent.itmed(bench, {itme: {store: schedule}}) as itmed:
                itmed.wait_for("a plan", lambda: itmed.plan("small"))
                look()
            look()
        reader.result()
    apart, beside = ([median(one) for one in windows[i::2]] for i in (0, 1))
    return sample(statistics.median(against_neighbours(apart, beside)))


def wrong(bench):
    """Schedules that are wrong: the pass that is hurt most, over demand alone."""
    store = bench.store() / "small"
    granules = SMALL // GRANULE
    passes = 10 if bench.quick else 16

    def seconds(itme):
        return play(bench, itme / "small", 2, passes, "--warm=2")["median"]["seconds"]

    def schedule(arrange):
        made = agent.dense_schedule("small", SMALL, GRANULE, granules)
        steps = made["programs"][0]["steps"]
        made["programs"][0]["steps"] = arrange(steps)
        return made

    kinds = {
        "reversed": schedule(lambda steps: steps[::-1]),
        "objects missing": schedule(lambda steps: steps[::3]),
        "another model's": schedule(lambda steps: steps[::2] + steps[1::2]),
    }
    with bench.itme(store, dram=SMALL // 2) as itme:
        alone = seconds(itme)
    hurt = {}
    for kind, declared in kinds.items():
        with bench.itme(store, dram=SMALL // 2) as itme:
            with agent.itmed(bench, {itme: {store: declared}}):
                hurt[kind] = seconds(itme)
    with bench.itme(store, dram=SMALL // 2) as itme:
        alone = (alone + seconds(itme)) / 2
    said = ", ".join(f"{kind} {value / alone:.3f}" for kind, value in hurt.items())
    print(f"    over demand alone, {alone:.3f} s a pass: {said}", flush=True)
    return sample(subject=max(hurt.values()), peer=alone)


def two_models(bench):
    """Two models decode at once on one instance: the slower one's share of an even half."""
    stores = [bench.store() / name for name in ("small", "other")]
    passes = 16 if bench.quick else 24
    schedules = {
        store: agent.dense_schedule(store.name, SMALL, GRANULE, STEPS) for store in stores
    }
    bench.work_rate(), bench.local("replay")  # not by two at once
    with bench.itme(*stores, dram=SMALL) as itme:
        with agent.itmed(bench, {itme: schedules}) as itmed:
            for store in stores:
                itmed.wait_for("a plan", lambda store=store: itmed.plan(store.name))
            with concurrent.futures.ThreadPoolExecutor() as both:
                figures = both.map(
                    lambda store: play(bench, itme / store.name, 1, passes, "--warm=8"), stores
                )
                # While both run: the slower one is alone in the end.
                seconds = [
                    statistics.median(one["seconds"] for one in each["passes"][:-2])
                    for each in figures
                ]
            plans = [itmed.plan(store.name) for store in stores]
    rates = [1 / one for one in seconds]
    for one, plan in zip(seconds, plans):
        streamed = plan["streamed_bytes"] / GRANULE
        print(f"    {one:.3f} s a pass, {streamed:.0f} streamed, {plan['slots']} slots", flush=True)
    return sample(min(rates) / statistics.mean(rates))


class Experts:
    """A model of experts, 8 of 64 a layer, three times as large as the memory that is left for
    them. They are as popular as Zipf's law says, each layer's others."""

    LAYERS, EXPERTS, PICKED = 8, 64, 8
    SHARED, EXPERT = 2 * GRANULE, GRANULE  # of a layer, of an expert
    WHOLE = LAYERS * (SHARED + EXPERTS * EXPERT)
    BUDGET = LAYERS * SHARED + LAYERS * EXPERTS // 3 * EXPERT
    ROUTING = (
        "--program=moe",
        f"--layers={LAYERS}",
        f"--experts={EXPERTS}",
        f"--picked={PICKED}",
        f"--shared-bytes={SHARED}",
        f"--expert-bytes={EXPERT}",
        f"--item={EXPERT}",
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
        # A pass computes about as long as the store takes for what does not stay: 0.2 s.
        self.item_ms = 2.4
        self.seed = bench.seed()
        self.passes, self.warm = (64, 32) if bench.quick else (96, 48)

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
        """By a runtime that asks for what it has picked, and reads first what of it is there:
        with the plan's report, when all has been read."""
        with self.bench.itme(self.store, dram=self.BUDGET) as itme:
            with agent.itmed(self.bench, {itme: {self.store: self.schedule()}}) as itmed:
                itmed.wait_for("a plan", lambda: itmed.plan("experts"))
                os.environ["ITME_EVENTS"] = str(itmed.socket.parent / "events.sock")
                median = self.play(itme / "experts", "--needs", "--ready-first", *options)
                return median, itmed.plan("experts")


def moe_exact(bench):
    """Experts are asked for when they are picked, and nothing is guessed."""
    experts = Experts(bench)
    alone = experts.page_cache()
    beside, plan = experts.itmed()
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
    guesses = (f"--guesses={Experts.PICKED}", "--right=0.7")
    apart, beside = [experts.itmed()[0]["seconds"]], []
    for _ in range(7):
        median, plan = experts.itmed(*guesses)
        beside.append(median["seconds"])
        print(f"    {plan['guesses_why']}", flush=True)
        apart.append(experts.itmed()[0]["seconds"])
    return sample(statistics.median(against_neighbours(apart, beside)))


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
    """Nothing is declared; memory for two thirds of the model, and a drive that gives the other
    third in the time of computing on all of it."""
    model = bench.model("large.gguf")
    size = model.stat().st_size
    memory = size * 2 // 3 // GRANULE * GRANULE
    whole = bench.keep("whole", lambda: Decode(bench, model))
    runtime = whole.peak - size + MIB  # the kernel charges in batches

    def resident():
        with bench.itme(model, dram=size + 64 * MIB) as itme:
            return Decode(bench, itme / model.name).seconds

    compute_s = [resident()]
    bench.keep("drive", lambda: bench.throttle((size - memory) / compute_s[0]))
    storage_s = (size - memory) / bench.bandwidth(model)
    with bench.itme(model, dram=memory, window=3 * GRANULE) as itme:
        with agent.itmed(bench, {itme: {model: "auto"}}) as itmed:
            itmed.wait_for("a plan", lambda: itmed.plan(model.name))
            auto = Decode(bench, itme / model.name, runtime)
    compute_s.append(resident())
    page_cache = Decode(bench, model, memory + runtime)
    print(
        f"    a token: computing {compute_s[0]:.2f} s before and {compute_s[1]:.2f} s after, a third from"
        f" the drive {storage_s:.2f} s, page cache {page_cache.seconds:.2f} s, auto {auto.seconds:.2f} s",
        flush=True,
    )
    (efficiency,) = against_neighbours(compute_s, [auto.seconds], at_least=storage_s)
    return {
        "llama_auto": sample(efficiency, efficiency=efficiency),
        "llama_gain": sample(subject=page_cache.seconds, peer=auto.seconds),
    }


def measurement(measure, *rows, runs=3):
    return Measurement(measure, rows, guest="throttled", runs=runs, quick=1)


SUITE = Suite(
    guests={
        "throttled": ("--cxl=none", "--dram=1536M", "--nvme-mbps=200"),
        # Until it is known how long computing takes.
        "llama": ("--cxl=none", "--dram=1536M", "--nvme-mbps=50"),
    },
    files={"data": MODEL, "twin": MODEL, "small": SMALL, "other": SMALL, "experts": Experts.WHOLE},
    drive_bytes=3072 * MIB,
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
            dense_1,
            Row("dense_1", goal=0.90, better="higher"),
            Row("predict", unit="off measured", goal=0.1),
        ),
        measurement(dense_2, Row("dense_2", goal=0.90, better="higher")),
        measurement(moe_exact, Row("moe_exact", goal=1.5, better="higher")),
        # By many turns of their own.
        measurement(moe_predicted, Row("moe_predicted", goal=0.98, better="higher"), runs=1),
        measurement(harm, Row("harm", goal=0.98, better="higher"), runs=1),
        measurement(wrong, Row("wrong", goal=1.10)),
        measurement(two_models, Row("two_models", unit="of half", goal=0.90, better="higher")),
        measurement(learned, Row("learned", unit="of programs", goal=1.0, better="higher")),
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
