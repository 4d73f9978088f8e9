"""What is held out, by one fixed rule: nothing here was looked at while a rule, a mark or a judge was made.

A run is held out if its fault comes from `faults_held*.py`, its data set from `data_held.py`, its network from
`nets_held.py`, or its seed is `FIRST_SEED` or later: such seeds are trained in the loops of `manners_held.py`. All
else is development, also what earlier versions of this bench held out (`FORMER`, kept since lots were drawn by it).
`fit.py` leaves held-out runs alone, `judge.py` reports them apart.
"""

from __future__ import annotations

FAULTS = ("faults_held", "faults_held_data", "faults_held_model")
DATA = ("houses", "computers", "phoneme", "mail", "vehicle", "soil", "jobs")
NETS = ("funnel", "tokens", "image")
FIRST_SEED = 6
FORMER = frozenset({"votes", "travel", "schools", "residual"})  # data sets and a network, held out before


def marks(dataset: str, arch: str, seed: int, module: str) -> tuple[str, ...]:
    """What of a run was kept from tuning; ``module`` is where its fault comes from, empty if there is none."""
    told = {
        "data": dataset in DATA,
        "architecture": arch in NETS,
        "loop": seed >= FIRST_SEED,
        "fault": module.rpartition(".")[2] in FAULTS,
    }
    return tuple(word for word, mark in told.items() if mark)
