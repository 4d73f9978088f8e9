"""Cheap experiments on a live model that tell look-alike causes apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

from lossmith.diagnose.probes.limits import asked, reach, straight
from lossmith.diagnose.probes.modes import modes
from lossmith.diagnose.probes.motion import line_search, movement
from lossmith.diagnose.probes.network import activity, depth, sizes, symmetry
from lossmith.diagnose.probes.network_patient import Course, NetworkPatient
from lossmith.diagnose.probes.objective import carriers, initial_loss, loss_shape, outputs_fit
from lossmith.diagnose.probes.patient import Patient
from lossmith.diagnose.probes.rows import neighbours, order, scale
from lossmith.diagnose.probes.split import split
from lossmith.diagnose.probes.torch_patient import TorchPatient
from lossmith.diagnose.probes.trials import memorise, restarts, starts
from lossmith.diagnose.probes.yardstick import yardstick

__all__ = ["PROBES", "Course", "NetworkPatient", "Patient", "TorchPatient", "examine"]

Probe = Callable[[Patient], Mapping[str, float]]

PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        probe.__name__: probe
        for probe in (
            movement,
            line_search,
            symmetry,
            activity,
            depth,
            sizes,
            loss_shape,
            outputs_fit,
            initial_loss,
            carriers,
            memorise,
            restarts,
            starts,
            modes,
            scale,
            order,
            split,
            neighbours,
            reach,
            straight,
            asked,
            yardstick,
        )
    }
)  # fmt: skip
"""All probes by name."""


def examine(patient: Patient, only: tuple[str, ...] = ()) -> dict[str, float]:
    """Run the probes and gather their numbers; the patient is given back as it was.

    Parameters
    ----------
    patient : Patient
        A live model.
    only : tuple of str
        Names in `PROBES`; all by default.

    Returns
    -------
    dict of str to float
        The finite numbers. A probe that cannot run on this model, say because its parameters are NaN, leaves its
        numbers out.

    Raises
    ------
    ValueError
        If a name is not that of a probe.

    Examples
    --------
    >>> import numpy as np, torch
    >>> x, y = np.random.default_rng(0).normal(size=(64, 3)), np.zeros(64)
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0))
    >>> patient = TorchPatient(model, lambda out, y: (out - y) ** 2, "regression", (x, y), (x, y))
    >>> round(examine(patient, only=("split",))["seen_before"], 2)
    1.0
    """
    unknown = [name for name in only if name not in PROBES]
    if unknown:
        raise ValueError(f"no probe {unknown[0]!r}: take some of {', '.join(PROBES)}")
    found: dict[str, float] = {}
    for name in only or PROBES:
        with warnings.catch_warnings(), patient.undisturbed():
            warnings.simplefilter("ignore")  # overflow and NaN are what is being looked for
            try:
                found |= PROBES[name](patient)
            except (ValueError, RuntimeError, ArithmeticError, IndexError):
                continue
    return {name: value for name, value in found.items() if math.isfinite(value)}
