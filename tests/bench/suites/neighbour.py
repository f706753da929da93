# SPDX-License-Identifier: GPL-2.0-only
"""Beside others: frames for who needs memory, nodes that go, budgets that change, and the
own memory of a program."""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

import agent
from bench import Failure
from suite import Measurement, Row, Suite, sample

MIB = 1 << 20
DATA = 384 * MIB
NODE = 1  # of CXL memory
SYSFS = pathlib.Path("/sys/fs/itme/bench")
NODES = pathlib.Path("/sys/devices/system/node")


def write(path, text):
    pathlib.Path(path).write_text(f"{text}\n", encoding="ascii")


def meminfo(field, node=None):
    """Bytes, of the machine or of a node."""
    file = pathlib.Path("/proc/meminfo") if node is None else NODES / f"node{node}/meminfo"
    for line in file.read_text().splitlines():
        words = line.replace(":", " ").split()
        if field in words:
            return int(words[words.index(field) + 1]) * 1024
    raise Failure(f"{file} has no {field}")


def oom_kills():
    for line in pathlib.Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    raise Failure("/proc/vmstat has no oom_kill")


def drop_caches():
    os.sync()
    write("/proc/sys/vm/drop_caches", 3)


def pressure(bench):
    """The last bytes that a hog gets have to come from frames, or from the page cache."""
    store = bench.store() / "data"

    def hog():
        kills = oom_kills()
        # In the end four fifths of DRAM are the hog's.
        size = meminfo("MemTotal") * 4 // 5
        seconds = bench.program("hog", f"--bytes={size}", f"--last={DATA // 2}")["last_seconds"]
        if oom_kills() != kills:
            raise Failure("pressure: somebody was killed for want of memory")
        return seconds

    def subject():
        drop_caches()
        with bench.itme(store, dram=DATA + 32 * MIB) as itme:
            bench.run(bench.local("itmectl"), "hint", "prefetch", itme / "data")
            drop_caches()
            seconds = hog()
            if bench.instance("dram_returned_bytes") == 0:
                raise Failure("pressure: no frame had to be given back")
            return seconds

    def peer():
        drop_caches()
        for _ in range(2):
            with open(store, "rb") as file:
                while file.read(MIB):
                    pass
        return hog()

    order = [("subject", subject), ("peer", peer)]
    bench.random.shuffle(order)
    return sample(**{side: measure() for side, measure in order})


# Memory that a program has itself


@contextlib.contextmanager
def balloon(bench, left):
    """Of DRAM, only so many bytes are free meanwhile."""
    drop_caches()
    size = meminfo("MemFree", 0) - left
    with subprocess.Popen(
        [bench.local("tests/bench/hog"), f"--bytes={size}", "--node=0", "--hold"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as hog:
        if not hog.stdout.readline():
            raise Failure("the balloon did not get its memory")
        try:
            yield
        finally:
            hog.stdin.close()


SHARE = 128 * MIB
SLACK = 96 * MIB  # for the programs themselves, and the kernel's watermarks


def cycle(bench, prepare):
    """Seconds of a pass over twice DRAM's share, once prepare(pid, address, bytes) is done."""
    passes = 20 if bench.quick else 60
    with balloon(bench, SHARE + SLACK):
        with subprocess.Popen(
            [
                bench.local("tests/bench/anon_cycle"),
                f"--bytes={2 * SHARE}",
                f"--warm={passes}",
                f"--passes={passes}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            where = json.loads(program.stdout.readline())
            with prepare(where["pid"], where["address"]):
                program.stdin.write("\n")
                program.stdin.flush()
                said = program.stdout.readline()
            if program.wait() != 0:
                raise Failure(f"anon_cycle ended with status {program.returncode}")
            return json.loads(said)["median"]


@contextlib.contextmanager
def knobs(values):
    """Files of sysfs and sysctl, as they are wanted for a while."""
    before = {path: pathlib.Path(path).read_text().strip() for path in values}
    try:
        for path, value in values.items():
            write(path, value)
        yield
    finally:
        for path, value in before.items():
            write(path, value)


def by_itmed(bench):
    @contextlib.contextmanager
    def prepare(pid, address):
        with agent.itmed_alone(bench) as itmed:
            itmed.memory("declare", str(pid), f"--dram={SHARE}", f"--range={address:x}+{2 * SHARE}")
            itmed.wait_for(
                "declared memory is where it should be",
                lambda: itmed.memory("show")["processes"][0]["misplaced_bytes"] == 0,
            )
            yield

    return cycle(bench, prepare)


TIERING = {
    "/proc/sys/kernel/numa_balancing": 2,
    "/sys/kernel/mm/numa/demotion_enabled": "true",
}


def by_kernel(bench):
    @contextlib.contextmanager
    def prepare(_pid, _address):
        with knobs(TIERING):
            yield

    return cycle(bench, prepare)


def memory_blocks(node):
    """The physical ranges of a node."""
    size = int(pathlib.Path("/sys/devices/system/memory/block_size_bytes").read_text(), 16)
    ranges = []
    numbers = sorted(int(path.name[6:]) for path in (NODES / f"node{node}").glob("memory[0-9]*"))
    for number in numbers:
        if ranges and ranges[-1][1] == number * size:
            ranges[-1][1] += size
        else:
            ranges.append([number * size, (number + 1) * size])
    return ranges


DAMON = pathlib.Path("/sys/kernel/mm/damon/admin/kdamonds")
MOST = (1 << 64) - 1


def damos(number, ranges, action, target, least, most):
    """A kdamond that moves what of these physical ranges is hot, or cold, to a node."""
    context = DAMON / f"{number}/contexts/0"
    write(DAMON / f"{number}/contexts/nr_contexts", 1)
    write(context / "operations", "paddr")
    intervals = context / "monitoring_attrs/intervals"
    for name, value in (("sample_us", 5000), ("aggr_us", 100000), ("update_us", 1000000)):
        write(intervals / name, value)
    write(context / "targets/nr_targets", 1)
    write(context / "targets/0/regions/nr_regions", len(ranges))
    for i, (start, end) in enumerate(ranges):
        write(context / f"targets/0/regions/{i}/start", start)
        write(context / f"targets/0/regions/{i}/end", end)
    scheme = context / "schemes/0"
    write(context / "schemes/nr_schemes", 1)
    write(scheme / "action", action)
    write(scheme / "target_nid", target)
    for name, low, high in (("sz", 4096, MOST), ("nr_accesses", least, most), ("age", 0, MOST)):
        write(scheme / f"access_pattern/{name}/min", low)
        write(scheme / f"access_pattern/{name}/max", high)
    write(scheme / "quotas/bytes", 200 * MIB)
    write(scheme / "quotas/reset_interval_ms", 1000)


def by_damos(bench):
    @contextlib.contextmanager
    def prepare(_pid, _address):
        write(DAMON / "nr_kdamonds", 2)
        try:
            damos(0, memory_blocks(0), "migrate_cold", NODE, 0, 0)
            damos(1, memory_blocks(NODE), "migrate_hot", 0, 1, MOST)
            for number in (0, 1):
                write(DAMON / f"{number}/state", "on")
            yield
        finally:
            for number in (0, 1):
                if (DAMON / f"{number}/state").read_text().strip() == "on":
                    write(DAMON / f"{number}/state", "off")
            write(DAMON / "nr_kdamonds", 0)

    return cycle(bench, prepare)


def anon_cycle(bench):
    sides = {"itmed": by_itmed, "kernel": by_kernel, "damos": by_damos}
    order = list(sides)
    bench.random.shuffle(order)
    seconds = {side: sides[side](bench) for side in order}
    print("    a pass: " + ", ".join(f"{side} {seconds[side]:.4f} s" for side in sides), flush=True)
    return {
        f"anon_cycle_{peer}": sample(subject=seconds[peer], peer=seconds["itmed"])
        for peer in ("kernel", "damos")
    }


# A node that goes, and budgets that change


def copy_rate(bench):
    """Bytes a second, from the CXL node to DRAM: in each run, as busy as the host is then."""
    return bench.program("copy_rate", f"--from={NODE}", "--to=0")["bytes_per_s"]


@contextlib.contextmanager
def load(bench, path):
    """Somebody reads all of it, again and again."""
    stop = threading.Event()
    failures = []

    def read():
        while not stop.is_set():
            try:
                bench.replay(path, "--look=lines", "--item-ms=0", "--passes=1", "--warm=0")
            except Failure as failure:
                failures.append(failure)
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()
    if failures:
        raise failures[0]


def check(bench, region, store):
    bench.run("cmp", region, store)


def offline(blocks):
    """Take them offline: seconds, and those that cannot go."""
    started = time.monotonic()
    left = []
    for block in blocks:
        try:
            write(block / "state", "offline")
        except OSError:
            left.append(block)
    return time.monotonic() - started, left


def online(blocks):
    for block in blocks:
        if (block / "state").read_text().strip() == "offline":
            write(block / "state", "online_kernel")


def copied(bench):
    return bench.instance("promote_bytes") + bench.instance("demote_bytes")


def drain(bench):
    """cxl=0 and the node offline, under load. DRAM has room for what was there."""
    store = bench.store() / "data"
    rate = copy_rate(bench)
    blocks = list((NODES / f"node{NODE}").glob("memory[0-9]*"))
    with bench.itme(store, dram=DATA + 32 * MIB, cxl=f"{DATA}@{NODE}") as itme:
        bench.run(bench.local("itmectl"), "hint", "prefetch", itme / "data", "--tier", "cxl")
        with load(bench, itme / "data"):
            before = copied(bench)
            started = time.monotonic()
            write(SYSFS / "cxl_bytes", 0)
            while bench.instance("cxl_current_bytes"):
                if time.monotonic() > started + 60:
                    raise Failure("drain: frames are held")
                time.sleep(0.001)
            frames = time.monotonic() - started
            moved = copied(bench) - before
            full, left = offline(blocks)
            # The same blocks once more: nothing was in them.
            online(blocks)
            empty, _ = offline(blocks)
        if moved < DATA:
            raise Failure(f"drain: {moved} of {DATA} bytes were copied, the others dropped")
        # The kernel's own data of a node that was onlined for it cannot leave one block.
        if len(left) > 1:
            raise Failure(f"drain: {len(left)} of {len(blocks)} memory blocks stay online")
        check(bench, itme / "data", store)
        online(blocks)
    return {
        "drain": sample((frames + full) * rate / moved),
        "drain_frames": sample(frames * rate / moved),
        "drain_empty": sample(empty * rate / moved),
    }


def resize(bench):
    """Both budgets halved and doubled, in turn, under load. Moved are bytes that are copied to
    the other tier, and those of frames that come; to give a frame back moves nothing."""
    store = bench.store() / "data"
    rate = copy_rate(bench)
    times = 10 if bench.quick else 50
    budgets = {"dram": DATA, "cxl": DATA // 2}
    with bench.itme(store, dram=budgets["dram"], cxl=f"{budgets['cxl']}@{NODE}") as itme:
        bench.run(bench.local("itmectl"), "hint", "prefetch", itme / "data")
        with load(bench, itme / "data"):
            seconds, came, before = 0.0, 0, copied(bench)
            for _ in range(times):
                for tier, budget in budgets.items():
                    started = time.monotonic()
                    write(SYSFS / f"{tier}_bytes", budget // 2)
                    halved = bench.instance(f"{tier}_current_bytes")
                    write(SYSFS / f"{tier}_bytes", budget)
                    seconds += time.monotonic() - started
                    if halved != budget // 2 or bench.instance(f"{tier}_current_bytes") != budget:
                        raise Failure(f"resize: {tier} did not become what was set")
                    came += budget // 2
            moved = copied(bench) - before
        check(bench, itme / "data", store)
    if moved < times * DATA // 4:
        raise Failure(f"resize: only {moved} bytes were copied")
    return {
        "resize": sample(seconds * rate / (moved + came)),
        "resize_copied": sample(seconds * rate / moved),
    }


SUITE = Suite(
    guests={
        "tight": ("--cxl=none", "--dram=1536M"),
        "node": ("--cxl=standin", "--cxl-size=512M", "--dram=1536M"),
        "tiers": ("--cxl=standin", "--cxl-size=768M", "--dram=1536M"),
    },
    files={"data": DATA},
    drive_bytes=768 * MIB,
    measurements=(
        Measurement(pressure, (Row("pressure", goal=1.5),), guest="tight", runs=5),
        Measurement(
            anon_cycle,
            (
                Row("anon_cycle_kernel", goal=1.3, better="higher"),
                Row("anon_cycle_damos", goal=1.3, better="higher"),
            ),
            guest="tiers",
            runs=3,
            quick=1,
        ),
        Measurement(resize, (Row("resize", goal=1.5), Row("resize_copied")), guest="tiers", runs=3, quick=1),
        Measurement(
            drain,
            (Row("drain", goal=1.5), Row("drain_frames"), Row("drain_empty")),
            guest="node",
            runs=3,
            quick=1,
        ),
    ),
)
