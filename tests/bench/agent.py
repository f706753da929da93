# SPDX-License-Identifier: GPL-2.0-only
"""itmed in the guest, beside a measurement."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

from bench import Failure

READY_TIMEOUT = 60


class Itmed:
    """An itmed that runs: what it says, and what it costs."""

    def __init__(self, bench, process, socket):
        self.bench = bench
        self.process = process
        self.socket = socket

    def report(self, kind):
        said = self.bench.run(
            self.bench.local("itmectl"), "report", kind, "--json", "--socket", self.socket
        )
        return json.loads(said)

    def memory(self, verb, *arguments):
        itmectl = self.bench.local("itmectl")
        return json.loads(
            self.bench.run(itmectl, "memory", verb, *arguments, "--json", "--socket", self.socket)
        )

    def plan(self, region):
        """What became of the plan of a region with one stream; None before there is one."""
        plans = [plan for plan in self.report("plan")["plans"] if plan["region"] == region]
        return plans[0] if plans and plans[0]["slots"] else None

    def cpu_seconds(self):
        """What it has used, with those that it has started and that have ended."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def watched(self):
        """Seconds of the clock, and what it has used by then: grows meanwhile."""
        seen, done = [], threading.Event()

        def look():
            while not done.wait(0.5):
                seen.append((time.monotonic(), self.cpu_seconds()))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join()

    def follow(self, run):
        """What run() gives, and the positions that itmed has published by its end."""
        frames = self.socket.parent / "frames"
        top = [self.bench.local("itmectl"), "top", "--json", "--delay=2", "--socket", self.socket]

        def read():
            return [json.loads(line) for line in frames.read_text().splitlines(True) if line[-1] == "\n"]

        with open(frames, "w", encoding="utf-8") as out:
            process = subprocess.Popen(top, stdin=subprocess.DEVNULL, stdout=out)
        try:
            self.wait_for("a frame of top", read)
            result = run()
            end = time.monotonic_ns()
            self.wait_for("a last frame of top", lambda: read()[-1]["time_ns"] > end)
        finally:
            process.terminate()
            process.wait(timeout=READY_TIMEOUT)
        return result, [position for frame in read() for position in frame["trail"]]

    def wait_for(self, what, true):
        deadline = time.monotonic() + READY_TIMEOUT
        while not true():
            if time.monotonic() > deadline:
                raise Failure(f"itmed: {what}: not within {READY_TIMEOUT} s")
            if self.process.poll() is not None:
                raise Failure(f"itmed ended with status {self.process.returncode}")
            time.sleep(0.2)


def dense_schedule(name, size, granule, steps):
    """A file that is read from its beginning to its end in each pass."""
    granules = size // granule
    cuts = [granules * step // steps * granule for step in range(steps + 1)]
    parts = [(f"part.{step}", cuts[step], cuts[step + 1] - cuts[step]) for step in range(steps)]
    return {
        "itme_schedule": 1,
        "name": name,
        "regions": [{"name": name, "file": name, "bytes": size}],
        "objects": [
            {"name": part, "kind": "weight", "extents": [[0, offset, length]]}
            for part, offset, length in parts
        ],
        "groups": [],
        "programs": [
            {
                "name": "pass",
                "cyclic": True,
                "steps": [{"name": part, "read": [part]} for part, _, _ in parts],
            }
        ],
        "streams": [{"name": "pass", "program": "pass", "weight": 1}],
    }


@contextlib.contextmanager
def itmed_alone(bench):
    """itmed without anything mounted."""
    with itmed(bench, {}) as one:
        yield one


@contextlib.contextmanager
def itmed(bench, mounted, *, plans=True):
    """itmed beside what is mounted: folder -> store -> schedule: "auto", "none", or what a schedule
    file holds."""
    work = bench.keep("itmed", lambda: pathlib.Path("/run/itme-bench"))
    work.mkdir(exist_ok=True)
    lines = ['metrics = "127.0.0.1:0"', f"plans = {str(plans).lower()}", 'socket_group = "root"']
    for folder, attached in mounted.items():
        lines += ["[[mount]]", f'path = "{folder}"', 'dram = "2M"']  # it is there already
        for store, schedule in attached.items():
            if not isinstance(schedule, str):
                file = work / f"{len(lines)}.itme.json"
                file.write_text(json.dumps(schedule))
                schedule = str(file)
            lines += ["[[mount.attach]]", f'store = "{store}"', f'schedule = "{schedule}"']
    config = work / "itmed.toml"
    config.write_text("\n".join(lines) + "\n")
    socket = work / "itmed.sock"
    with open(work / "log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [bench.local("itmed"), "--config", config, "--socket", socket],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    one = Itmed(bench, process, socket)
    try:
        one.wait_for("its socket", socket.exists)
        yield one
    except Failure as failure:
        raise Failure(f"{failure}\n{(work / 'log').read_text()}") from failure
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=READY_TIMEOUT)
