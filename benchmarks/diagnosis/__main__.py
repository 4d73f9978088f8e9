"""From one command: record the grid, run the probes, fit the judges, judge, repair, print the table.

python -m benchmarks.diagnosis --quick                     # a small grid, about a minute
python -m benchmarks.diagnosis                             # everything; goes on where it was stopped
python -m benchmarks.diagnosis --record --part 0 2         # one of two processes that only record
python -m benchmarks.diagnosis --twins held                # a later part: its twins first (--part as above) ...
python -m benchmarks.diagnosis --faults held               # ... then faults and long runs on those that are sound
python -m benchmarks.diagnosis --sound                     # try development's twins longer and at other rates
python -m benchmarks.diagnosis --judge                     # judge again what was recorded, nothing else
python -m benchmarks.diagnosis --repair                    # only try remedies, and add their figures to the output
python -m benchmarks.diagnosis --fit                       # and fit the judges that the package ships
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossmith.diagnose import causes

from . import fit, grid, grid_fourth, grid_third, judge, repair, sound
from .registry import FAULTS

QUICK = 40
SHIPPED = Path(causes.__file__).with_name("judges.json")


def wanted(quick: bool) -> list[grid.Case]:
    """All cases; quick: a few faulty ones by lot, with their twins."""
    all_cases = list(grid.cases())
    if not quick:
        return all_cases
    lot = sorted((c for c in all_cases if c.fault in FAULTS), key=lambda c: zlib.crc32(c.name.encode()))[:QUICK]
    twins = {grid.Case(c.dataset, c.arch, c.seed) for c in lot}
    return [*twins, *lot]


RECOVERS = "first remedy recovers 70 % of the gap"


def repaired(repairs: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Of each part: the share of faulty runs that the first remedy brought back."""
    made = {}
    for part, keep in judge.PARTS.items():
        runs = [r for r in repairs if keep(r)]
        made[part] = _plain((*judge.interval(repair.share(runs), [r["dataset"] for r in runs]), len(runs)))
    return made


def report(folders: list[Path], found: list[judge.Verdict], repairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Add the repairs to the table, and say where and with what it was made."""
    figures = {p: {n: _plain(values) for n, values in part.items()} for p, part in judge.table(found).items()}
    for part, values in repaired(repairs).items():
        figures[part][RECOVERS] = values
    sick = [v for v in found if v.row["fault"] in FAULTS]
    held = [v for v in found if v.row["held_out"]]
    return {
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "runs": {"judged": len(found), "accepted faulty": len(sick), "recorded": sum(map(_recorded, folders))},
        "faults": len({v.row["fault"] for v in sick}),
        "causes": len({v.row["cause"] for v in sick}),
        "seeds": sorted({v.row["seed"] for v in found}),
        "figures": figures,
        "confusions, held out": judge.confusions([v for v in held if v.row["fault"] in FAULTS]),
        "by fault, held out": judge.by_fault([v for v in held if v.row["fault"] in FAULTS]),
        "alarms, held out": judge.alarms(held),
    }


def _recorded(folder: Path) -> int:
    return sum(1 for _ in (folder / "manifest.jsonl").open())


def _plain(values: tuple[float, float, float, int]) -> list[float | None]:
    return [round(v, 4) if math.isfinite(v) else None for v in values]


def _drawn(row: Mapping[str, Any], share: float) -> bool:
    """Held-out runs are judged all, healthy ones too, and development's faulty ones by lot."""
    kept = row["held_out"] or row["cause"] == "healthy"
    return bool(kept or zlib.crc32(f"judge/{row['name']}".encode()) < share * 2**32)


LATER: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {  # parts: how twins and faults are recorded
    "third": (grid_third.record_twins, grid_third.record),
    "fourth": (partial(grid_fourth.record_twins, held_out=False), partial(grid_fourth.record, held_out=False)),
    "held": (partial(grid_fourth.record_twins, held_out=True), partial(grid_fourth.record, held_out=True)),
}


def _folder(chosen: argparse.Namespace, part: str) -> Path:
    return Path(getattr(chosen, f"{part}_folder"))


def _all_of(tables: list[fit.Table]) -> fit.Table:
    return fit.Table(*([item for t in tables for item in getattr(t, f.name)] for f in fields(fit.Table)))


def record(chosen: argparse.Namespace) -> bool:
    """Record what is asked for; true if that is all."""
    part = tuple(chosen.part)
    if chosen.twins:
        LATER[chosen.twins][0](_folder(chosen, chosen.twins), part)
    elif chosen.faults:
        LATER[chosen.faults][1](_folder(chosen, chosen.faults), part)
    elif chosen.sound:
        sound.measure_all(chosen.folder, grid.manifest(chosen.folder), grid.case_of, part=part)
    else:
        runs = list(grid.drawn_cases()) if chosen.drawn else wanted(chosen.quick)
        grid.record_all(chosen.folder, runs, part=part)
        if not chosen.record:
            grid.probe_all(chosen.folder)
        return bool(chosen.record)
    return True


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("diagnosis-runs"), help="where runs are kept")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--third-folder", type=Path, default=Path("diagnosis-third"), help="and the third part's")
    parser.add_argument("--fourth-folder", type=Path, default=Path("diagnosis-fourth"), help="and the fourth part's")
    parser.add_argument("--held-folder", type=Path, default=Path("diagnosis-held-out"), help="and the held-out ones")
    parser.add_argument("--twins", choices=LATER, help="only record a part's twins and find the sound ones")
    parser.add_argument("--faults", choices=LATER, help="only record a part's faults and long runs on those")
    parser.add_argument("--sound", action="store_true", help="only try development's twins longer and at other rates")
    parser.add_argument("--sample", type=float, default=1.0, help="share of development's faulty runs that are judged")
    parser.add_argument("--record", action="store_true", help="only record and probe")
    parser.add_argument("--drawn", action="store_true", help="only runs in a manner of their own")
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="K N: the K-th of N processes that record")
    parser.add_argument("--quick", action="store_true", help="a small grid")
    parser.add_argument("--judge", action="store_true", help="only judge what is there")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="only try remedies on what is there; with --output the figures are added to it",
    )
    parser.add_argument("--fit", action="store_true", help="fit the shipped judges on the development part first")
    parser.add_argument("--repair-seconds", type=float, default=600.0, help="time for trying remedies")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # overflow is what faults are about
    begun = time.process_time()
    if not (chosen.judge or chosen.repair) and record(chosen):
        return
    known = [chosen.folder, *(_folder(chosen, part) for part in ("third", "fourth"))]
    known, held = ([f for f in some if (f / "manifest.jsonl").exists()] for some in (known, [chosen.held_folder]))
    if chosen.fit:
        fit.write(fit.fit(_all_of([fit.load(folder) for folder in known])), SHIPPED)
        causes.judges.cache_clear()
    folders = [*held, *known]
    until = time.monotonic() + (0.0 if chosen.judge else chosen.repair_seconds)  # held-out runs first
    repairs = [r for folder in folders for r in repair.repair_all(folder, seconds=until - time.monotonic())]
    if chosen.repair:
        made = json.loads(chosen.output.read_text(encoding="utf-8")) if chosen.output else {"figures": {}}
        for part, values in repaired(repairs).items():
            made["figures"].setdefault(part, {})[RECOVERS] = values
    else:
        found = [v for folder in folders for v in judge.verdicts(folder, lambda row: _drawn(row, chosen.sample))]
        made = report(folders, found, repairs)
    print(judge.printed({p: {n: _numbers(v) for n, v in part.items()} for p, part in made["figures"].items()}))
    print(f"{time.process_time() - begun:.0f} s of processor time")
    if chosen.output:
        chosen.output.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def _numbers(values: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)


if __name__ == "__main__":
    main()
