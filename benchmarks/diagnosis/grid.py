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

import numpy as np
import torch

from lossmith.diagnose.doctor import error
from lossmith.diagnose.plan import Loop, Plan, train
from lossmith.diagnose.record import Facts, Layer, Record, Step

from . import (
    data,
    faults,
    faults_data,
    faults_fifth,
    faults_fifth_data,
    faults_fifth_model,
    faults_fourth,
    faults_fourth_data,
    faults_fourth_model,
    faults_model,
    faults_more,
    faults_new,
    faults_third,
    faults_third_data,
    faults_third_model,
    held,
    nets,
    sound,
)
from .registry import FAULTS
from .setup import LOTS, Setup, healthy, trivial
from .watch import Recorder

OLD_SETS, DRAWN_SETS = tuple(data.SOURCES)[:9], tuple(data.SOURCES)[:12]  # later: `grid_third.py`
OLD_MODULES = tuple(module.__name__ for module in (faults, faults_data, faults_model))
THIRD_MODULES = (faults_third, faults_third_data, faults_third_model)
FOURTH_MODULES = (faults_fourth, faults_fourth_data, faults_fourth_model)
FIFTH_MODULES = (faults_fifth, faults_fifth_data, faults_fifth_model)
LATER_MODULES = (*THIRD_MODULES, *FOURTH_MODULES, *FIFTH_MODULES)
MODULES = (faults, faults_data, faults_model, faults_more, faults_new, *LATER_MODULES)  # importing fills the registry
DRAWN_MODULES = (*OLD_MODULES, faults_more.__name__, faults_new.__name__)
WORSE = 0.05
OLD_SEEDS, SEEDS = (0, 1), (2, 3, 4, 5)
GROUPS = {False: 110, True: 30}  # data set x architecture x seed trained in a manner of its own: others, held.FORMER
RUNS = {False: 8, True: 2}  # of a fault in those
LOOKALIKES = {  # told apart by degree only: more runs, so that degrees are filled
    "learning-rate-too-high": 12, "learning-rate-too-low": 14, "too-few-steps": 14, "learning-rate-decay": 10,
    "optimizer-not-stepping": 9, "frozen-layers": 9,
}  # fmt: skip


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
        module = FAULTS[self.fault].apply.__module__ if self.fault in FAULTS else ""
        return held.marks(self.dataset, self.arch, self.seed, self.fault, module)

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


def cases() -> Iterator[Case]:
    """All runs: seeds 0 and 1 on the first nine sets and four nets, then groups and faults by lot."""
    for seed in OLD_SEEDS:
        for dataset in OLD_SETS:
            for arch in nets.OLD:
                yield Case(dataset, arch, seed)
                yield Case(dataset, arch, seed, "long")
                twin = healthy(dataset, arch, seed)
                for fault in FAULTS.values():
                    if fault.apply.__module__ in OLD_MODULES and fault.fits(twin):
                        yield Case(dataset, arch, seed, fault.name, level_of(dataset, arch, seed, fault.name))
    yield from drawn_cases()


def drawn_cases() -> Iterator[Case]:
    """Groups by lot, a healthy twin in each, and for each fault some of the groups that it fits."""
    everything = [Case(d, a, s) for d in DRAWN_SETS for a in nets.FORMER for s in SEEDS]
    lot = sorted(everything, key=lambda case: _lot(case.name))
    groups = {new: [case for case in lot if _former(case) == new][:many] for new, many in GROUPS.items()}
    for new, twins in groups.items():
        yield from twins
        fitting = [(twin, healthy(twin.dataset, twin.arch, twin.seed)) for twin in twins]
        for fault in FAULTS.values():
            if fault.apply.__module__ not in DRAWN_MODULES or (new and fault.apply.__module__ == faults_new.__name__):
                continue
            many = LOOKALIKES.get(fault.cause, RUNS[False]) if not new else RUNS[True]
            fits = [twin for twin, setup in fitting if fault.fits(setup)]
            for twin in sorted(fits, key=lambda t: _lot(f"{t.name}/{fault.name}"))[:many]:
                place = twin.dataset, twin.arch, twin.seed
                yield Case(*place, fault.name, level_of(*place, fault.name))


def _former(case: Case) -> bool:
    return bool(held.FORMER & {case.dataset, case.arch})


def _lot(word: str) -> int:
    return zlib.crc32(word.encode())


def run(case: Case) -> tuple[Record, Plan, Loop, dict[str, Any]]:
    """Train, and judge on rows that the training never saw."""
    begun = time.process_time()
    setup = case.setup()
    plan = setup.plan()
    loop = plan.start()
    recorder = Recorder(setup, plan, loop)
    train(plan, recorder, loop)
    record = recorder.record
    curve = np.array(recorder.curve)
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
            "finite": bool(np.isfinite(record.column("loss")[1]).all()),
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
    # Our own file: a rate that a schedule reckoned in NumPy is no plain weight.
    state = torch.load(folder / "states" / f"{case.name}.pt", weights_only=False)
    loop.model.load_state_dict(state["model"])
    loop.optimizer.load_state_dict(state["optimizer"])
    loop.number = state["number"]
    return setup, plan, loop


def case_of(row: Mapping[str, Any]) -> Case:
    return Case(row["dataset"], row["arch"], row["seed"], row["fault"], row["level"])


def manifest(folder: Path) -> list[dict[str, Any]]:
    """All runs with their verdict: "accepted" says whether one counts, and "twin" what its twin reached.

    A faulty run counts if its twin passes 1 and 2 of `sound` and is at least 5 % better, an overflow only if something
    overflowed; the held-out part records faults on sound twins only. A twin that was not tried longer and at other
    rates counts by 1 and 2 alone.
    """
    rows, tried = {r["name"]: r for r in lines(folder / "manifest.jsonl")}, sound.read(folder)
    for row in rows.values():
        row["held_out"] = list(case_of(row).held_out)
        twin = rows.get(Case(row["dataset"], row["arch"], row["seed"]).name)
        row["twin"] = twin["final"] if twin else math.nan
        good = twin is not None and sound.good(twin)
        enough = good and (twin["name"] not in tried or sound.passes(twin, tried[twin["name"]]))
        if row["cause"] == "healthy":
            row["accepted"] = bool(sound.good(row) and enough)
        else:
            untrue = row["cause"] == "fp16-overflow" and row.get("finite", False)  # nothing overflowed
            row["accepted"] = bool(good and row["final"] > (1 + WORSE) * row["twin"] and not untrue)
    return list(rows.values())


def record_all(folder: Path, wanted: Iterable[Case], say: Any = print, part: tuple[int, int] = (0, 1)) -> None:
    """Run what is not there yet, twins when their first fault comes; probe at once what counts.

    ``part`` (k, n): the k-th of n processes that share the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {row["name"]: row for row in lines(folder / "manifest.jsonl")}
    twins: dict[str, Case] = {}
    queue: list[Case] = []
    mine = [c for c in wanted if _lot(f"{c.dataset}/{c.arch}/{c.seed}") % part[1] == part[0]]
    # By lot, the first nine sets' old seeds first: a part of the runs is a fair sample.
    for case in sorted(mine, key=lambda c: (c.seed >= LOTS, _lot(c.name))):
        twin = Case(case.dataset, case.arch, case.seed)
        queue += [case] if twin.name in twins or case == twin else [twin, case]
        twins[twin.name] = twin
    todo = [case for case in dict.fromkeys(queue) if case.name not in known]
    for number, case in enumerate(todo):
        twin = known.get(Case(case.dataset, case.arch, case.seed).name)
        if case.fault in FAULTS and (twin is None or not sound.good(twin)):
            continue  # without a sound twin it would not count
        record, plan, loop, row = run(case)
        write(folder, case, record, loop, row)
        known[case.name] = row
        if case.fault != "long" and sound.good(row) if case.cause == "healthy" else _worse(row, known):
            probe(folder, case, plan, loop)
        if number % 50 == 0:
            say(f"{number} of {len(todo)}: {case.name} {row['final']:.3f} {row['cpu_seconds']}s", flush=True)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _worse(row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> bool:
    twin = known[Case(row["dataset"], row["arch"], row["seed"]).name]
    return sound.good(twin) and bool(row["final"] > (1 + WORSE) * twin["final"])


def record_twins(folder: Path, twins: Iterable[Case], part: tuple[int, int] = (0, 1), say: Any = print) -> None:
    """Record twins, try the good ones longer and at other rates, and probe the sound ones."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {row["name"] for row in lines(folder / "manifest.jsonl")}
    for number, case in enumerate(twins):
        if number % part[1] != part[0] or case.name in known:
            continue
        made, plan, loop, row = run(case)
        tried = sound.measure(case, row) if sound.good(row) else None
        if tried is not None:
            sound.keep(folder, case.name, tried)
            if sound.passes(row, tried):
                probe(folder, case, plan, loop)
        write(folder, case, made, loop, row)
        if number % 20 == part[0]:
            say(f"twin {number} {case.name} {row['final']:.3f}", flush=True)


def record_on_twins(
    folder: Path,
    wanted: Iterable[Case],
    known: Mapping[str, Mapping[str, Any]],
    part: tuple[int, int] = (0, 1),
    say: Any = print,
) -> None:
    """Record faults and long runs on recorded twins, and probe what counts."""
    for number, case in enumerate(wanted):
        if number % part[1] != part[0] or case.name in known:
            continue
        made, plan, loop, row = run(case)
        write(folder, case, made, loop, row)
        twin = known[Case(case.dataset, case.arch, case.seed).name]
        if sound.good(row) if case.fault == "long" else row["final"] > (1 + WORSE) * twin["final"]:
            probe(folder, case, plan, loop)
        if number % 40 == part[0]:
            say(f"{number} {case.name} {row['final']:.3f} {row['cpu_seconds']}s", flush=True)


def probe(folder: Path, case: Case, plan: Plan, loop: Loop) -> None:
    """Run the probes on the end of a run."""
    from lossmith.diagnose.probes import TorchPatient, examine

    begun = time.process_time()
    numbers = examine(TorchPatient.of(plan, loop))
    line = {"name": case.name, "cpu_seconds": round(time.process_time() - begun, 3), "numbers": _lean(numbers)}
    with (folder / "probes.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def probe_all(folder: Path, say: Any = print) -> None:
    """Run the probes on the end of every run that counts and has none yet."""
    done = {line["name"] for line in lines(folder / "probes.jsonl")}
    for number, row in enumerate(row for row in manifest(folder) if row["accepted"] and row["name"] not in done):
        case = case_of(row)
        _, plan, loop = revive(folder, case)
        probe(folder, case, plan, loop)
        if number % 200 == 0:
            say(f"{number} probed {case.name}", flush=True)
