"""What is held out, by one fixed rule: nothing here was looked at while a rule, a mark or a judge was made.

The faults of `faults_fourth*.py`, made from published catalogues of faults, are split by the checksum of their names:
odd ones are held out, even ones are development. Those of `faults_fifth*.py` were made when the former had been judged;
all are held out, and nothing was changed by what they showed. The data sets, networks and loops that came with the
fourth part are split, too: held out are those named here, and loops of seeds from `FIRST_SEED` on. A run is held out if
anything of it is; the fourth part's development runs use none of it. All else is development, also what earlier
versions of this bench held out: `FORMER` (kept since lots were drawn by it) and everything named "third". `fit.py`
leaves held-out runs alone, `judge.py` reports them apart.
"""

from __future__ import annotations

import zlib

FAULTS = ("faults_fourth", "faults_fourth_data", "faults_fourth_model")
NEWEST = ("faults_fifth", "faults_fifth_data", "faults_fifth_model")
DATA = ("ames", "bodies", "magic", "segment")
NETS = ("dense",)
FIRST_SEED = 14
FORMER = frozenset({"votes", "travel", "schools", "residual"})  # data sets and a network, held out before


def odd(name: str) -> bool:
    return zlib.crc32(name.encode()) % 2 == 1


def marks(dataset: str, arch: str, seed: int, fault: str = "", module: str = "") -> tuple[str, ...]:
    """What of a run was kept from tuning; ``module`` is where its fault comes from, empty if there is none."""
    place = module.rpartition(".")[2]
    told = {
        "data": dataset in DATA,
        "architecture": arch in NETS,
        "loop": seed >= FIRST_SEED,
        "fault": place in NEWEST or (place in FAULTS and odd(fault)),
    }
    return tuple(word for word, mark in told.items() if mark)
