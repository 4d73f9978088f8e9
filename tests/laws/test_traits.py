"""Every claim of every loss survives an attempt to refute it, and known false claims do not."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import catalogue
import lossmith as lm
from lossmith.core.domain import SIGNS
from lossmith.core.elementwise import Elementwise, ElementwiseLoss
from lossmith.core.rowwise import RowWiseLoss
from lossmith.core.traits import About, Traits
from lossmith.core.verify import VERIFIERS, verify, verify_claim

FIELDS = tuple(field.name for field in dataclasses.fields(Traits))
LOGITS = ("logits", "probabilities")

# More hyper-parameters than the catalogue has, chosen where claims change.
MORE = (
    lm.Huber(delta=1e-3), lm.Huber(delta=50.0), lm.Tukey(c=0.3), lm.Tukey(c=30.0), lm.Quantile(q=0.05),
    *(lm.BinaryFocal(inputs=inputs, gamma=gamma, alpha=alpha)
      for inputs in LOGITS for gamma in (0.0, 0.5, 1.0, 2.0, 5.0) for alpha in (None, 0.25)),
    *(lm.CategoricalFocal(inputs=inputs, gamma=gamma, alpha=alpha)
      for inputs in LOGITS for gamma in (0.0, 0.5, 1.0, 2.0) for alpha in (None, (1.0, 2.0, 0.5))),
    *(lm.CategoricalCrossEntropy(inputs=inputs, label_smoothing=smoothing, class_weights=weights)
      for inputs in LOGITS for smoothing in (0.0, 0.1) for weights in (None, (1.0, 3.0, 0.5), (2.0, 2.0, 2.0))),
    *(lm.KLDivergence(inputs=inputs) for inputs in (*LOGITS, "log_probabilities")),
    *(lm.GaussianNLL(inputs=inputs) for inputs in ("log_variance", "variance")),
    *(lm.PoissonNLL(inputs=inputs) for inputs in ("log_rate", "rate")),
)  # fmt: skip
LOSSES = tuple({repr(loss): loss for loss in (*(case.loss for case in catalogue.CASES), *MORE)}.values())


# --- losses about which others made false claims ---------------------------------------------------------


class _Told(Elementwise):
    """Base of the losses below, which claim nothing themselves."""

    claims = Traits("regression")
    about = About("", "", "", "", "", "")


class ZeroOne(_Told):
    domain = SIGNS

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.where(y * f > 0, 0.0, 1.0)

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return 0.0 * f

    curvature = slope


class Cubed(_Told):
    """|r|^3: strictly convex, with curvature 0 at 0."""

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.abs(f - y) ** 3

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return 3 * (f - y) * np.abs(f - y)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return 6 * np.abs(f - y)


class SquaredInsensitive(_Told):
    """max(0, |r| - 1)^2: flat around 0."""

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.maximum(np.abs(f - y) - 1, 0) ** 2

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return 2 * np.sign(f - y) * np.maximum(np.abs(f - y) - 1, 0)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return np.where(np.abs(f - y) > 1, 2.0, 0.0)


class Insensitive(_Told):
    """max(0, |r| - 1): two kinks."""

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.maximum(np.abs(f - y) - 1, 0)

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.where(np.abs(f - y) > 1, np.sign(f - y), 0.0)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return 0.0 * f


class Ramp(_Told):
    """min(1, max(0, 1 - m)): convex on both sides of its upper kink, where h >= 0 throughout."""

    domain = SIGNS
    claims = Traits("binary")

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.clip(1 - y * f, 0, 1)

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.where((y * f > 0) & (y * f < 1), -y, 0.0)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return 0.0 * f


class Lopsided(_Told):
    """The hinge with its bend on the other side of 0: not calibrated."""

    domain = SIGNS
    claims = Traits("binary")

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.maximum(0, -1 - y * f)

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return np.where(y * f < -1, -y, 0.0)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return 0.0 * f


class Expectile(_Told):
    """|q - 1{r > 0}| r^2."""

    q = 0.8

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return np.where(f > y, 0.2, 0.8) * (f - y) ** 2

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        return 2 * np.where(f > y, 0.2, 0.8) * (f - y)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return 2 * np.where(f > y, 0.2, 0.8)


class Dented(_Told):
    """A dent in a square: three kinks away from all special places."""

    @staticmethod
    def value(y: Any, f: Any) -> Any:
        return (f - y) ** 2 + np.maximum(0, 0.06 - np.abs(f - y - 3.33))

    @staticmethod
    def slope(y: Any, f: Any) -> Any:
        r = f - y - 3.33
        return 2 * (f - y) - np.where(np.abs(r) < 0.06, np.sign(r), 0.0)

    @staticmethod
    def curvature(y: Any, f: Any) -> Any:
        return np.full_like(f, 2.0)


# The first block: what LossFunctions.jl declares (and mostly asserts in its tests).
FALSE: tuple[tuple[Any, str, Any], ...] = (
    (lm.LogCosh(), "strong", 1.0),
    (lm.LogCosh(), "strong", 1e-2),
    (SquaredInsensitive(), "strong", 2.0),
    (Cubed(), "strong", 1e-2),
    (ZeroOne(), "lipschitz", 1.0),
    (ZeroOne(), "lipschitz", 1e6),
    (lm.Huber(), "constant_hessian", True),
    # Near misses and swapped claims, at least one for each field.
    (lm.Huber(delta=1.35), "lipschitz", 1.35 * 1.05),
    (lm.Huber(delta=1.35), "lipschitz", 1.35 * 0.95),
    (lm.Huber(delta=1.35), "lipschitz", 1.35 * (1 - 1e-6)),
    (lm.Tukey(), "lipschitz", 4.685),
    (lm.MeanSquaredError(), "lipschitz", 1e9),
    (lm.MeanAbsoluteError(), "lipschitz", math.inf),
    (lm.BinaryCrossEntropy(inputs="probabilities"), "lipschitz", 1.0),
    (lm.BinaryCrossEntropy(), "smooth", 0.25 * 1.05),
    (lm.BinaryCrossEntropy(), "smooth", 0.25 * 0.95),
    (lm.BinaryCrossEntropy(), "smooth", 1.0),
    (lm.MeanAbsoluteError(), "smooth", 0.0),
    (Cubed(), "smooth", 6.0),
    (lm.Tukey(), "strong", 0.0),
    (lm.Tukey(), "strong", -1.0),
    (lm.Tukey(), "strong", -0.8 * 0.95),
    (lm.MeanSquaredError(), "strong", 0.0),
    (lm.Tukey(c=30.0), "convex", True),
    (lm.BinaryFocal(), "convex", True),
    (Ramp(), "convex", True),
    (lm.Huber(), "convex", False),
    (SquaredInsensitive(), "convex", False),
    (lm.Huber(), "kinks", (-1.0, 1.0)),
    (lm.Huber(), "kinks", (0.0,)),
    (lm.MeanAbsoluteError(), "kinks", ()),
    (lm.MeanAbsoluteError(), "kinks", (0.01,)),
    (lm.Hinge(), "kinks", (-1.0,)),
    (Insensitive(), "kinks", (1.0,)),
    (Ramp(), "kinks", (1.0,)),
    (Dented(), "kinks", ()),
    (lm.Quantile(q=0.51), "symmetric", True),
    (lm.Quantile(q=0.5), "symmetric", False),
    (lm.PoissonNLL(), "symmetric", True),
    (lm.BinaryFocal(alpha=0.25), "symmetric", True),
    (lm.Huber(delta=50.0), "robust", "no"),
    (lm.Huber(), "robust", "redescending"),
    (lm.Tukey(), "robust", "bounded"),
    (lm.MeanSquaredError(), "robust", "bounded"),
    (lm.SquaredHinge(), "robust", "bounded"),
    (lm.BinaryCrossEntropy(inputs="probabilities"), "robust", "bounded"),
    (lm.PoissonNLL(), "robust", "bounded"),
    (lm.BinaryFocal(gamma=0.1), "proper", True),
    (lm.Hinge(), "proper", True),
    (lm.BinaryFocal(gamma=0.0, alpha=0.45), "proper", True),
    (lm.BinaryCrossEntropy(), "proper", False),
    (lm.MeanSquaredError(), "proper", True),
    (lm.BinaryFocal(alpha=0.25), "calibrated", True),
    (Lopsided(), "calibrated", True),
    (ZeroOne(), "calibrated", True),  # as a regression loss, which names no class
    (lm.Hinge(), "calibrated", False),
    (lm.MeanSquaredError(), "elicits", "median"),
    (lm.MeanAbsoluteError(), "elicits", "mean"),
    (lm.Huber(), "elicits", "mean"),
    (lm.Huber(delta=1e-3), "elicits", "median"),
    (lm.Huber(delta=50.0), "elicits", "mean"),
    (lm.LogCosh(), "elicits", "median"),
    (lm.Quantile(q=0.9), "elicits", "median"),
    (lm.MeanSquaredError(), "elicits", ""),
    (Expectile(), "elicits", "mean"),
    (Expectile(), "elicits", ""),
    (lm.Hinge(), "elicits", "mean"),
    (lm.SquaredHinge(), "elicits", "sign"),
    (lm.BinaryFocal(), "elicits", "sign"),
    (lm.PoissonNLL(), "elicits", "median"),
    (lm.LogCosh(), "constant_hessian", True),
    (lm.MeanSquaredError(), "constant_hessian", False),
    (lm.Hinge(), "task", "regression"),
    (lm.MeanSquaredError(), "task", "binary"),
    (lm.MeanSquaredError(), "task", "count"),
    (lm.PoissonNLL(), "task", "binary"),
    (lm.Huber(), "task", "multiclass"),
)

CCE, KL = lm.CategoricalCrossEntropy, lm.KLDivergence
FALSE_FOR_ROWS: tuple[tuple[Any, str, Any], ...] = (
    (CCE(), "task", "distribution"),
    (CCE(), "convex", False),
    (lm.CategoricalFocal(), "convex", True),
    (lm.GaussianNLL(), "convex", True),
    (CCE(), "lipschitz", 1.0),
    (CCE(), "lipschitz", 2.0**0.5 * 1.05),
    (CCE(), "lipschitz", 2.0**0.5 * 0.95),
    (CCE(label_smoothing=0.1), "lipschitz", 2.0**0.5),
    (CCE(), "smooth", 0.25),
    (CCE(), "smooth", 1.0),
    (KL(inputs="probabilities"), "smooth", 1.0),
    (CCE(), "strong", 0.1),
    (lm.GaussianNLL(), "strong", 0.0),
    (CCE(), "kinks", (0.0,)),
    (CCE(class_weights=(1.0, 2.0, 1.0)), "symmetric", True),
    (KL(), "symmetric", False),
    (CCE(inputs="probabilities"), "robust", "bounded"),
    (CCE(), "robust", "no"),
    (CCE(label_smoothing=0.1), "proper", True),
    (lm.CategoricalFocal(gamma=0.5), "proper", True),
    (lm.GaussianNLL(), "proper", False),
    (CCE(class_weights=(1.0, 2.0, 1.0)), "calibrated", True),
    (lm.CategoricalFocal(), "calibrated", False),
    (CCE(label_smoothing=0.1), "elicits", "mean"),
    (CCE(), "elicits", ""),
    (lm.GaussianNLL(), "elicits", "mean"),
    (CCE(), "constant_hessian", True),
    (CCE(z_loss=0.01), "convex", True),
    (CCE(z_loss=0.01), "strong", 0.0),
    (CCE(z_loss=0.01), "lipschitz", 2.0**0.5),
    (CCE(z_loss=0.01), "robust", "bounded"),
    (CCE(z_loss=0.01), "proper", False),
    (lm.MultiMargin(), "kinks", ()),
    (lm.MultiMargin(), "kinks", (0.9,)),
    (lm.MultiMargin(), "kinks", (1.0, 2.0)),
    (lm.MultiMargin(), "smooth", 0.0),
    (lm.MultiMargin(), "calibrated", True),
    (lm.MultiMargin(p=2), "calibrated", False),
    (lm.MultiMargin(p=2), "smooth", 1.0),
    (lm.MultiMargin(class_weights=(1.0, 2.0, 1.0)), "lipschitz", 2.0),
    (lm.MultiMargin(p=2), "robust", "bounded"),
    (lm.MultiMargin(), "task", "distribution"),
    (KL(inputs="log_probabilities"), "constant_hessian", False),
)


def _label(value: Any) -> str:
    return repr(value) if not isinstance(value, _Told) else type(value).__name__


# --- the tests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_no_claim_is_refuted(loss: Any) -> None:
    refuted = [f"{v.trait}={v.claimed!r}: {v.evidence}" for v in verify(loss) if not v.held]
    assert not refuted, "\n".join(refuted)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if isinstance(loss, ElementwiseLoss)], ids=repr)
def test_every_claim_of_an_elementwise_loss_is_measured(loss: Any) -> None:
    assert all(verdict.checked for verdict in verify(loss))


@pytest.mark.parametrize(("loss", "trait", "claimed"), FALSE + FALSE_FOR_ROWS, ids=_label)
def test_false_claims_are_refuted(loss: Any, trait: str, claimed: Any) -> None:
    verdict = verify_claim(loss, trait, claimed)
    assert verdict.checked
    assert not verdict.held, verdict.evidence


def test_the_record_is_closed() -> None:
    assert set(VERIFIERS) == set(FIELDS)
    assert {trait for _, trait, _ in FALSE} == set(FIELDS), "each verifier needs a false claim that it rejects"
    assert {trait for _, trait, _ in FALSE_FOR_ROWS} == set(FIELDS)


def test_registered_losses_are_all_here() -> None:
    covered = {type(loss) for loss in LOSSES}
    examples = lm.find()
    missing = [type(loss).__name__ for loss in examples
               if isinstance(loss, (ElementwiseLoss, RowWiseLoss)) and type(loss) not in covered
               and all(v.checked for v in verify(loss))]  # fmt: skip
    assert not missing


@pytest.mark.parametrize("loss", [loss for loss in lm.find()
                                  if not isinstance(loss, (ElementwiseLoss, RowWiseLoss))], ids=repr)  # fmt: skip
def test_what_cannot_be_measured_is_said(loss: Any) -> None:
    verdicts = verify(loss)
    assert [v.trait for v in verdicts] == list(VERIFIERS)
    assert all(v.held and not v.checked and v.evidence.startswith("not checked: ") for v in verdicts)


def test_an_unstated_number_is_not_checked() -> None:
    assert not verify_claim(lm.Huber(), "lipschitz", math.nan).checked


def test_true_claims_about_other_losses_hold() -> None:
    true = (
        (Cubed(), "convex", True), (Cubed(), "strong", 0.0), (Cubed(), "smooth", math.inf), (Cubed(), "kinks", ()),
        (ZeroOne(), "lipschitz", math.inf), (Insensitive(), "kinks", (-1.0, 1.0)), (Ramp(), "kinks", (0.0, 1.0)),
        (Ramp(), "convex", False), (Ramp(), "calibrated", True), (Lopsided(), "calibrated", False),
        (SquaredInsensitive(), "convex", True), (Expectile(), "elicits", "expectile"),
        (Dented(), "kinks", (3.27, 3.33, 3.39)),
    )  # fmt: skip
    for loss, trait, claimed in true:
        verdict = verify_claim(loss, trait, claimed)
        assert verdict.held, f"{type(loss).__name__} {trait}={claimed}: {verdict.evidence}"


def test_verdicts_do_not_change() -> None:
    assert verify(lm.Tukey()) == verify(lm.Tukey())
    assert verify(lm.CategoricalFocal()) == verify(lm.CategoricalFocal())


def test_unknown_traits_are_refused() -> None:
    with pytest.raises(ValueError, match="no trait is called 'smoth'"):
        verify_claim(lm.Huber(), "smoth", 1.0)
