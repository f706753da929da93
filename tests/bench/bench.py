# SPDX-License-Identifier: GPL-2.0-only
"""The guest as a measurement sees it: mounts, regions, programs, fio."""

import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

import figures

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
LLAMA = PROJECT / "build/bench-llama"
STORE = pathlib.Path("/mnt/store")
PROGRAM_TIMEOUT = 600
FIO_DEPTHS = (1, 2, 4, 8, 16)
GRANULE = 2 << 20


class Failure(Exception):
    """A program that failed, or a machine that is not as it should be."""


def layers_of(said, tokens):
    """What tests/bench/llama/truth.cpp has printed, which must be all layers of so many tokens."""
    layers = [tuple(int(word) for word in line.split()) for line in said.splitlines()]
    if not layers or len(layers) != tokens * (1 + max(layer for _, layer, *_ in layers)):
        raise figures.Broken(f"the decode of {tokens} tokens has {len(layers)} layers")
    return layers


class Bench:
    """What measurements use. Everything it makes ends with it."""

    def __init__(self, random, quick=False):
        self.random = random
        self.quick = quick
        self.stack = contextlib.ExitStack()
        self.kept = {}

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return self.stack.__exit__(*failure)

    def keep(self, name, make):
        """What make() gives, made once in a guest."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    # Programs

    def run(self, *command):
        """What the command prints; Failure where it fails."""
        command = [str(word) for word in command]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PROGRAM_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise Failure(f"{' '.join(command)}: status {done.returncode}: {said}")
        return done.stdout

    def program(self, name, *arguments):
        """The figures that a program of tests/bench/ prints."""
        return json.loads(self.run(self.local(f"tests/bench/{name}"), *arguments))

    def replay(self, *arguments):
        """The figures that the replayer prints."""
        return json.loads(self.run(self.local("replay"), "run", "--json", *arguments))

    def local(self, name):
        """A program of build/, in the guest's memory: the share of files is slow."""
        return self.keep(("local", name), lambda: self.copy(PROJECT / "build" / name))

    def copy(self, path):
        folder = self.keep(
            "programs", lambda: pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        )
        return shutil.copy(path, folder / path.name)

    def model(self, name):
        """A model of tests/bench/llama, in the store."""
        path = self.store() / name
        if not path.exists():
            shutil.copyfile(LLAMA / name, path)
        return path

    def decode(self, model, tokens):
        """llama.cpp as it is, on the model: the (pass, layer, begin_ns, end_ns) of its layers."""
        said = self.run(self.decoder(), model, tokens)
        return layers_of(said, tokens)

    def decoder(self):
        for library in LLAMA.glob("*.so"):
            self.keep(("library", library.name), lambda path=library: self.copy(path))
        return self.keep("truth", lambda: self.copy(LLAMA / "truth"))

    def seed(self):
        return self.random.randrange(1, 1 << 30)

    # The machine

    def store(self):
        """Where the drive is mounted, with the files of the suite."""
        return self.keep("store", self.mount_store)

    def mount_store(self):
        STORE.mkdir(exist_ok=True)
        self.mount("-o", "noatime", os.environ["ITME_NVME"], STORE)
        return STORE

    def mount(self, *arguments):
        self.run("mount", *arguments)
        self.stack.callback(self.run, "umount", arguments[-1])

    def sparse_store(self, device_bytes=1 << 30):
        """A file system that takes sparse files of any size: XFS in memory. (ext4's end at 16 TiB.)"""

        def make():
            image, folder = pathlib.Path("/tmp/sparse.img"), pathlib.Path("/mnt/sparse")
            with image.open("w") as file:
                file.truncate(device_bytes)
            self.run("modprobe", "-a", "loop", "xfs")
            self.run("mkfs.xfs", "-q", image)
            folder.mkdir()
            self.mount("-o", "loop", image, folder)
            return folder

        return self.keep("sparse", make)

    def sparse_file(self, name, file_bytes):
        path = self.sparse_store() / name
        if not path.exists():
            with path.open("w") as file:
                file.truncate(file_bytes)
        return path

    def tmpfs(self, huge="always"):
        def make():
            folder = pathlib.Path("/mnt/huge")
            folder.mkdir()
            self.mount("-t", "tmpfs", "-o", f"huge={huge}", "none", folder)
            return folder

        return self.keep("tmpfs", make)

    def module(self):
        def load():
            built = PROJECT / f"build/kmod/{os.uname().release}/itme.ko"
            self.run("insmod", os.environ.get("ITME_KO", built))
            self.stack.callback(self.run, "rmmod", "itme")
            return True

        return self.keep("module", load)

    @contextlib.contextmanager
    def itme(self, *stores, dram, name="bench", writable=(), **options):
        """An instance with the stores attached, for a while: its folder."""
        self.module()
        folder = pathlib.Path("/mnt/itme") / name
        folder.mkdir(parents=True, exist_ok=True)
        words = [f"dram={dram}", f"name={name}", *(f"{key}={value}" for key, value in options.items())]
        self.run("mount", "-t", "itme", "-o", ",".join(words), "none", folder)
        try:
            for store in stores:
                self.run(self.local("itmectl"), "attach", folder, store)
            for store in writable:
                self.run(self.local("itmectl"), "attach", "--write", folder, store)
            yield folder
        finally:
            self.run("umount", folder)

    def create(self, folder, store, size):
        """A region of a new file, to be written to."""
        self.run(self.local("itmectl"), "create", folder, f"--size={size}", f"--store={store}")

    def instance(self, attribute):
        """A number of the instance's, from sysfs."""
        return int(pathlib.Path(f"/sys/fs/itme/bench/{attribute}").read_text())

    # What the machine can do

    def fio(self, file, depth, *options):
        """Bytes a second of sequential direct reads of 2 MiB."""
        return self.fio_rate("read", file, depth, "--readonly", *options)

    def fio_write(self, file, depth, size):
        """Bytes a second of sequential direct writes of 2 MiB, with the fsync behind them; to
        a file that has its space, and is made where it is not there."""
        options = (f"--size={size}", "--fallocate=posix", "--end_fsync=1")
        return self.fio_rate("write", file, depth, *options)

    def fio_rate(self, way, file, depth, *options):
        said = self.run(
            "fio",
            f"--name={way}",
            f"--rw={way}",
            "--direct=1",
            "--ioengine=libaio",
            f"--filename={file}",
            f"--bs={GRANULE}",
            f"--iodepth={depth}",
            "--output-format=json",
            *options,
        )
        return json.loads(said[said.index("{") :])["jobs"][0][way]["bw_bytes"]

    def fio_depths(self, file):
        """The median bytes a second of reading the file once, at each depth."""

        def measure():
            tries = 1 if self.quick else 3
            rates = {depth: [] for depth in FIO_DEPTHS}
            order = [depth for depth in FIO_DEPTHS for _ in range(tries)]
            self.random.shuffle(order)
            for depth in order:
                rates[depth].append(self.fio(file, depth))
            return {depth: statistics.median(values) for depth, values in rates.items()}

        return self.keep(("depths", file), measure)

    def best_depth(self, file):
        rates = self.fio_depths(file)
        return max(rates, key=rates.get)

    def bandwidth(self, file):
        """Of the store, bytes a second: the best of some tries at the best depth, each
        over some seconds and without the first, in which a throttle lets more through."""

        def measure():
            steady = ("--time_based", "--ramp_time=1", "--runtime=3")
            depth = self.best_depth(file)
            return max(self.fio(file, depth, *steady) for _ in range(1 if self.quick else 3))

        return self.keep(("bandwidth", file), measure)

    def throttle(self, rate):
        """The store reads and writes so many bytes a second from now on."""
        self.run(PROJECT / "scripts/guest/throttle", int(rate))
        self.kept = {name: value for name, value in self.kept.items() if name[0] != "bandwidth"}

    def work_rate(self):
        """Units of the replayer's busy work a second."""
        return self.keep("work", lambda: int(self.run(self.local("replay"), "rate")))

    def checked(self, name, efficiency):
        """The efficiency, unless it is above what can be."""
        figures.check_efficiency(name, [efficiency])
        return efficiency
