# SPDX-License-Identifier: GPL-2.0-only
"""What a suite is made of. Each file of suites/ defines one, named SUITE."""

import dataclasses
import importlib.util
import pathlib
import sys
import typing

SUITES = pathlib.Path(__file__).resolve().parent / "suites"


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of result.json."""

    name: str
    unit: str = "ratio"
    goal: float | None = None
    better: str = "lower"
    interval: bool = False  # the goal holds, or not, for the whole 95 % interval of the median


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A function of the guest's bench.Bench that measures rows, once for each run.

    It gives a sample, or a dictionary of row names and samples: see sample().
    """

    measure: typing.Callable
    rows: tuple[Row, ...]
    guest: str = "guest"
    runs: int = 7
    quick: int = 3


@dataclasses.dataclass(frozen=True)
class Suite:
    measurements: tuple[Measurement, ...]
    # Options of scripts/vm, by the name that measurements give.
    guests: dict[str, tuple[str, ...]]
    # What is to be on the drive: names and sizes of files of known content.
    files: dict[str, int] = dataclasses.field(default_factory=dict)
    drive_bytes: int = 1 << 30

    def rows(self):
        return [row for measurement in self.measurements for row in measurement.rows]


def sample(value=None, *, subject=None, peer=None, efficiency=None, turns=None, curves=None):
    """One run. The value is subject / peer, unless it is given.

    efficiency: what was reached of what is possible; above 1.02 it is no measurement.
    turns: efficiencies, each beside a bound of its own.
    curves: {picture: {"x": title, "y": title, "lines": {title: [[x, y], ...]}}}
    """
    entry = {"value": subject / peer if value is None else value}
    given = {
        "subject": subject,
        "peer": peer,
        "efficiency": efficiency,
        "turns": turns,
        "curves": curves,
    }
    return entry | {key: what for key, what in given.items() if what is not None}


def load(name, folder=SUITES):
    path = pathlib.Path(folder) / f"{name}.py"
    if not path.is_file():
        raise FileNotFoundError(f"no suite '{name}': there are {', '.join(names(folder))}")
    spec = importlib.util.spec_from_file_location(f"suite_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.SUITE


def names(folder=SUITES):
    return sorted(path.stem for path in pathlib.Path(folder).glob("*.py"))
