"""Which runs there are, one run, and where it is kept."""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lossmith.diagnose.doctor import error
from lossmith.diagnose.plan import Loop, Plan, train
from lossmith.diagnose.record import Facts, Layer, Record, Step

from . import data, faults, faults_data, faults_model, nets
from .registry import FAULTS
from .setup import Setup, healthy, trivial
from .watch import Recorder

MODULES = (faults, faults_data, faults_model)  # their import fills the registry
WORSE = 0.05


@dataclass(frozen=True, order=True)
class Case:
    """One run of the grid. The healthy twin has the fault "healthy"; "long" is healthy and four times as long."""

    dataset: str
    arch: str
    seed: int
    fault: str = "healthy"
    level: int = 0

    @property
    def name(self) -> str:
        return f"{self.dataset}-{self.arch}-{self.seed}-{self.fault}-{self.level}"

    @property
    def cause(self) -> str:
        return FAULTS[self.fault].cause if self.fault in FAULTS else "healthy"

    @property
    def held_out(self) -> tuple[str, ...]:
        """What of it was kept from tuning."""
        known = self.fault in FAULTS and FAULTS[self.fault].held_out
        marks = (self.dataset in data.HELD_OUT, self.arch in nets.HELD_OUT, known)
        return tuple(word for word, mark in zip(("data", "architecture", "fault"), marks, strict=True) if mark)

    def setup(self) -> Setup:
        made = healthy(self.dataset, self.arch, self.seed)
        if self.fault == "long":
            made.steps, whole = made.steps * 4, made.schedule
            made.schedule = lambda step: whole(step // 4) if whole else 1.0
        if self.fault in FAULTS:
            FAULTS[self.fault].apply(made, self.level)
        return made


def level_of(dataset: str, arch: str, seed: int, fault: str) -> int:
    return (zlib.crc32(f"{dataset}/{arch}/{fault}".encode()) + seed) % 3


def cases(seeds: tuple[int, ...], datasets: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> Iterator[Case]:
    """The grid; the severity goes round with the seed."""
    for seed in seeds:
        for dataset in datasets or data.SOURCES:
            for arch in nets.ARCHITECTURES:
                yield Case(dataset, arch, seed)
                if seed < 2:
                    yield Case(dataset, arch, seed, "long")
                twin = healthy(dataset, arch, seed)
                for fault in names or FAULTS:
                    if FAULTS[fault].fits(twin):
                        yield Case(dataset, arch, seed, fault, level_of(dataset, arch, seed, fault))


def run(case: Case) -> tuple[Record, Plan, Loop, dict[str, Any]]:
    """Train, and judge on rows that the training never saw."""
    begun = time.process_time()
    setup = case.setup()
    plan = setup.plan()
    loop = plan.start()
    recorder = Recorder(setup, plan, loop)
    train(plan, recorder, loop)
    record = recorder.record
    curve = record.column("eval_loss")[1]
    return (
        record,
        plan,
        loop,
        {
            **asdict(case),
            "name": case.name,
            "cause": case.cause,
            "held_out": list(case.held_out),
            "task": setup.task,
            "final": error(plan, loop.model, setup.test),
            "trivial": trivial(setup),
            "eval_last_over_min": float(curve[-1] / curve.min()) if curve.min() > 0 else math.nan,
            "cpu_seconds": round(time.process_time() - begun, 3),
        },
    )


def write(folder: Path, case: Case, record: Record, loop: Loop, row: Mapping[str, Any]) -> None:
    """Keep the record as JSON lines, the end of the training, and a row of the manifest."""
    (folder / "records").mkdir(parents=True, exist_ok=True)
    (folder / "states").mkdir(parents=True, exist_ok=True)
    lines = [{"facts": asdict(record.facts)}, *(_lean(asdict(step)) for step in record.steps)]
    (folder / "records" / f"{case.name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    state = {"model": loop.model.state_dict(), "optimizer": loop.optimizer.state_dict(), "number": loop.number}
    torch.save(state, folder / "states" / f"{case.name}.pt")
    with (folder / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def _lean(step: dict[str, Any]) -> dict[str, Any]:
    """Six digits, and nothing that was not recorded."""
    if isinstance(step, dict):
        return {k: _lean(v) for k, v in step.items() if v is not None and v != {}}
    return float(f"{step:.6g}") if isinstance(step, float) else step


def read_record(folder: Path, name: str) -> Record:
    first, *rest = (folder / "records" / f"{name}.jsonl").read_text().splitlines()
    facts = json.loads(first)["facts"]
    facts["class_counts"] = tuple(facts["class_counts"])
    return Record.of(Facts(**facts), (_step(json.loads(line)) for line in rest))


def _step(line: dict[str, Any]) -> Step:
    layers = {name: Layer(**values) for name, values in line.pop("layers", {}).items()}
    return Step(**line, layers=layers)


def revive(folder: Path, case: Case) -> tuple[Setup, Plan, Loop]:
    """Bring back the end of a training."""
    setup = case.setup()
    plan = setup.plan()
    loop = plan.start()
    state = torch.load(folder / "states" / f"{case.name}.pt", weights_only=True)
    loop.model.load_state_dict(state["model"])
    loop.optimizer.load_state_dict(state["optimizer"])
    loop.number = state["number"]
    return setup, plan, loop


def manifest(folder: Path) -> list[dict[str, Any]]:
    """All runs with their verdict: "accepted" says whether one counts, and "twin" what its twin reached."""
    rows = {r["name"]: r for r in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())}
    for row in rows.values():
        twin = rows.get(Case(row["dataset"], row["arch"], row["seed"]).name)
        row["twin"] = twin["final"] if twin else math.nan
        good = twin is not None and _good(twin)
        row["accepted"] = _good(row) if row["cause"] == "healthy" else good and row["final"] > (1 + WORSE) * row["twin"]
    return list(rows.values())


def _good(row: Mapping[str, Any]) -> bool:
    """A healthy run counts if it beats the best constant and does not overfit."""
    return bool(row["final"] < 0.95 * row["trivial"] and row["eval_last_over_min"] <= 1.05)


def record_all(folder: Path, wanted: Iterable[Case], say: Any = print) -> None:
    """Run what is not there yet."""
    path = folder / "manifest.jsonl"
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    # Seed by seed, within a seed in no order: a part of the runs is a fair sample.
    wanted = sorted(wanted, key=lambda case: (case.seed, zlib.crc32(case.name.encode())))
    for number, case in enumerate(case for case in wanted if case.name not in done):
        record, _, loop, row = run(case)
        write(folder, case, record, loop, row)
        if number % 200 == 0:
            say(f"{number} {case.name} {row['final']:.3f} {row['cpu_seconds']}s", flush=True)


def probe_all(folder: Path, say: Any = print) -> None:
    """Run the probes on the end of every run that has none yet."""
    from lossmith.diagnose.probes import TorchPatient, examine

    path = folder / "probes.jsonl"
    done = {json.loads(line)["name"] for line in path.read_text().splitlines()} if path.exists() else set()
    for number, row in enumerate(row for row in manifest(folder) if row["accepted"] and row["name"] not in done):
        case = Case(row["dataset"], row["arch"], row["seed"], row["fault"], row["level"])
        _, plan, loop = revive(folder, case)
        begun = time.process_time()
        numbers = examine(TorchPatient.of(plan, loop))
        line = {"name": case.name, "cpu_seconds": round(time.process_time() - begun, 3), "numbers": _lean(numbers)}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if number % 200 == 0:
            say(f"{number} probed {case.name} {line['cpu_seconds']}s", flush=True)
