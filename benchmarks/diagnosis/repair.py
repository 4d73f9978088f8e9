"""Does the first suggested remedy bring a faulty run back to its healthy twin?"""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lossmith.diagnose import causes as causes_module
from lossmith.diagnose.causes import HEALTHY, causes
from lossmith.diagnose.doctor import error
from lossmith.diagnose.plan import train
from lossmith.diagnose.remedies import REMEDIES

from . import grid
from .registry import FAULTS

ENOUGH = 0.7  # share of the gap


def repair(folder: Path, row: dict[str, Any], probes: dict[str, float]) -> dict[str, Any]:
    """Train anew with the first remedy of the likeliest cause that can be tried, and judge as all runs are judged."""
    case = grid.case_of(row)
    ranked = [cause for cause in causes(grid.read_record(folder, row["name"]), probes) if cause.id != HEALTHY]
    remedy = next((r for cause in ranked[:1] for r in cause.remedies if r.change is not None), None)
    made = {key: row[key] for key in ("name", "fault", "dataset", "held_out")}
    made |= {"said": ranked[0].id, "true": row["cause"], "remedy": remedy.id if remedy else None}
    if remedy is None or remedy.change is None:
        return made | {"recovered": 0.0}
    setup = case.setup()
    try:
        plan = remedy.change(setup.plan())
        reached = error(plan, train(plan).model, setup.test)
    except (ValueError, RuntimeError, IndexError) as problem:
        return made | {"recovered": 0.0, "problem": str(problem)[:100]}
    gap = row["final"] - row["twin"]
    share = (row["final"] - reached) / gap if gap > 0 else math.nan
    return made | {
        "recovered": max(-10.0, min(1.5, share)),
        "reached": reached,
        "final": row["final"],
        "twin": row["twin"],
    }


def repair_all(folder: Path, keep: Any = bool, seconds: float = math.inf, say: Any = print) -> list[dict[str, Any]]:
    """Repair what can be repaired, by lot, until the time is used up; what was done with the same judges is kept."""
    path = folder / "repairs.jsonl"
    rows, judges = {row["name"]: row for row in grid.manifest(folder)}, _judges()
    done = {r["name"]: r for r in grid.lines(path) if r.get("judges") == judges and r["name"] in rows}
    for name, made in done.items():
        made["held_out"] = rows[name]["held_out"]
    probed = {r["name"]: r["numbers"] for r in map(json.loads, (folder / "probes.jsonl").read_text().splitlines())}
    begun = time.monotonic()
    wanted = [row for row in rows.values() if row["accepted"] and row["name"] in probed and _repairable(row)]
    for row in sorted(wanted, key=lambda row: zlib.crc32(row["name"].encode())):
        if row["name"] in done or not keep(row) or time.monotonic() - begun > seconds:
            continue
        done[row["name"]] = made = {**repair(folder, row, probed[row["name"]]), "judges": judges}
        with path.open("a") as file:
            file.write(json.dumps(made) + "\n")
        if len(done) % 50 == 0:
            say(f"repaired {len(done)}", flush=True)
    return list(done.values())


def _judges() -> int:
    """Which judges chose the remedies: what others chose is tried anew."""
    return zlib.crc32(Path(causes_module.__file__).with_name("judges.json").read_bytes())


def _repairable(row: dict[str, Any]) -> bool:
    return row["fault"] in FAULTS and FAULTS[row["fault"]].repairable and bool(REMEDIES.get(row["cause"]))


def share(found: Iterable[dict[str, Any]]) -> list[float]:
    """1 for each run that got back enough of the gap."""
    return [float(r["recovered"] >= ENOUGH) for r in found]
