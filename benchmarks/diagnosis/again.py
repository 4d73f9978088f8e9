"""Add the numbers of some probes to what was recorded: after a probe was added, the others need not run again.

python -m benchmarks.diagnosis.again FOLDER reach straight
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import torch

from lossmith.diagnose.probes import PROBES, TorchPatient, examine

from . import grid


def probe_again(folder: Path, only: tuple[str, ...]) -> int:
    """Run some probes on the end of every run that was probed, and keep their numbers beside the others."""
    known = {line["name"]: line for line in grid.lines(folder / "probes.jsonl")}
    for row in grid.manifest(folder):
        if row["name"] in known:
            _, plan, loop = grid.revive(folder, grid.case_of(row))
            numbers = examine(TorchPatient.of(plan, loop), only)
            known[row["name"]]["numbers"] |= {name: float(f"{value:.6g}") for name, value in numbers.items()}
    new = folder / "probes.jsonl.new"
    new.write_text("".join(json.dumps(line) + "\n" for line in known.values()))
    new.replace(folder / "probes.jsonl")
    return len(known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("probes", nargs="+", choices=tuple(PROBES), help="which probes")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # overflow is what faults are about
    print(f"{probe_again(chosen.folder, tuple(chosen.probes))} runs")


if __name__ == "__main__":
    main()
