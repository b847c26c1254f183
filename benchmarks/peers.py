"""How much quicker is a step than with others? The same graphs of steps that do nothing.

Microseconds a step inside the run, beyond those of a five-step run; each peer runs the plainest
program that records as much as it can (`_peers/`), in an environment of its own, and the engine
takes turns with it. A peer that needs longer than --limit for a graph is given 100 steps.

    python benchmarks/peers.py --install         # once, into var/peers: 1 GB
    python benchmarks/peers.py [--only doit]     # all of it takes ten minutes
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import _common
from _common import FEW, HERE, ROOT, WORKERS, Bar, Row
from _graphs import SHAPES

FALLBACK = 100
SIZES = (("chain", 1_000), ("wide", 1_000), ("layered", 1_000))
LARGE = (("wide", 10_000), ("layered", 10_000))
RECORDING_BARS = {"chain": 5.0, "wide": 50.0, "layered": 50.0}
DOIT_BAR = 3.0
ENGINE_RUNS = 3  # for one of a peer: they are short, and what is short differs more
NOTHING = {"peer µs": None, "engine µs": None, "ratio": None}
Taken = tuple[list[dict[str, float]], list[dict[str, float]]]  # of the peer and of the engine
# Nothing is sent anywhere, and nothing outside the working folder is read or written.
QUIET = {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DAGSTER_HOME": ".",
    "HOME": ".",
    "PREFECT_HOME": "prefect",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


@dataclass(frozen=True)
class Peer:
    """One way to run another tool; those that record each attempt have a bar for each shape."""

    name: str
    package: str
    workers: int
    records: bool = False
    sizes: Sequence[tuple[str, int]] = SIZES
    also: Mapping[str, str] = field(default_factory=dict)  # other figures of it, and their names

    def bars(self, shape: str, steps: int) -> list[Bar]:
        """Give what the ratio must be at least."""
        if self.records:
            return [Bar("ratio", RECORDING_BARS[shape], at_least=True)]
        due = self.package == "doit" and (shape, steps) in LARGE
        return [Bar("ratio", DOIT_BAR, at_least=True)] if due else []


PEERS = (
    Peer("doit", "doit", 0, sizes=SIZES + LARGE),
    Peer("doit, 4 threads", "doit", WORKERS, sizes=SIZES + LARGE),
    Peer("Luigi", "luigi", 1),
    Peer("Luigi, 4 workers", "luigi", WORKERS),
    Peer("DBOS", "dbos", 1, records=True),
    Peer("Prefect", "prefect", WORKERS, records=True, also={"returned_s": "until it returns"}),
    Peer("Dagster", "dagster", 1, records=True),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    packages = dict.fromkeys(peer.package for peer in PEERS)
    parser.add_argument("--only", choices=[*packages], help="one peer only")
    parser.add_argument("--steps", type=int, help="so many steps, in place of 1,000 and 10,000")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one run (120)")
    parser.add_argument(
        "--peers", type=Path, default=ROOT / "var" / "peers", help="their environments (var/peers)"
    )
    parser.add_argument("--install", action="store_true", help="make them, by pip; nothing else")


def install(options: argparse.Namespace) -> None:
    """Make an environment for each peer, as their requirements exclude each other."""
    for line in (HERE / "peers.txt").read_text("utf-8").splitlines():
        package = line.partition("==")[0]
        if not line.startswith("#") and options.only in (None, package):
            place = Path(options.peers).resolve() / package
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", line], check=True)
            print(f"{line} is in '{place}'", flush=True)


def run_peer(
    peer: Peer, graph: dict[str, list[str]], options: argparse.Namespace
) -> dict[str, float]:
    """Measure one run of a peer, inside it."""
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="bench-") as folder:
        Path(folder, "graph.json").write_text(json.dumps(graph), "utf-8")
        found: dict[str, float] = json.loads(
            _common.fresh(
                [str(HERE / "_peers" / f"with_{peer.package}.py"), str(peer.workers)],
                Path(folder),
                python=str(python_of(peer, options)),
                environ=QUIET | {name: folder for name, value in QUIET.items() if value == "."},
                limit_s=options.limit,
            )
        )
    return found


def python_of(peer: Peer, options: argparse.Namespace) -> Path:
    """Give the Python in whose environment a peer is."""
    return Path(options.peers).resolve() / peer.package / "bin" / "python"


def in_turn(peer: Peer, shape: str, steps: int, options: argparse.Namespace) -> Taken | None:
    """Measure peer and engine by turns; None where the peer is too slow for so many steps."""
    graph = SHAPES[shape](steps)
    theirs, ours = [], []
    for _ in range(options.repeat):
        try:
            theirs.append(run_peer(peer, graph, options))
        except subprocess.TimeoutExpired:
            return None
        ours += [_common.once("engine", shape, steps, options.dir) for _ in range(ENGINE_RUNS)]
    return theirs, ours


def rows(options: argparse.Namespace) -> Iterator[Row]:
    if options.install:
        install(options)
        return
    for peer in PEERS:
        if options.only in (None, peer.package):
            few = in_turn(peer, "wide", FEW, options) if python_of(peer, options).exists() else None
            if few:
                sizes = ((shape, options.steps or steps) for shape, steps in peer.sizes)
                for shape, steps in dict.fromkeys(sizes):
                    yield from measured(peer, shape, steps, few, options)
            else:
                yield Row(f"{peer.name}: not installed", NOTHING)


def measured(
    peer: Peer, shape: str, steps: int, few: Taken, options: argparse.Namespace
) -> Iterator[Row]:
    """Compare a peer with the engine, by fewer steps if it must be."""
    for count in dict.fromkeys((steps, min(steps, FALLBACK))):
        many = in_turn(peer, shape, count, options)
        if many:
            case = f"{peer.name}, {shape} {count:,}"
            yield compared(case, "seconds", count, few, many, peer.bars(shape, steps))
            for key, what in peer.also.items():
                yield compared(f"  {what}", key, count, few, many)
            return
    yield Row(f"{peer.name}, {shape}: over {options.limit:g} s", NOTHING)


def compared(
    case: str, key: str, steps: int, few: Taken, many: Taken, bars: Sequence[Bar] = ()
) -> Row:
    """Give what the peer's figure `key` says a step costs, beside the engine's seconds."""
    theirs, ours = (
        _common.per_step_us([one[name] for one in first], [one[name] for one in all_of_it], steps)
        for name, first, all_of_it in zip((key, "seconds"), few, many, strict=True)
    )
    figures = {"peer µs": theirs, "engine µs": ours, "ratio": _common.ratio(theirs, ours)}
    return Row(case, figures, bars, {"peer": many[0], "engine": many[1]})


if __name__ == "__main__":
    raise SystemExit(_common.main(__doc__, rows, arguments, repeat=1))
