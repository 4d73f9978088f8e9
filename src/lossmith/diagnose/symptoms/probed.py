"""Hold the numbers of a live model's probes against the clues."""

from __future__ import annotations

import math
from collections.abc import Callable

from .clue import Numbers
from .clues import CLUES
from .found import Seen

NEW = -0.24  # log10 of the spread of new weights times the root of their fan-in: torch draws within 1 / sqrt(fan-in)
BATCHES = 12  # that the probe of the order looks at
DOUBT = 3.2  # over the root of the number of rows: what chance alone lets neighbours contradict a label
LEAD = 1.8  # likewise for the lead of a new start on held-out rows
YARD = 2.2  # likewise for the lead of another learner


def derived(numbers: Numbers) -> dict[str, float]:
    """Add what follows from several numbers.

    Parameters
    ----------
    numbers : mapping of str to float
        What probes measured.

    Returns
    -------
    dict of str to float
        Those numbers and more.
    """
    found = dict(numbers)

    def add(name: str, count: Callable[..., float], *of: str) -> None:
        if all(part in numbers for part in of):
            found[name] = count(*(numbers[part] for part in of))

    add("fall_left", lambda fall, right: fall * (1.0 - right), "own_fall", "own_skill_train")
    add("change_left", lambda fall, right: abs(fall) * (1.0 - right), "own_fall", "own_skill_train")
    add("restart_lead", lambda new, own: new - max(own, -1.0), "restart_skill", "own_skill")
    add("restart_lead_excess", lambda new, own, rows: new - max(own, -1.0) - _chance(LEAD, rows),
        "restart_skill", "own_skill", "rows")  # fmt: skip
    add("yardstick_lead", lambda other, own: other - max(own, -1.0), "yardstick", "own_skill")
    add("yardstick_lead_excess", lambda other, own, rows: other - max(own, -1.0) - _chance(YARD, rows),
        "yardstick", "own_skill", "rows")  # fmt: skip
    add("batch_copies", lambda size, different: size - different, "batch_size", "batch_different")
    add("skill_lost", lambda train, own: train - max(own, -1.0), "own_skill_train", "own_skill")
    add("target_offset", lambda mean, std: mean - std, "target_mean", "target_std")
    add("target_size", abs, "target_std")
    add("loss_growth_known", lambda growth: growth, "loss_growth")
    if "class_ratio" not in numbers:  # classes have clues of their own
        add("loss_apart", lambda cosine: 1.0 - cosine, "loss_cosine")
    add("neighbours_doubt_excess", lambda doubt, rows: doubt - _chance(DOUBT, rows), "neighbours_doubt", "rows")
    add("fresh_own_rise", lambda fall: -fall, "fresh_own_fall")
    add("weight_shrunk", lambda size: size - NEW, "weight_scale_min")
    add("weight_grown", lambda size: size - NEW, "weight_scale_max")
    add(
        "class_weight_excess",
        lambda spread, ratio: spread - math.log(10.0) * ratio,
        "class_weight_spread",
        "class_ratio",
    )
    add("accumulated_alike", lambda pull: float(pull > -1.0), "penalty_pull")
    add("batch_order_chance", lambda size: 3.5 * math.sqrt(2.0 / (BATCHES * max(1.0, 2.0**size - 1.0))), "batch_size")
    if "batch_order" in found and "batch_order_chance" in found:
        found["batch_order_excess"] = found["batch_order"] - found["batch_order_chance"]
    return found


def _chance(size: float, rows: float) -> float:
    """What an error over few rows reaches by chance; rows come as a decimal logarithm."""
    return size / math.sqrt(10.0**rows)


def probed(symptom: str, numbers: Numbers) -> Seen | None:
    """Return the first clue of the live model that shows a symptom.

    Parameters
    ----------
    symptom : str
        Its id.
    numbers : mapping of str to float
        What probes measured.

    Returns
    -------
    Seen or None
        None when no clue shows it.
    """
    if not numbers:
        return None
    known = derived(numbers)
    found = (clue.seen(known) for clue in CLUES if clue.symptom == symptom)
    return next((seen for seen in found if seen is not None), None)
