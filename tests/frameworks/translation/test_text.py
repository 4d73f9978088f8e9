"""Losses as text: parsed, never run; what cannot be read is one line that says what is accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lossmith as lm
from lossmith.frameworks.translation import text
from lossmith.frameworks.translation.translate import ORIGINS, TARGETS, read


@pytest.mark.parametrize(
    ("typed", "loss"),
    [
        ("huber", lm.Huber()),
        (" huber( delta = 2 ) ", lm.Huber(delta=2.0)),
        ("lm.Huber(2)", lm.Huber(delta=2.0)),
        ("lossmith.Quantile(q=0.9)", lm.Quantile(q=0.9)),
        ("Tukey", lm.Tukey()),
        ("0.5 * mse", lm.WeightedSum(("mse",), (0.5,))),
        ("2 * lm.WeightedSum((lm.MeanSquaredError(),), (0.5,))", lm.MeanSquaredError()),
        ("lm.WeightedSum(('mse', lm.Huber(delta=2.0)), (1.0, 3.0))", lm.WeightedSum(("mse", "huber(delta=2)"), (1, 3))),
        ("lm.CategoricalCrossEntropy(class_weights=[1, 2.5])", lm.CategoricalCrossEntropy(class_weights=(1, 2.5))),
        ("torch.nn.SmoothL1Loss(beta=2)", lm.WeightedSum((lm.Huber(delta=2.0),), (0.5,))),
        ("nn.HuberLoss('mean', 2.0)", lm.Huber(delta=2.0)),
        ("F.huber_loss(delta=2)", lm.Huber(delta=2.0)),
        ("torch.nn.functional.l1_loss", lm.MeanAbsoluteError()),
        ("nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))", None),
        ("HuberLoss(delta=2)", None),
        ("keras.losses.Huber(delta=2.0)", lm.Huber(delta=2.0)),
        ("tf.keras.losses.Huber(2.0)", lm.Huber(delta=2.0)),
        ("optax.huber_loss(delta=2)", lm.Huber(delta=2.0)),
        ("optax.losses.l2_loss", lm.WeightedSum(("mse",), (0.5,))),
        ("functools.partial(optax.huber_loss, delta=2.0)", lm.Huber(delta=2.0)),
        ("sklearn.metrics.mean_pinball_loss(alpha=0.9)", lm.Quantile(q=0.9)),
        ("neg_mean_squared_error", lm.MeanSquaredError()),
        ("sklearn.linear_model.SGDRegressor(loss='huber', epsilon=0.3)", lm.Huber(delta=0.3)),
        ("reg:quantileerror(quantile_alpha=0.9)", lm.Quantile(q=0.9)),
        ("binary:logistic", lm.BinaryCrossEntropy()),
        ("{'objective': 'reg:pseudohubererror', 'huber_slope': 2, 'max_depth': 3}", lm.PseudoHuber(delta=2.0)),
        ("{'objective': 'regression_l1', 'num_leaves': 3}", lm.MeanAbsoluteError()),
        ("{'loss_function': 'Huber:delta=2', 'depth': 3}", lm.Huber(delta=2.0)),
        ("Huber:delta=2", lm.Huber(delta=2.0)),
        ("Focal:focal_alpha=0.25;focal_gamma=1.5", lm.BinaryFocal(alpha=0.25, gamma=1.5)),
        ("xgboost.XGBRegressor()", lm.MeanSquaredError()),
        ("LGBMRegressor(objective='huber', alpha=2, num_leaves=4)", lm.Huber(delta=2.0)),
        ("CatBoostRegressor(loss_function='Quantile:alpha=0.3')", lm.Quantile(q=0.3)),
    ],
)
def test_text_is_read(typed: str, loss: Any) -> None:
    found = read(typed).made
    assert loss is None or found == loss
    assert lm.translate(typed).loss == found


def test_what_is_printed_is_read_again() -> None:
    """Lossmith's own code of every loss."""
    from lossmith.frameworks.translation.code import ours

    for loss in (*lm.find(), lm.Huber(delta=2.5), lm.CategoricalCrossEntropy(class_weights=(1.0, 2.0))):
        assert read(ours(loss)).made == loss, ours(loss)


def test_the_origin_decides_where_names_are_shared() -> None:
    assert read("huber").made == lm.Huber(delta=1.0)
    assert read("huber", "lightgbm").made == lm.Huber(delta=0.9)
    assert read("mse", "keras").made == lm.MeanSquaredError()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("hubert", ["no library has a loss 'hubert'", "huber"]),
        ("xyzzy(1)", ["xyzzy", "torch.nn.HuberLoss()"]),
        ("torch.nn.HubertLoss()", ["did you mean HuberLoss"]),
        ("torch.nn.HuberLoss(delta=", ["cannot read"]),
        ("torch.nn.HuberLoss(delta=x)", ["'x' is no literal"]),
        ("torch.nn.HuberLoss(delta=2)(1)", ["cannot read"]),
        ("torch.nn.HuberLoss(gamma=2)", ["no parameter 'gamma'", "delta"]),
        ("torch.nn.HuberLoss(delta=-2)", ["delta=-2", "> 0"]),
        ("torch.nn.HuberLoss('mean', delta=2, reduction='sum')", ["given twice"]),
        ("torch.nn.HuberLoss(**{'delta': 2})", ["**"]),
        ("nn.L1Loss(1, 2, 3)", ["with their names"]),
        ("__import__('os').system('true')", ["cannot read"]),
        ("(lambda: 1)()", ["cannot read"]),
        ("[x for x in y]", ["cannot read"]),
        ("-1 * mse", ["cannot read"]),
        ("True * mse", ["factor"]),
        ("", ["cannot read"]),
        ("(" * 500, ["cannot read"]),
        ("mse" * 1000, ["characters"]),
        ("{'max_depth': 3}", ["'objective'"]),
        ("{'objective': 3}", ["'objective'"]),
        ("rank:ndcg", ["no ranking loss"]),
        ("reg:nonsense", ["reg:nonsense"]),
        ("reg:quantileerror(quantile_alpha=[0.1, 0.9])", ["2 quantiles"]),
        ("reg:quantileerror", ["q=None"]),
        ("huber(delta=2, beta=1)", ["no parameter 'beta'"]),
        ("lm.Huber(1, 2)", ["takes 1 parameters"]),
        ("keras.losses.Tversky()", ["no equal"]),
    ],
)
def test_what_cannot_be_read_is_one_line(typed: str, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\A[^\n]*\Z") as caught:
        read(typed)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_text_is_never_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    for typed in (f"open({str(target)!r}, 'w')", f"huber(delta=open({str(target)!r}, 'w'))"):
        with pytest.raises(ValueError, match=r"cannot read|no library|no loss is called"):
            read(typed)
    assert not target.exists()


def test_unknown_targets_and_origins() -> None:
    with pytest.raises(ValueError, match="did you mean 'torch'"):
        lm.translate("mse", to="tork")
    with pytest.raises(ValueError, match="libraries: lossmith"):
        lm.translate("mse", origin="tork")
    with pytest.raises(ValueError, match="comes from none of"):
        lm.translate(3.0)


def test_a_name_of_several_libraries_is_asked_back() -> None:
    with pytest.raises(ValueError, match=r"may be of torch or optax; say which \(--from torch\)"):
        read("triplet_margin_loss")


def test_tables_hold_each_name_once_for_reading() -> None:
    """A second entry of a name is only there for printing, and has the same parameters or fewer."""
    import importlib

    for origin in ORIGINS:
        library = importlib.import_module(f"lossmith.frameworks.translation.{origin}").LIBRARY
        seen: dict[str, Any] = {}
        for entry in library.entries:
            for name in entry.names:
                first = seen.setdefault(name, entry)
                assert set(entry.parameters) <= set(first.parameters), (origin, name)
            assert entry.refused or entry.variants
    assert set(ORIGINS) < set(TARGETS)


def test_typed() -> None:
    assert text.read("a.b(1, c=[2, 3])") == text.Typed("a.b", (1,), {"c": (2, 3)})


def test_a_loss_with_a_factor_says_what_trees_take() -> None:
    with pytest.raises(ValueError, match=r"give MeanSquaredError\(\)"):
        lm.to_xgboost(lm.from_sklearn("squared_error"))


def test_objects_of_ours_are_translated_too() -> None:
    assert lm.translate(lm.Huber(delta=2.0), to="torch").native
    assert lm.translate(lm.to_sklearn("huber").metric).loss == lm.Huber()
