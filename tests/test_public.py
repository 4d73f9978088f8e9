"""The public face: names, documentation, and the examples everybody knows."""

from __future__ import annotations

import dataclasses
import inspect
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.loss import Loss

LOSSES = [getattr(lm, name) for name in lm.__all__ if dataclasses.is_dataclass(getattr(lm, name))]


@pytest.mark.parametrize("name", lm.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    thing = getattr(lm, name)
    if name != "__version__" and callable(thing):
        assert inspect.getdoc(thing), name


@pytest.mark.parametrize(
    ("given", "meant"),
    [("Focal", "BinaryFocal or CategoricalFocal"), ("hubber", "Huber"), ("to_tf", "to_"), ("xyz", "")],
)
def test_a_name_that_does_not_exist_names_its_neighbours(given: str, meant: str) -> None:
    with pytest.raises(AttributeError) as told:
        getattr(lm, given)
    said = str(told.value).partition("; did you mean ")[2]
    assert meant in said if meant else not said


def test_names_are_sorted_and_unique() -> None:
    assert len(set(lm.__all__)) == len(lm.__all__)
    assert lm.__version__.count(".") >= 2


@pytest.mark.parametrize("cls", LOSSES, ids=lambda cls: cls.__name__)
def test_every_class_documents_its_parameters(cls: Any) -> None:
    """Each hyper-parameter stands in the docstring, each public method has one, and there is an example."""
    text = inspect.getdoc(cls) or ""
    for field in dataclasses.fields(cls):
        if field.init and not field.name.startswith("_"):
            assert field.name in text, f"{cls.__name__}.{field.name} is not in the docstring"
    assert ">>>" in text
    for name, member in inspect.getmembers(cls):
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            if issubclass(cls, Loss) and name in ("value", "slope", "curvature", "product", "second"):
                continue  # the formulas, documented by their base
            assert inspect.getdoc(member), f"{cls.__name__}.{name}"


@pytest.mark.parametrize("cls", [c for c in LOSSES if issubclass(c, Loss)], ids=lambda cls: cls.__name__)
def test_every_loss_is_final_and_frozen(cls: Any) -> None:
    assert not inspect.isabstract(cls)
    assert cls.__dataclass_params__.frozen
    assert not cls.__subclasses__() or all(c.__module__ != cls.__module__ for c in cls.__subclasses__())


def test_the_examples_of_the_textbook() -> None:
    """Mean squared error 0.375, binary cross-entropy 0.3375, categorical cross-entropy 0.4243."""
    y, f = [3, -0.5, 2, 7], [2.5, 0.0, 2, 8]
    assert float(lm.MeanSquaredError()(y, f)) == 0.375
    np.testing.assert_array_equal(lm.MeanSquaredError().gradient(y, f), [-1, 1, 0, 2])
    y, p = [1, 0, 1, 1], [0.9, 0.1, 0.8, 0.4]
    bce = lm.BinaryCrossEntropy(inputs="probabilities")
    assert round(float(bce(y, p)), 4) == 0.3375
    np.testing.assert_allclose(bce.gradient(y, p), [-1 / 0.9, 1 / 0.9, -1.25, -2.5])
    rows = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]]
    cce = lm.CategoricalCrossEntropy(inputs="probabilities")
    for target in ([0, 1, 2], np.eye(3)):
        assert round(float(cce(target, rows)), 4) == 0.4243
        np.testing.assert_allclose(cce.gradient(target, rows), -np.eye(3) / np.array(rows), atol=0)


def test_importing_loads_nothing_heavy() -> None:
    """No framework, no compiler, no plotting, no data frames until they are used."""
    heavy = "torch jax tensorflow keras numba pandas sklearn lightgbm matplotlib scipy rich typer".split()  # noqa: SIM905
    code = f"import sys, lossmith; print([m for m in {heavy!r} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(lm.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_package_is_typed() -> None:
    import importlib.resources

    assert importlib.resources.files("lossmith").joinpath("py.typed").is_file()
