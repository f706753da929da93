# SPDX-License-Identifier: GPL-2.0-only
"""The module's own mechanisms: faults, fills, prefetch, hints, metadata."""

from bench import GRANULE, Failure
from figures import Broken
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
    frames = 32
    # The frame that was given back last goes out first: the peer has one buffer.
    with bench.itme(store, dram=frames * GRANULE) as itme:
        figures = bench.program(
            "fault_miss",
            itme / "data",
            store,
            f"--samples={50 if bench.quick else 200}",
            f"--warm={frames}",
            f"--seed={bench.seed()}",
        )
    curves = percentile_curves(figures, "fault on an absent granule", "pread, O_DIRECT")
    return pair(figures, curves={"fault_miss": curves})


def fault_miss_loaded(bench):
    """And the window: in granules, as it is by default."""
    store = bench.store() / "data"
    bandwidth = bench.bandwidth(store)
    with bench.itme(store, dram=128 * MIB) as itme:
        samples = 50 if bench.quick else 200
        options = (f"--samples={samples}", f"--seed={bench.seed()}")
        figures = bench.program("fault_loaded", itme / "data", *options)
    if figures["with_queue"] < 0.9:
        raise Broken(
            "fault_miss_loaded: the window was to be full, and was in only"
            f" {figures['with_queue']:.0%} of the faults"
        )
    ahead = figures["window_bytes"] + figures["granule_bytes"]
    curves = {
        "x": "percentile",
        "y": "milliseconds",
        "lines": {
            title: [[2 * i, 1e3 * value] for i, value in enumerate(figures[side]["percentiles"])]
            for title, side in (("prefetch keeps the window full", "loaded"), ("alone", "alone"))
        },
    }
    return {
        "fault_miss_loaded": sample(
            subject=figures["loaded"]["p99"],
            peer=figures["alone"]["p99"] + ahead / bandwidth,
            curves={"fault_miss_loaded": curves},
        ),
        "window": sample(figures["window_bytes"] / figures["granule_bytes"]),
    }


def depth_curve(rates):
    return {
        "x": "depth of fio, O_DIRECT reads of 2 MiB",
        "y": "MB/s",
        "lines": {"fio": [[depth, rate / 1e6] for depth, rate in sorted(rates.items())]},
    }


def in_random_order(bench, **sides):
    """What each side gives, taken in random order."""
    order = list(sides)
    bench.random.shuffle(order)
    return {side: sides[side]() for side in order}


def prefetch_pair(bench):
    store = bench.store() / "data"
    depth = bench.best_depth(store)

    def prefetch():
        with bench.itme(store, dram=DATA + 64 * MIB) as itme:
            return bench.program("prefetch_rate", itme / "data")["bytes_per_s"]

    return in_random_order(bench, subject=prefetch, peer=lambda: bench.fio(store, depth))


def prefetch_rate(bench):
    rates = prefetch_pair(bench)
    curve = depth_curve(bench.fio_depths(bench.store() / "data"))
    # The drive is the limit here, and fio has found it.
    efficiency = rates["subject"] / rates["peer"]
    return sample(**rates, efficiency=efficiency, curves={"depth_throttled": curve})


def prefetch_rate_fast(bench):
    curve = depth_curve(bench.fio_depths(bench.store() / "data"))
    return sample(**prefetch_pair(bench), curves={"depth_fast": curve})


def hint_pair(bench, *options):
    """Ranges of one granule each; of the least size, so that 1,000 fit."""
    store = bench.store() / "data"
    with bench.itme(store, dram=128 * MIB, granule="64K") as itme:
        rounds = 3 if bench.quick else 10
        return pair(
            bench.program(
                "hint_vector",
                itme / "data",
                store,
                f"--rounds={rounds}",
                f"--seed={bench.seed()}",
                *options,
            )
        )


def hint_vector(bench):
    return hint_pair(bench)


def hint_vector_resident(bench):
    return hint_pair(bench, "--resident")


def attached(bench, size, touch):
    """Attach a sparse file, and touch so many of its granules."""
    store = bench.sparse_file(f"{size >> 30}g", size)
    with bench.itme(dram=64 * MIB) as itme:
        figures = bench.program("attach", itme, store, f"--touch={touch}")
    if figures["region_bytes"] != size:
        raise Failure(f"a region of {size} bytes has {figures['region_bytes']}")
    return figures


def metadata(bench):
    dense = attached(bench, 4 * GIB, 4 * GIB // GRANULE)
    sparse = attached(bench, TIB, TIB // GRANULE // 1024)
    return {
        "metadata": sample(dense["metadata_bytes"] / dense["touched"]),
        "metadata_sparse": sample(sparse["metadata_bytes"] / sparse["touched"]),
        "attach_1tib": sample(sparse["attach_s"]),
        "attach_16tib": sample(attached(bench, 16 * TIB, 16)["attach_s"]),
    }


def scale(bench):
    stores = [bench.sparse_file(f"{size >> 30}g", size) for size in (TIB, GIB)]
    with bench.itme(*stores, dram=384 * MIB) as itme:
        figures = bench.program(
            "scale",
            *(itme / store.name for store in stores),
            f"--rounds={20 if bench.quick else 60}",
            f"--seed={bench.seed()}",
        )
    hint, fault = pair(figures["hint"]), pair(figures["fault"])
    worse = max(hint["value"], fault["value"])
    return {"scale": sample(worse), "scale_hint": hint, "scale_fault": fault}


def dense_pass(bench):
    """A model of twice the memory, read in order: half of it pinned, the rest hinted."""
    store = bench.store() / "data"
    size, memory, slots, passes = 256 * MIB, 128 * MIB, 8, 3 if bench.quick else 5
    frames = memory // GRANULE
    bandwidth = bench.bandwidth(store)
    rate = bench.work_rate()

    def play(path, *options):
        common = (f"--bytes={size}", "--look=lines", "--item-ms=1", f"--units-per-s={rate}")
        return bench.replay(path, *common, f"--passes={passes + 1}", *options)["median"]

    def resident():
        with bench.itme(store, dram=size + 64 * MIB) as itme:
            return play(itme / "data")["seconds"]

    compute = bench.keep("compute", resident)
    limit = (f"--bandwidth={bandwidth}", f"--capacity={memory}", f"--compute-s={compute}")

    def subject():
        with bench.itme(store, dram=memory) as itme:
            # Beside the window, two frames are closed to pins.
            hints = (f"--pins={frames - slots - 2}", f"--ahead={slots}", "--release")
            return play(itme / "data", *hints, *limit)

    def peer():
        kept = (f"--pins={frames - slots}", f"--slots={slots}")
        return play(store, "--mode=ring", *kept, *limit)

    both = in_random_order(bench, subject=subject, peer=peer)
    bench.checked("dense_pass of the peer", both["peer"]["efficiency"])
    efficiency = both["subject"]["efficiency"]
    seconds = {side: figures["seconds"] for side, figures in both.items()}
    return {
        "dense_pass": sample(**seconds),
        "dense_pass_efficiency": sample(efficiency, efficiency=efficiency),
    }


SUITE = Suite(
    guests={
        # As fast as it can be: what software adds to the latency of a drive shows.
        "fast": ("--cxl=none", "--dram=1536M"),
        # Storage and processor in the proportion of a real machine.
        "throttled": ("--cxl=none", "--dram=1536M", "--nvme-mbps=200"),
    },
    files={"data": DATA},
    drive_bytes=768 * MIB,
    measurements=(
        Measurement(fault_resident, (Row("fault_resident", goal=1.2),), guest="fast"),
        Measurement(fault_miss, (Row("fault_miss", goal=1.15),), guest="fast"),
        Measurement(
            fault_miss_loaded,
            (Row("fault_miss_loaded", goal=1.0), Row("window", unit="granules", goal=16)),
            guest="throttled",
            runs=5,
        ),
        Measurement(
            prefetch_rate, (Row("prefetch_rate", goal=0.95, better="higher"),), guest="throttled"
        ),
        Measurement(
            prefetch_rate_fast,
            (Row("prefetch_rate_fast", better="higher"),),
            guest="fast",
        ),
        Measurement(hint_vector, (Row("hint_vector", goal=0.1),), guest="fast"),
        Measurement(hint_vector_resident, (Row("hint_vector_resident"),), guest="fast"),
        Measurement(
            metadata,
            (
                Row("metadata", unit="bytes a granule", goal=32),
                Row("metadata_sparse", unit="bytes a granule"),
                Row("attach_1tib", unit="seconds", goal=1),
                Row("attach_16tib", unit="seconds"),
            ),
            guest="fast",
            runs=3,
            quick=1,
        ),
        Measurement(
            scale,
            (Row("scale", goal=1.1), Row("scale_hint"), Row("scale_fault")),
            guest="fast",
        ),
        Measurement(
            dense_pass,
            (Row("dense_pass"), Row("dense_pass_efficiency", better="higher")),
            guest="throttled",
            runs=5,
        ),
    ),
)
