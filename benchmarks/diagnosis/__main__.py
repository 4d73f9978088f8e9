"""From one command: record the grid, run the probes, fit the judges, judge, repair, print the table.

python -m benchmarks.diagnosis --quick                     # a small grid, about a minute
python -m benchmarks.diagnosis                             # everything; goes on where it was stopped
python -m benchmarks.diagnosis --record --part 0 2         # one of two processes that only record
python -m benchmarks.diagnosis --judge                     # judge again what was recorded, nothing else
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
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossmith.diagnose import causes

from . import fit, grid, judge, repair
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


def report(folder: Path, found: list[judge.Verdict], repairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Add the repairs to the table, and say where and with what it was made."""
    made = judge.table(found)
    for part, keep in judge.PARTS.items():
        runs = [r for r in repairs if keep(r)]
        name = "first remedy recovers 70 % of the gap"
        made[part][name] = (*judge.interval(repair.share(runs), [r["dataset"] for r in runs]), len(runs))
    sick = [v for v in found if v.row["fault"] in FAULTS]
    return {
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "runs": {"accepted": len(sick), "recorded": sum(1 for _ in (folder / "manifest.jsonl").open())},
        "faults": len({v.row["fault"] for v in sick}),
        "causes": len({v.row["cause"] for v in sick}),
        "seeds": sorted({v.row["seed"] for v in found}),
        "figures": {p: {n: _plain(values) for n, values in part.items()} for p, part in made.items()},
        "confusions": judge.confusions([v for v in sick if v.row["held_out"]]),
    }


def _plain(values: tuple[float, float, float, int]) -> list[float | None]:
    return [round(v, 4) if math.isfinite(v) else None for v in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("diagnosis-runs"), help="where runs are kept")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--record", action="store_true", help="only record and probe")
    parser.add_argument("--drawn", action="store_true", help="only runs in a manner of their own")
    parser.add_argument("--part", type=int, nargs=2, default=[0, 1], help="K N: the K-th of N processes that record")
    parser.add_argument("--quick", action="store_true", help="a small grid")
    parser.add_argument("--judge", action="store_true", help="only judge what is there")
    parser.add_argument("--fit", action="store_true", help="fit the shipped judges on the development part first")
    parser.add_argument("--repair-seconds", type=float, default=600.0, help="time for trying remedies")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # overflow is what faults are about
    begun = time.process_time()
    if not chosen.judge:
        runs = list(grid.drawn_cases()) if chosen.drawn else wanted(chosen.quick)
        grid.record_all(chosen.folder, runs, part=tuple(chosen.part))
        if chosen.record:
            return
        grid.probe_all(chosen.folder)
    if chosen.fit:
        fit.write(fit.fit(fit.load(chosen.folder)), SHIPPED)
        causes.judges.cache_clear()
    found = judge.verdicts(chosen.folder)
    repairs = repair.repair_all(chosen.folder, seconds=0.0 if chosen.judge else chosen.repair_seconds)
    made = report(chosen.folder, found, repairs)
    print(
        judge.printed(
            {
                p: {n: tuple(math.nan if v is None else v for v in values) for n, values in part.items()}
                for p, part in made["figures"].items()
            }
        )
    )
    print(f"{time.process_time() - begun:.0f} s of processor time")
    if chosen.output:
        chosen.output.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
