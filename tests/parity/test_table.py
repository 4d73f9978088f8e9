"""The table of parity: every loss in every library, no cell without a number or a reason, and wrong numbers fail."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.bench.parity import exact, instances, libraries, measures
from lossmith.bench.parity.table import FAILED, PASSED, UNTOLD, Parity, compare
from lossmith.cli.main import main
from lossmith.core import registry

STRUCTURED = {"contrastive", "ctc", "dice", "info_nce", "nt_xent", "triplet"}


def told(parity: Parity) -> str:
    return "\n".join(str(cell) for cell in parity.failed)


def check(parity: Parity, library: str) -> None:
    """Demand that nothing fails, nothing is left out, and only what must be is without a number."""
    assert not parity.failed, told(parity)
    assert {cell.loss for cell in parity.cells} == set(registry.names())
    for cell in parity.cells:
        assert cell.library == library
        assert (cell.state == UNTOLD) == bool(cell.reason), cell
        if cell.state == UNTOLD:
            hessian = cell.loss in STRUCTURED and cell.order == "hessian"
            alone = cell.loss == "nll" and library not in ("numpy", "torch")
            assert hessian or alone or (library == "numpy" and cell.loss in STRUCTURED | {"nll"}), cell


@pytest.mark.parametrize("library", ["torch", "torch.func", "tensorflow", "keras"])
def test_every_loss_has_the_same_numbers(library: str) -> None:
    pytest.importorskip(libraries.LIBRARIES[library].module)
    check(compare(libraries=[library]), library)


@pytest.mark.filterwarnings("error")
def test_every_loss_has_the_same_numbers_in_jax() -> None:
    """Tracing takes a while: losses with their default settings; the command compares all."""
    pytest.importorskip("jax")
    check(compare(libraries=["jax"], quick=True, hessian=False), "jax")


def test_numpy_is_right_to_the_last_digits() -> None:
    """In 150 digits, or by the other way of computing."""
    pytest.importorskip("mparray")
    check(compare(libraries=["numpy"]), "numpy")


# --- what is compared -----------------------------------------------------------------------------------


def test_every_setting_is_tried() -> None:
    found = instances.variants(registry.loss_class("focal"))
    assert {(loss.inputs, loss.gamma, loss.alpha) for loss in found} == {
        (inputs, *rest) for inputs in ("logits", "probabilities") for rest in ((2.0, None), (2.5, None), (2.0, 0.9))
    }
    triplet = instances.variants(registry.loss_class("triplet"))
    assert {loss.distance for loss in triplet} == {"squared_euclidean", "euclidean", "cosine"}
    assert {loss.selection for loss in triplet} == {"all", "hard", "semi_hard"}
    assert len(instances.variants(registry.loss_class("triplet"), quick=True)) == 1


def test_targets_of_all_kinds_are_tried() -> None:
    kinds = {instance.targets for instance in instances.instances(["cce"])}
    assert kinds == {"labels", "rows"}
    (bce, _) = instances.instances(["bce"])
    assert {0.0, 1.0} < set(bce.y), "soft labels are between"


@pytest.mark.parametrize("order", ["value", "gradient", "hessian"])
def test_exact_numbers_are_the_textbooks(order: str) -> None:
    pytest.importorskip("mparray")
    f = np.array([-3.0, 0.1, 40.0])
    instance = instances.Instance(lm.BinaryCrossEntropy(), np.array([0.0, 1.0, 1.0]), f)
    q, sign = np.exp(-np.abs(f)), np.array([1.0, -1.0, -1.0])
    wrong = np.where(sign * f > 0, 1.0, q) / (1.0 + q)
    right = {"value": -np.log1p(-wrong), "gradient": sign * wrong, "hessian": wrong * (1.0 - wrong)}
    found = exact.reference(instance, np.ones(3), ("value", "gradient", "hessian"))
    np.testing.assert_allclose(found[order], right[order], rtol=4e-15)


def test_exact_derivatives_stop_at_kinks() -> None:
    pytest.importorskip("mparray")
    instance = instances.Instance(lm.MeanAbsoluteError(), np.zeros(3), np.array([-1.0, 0.0, 2.0]))
    found = exact.reference(instance, np.ones(3), ("value", "gradient"))
    np.testing.assert_array_equal(found["gradient"], [-1.0, np.nan, 1.0])


# --- measures -------------------------------------------------------------------------------------------


def test_units_in_the_last_place() -> None:
    one = np.array([1.0, 1.0, 1e-310, np.inf, np.nan])
    got = np.array([1.0 + 2.0**-52, 1.0 + 2.0**-23, 0.0, np.finfo(np.float64).max, 5.0])
    np.testing.assert_array_equal(measures.in_ulps(got, one, "float64")[[0, 2, 3, 4]], [1.0, 0.0, 0.0, 0.0])
    assert measures.in_ulps(got, one, "float32")[1] == 1.0
    assert measures.in_ulps(np.array([np.nan]), np.ones(1), "float64")[0] == np.inf
    assert measures.in_ulps(np.array([-np.inf]), np.array([np.inf]), "float64")[0] > 1e15


def test_relative_errors_refer_to_a_sample() -> None:
    want = np.array([[1.0, 1e-9], [100.0, 0.0]])
    got = want + np.array([[0.0, 1e-12], [0.0, 1e-12]])
    np.testing.assert_allclose(measures.relative(got, want), [[0.0, 1e-12], [0.0, 1e-14]], rtol=1e-3)
    assert np.isinf(measures.relative(np.array(1.0), np.array(0.0)))


def test_roots_are_known_by_the_sign() -> None:
    """exp(f) - y next to f = log y is the difference of two numbers; far from it nothing is forgiven."""
    instance = instances.Instance(lm.PoissonNLL(), np.array([5.0, 5.0]), np.array([1.6, -20.0]))
    found = measures.terms(instance, ("gradient",))["gradient"]
    assert found[0] > 5.0
    assert found[1] == 0.0


# --- negative controls ----------------------------------------------------------------------------------


class Wrong(libraries.Library):
    """NumPy as a library whose gradient is off, by a little or by its sign."""

    name, title, module, extra = "wrong", "Wrong", "numpy", ""
    factor = 1.0 + 1e-14

    def array(self, values: Any) -> Any:
        return values

    def derivatives(self, values: Any, f: Any, vector: Any, orders: Any) -> Any:
        raise AssertionError

    def compute(self, instance: Any, dtype: str, vector: Any, orders: Any) -> dict[str, Any]:
        y, f = instance.arrays(dtype)
        found = measures.by_numpy(dataclasses.replace(instance, y=y, f=f), vector, orders)
        return {**found, "gradient": self.factor * found["gradient"]}


@pytest.mark.parametrize("factor", [1.0 + 1e-11, -1.0, np.nan])
def test_a_wrong_gradient_of_one_library_fails(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setitem(libraries.LIBRARIES, "wrong", Wrong)
    monkeypatch.setattr(Wrong, "factor", factor)
    losses = ["huber", "cce", "dice", "triplet"]
    found = compare(losses, ["wrong"], ["float64"], quick=True)
    states = {(cell.loss, cell.order): cell.state for cell in found.cells if cell.reason == ""}
    assert {loss for loss in losses if states[loss, "gradient"] == FAILED} == set(losses)
    assert {state for (_, order), state in states.items() if order != "gradient"} == {PASSED}


def test_a_wrong_formula_fails_against_150_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mparray")
    monkeypatch.setattr(lm.LogCosh, "slope", staticmethod(lambda y, f: (f - y) * (1.0 - 0.3 * (f - y))))
    failed = compare(["log_cosh"], ["numpy"], ["float64"]).failed
    assert {cell.order for cell in failed} >= {"gradient"}
    assert all("instead of" in cell.place for cell in failed)


def test_a_cell_that_differentiates_a_branch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without our gradient attached torch's own differentiation is wrong, at 0 for example."""
    pytest.importorskip("torch")
    from lossmith.core import elementwise

    monkeypatch.setattr(elementwise, "attach", lambda f, value, rise: value(f))
    failed = compare(["bce"], ["torch.func"], ["float64"], quick=True, hessian=False).failed
    assert {cell.order for cell in failed} == {"gradient"}


# --- the command ----------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["parity", *arguments])
    return (int(left.value.code or 0), *capsys.readouterr())


def test_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--loss", "huber,triplet", "--library", "numpy", "--dtype", "float32", "--quick")
    assert code == 0
    assert "huber" in out
    assert "[1] no hessian: NumPy has no Hessian of structured losses to compare with" in out
    assert "5 cells passed, 0 failed, 1 have no number" in out


def test_json_and_file(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    place = tmp_path / "deep" / "cells.json"
    code, out, _ = run(capsys, "--loss", "mse", "--library", "numpy", "--dtype", "float32", "--json", "-o", str(place))
    assert code == 0
    facts = json.loads(out)
    assert facts == json.loads(place.read_text())
    assert facts["counts"] == {"passed": 3, "failed": 0, "untold": 0}
    assert [cell["order"] for cell in facts["cells"]] == ["value", "gradient", "hessian"]


def test_a_failed_cell_leaves_with_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries.LIBRARIES, "wrong", Wrong)
    code, out, _ = run(capsys, "--loss", "huber", "--library", "wrong", "--dtype", "float64", "--quick")
    assert code == 1
    assert "FAILED" in out
    assert "Huber(delta=1.0): wrong float64 gradient:" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--library", "tourch"), "--library 'tourch' is not known; give one of numpy, torch"),
        (("--dtype", "float16"), "--dtype 'float16' is not known; give one of float64, float32"),
        (("--loss", "hubber"), "did you mean 'huber'"),
        (("--output", "/proc/none/cells.json"), "--output"),
    ],
)
def test_wrong_arguments_leave_with_2(capsys: pytest.CaptureFixture[str], arguments: Any, said: str) -> None:
    code, out, error = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_library_is_told_not_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries.Jax, "module", "jax_that_nobody_has")
    code, out, _ = run(capsys, "--loss", "huber", "--library", "jax", "--quick")
    assert code == 0
    assert "JAX is not installed; pip install 'lossmith[jax]'" in out
    assert "0 cells passed, 0 failed, 6 have no number" in out
