"""A loss is a value: it saves, loads, pickles, compares, hashes and prints as what it is."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

import lossmith as lm
from catalogue import CASES

LOSSES = tuple(case.loss for case in CASES)
every = pytest.mark.parametrize("loss", LOSSES, ids=repr)


@every
def test_config_round_trip(loss: Any) -> None:
    config = loss.to_config()
    assert set(config) == {"loss", "params"}
    assert config["loss"] == loss.name
    through_text = json.loads(json.dumps(config))
    again = lm.from_config(through_text)
    assert type(again) is type(loss)
    assert again == loss
    assert again.to_config() == config


@every
def test_pickle_and_copy(loss: Any) -> None:
    for again in (pickle.loads(pickle.dumps(loss)), copy.copy(loss), copy.deepcopy(loss)):
        assert again == loss
        assert hash(again) == hash(loss)


@every
def test_repr_makes_the_same_loss(loss: Any) -> None:
    assert eval(repr(loss), {name: getattr(lm, name) for name in lm.__all__}) == loss


@every
def test_a_loss_cannot_change(loss: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        loss.anything = 1
    for name in loss.to_config()["params"]:
        with pytest.raises(FrozenInstanceError):
            setattr(loss, name, 1)


def test_equality_is_by_kind_and_parameters() -> None:
    assert lm.Huber(delta=2) == lm.Huber(delta=2.0)
    assert lm.Huber(delta=2) != lm.Huber(delta=3)
    assert lm.MeanSquaredError() != lm.MeanAbsoluteError()
    assert len({lm.Huber(), lm.Huber(delta=1.0), lm.Huber(delta=1.5)}) == 2
    assert len({*LOSSES}) == len({repr(loss) for loss in LOSSES})


@pytest.mark.parametrize(
    "config", [None, "huber", {}, {"params": {}}, {"loss": "huber", "delta": 2}, {"loss": "no such"}], ids=repr
)
def test_bad_configs_are_refused(config: Any) -> None:
    with pytest.raises(ValueError, match=r"not a loss configuration|no loss is called"):
        lm.from_config(config)


@every
def test_every_loss_explains_itself(loss: Any) -> None:
    about = loss.about
    for text in (about.formula, about.gradient, about.pros, about.cons, about.best_for, about.reference):
        assert text.strip()
    assert loss.formula == about.formula
    assert type(loss).__doc__
