"""Python code for a loss, in the words of each library."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ...core.loss import Loss
from ...losses.compose import WeightedSum
from ..links import output_link
from .tables import Entry


def ours(loss: Loss) -> str:
    """Return the call that makes a loss, such as ``lm.Huber(delta=2.0)``."""
    if isinstance(loss, WeightedSum):
        comma = "," if len(loss.losses) == 1 else ""
        parts = [f"({', '.join(map(ours, loss.losses))}{comma})"]
        return f"lm.WeightedSum({', '.join(parts + [repr(loss.weights)] * (loss.weights is not None))})"
    fields = [
        (field.name, getattr(loss, field.name), field.default) for field in dataclasses.fields(loss) if field.init
    ]
    spoken = ", ".join(f"{name}={value!r}" for name, value, default in fields if value != default)
    return f"lm.{type(loss).__name__}({spoken})"


@dataclasses.dataclass(frozen=True)
class Printer(ABC):
    """Writes losses as one library's users do.

    Attributes
    ----------
    call : str
        How what is written is called.
    """

    call: str = ""

    @abstractmethod
    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return code for a loss that the library has itself."""

    @abstractmethod
    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return code that hands over ours."""

    @property
    def scaled(self) -> bool:
        """Whether a constant factor matters there."""
        return True


def _arguments(spoken: Mapping[str, Any], write: Any = repr) -> str:
    return ", ".join(f"{name}={write(value)}" for name, value in spoken.items())


def _adapter(function: str, loss: Loss, reduction: str = "mean", suffix: str = "") -> str:
    also = "" if reduction == "mean" else f", reduction={reduction!r}"
    return f"import lossmith as lm\n\nloss = lm.{function}({ours(loss)}{also}){suffix}"


class Ours(Printer):
    """Lossmith itself."""

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Never asked for."""
        raise NotImplementedError

    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return the call that makes the loss."""
        made = f"import lossmith as lm\n\nloss = {ours(loss)}"
        if reduction == "mean":
            return made
        return f"import functools\n\n{made.replace('loss = ', 'loss = functools.partial(')}, reduction={reduction!r})"


def _tensor(value: Any) -> str:
    return f"torch.tensor({list(value)!r})" if isinstance(value, tuple) else repr(value)


class Torch(Printer):
    """Modules of torch.nn."""

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return the module."""
        return f"import torch\n\nloss = torch.nn.{entry.names[0]}({_arguments(spoken, _tensor)})"

    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return what to_torch makes."""
        return _adapter("to_torch", loss, reduction)


class Keras(Printer):
    """Objects of keras.losses."""

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return the object."""
        return f"import keras\n\nloss = keras.losses.{entry.names[0]}({_arguments(spoken)})"

    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return what to_keras makes."""
        return _adapter("to_keras", loss, reduction)


class Optax(Printer):
    """Functions of optax."""

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return the function, with its parameters bound."""
        name = f"optax.{entry.names[0]}"
        if not spoken:
            return f"import optax\n\nloss = {name}"
        return f"import functools\n\nimport optax\n\nloss = functools.partial({name}, {_arguments(spoken)})"

    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return what to_jax makes."""
        return _adapter("to_jax", loss)


class Sklearn(Printer):
    """Metrics of scikit-learn."""

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return the metric, with its parameters bound."""
        name = entry.names[0]
        made = f"from sklearn.metrics import {name}\n\nloss = "
        return f"import functools\n\n{made}functools.partial({name}, {_arguments(spoken)})" if spoken else made + name

    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return the metric that to_sklearn makes."""
        from ..sklearn import to_sklearn

        to_sklearn(loss)
        return _adapter("to_sklearn", loss, suffix=".metric")


@dataclasses.dataclass(frozen=True)
class Booster(Printer):
    """Training parameters of a gradient booster."""

    function: str = ""
    key: str = "objective"

    @property
    def scaled(self) -> bool:
        """False: trees are the same but for regularisation."""
        return False

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return the parameters."""
        return f"params = { ({self.key: entry.names[0]} | dict(spoken))!r}"

    def adapted(self, loss: Loss, reduction: str) -> str:
        """Return what to_xgboost and its like make; raises ValueError for what cannot train trees."""
        output_link(loss)
        return f"import lossmith as lm\n\nbooster = lm.{self.function}({ours(loss)})"


class CatBoost(Booster):
    """Loss functions of CatBoost, which are texts with their parameters in them."""

    def native(self, entry: Entry, spoken: Mapping[str, Any]) -> str:
        """Return the parameters."""
        parts = ";".join(f"{name}={value!r}" for name, value in spoken.items())
        return f"params = { ({self.key: ':'.join(filter(None, (entry.names[0], parts)))})!r}"


@functools.cache
def printers() -> Mapping[str, Printer]:
    """Return the printers of all targets."""
    return {
        "lossmith": Ours("loss(y_true, y_pred)"),
        "torch": Torch("loss(input, target)"),
        "keras": Keras("loss(y_true, y_pred)"),
        "optax": Optax("loss(predictions, targets), one value for each sample"),
        "sklearn": Sklearn("loss(y_true, y_pred)"),
        "xgboost": Booster("", "to_xgboost"),
        "lightgbm": Booster("", "to_lightgbm"),
        "catboost": CatBoost("", "to_catboost", "loss_function"),
    }
