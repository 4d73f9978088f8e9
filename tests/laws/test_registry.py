"""Losses are found by name, alias, text and claim; the catalogue of tests knows them all."""

from __future__ import annotations

from typing import Any

import pytest

import lossmith as lm
from catalogue import CASES
from lossmith.core import registry
from lossmith.core.loss import Loss

SHORT = (
    *("mse", "mae", "huber", "quantile", "log_cosh", "tukey", "bce", "cce", "hinge", "squared_hinge"),
    *("kl_divergence", "focal", "nll", "gaussian_nll", "poisson_nll", "triplet", "contrastive", "ctc", "dice"),
)


@pytest.mark.parametrize("name", SHORT)
def test_short_names_resolve(name: str) -> None:
    assert lm.get(name).name == name


@pytest.mark.parametrize("name", registry.names())
def test_every_loss_is_in_the_catalogue(name: str) -> None:
    """Whoever adds a loss adds it to tests/catalogue.py."""
    assert name in {case.loss.name for case in CASES}, f"add {name} to tests/catalogue.py"


@pytest.mark.parametrize("name", registry.names())
def test_every_loss_is_public(name: str) -> None:
    cls = registry.loss_class(name)
    assert getattr(lm, cls.__name__) is cls
    assert cls.__name__ in lm.__all__


def test_names_and_aliases_are_unique() -> None:
    words = [word for name in registry.names() for word in (name, *registry.loss_class(name).aliases)]
    assert len(words) == len(set(words))
    for word in words:
        assert word == word.lower()
        assert word.replace("_", "").isalnum()


def test_a_taken_name_is_refused() -> None:
    class Impostor(lm.MeanSquaredError):
        pass

    with pytest.raises(ValueError, match="'huber' already stands for Huber"):
        registry.register("impostor", aliases=("huber",))(Impostor)
    assert "impostor" not in registry.names()


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("huber", lm.Huber()),
        (" Huber ", lm.Huber()),
        ("log-cosh", lm.LogCosh()),
        ("squared error", lm.MeanSquaredError()),
        ("huber(delta=1.35)", lm.Huber(delta=1.35)),
        ("quantile(q=0.9)", lm.Quantile(q=0.9)),
        ("bce(inputs='probabilities')", lm.BinaryCrossEntropy(inputs="probabilities")),
        ("cce(class_weights=(1, 2))", lm.CategoricalCrossEntropy(class_weights=(1, 2))),
        ("mse()", lm.MeanSquaredError()),
    ],
)
def test_get(spec: str, want: Loss) -> None:
    assert lm.get(spec) == want


def test_get_passes_a_loss_through_and_takes_parameters() -> None:
    loss = lm.Tukey(c=2.0)
    assert lm.get(loss) is loss
    assert lm.get("tukey", c=2.0) == loss
    assert lm.get("huber(delta=3)", delta=2.0) == lm.Huber(delta=2.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hubber", r"no loss is called 'hubber'; did you mean 'huber'"),
        ("zzzz", r"no loss is called 'zzzz'; see lossmith.find"),
        ("huber(delta=", r"cannot read 'huber\(delta='; write name"),
        ("huber(2.0)", r"cannot read"),
        ("huber(delta=open('x'))", r"cannot read"),
        ("huber(**{'delta': 1})", r"cannot read|no parameter"),
        ("huber(q=0.5)", r"Huber has no parameter 'q'; its parameters: delta"),
        ("mse(x=1)", r"MeanSquaredError has no parameter 'x'; its parameters: none"),
    ],
)
def test_get_says_what_is_wrong(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lm.get(spec)


@pytest.mark.parametrize(
    ("given", "message"), [(3, "not 3"), (None, "not None"), (lm.Huber, r"not the class Huber; write Huber\(\)")]
)
def test_what_is_no_loss_is_not_handed_back(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        lm.get(given)


def test_find() -> None:
    names: Any = [loss.name for loss in lm.find(task="regression", convex=True)]
    assert "huber" in names
    assert "tukey" not in names
    assert names == sorted(names)
    assert {loss.name for loss in lm.find(lipschitz=lambda bound: bound <= 1)} >= {"mae", "huber", "hinge"}
    assert [loss.name for loss in lm.find("biweight")] == ["tukey"]
    assert lm.find("no such words at all") == []
    # A plural finds "an outlier"; what outliers do to the squared error is no answer to who asks for them.
    assert [loss.name for loss in lm.find("outliers", task="regression", convex=True)] == ["huber", "log_cosh", "mae"]
    with pytest.raises(ValueError, match="no trait is called 'convexe'; traits: task"):
        lm.find(convexe=True)
