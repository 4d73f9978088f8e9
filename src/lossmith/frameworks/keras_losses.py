"""The ``keras.losses.Loss`` that ``to_keras`` makes, and the names under which Keras finds it."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.losses import ALL_OBJECTS_DICT

from ..core.loss import Loss
from ..core.registry import from_config, get, loss_class, names
from ..losses.compose import WeightedSum
from . import keras_layouts

Tensor = Any
PACKAGE = "lossmith"
# What Keras's names for a reduction mean here. Its "mean" divides by the number of values, whatever they weigh.
_REDUCTIONS = {
    "mean": "mean",
    "mean_with_sample_weight": "mean",
    "sum_over_batch_size": "sum_over_batch_size",
    "sum": "sum",
    "none": "none",
    None: "none",
}
_HALVES = ("float16", "bfloat16")


@keras.saving.register_keras_serializable(package=PACKAGE)
class KerasLoss(keras.losses.Loss):  # type: ignore[misc]
    """A loss with a reduction, as Keras calls it: ``loss(y_true, y_pred, sample_weight=None)``.

    Parameters
    ----------
    loss : Loss
        Which one.
    reduction, name, dtype
        As in :func:`lossmith.to_keras`.
    """

    def __init__(self, loss: Loss, reduction: str | None = "mean", name: str | None = None, dtype: Any = None) -> None:
        if reduction not in _REDUCTIONS:
            accepted = ", ".join(map(repr, _REDUCTIONS))
            raise ValueError(f"reduction={reduction!r} is not accepted; give one of {accepted}")
        super().__init__(name=name or loss.name, reduction=reduction, dtype=dtype)
        self.loss = loss
        self._asked = None if dtype is None else self.dtype
        self._parts = _parts(loss)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Compute the loss; a mask that Keras has put on y_pred counts as weights 0 and 1."""
        mask = keras_layouts.mask_of(y_pred)
        with keras.name_scope(self.name):
            f = self._precise(y_pred)
            given = keras_layouts.Given(y_true, f, mask, sample_weight)
            reduction = _REDUCTIONS[self.reduction]
            total = sum(factor * layout.value(given, reduction) for factor, layout in self._parts)
            return total if reduction in ("none", "sum") else keras_layouts.shared_among_replicas(total)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Compute the value of each sample."""
        given = keras_layouts.Given(y_true, self._precise(y_pred), None, None)
        return sum(factor * layout.value(given, "none") for factor, layout in self._parts)

    def _precise(self, y_pred: Any) -> Tensor:
        """Return predictions in the dtype to compute in."""
        f = keras.ops.convert_to_tensor(y_pred)
        wide = "float64" in (keras.backend.standardize_dtype(f.dtype), keras.config.floatx())
        return keras.ops.cast(f, self._asked or ("float64" if wide else "float32"))

    def get_config(self) -> dict[str, Any]:
        """Return what makes an equal loss by :meth:`from_config`."""
        return {
            "loss": self.loss.to_config(),
            "reduction": self.reduction,
            "name": self.name,
            "dtype": self._asked,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KerasLoss:
        """Make the loss that ``get_config`` described."""
        return cls(**{**config, "loss": from_config(config["loss"])})

    def __repr__(self) -> str:
        return f"<KerasLoss({self.loss!r}, reduction={self.reduction!r})>"


def _parts(loss: Loss) -> tuple[tuple[float, keras_layouts.Layout], ...]:
    """Return the terms of a weighted sum, each of which takes what it takes alone."""
    if isinstance(loss, WeightedSum):
        return tuple((factor * inner, layout) for factor, part in loss.parts for inner, layout in _parts(part))
    return ((1.0, keras_layouts.layout(loss)),)


_known: dict[str, KerasLoss] = {}


def register() -> tuple[str, ...]:
    """Enter the name and aliases of every loss that has defaults where Keras looks; return them."""
    for name in names():
        keys = [f"{PACKAGE}>{word}" for word in (name, *loss_class(name).aliases)]
        if keys[0] not in _known and (made := _with_defaults(name)) is not None:
            _known.update(dict.fromkeys(keys, made))
    # compile(loss=name) looks in the first table, which has no public way in; loading a model in the second.
    ALL_OBJECTS_DICT.update(_known)
    keras.saving.get_custom_objects().update(_known, **{f"{PACKAGE}>{KerasLoss.__name__}": KerasLoss})
    return tuple(_known)


def _with_defaults(name: str) -> KerasLoss | None:
    try:
        return KerasLoss(get(name))
    except ValueError:  # a weighted sum has no parts by default
        return None


register()
