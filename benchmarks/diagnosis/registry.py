"""What a fault is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from . import held
from .setup import Setup

Apply = Callable[[Setup, int], None]


@dataclass(frozen=True)
class Fault:
    """One way to go wrong. `apply` takes a severity 0, 1 or 2."""

    name: str
    cause: str
    symptoms: tuple[str, ...]  # any of them is right
    apply: Apply
    fits: Callable[[Setup], bool] = lambda setup: True
    repairable: bool = True  # by changing the plan, not the data's history
    from_start: bool = True
    stated: tuple[str, ...] = ()  # the symptoms that the fault was written with

    @property
    def held_out(self) -> bool:
        """Whether it was never used for tuning."""
        return "fault" in held.marks("", "", 0, self.name, self.apply.__module__)

    @property
    def newest(self) -> bool:
        """Whether nothing was changed by what it showed."""
        return self.apply.__module__.rpartition(".")[2] in held.NEWEST


FAULTS: dict[str, Fault] = {}


class Kinds(NamedTuple):
    """Ready-made answers to "does it apply?"."""

    regression: Callable[[Setup], bool] = lambda s: s.task == "regression"
    classes: Callable[[Setup], bool] = lambda s: s.task != "regression"
    binary: Callable[[Setup], bool] = lambda s: s.task == "binary"
    multiclass: Callable[[Setup], bool] = lambda s: s.task == "multiclass"
    stacked: Callable[[Setup], bool] = lambda s: s.arch in ("shallow", "deep")
    normed: Callable[[Setup], bool] = lambda s: s.spec.norm
    rectified: Callable[[Setup], bool] = lambda s: s.arch in ("shallow", "norm", "conv")
    descent: Callable[[Setup], bool] = lambda s: not s.adaptive
    momentum: Callable[[Setup], bool] = lambda s: s.optimizer_name == "sgd"
    visible: Callable[[Setup], bool] = lambda s: s.arch != "gru"  # no layer hides its weights in a cell
    open_layers: Callable[[Setup], bool] = lambda s: s.arch in ("shallow", "deep", "norm", "conv")


KIND = Kinds()

# What else such a run truly shows: naming it is right as well. Added by who knew how rules answer, so it does not touch
# the held-out faults, which keep the symptoms that they were written with.
ALSO: dict[str, tuple[str, ...]] = {
    "local-minimum": ("LM-VANISH",),  # a redescending loss is flat where rows are wrong: they pull no more
    "label-noise": ("LM-PLATEAU", "LM-OVERFIT"),  # contradictions hold the loss up, or are learned by heart
    "batchnorm-eval-mode": ("LM-DISAGREE",),  # training improves, and the evaluation computes something else
}
UNSCALED = ("bn_eval_mode", "bn_never_back", "bn_frozen")  # their inputs are stretched and shifted, and stay so


def fault(name: str, cause: str, *symptoms: str, **more: object) -> Callable[[Apply], Apply]:
    """Register a fault."""

    def keep(apply: Apply) -> Apply:
        also = ALSO.get(cause, ()) + (("LM-SCALE",) if name in UNSCALED else ())
        known = not held.marks("", "", 0, name, apply.__module__)
        signs = (*symptoms, *(also if known else ()))
        FAULTS[name] = Fault(name, cause, signs, apply, stated=symptoms, **more)  # type: ignore[arg-type]
        return apply

    return keep
