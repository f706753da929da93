# SPDX-License-Identifier: GPL-2.0-only
"""Regions that are written to: write-back beside reads, its rate, its bytes, fsync."""

import os
import pathlib

from figures import Broken
from suite import Measurement, Row, Suite, sample

MIB = 1 << 20

DRIVE = 100_000_000  # bytes a second, each way
DATA = 256 * MIB  # what is read
WRITTEN = 512 * MIB
MEMORY = 96 * MIB
STATE = 64 * MIB  # of that, more than may be dirty


def in_random_order(bench, **sides):
    """What each side gives, taken in random order."""
    order = list(sides)
    bench.random.shuffle(order)
    return {side: sides[side]() for side in order}


def written_file(bench, name, size):
    """A file whose blocks have all been written to, so that a write to it is only that."""

    def make():
        path = bench.store() / name
        bench.fio_write(path, 8, size)
        return path

    return bench.keep(("written", name), make)


def best_depth(bench, size):
    """Of fio's sequential writes to a new file."""

    def measure():
        path = bench.store() / "depths"
        rates = {depth: bench.fio_write(path, depth, size) for depth in (1, 4, 16)}
        path.unlink()
        return max(rates, key=rates.get)

    return bench.keep("write depth", measure)


def write_rate(bench):
    """Both write a new file, whose space is there, once from its first byte to its last."""
    depth = best_depth(bench, WRITTEN)
    subject_file, peer_file = (bench.store() / name for name in ("rate", "rate_fio"))

    def subject():
        with bench.itme(dram=MEMORY) as itme:
            bench.create(itme, subject_file, WRITTEN)
            figures = bench.program("write_rate", itme / "rate", subject_file)
        subject_file.unlink()
        if figures["written_bytes"] < WRITTEN:
            raise Broken(f"write_rate: the store was written {figures['written_bytes']} bytes of {WRITTEN}")
        return figures["bytes_per_s"]

    def peer():
        rate = bench.fio_write(peer_file, depth, WRITTEN)
        peer_file.unlink()
        return rate

    rates = in_random_order(bench, subject=subject, peer=peer)
    # The drive is the limit here, and fio has found it.
    return sample(**rates, efficiency=rates["subject"] / rates["peer"])


def write_rate_over(bench):
    """The same over data: stores need what is there before, write(2) of whole granules does not."""
    depth = best_depth(bench, WRITTEN)
    path = written_file(bench, "over", WRITTEN)

    def subject(*options):
        with bench.itme(writable=[path], dram=MEMORY) as itme:
            turn = f"--turn={bench.seed()}"
            return bench.program("write_rate", itme / "over", path, turn, *options)["bytes_per_s"]

    rates = in_random_order(
        bench,
        stores=subject,
        calls=lambda: subject("--by-call"),
        peer=lambda: bench.fio_write(path, depth, WRITTEN),
    )
    return {
        "write_rate_over_stores": sample(subject=rates["stores"], peer=rates["peer"]),
        "write_rate_over_calls": sample(subject=rates["calls"], peer=rates["peer"]),
    }


def read_under_write(bench):
    data, path = bench.store() / "data", written_file(bench, "state", STATE)
    full = bench.fio_write(path, best_depth(bench, WRITTEN), STATE)
    with bench.itme(data, writable=[path], dram=MEMORY) as itme:
        figures = bench.program(
            "read_under_write",
            itme / "data",
            itme / "state",
            f"--blocks={4 if bench.quick else 8}",
            f"--seed={bench.seed()}",
        )
    loaded = figures["loaded_bytes_per_s"]
    if loaded < 0.1 * full or not figures["throttled"]:
        raise Broken(
            f"read_under_write: write-back had {loaded / 1e6:.0f} MB/s beside the reads, of"
            f" the drive's {full / 1e6:.0f}: that is no load"
        )
    curves = {
        "x": "percentile",
        "y": "milliseconds",
        "lines": {
            title: [[2 * i, 1e3 * value] for i, value in enumerate(figures[side]["percentiles"])]
            for title, side in (("beside write-back", "loaded"), ("alone", "alone"))
        },
    }
    return {
        "read_under_write": sample(
            subject=figures["loaded"]["p99"],
            peer=figures["alone"]["p99"],
            curves={"read_under_write": curves},
        ),
        "read_under_write_p50": sample(subject=figures["loaded"]["p50"], peer=figures["alone"]["p50"]),
        "write_under_read": sample(subject=loaded, peer=full),
    }


def drive_written(bench):
    """Bytes that the drive has been given to write, with all that the file system owed it."""
    bench.run("sync", "-f", bench.store())
    stat = pathlib.Path("/sys/class/block") / pathlib.Path(os.environ["ITME_NVME"]).name / "stat"
    return 512 * int(stat.read_text().split()[6])


def appended(bench, *options):
    """The store's bytes beside those appended, at a rate that it can take."""
    path = written_file(bench, "over", WRITTEN)
    with bench.itme(writable=[path], dram=MEMORY) as itme:
        before = drive_written(bench)
        figures = bench.program(
            "append",
            itme / "over",
            path,
            f"--rate={0.6 * DRIVE}",
            f"--turn={bench.seed()}",
            f"--seed={bench.seed()}",
            *options,
        )
        written = drive_written(bench) - before
    if figures["appended_bytes"] != WRITTEN or written < WRITTEN:
        raise Broken(f"amplification: the drive was written {written} of {WRITTEN} bytes appended")
    return sample(subject=written, peer=figures["appended_bytes"])


def amplification(bench):
    both = in_random_order(
        bench, stores=lambda: appended(bench), calls=lambda: appended(bench, "--by-call")
    )
    return {
        "amplification": sample(max(both["stores"]["value"], both["calls"]["value"])),
        "amplification_stores": both["stores"],
        "amplification_calls": both["calls"],
    }


def fsync(bench):
    size = 32 * MIB
    subject, peer = (written_file(bench, name, size) for name in ("fsync", "fsync_peer"))
    with bench.itme(writable=[subject], dram=MEMORY) as itme:
        samples = 50 if bench.quick else 200
        options = (f"--samples={samples}", f"--seed={bench.seed()}")
        figures = bench.program("fsync_granule", itme / "fsync", peer, *options)
    return sample(subject=figures["subject"]["p50"], peer=figures["peer"]["p50"])


SUITE = Suite(
    # Storage and processor in the proportion of a real machine.
    guests={"throttled": ("--cxl=none", "--dram=1536M", f"--nvme-mbps={DRIVE // 10**6}")},
    files={"data": DATA},
    drive_bytes=2048 * MIB,
    measurements=(
        Measurement(
            read_under_write,
            (
                Row("read_under_write", goal=1.5),
                Row("read_under_write_p50"),
                Row("write_under_read", better="higher"),
            ),
            guest="throttled",
            runs=5,
        ),
        Measurement(write_rate, (Row("write_rate", goal=0.9, better="higher"),), guest="throttled"),
        Measurement(
            write_rate_over,
            (
                Row("write_rate_over_stores", better="higher"),
                Row("write_rate_over_calls", better="higher"),
            ),
            guest="throttled",
            runs=5,
            quick=1,
        ),
        Measurement(
            amplification,
            (
                Row("amplification", goal=1.05),
                Row("amplification_stores"),
                Row("amplification_calls"),
            ),
            guest="throttled",
            runs=5,
        ),
        Measurement(fsync, (Row("fsync", goal=1.2),), guest="throttled"),
    ),
)
