"""Losses as ``keras.losses.Loss`` objects, by object or by name. Keras is imported when first used."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

from ..core.loss import Loss
from ..core.registry import get

KerasLoss = Any


def to_keras(loss: Loss | str, reduction: str | None = "mean", *, name: str | None = None, dtype: Any = None) -> Any:
    """Make a ``keras.losses.Loss`` of a loss, for ``model.compile(loss=...)`` on any backend of Keras.

    Parameters
    ----------
    loss : Loss or str
        A loss of the catalogue, or its name, also with parameters: ``"huber(delta=1.35)"``.
    reduction : {"mean", "sum", "none", "mean_with_sample_weight", "sum_over_batch_size"} or None
        * "mean" is Lossmith's sum(w * l) / sum(w): samples of weight 0 and masked ones are not there. Keras calls it
          "mean_with_sample_weight", which is accepted, too.
        * "sum_over_batch_size" is Keras's default, sum(w * l) divided by the number of values that are not masked,
          whatever they weigh. Without weights (and class weights) both are the same.
        * "sum" is sum(w * l); "none" or None gives w * l for each sample.
    name : str, optional
        What Keras calls it; the loss's name by default.
    dtype : str or keras.DTypePolicy, optional
        In which to compute. By default float64 for float64 predictions (or ``keras.config.floatx()``), else float32:
        so half-precision policies compute their loss in float32.

    Returns
    -------
    keras.losses.Loss
        Its gradient and Hessian are the loss's own, in eager mode, in graphs and with
        ``jit_compile=True``. It is saved with the model; see :func:`register_keras` for loading in a new process.

        * Elementwise losses take y_true and y_pred of one shape; a last axis of length 1 may be missing in y_true or
          be too much, (n,) against (n, 1). As in Keras, the value of a sample is the mean over y_pred's last axis.
          Hinge losses also take labels 0 and 1.
        * Row-wise losses take y_pred (n, ..., k) with labels (n, ...) or (n, ..., 1), integers or whole floats, or
          with rows of y_pred's shape (one-hot, soft). Logits or probabilities is said by the loss's ``inputs``.
        * CTC takes logits (n, frames, classes) and labels (n, s), padded at the end with -1 or with the blank. A mask
          (n, frames), such as that of an Embedding, sets how many frames count; padding must be at the end.
        * Triplet, contrastive and NT-Xent losses take embeddings (n, d) with labels (n,) or (n, 1), or rows of
          indices. Dice takes masks of y_pred's shape, or class indices with its ``class_axis``.

        A mask on y_pred (n,) or (n, t) counts as weights 0 and 1. Weights are (n,), (n, 1), or one for each value.

        CTC, Dice and the losses of embeddings are computed on the host, but in programs that TensorFlow's XLA compiles
        (``jit_compile=True``), which cannot call it: there they are formulas of whole arrays, with all pairs and
        triplets, and targets are not checked. NegativeLogLikelihood calls SciPy and needs ``jit_compile=False``.

    Raises
    ------
    ImportError
        When Keras is not installed.
    TypeError
        When ``loss`` is no loss.
    ValueError
        For an unknown reduction.

    Examples
    --------
    >>> import lossmith as lm
    >>> import keras
    >>> loss = lm.to_keras(lm.Huber(delta=1.35))
    >>> round(float(loss([[0.0], [0.0]], [[0.5], [3.0]])), 5)
    1.63188
    >>> keras.losses.deserialize(keras.losses.serialize(loss)).loss
    Huber(delta=1.35)
    """
    made = get(loss) if isinstance(loss, str) else loss
    if not isinstance(made, Loss):
        raise TypeError(f"to_keras takes a loss or its name; got {type(loss).__name__}")
    return _losses("to_keras").KerasLoss(made, reduction, name=name, dtype=dtype)


def register_keras() -> tuple[str, ...]:
    """Tell Keras the name of every loss of the catalogue, so that it finds them in ``compile`` and in saved models.

    One call a process, before ``compile(loss="lossmith>huber")`` or ``keras.saving.load_model(...)``;
    :func:`to_keras` does it, too. Without it Keras says "Could not locate class 'KerasLoss'" of a saved model, and
    "Could not interpret loss identifier: lossmith>huber" of a name: ``import lossmith`` imports no framework, so it
    cannot tell Keras anything. Called again, it adds losses that were registered with Lossmith since.

    Returns
    -------
    tuple of str
        The names, "lossmith>" before names and aliases of the catalogue. A name means the loss with its default
        parameters and reduction "mean"; for others give ``lm.to_keras("huber(delta=1.35)")`` itself.

    Raises
    ------
    ImportError
        When Keras is not installed.

    Examples
    --------
    >>> import lossmith as lm
    >>> import keras
    >>> "lossmith>huber" in lm.register_keras()
    True
    >>> keras.losses.get("lossmith>huber")
    <KerasLoss(Huber(delta=1.0), reduction='mean')>
    """
    names: tuple[str, ...] = _losses("register_keras").register()
    return names


def _losses(asked: str) -> ModuleType:
    if importlib.util.find_spec("keras") is None:
        raise ImportError(f"{asked} needs Keras; pip install 'lossmith[keras]'")
    from . import keras_losses

    return keras_losses
