# SPDX-License-Identifier: GPL-2.0-only
"""Beside others: frames for who needs memory, nodes that go, budgets that change, and the
own memory of a program."""

import contextlib
import ctypes
import json
import mmap
import os
import pathlib
import statistics
import subprocess
import threading
import time

import agent
from bench import GRANULE, Failure
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

WEIGHTS = 64 * MIB
SHARE = WEIGHTS // 2  # of DRAM
READS = 8  # of each item in a pass: a batch of so many tokens
WARM, PASSES = 10, 5  # before, the peers find their places, and itmed measures and tries
SLOTS = 3  # of the share, items that are read, on their way, or leaving
SQUEEZED = 6  # after so many passes at the most, who has more than the share loses it
GROUP = pathlib.Path("/sys/fs/cgroup/anon_cycle")
MCL_CURRENT, MCL_FUTURE = 1, 2


# What is kept free of DRAM, on the lists of each processor too, is to be little beside a share,
# and enough for the kernel.
RESERVE = {
    "/proc/sys/vm/min_free_kbytes": 16384,
    "/proc/sys/vm/percpu_pagelist_high_fraction": 1000,
}


def kept_free(mark):
    """Bytes up to a watermark of DRAM's zones."""
    pages, node = 0, ""
    for line in pathlib.Path("/proc/zoneinfo").read_text().splitlines():
        words = line.replace(",", " ").split()
        if words[:1] == ["Node"]:
            node = words[1]
        elif node == "0" and words[:1] == [mark]:
            pages += int(words[1])
    return pages * 4096


@contextlib.contextmanager
def hog(bench, size):
    """So much of DRAM is locked meanwhile."""
    with subprocess.Popen(
        [bench.local("tests/bench/hog"), f"--bytes={size}", "--node=0", "--hold"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        if not process.stdout.readline():
            raise Failure("the balloon did not get its memory")
        try:
            yield
        finally:
            process.stdin.close()


@contextlib.contextmanager
def balloon(bench, left):
    """Of DRAM, about so many bytes are free meanwhile. Gives what takes more of it."""
    drop_caches()
    with contextlib.ExitStack() as stack:
        for _ in range(3):  # what is asked for shakes free what was not counted, by and by
            size = (meminfo("MemFree", 0) - left) // GRANULE * GRANULE
            if size > 0:
                stack.enter_context(hog(bench, size))
            time.sleep(0.5)
        yield lambda more: stack.enter_context(hog(bench, more))


@contextlib.contextmanager
def mapped(paths):
    """Files that are mapped meanwhile, and so stay in memory with all that this process maps."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            file = stack.enter_context(open(path, "rb"))
            stack.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        yield


@contextlib.contextmanager
def locked(bench):
    """What measures stays in DRAM: code in emulated CXL memory stands still, and a peer that moves
    the memory of others away has more than its share."""
    names = ("itmed", "itmectl", "tests/bench/anon_cycle", "tests/bench/hog")
    programs = [bench.local(name) for name in names]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE) < 0:
        raise Failure(f"mlockall: {os.strerror(ctypes.get_errno())}")
    try:
        with mapped(programs):
            yield
    finally:
        libc.munlockall()


def group(bench):
    """A cgroup, by which DAMOS knows the program."""
    if not (GROUP.parent / "cgroup.procs").exists():
        bench.mount("-t", "cgroup2", "none", GROUP.parent)
    write(GROUP.parent / "cgroup.subtree_control", "+memory")
    GROUP.mkdir(exist_ok=True)
    return True


def in_dram(where):
    """Bytes of the program's memory that are."""
    for line in pathlib.Path(f"/proc/{where['pid']}/numa_maps").read_text().splitlines():
        if line.split()[0] == f"{where['address']:x}":
            pages = [word[3:] for word in line.split() if word.startswith("N0=")]
            return 4096 * sum(int(count) for count in pages)
    raise Failure("the program's memory is not to be seen")


def link(bench):
    """Bytes a second of CXL memory: read, moved to DRAM, and back."""

    def measure():
        options = ("--bytes=16777216", "--rounds=3")
        there, here = (f"--from={NODE}", "--to=0"), ("--from=0", f"--to={NODE}")
        return [
            bench.program("copy_rate", *options, *more)["bytes_per_s"]
            for more in (there, (*there, "--move"), (*here, "--move"))
        ]

    return bench.keep("link", measure)


def work_seconds(bench):
    """Of a pass: half as much again as it takes to move what is not in DRAM there, and back."""
    _, up, down = link(bench)
    streamed = WEIGHTS - SHARE + SLOTS * GRANULE
    return 1.5 * streamed * (1 / up + 1 / down)


def cycle(bench, name):
    """Of a side's measured passes over all of the memory: seconds, and bytes in DRAM, medians. DRAM
    has room for the share, above the watermark that the side keeps to."""
    side, mark = SIDES[name]
    dram = SHARE if name == "itmed" else 0
    items = WEIGHTS // GRANULE
    work = int(bench.work_rate() * work_seconds(bench) / items)
    command = [bench.local("tests/bench/anon_cycle"), f"--bytes={WEIGHTS}", f"--item={GRANULE}"]
    command += [f"--reads={READS}", f"--work={work}", f"--dram={dram}"]
    command += [f"--warm={WARM}", f"--passes={PASSES}"]
    bench.keep("group", lambda: group(bench))
    sockets = pathlib.Path("/run/itme-bench")
    environment = os.environ | {
        "ITME_MEMORY": str(sockets / "memory.sock"),
        "ITME_EVENTS": str(sockets / "events.sock"),
    }
    kills = oom_kills()
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(bench))
        stack.enter_context(knobs(RESERVE))
        tell = stack.enter_context(side(bench))
        squeeze = stack.enter_context(balloon(bench, SHARE + kept_free(mark)))
        program = stack.enter_context(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                preexec_fn=lambda: write(GROUP / "cgroup.procs", os.getpid()),
            )
        )
        where = json.loads(program.stdout.readline())
        program.stdin.write("\n")
        program.stdin.flush()
        resident, how = [], ""
        for number in range(WARM + PASSES - 1):
            said = program.stdout.readline()
            if not said:
                break
            if number < SQUEEZED and name != "itmed":  # who keeps to its share by itself
                # By halves: the kernel makes room for more than is asked for.
                over = (in_dram(where) - SHARE) // 2 // GRANULE * GRANULE
                if over > 0:
                    squeeze(over)
            if number >= WARM:
                resident.append(in_dram(where))
                how = tell()
        last = program.stdout.read().splitlines()[-1:]
        if oom_kills() != kills:
            raise Failure("anon_cycle: somebody was killed for want of memory")
        if program.wait() != 0 or not last:
            raise Failure(f"anon_cycle ended with status {program.returncode}")
        figures = json.loads(last[0])
        passes = ", ".join(f"{seconds:.2f}" for seconds in figures["passes"])
        there = ", ".join(f"{size / MIB:.0f}" for size in resident)
        print(f"    {name}: passes of {passes} s, with {there} MiB in DRAM {how}", flush=True)
        return figures["median"], statistics.median(resident)


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


MPOL_DEFAULT, MPOL_BIND = 0, 2


@contextlib.contextmanager
def in_dram_only():
    """Whoever is started meanwhile has its memory there, as long as there is any."""
    numa = ctypes.CDLL("libnuma.so.1", use_errno=True)
    mask = ctypes.c_ulong(1 << 0)
    if numa.set_mempolicy(MPOL_BIND, ctypes.byref(mask), 8 * ctypes.sizeof(mask)) < 0:
        raise Failure(f"set_mempolicy: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        numa.set_mempolicy(MPOL_DEFAULT, None, 0)


@contextlib.contextmanager
def by_itmed(bench):
    with contextlib.ExitStack() as stack:
        as_systemd = {"/proc/sys/net/unix/max_dgram_qlen": 512}
        stack.enter_context(knobs(DEMOTION | as_systemd))
        with in_dram_only():
            itmed = stack.enter_context(agent.itmed_alone(bench))
        itmed.memory("show")
        maps = pathlib.Path(f"/proc/{itmed.process.pid}/maps").read_text().splitlines()
        files = {line.split()[5] for line in maps if len(line.split()) == 6}
        stack.enter_context(mapped(path for path in files if path.startswith("/")))
        yield lambda: itmed.memory("show")["processes"][0]["stream"]["why"]


# For all: a kernel that is short of memory while DRAM is filled would kill somebody.
DEMOTION = {"/sys/kernel/mm/numa/demotion_enabled": "true"}
TIERING = {"/proc/sys/kernel/numa_balancing": 2} | DEMOTION


@contextlib.contextmanager
def by_kernel(bench):
    with knobs(TIERING):
        yield lambda: ""


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
    # The program's pages alone, as others' locked memory would be moved as well. Hot are those
    # read since DAMON looked last, cold those that were not.
    write(scheme / "filters/nr_filters", 2)
    write(scheme / "filters/0/type", "memcg")
    write(scheme / "filters/0/memcg_path", f"/{GROUP.name}")
    write(scheme / "filters/0/matching", "N")
    write(scheme / "filters/1/type", "young")
    write(scheme / "filters/1/matching", "Y" if action == "migrate_cold" else "N")


@contextlib.contextmanager
def by_damos(bench):
    write("/proc/sys/kernel/hung_task_timeout_secs", 0)  # to stop it takes as long as its moves
    with knobs(DEMOTION):
        write(DAMON / "nr_kdamonds", 2)
        try:
            damos(0, memory_blocks(0), "migrate_cold", NODE, 0, 0)
            damos(1, memory_blocks(NODE), "migrate_hot", 0, 1, MOST)
            for number in (0, 1):
                write(DAMON / f"{number}/state", "on")
            yield lambda: ""
        finally:
            for number in (0, 1):
                if (DAMON / f"{number}/state").read_text().strip() == "on":
                    write(DAMON / f"{number}/state", "off")
            write(DAMON / "nr_kdamonds", 0)


# And the watermark of DRAM above which it leaves off, or begins to.
SIDES = {
    "kernel": (by_kernel, "promo"),
    "damos": (by_damos, "high"),
    "itmed": (by_itmed, "promo"),
}


def anon_cycle(bench):
    """Each side has the same share of DRAM."""
    # QEMU 10.0 ends where XSAVE, as in lazy binding, writes to a stack from a page of DRAM into one
    # of emulated CXL memory: access_ptr() of its target/i386/tcg/access.c.
    os.environ["LD_BIND_NOW"] = "1"
    sides = list(SIDES)
    bench.random.shuffle(sides)
    took = {}
    for name in sides:
        took[name], dram = cycle(bench, name)
        least, most = (0, SHARE) if name == "itmed" else (WEIGHTS // 8, SHARE + SLOTS * GRANULE)
        if not least <= dram <= most:
            raise Failure(f"anon_cycle: {name} had {dram / MIB:.0f} of {SHARE / MIB:.0f} MiB")
    read, up, down = link(bench)
    beyond = (WEIGHTS - SHARE) * min(READS / read, 1 / up + 1 / down)
    print(
        f"    bound: work {work_seconds(bench):.2f} s, CXL memory {beyond:.2f} s"
        f" (MB/s: read {read / 1e6:.0f}, moved up {up / 1e6:.0f}, down {down / 1e6:.0f})",
        flush=True,
    )
    return {
        f"anon_cycle_{peer}": sample(subject=took[peer], peer=took["itmed"])
        for peer in SIDES
        if peer != "itmed"
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
        "slow": ("--cxl=type3", "--cxl-movable", "--cxl-size=512M", "--dram=1536M"),
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
            guest="slow",
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
