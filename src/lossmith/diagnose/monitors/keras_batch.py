"""Keeping hold of the batch that Keras has just learned from, and finding what in it, or behind it, is not finite."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import keras
import numpy as np

from .trouble import NonFinite

_ROLES = ("input", "target", "weight")


@final
class Keeper:
    """Holds the latest batch.

    By reference on PyTorch and JAX; on TensorFlow it is copied out of the compiled step, but only where the loss is not
    finite, and not where XLA compiles it.

    Parameters
    ----------
    model : keras.Model
        The model that is trained.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._batch = model, list[Any]()
        self._own: Any = None
        self._variables: list[Any] = []
        self._named: list[tuple[str, str]] = []

    def attach(self) -> None:
        """Stand in for the model's own step from now on; to be called before Keras compiles it."""
        backend = keras.backend.backend()
        if backend == "tensorflow":
            if not self._model.jit_compile and self._model.distribute_strategy.num_replicas_in_sync == 1:
                self._own = self._model.train_step
                self._model.train_step = self._tensorflow
                self._model.train_function = None
            return
        self._own = self._model.train_function
        self._model.train_function = self._jax if backend == "jax" else self._torch

    def detach(self) -> None:
        """Give the model its own step back; a second call does nothing."""
        if self._own is None:
            return
        if keras.backend.backend() == "tensorflow":
            del self._model.train_step
            self._model.train_function = None
        else:
            self._model.train_function = self._own
        self._own = None

    @property
    def known(self) -> bool:
        """Whether batches are kept at all."""
        return self._own is not None

    def blame(self, number: int) -> NonFinite | None:
        """Look through the batch for rows that are not finite.

        Parameters
        ----------
        number : int
            The step in question.

        Returns
        -------
        NonFinite or None
            None when all of it is finite.
        """
        for role, name, array in self._arrays():
            bad = ~np.isfinite(array)
            if not bad.any():
                continue
            rows = bad.reshape(len(array), -1).any(1) if array.ndim else np.ones(1, bool)
            sample = None if rows.all() and len(rows) > 1 else int(np.flatnonzero(rows)[0])
            return NonFinite(number, role, None, sample, f"{name} holds {_kind(array)}")
        return None

    def inputs(self) -> Any:
        """Return what went into the model last; None where that is not known."""
        if self._variables:
            return None if not self._arrays() else [v.read_value() for v in self._variables]
        return keras.utils.unpack_x_y_sample_weight(self._batch[-1])[0] if self._batch else None

    def _arrays(self) -> list[tuple[str, str, Any]]:
        if self._variables:
            held = [(role, leaf, v.numpy()) for (role, leaf), v in zip(self._named, self._variables, strict=True)]
            return [(role, leaf, a) for role, leaf, a in held if a.size]
        return [
            (role, leaf, np.asarray(keras.ops.convert_to_numpy(value)))
            for batch in self._batch
            for role, leaf, value in _leaves(batch)
        ]

    # --- the backends' steps ------------------------------------------------------------------------------

    def _torch(self, data: Sequence[Any]) -> Any:
        self._batch = [data[0]]
        return self._own(data)

    def _jax(self, state: Any, iterator: Any) -> Any:
        self._batch = []
        return self._own(state, self._passed_on(iterator))

    def _passed_on(self, iterator: Any) -> Iterator[Any]:
        for data in iterator:
            self._batch.append(data)
            yield data

    def _tensorflow(self, data: Any) -> Any:
        import tensorflow as tf

        logs = self._own(data)
        if not isinstance(logs, Mapping) or "loss" not in logs:
            return logs
        leaves = _leaves(data)
        if not self._variables:
            self._named = [(role, leaf) for role, leaf, _ in leaves]
            with tf.init_scope():
                self._variables = [
                    tf.Variable(tf.zeros([0], v.dtype), shape=tf.TensorShape(None), trainable=False)
                    for _, _, v in leaves
                ]

        def keep() -> Any:
            for variable, (_, _, value) in zip(self._variables, leaves, strict=True):
                variable.assign(value)
            return tf.constant(0)

        tf.cond(tf.math.is_finite(logs["loss"]), lambda: tf.constant(0), keep)
        return logs


def _leaves(data: Any) -> list[tuple[str, str, Any]]:
    """Return role, name and value of each floating-point array of a batch."""
    found = []
    for role, part, name in zip(
        _ROLES, keras.utils.unpack_x_y_sample_weight(data), ("x", "y", "sample_weight"), strict=True
    ):
        leaves = [] if part is None else keras.tree.flatten(part)
        for place, leaf in enumerate(leaves):
            if leaf is not None and "float" in keras.backend.standardize_dtype(leaf.dtype):
                found.append((role, name if len(leaves) == 1 else f"{name}[{place}]", leaf))
    return found


def _kind(array: Any) -> str:
    nans, infs = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    return " and ".join(f"{n} {word}" for n, word in ((nans, "NaN"), (infs, "inf")) if n) + f" of {array.size}"


def search(model: Any, values: Mapping[str, Sequence[Any]], inputs: Any, number: int, since: int) -> NonFinite | None:
    """Run a batch through the layers with parameters of an earlier step, and name the first whose output is not finite.

    Parameters
    ----------
    model : keras.Model
        Its parameters are not finite any more.
    values : mapping of str to sequence of arrays
        Those of trainable variables when last looked at, by layer.
    inputs : object
        The batch.
    number, since : int
        The step in question, and that of the parameters.

    Returns
    -------
    NonFinite or None
        None when all are finite.
    """
    for name, held in values.items():
        if not all(np.isfinite(a).all() for a in held):
            return NonFinite(number, "parameter", name, None, f"was not finite before step {since} already")
    places = {name: list(held) for name, held in values.items()}
    ordered = [places[v.path.rpartition("/")[0] or v.path].pop(0) for v in model.trainable_variables]
    found: list[NonFinite] = []
    layers = [
        la for la in model._flatten_layers(include_self=False) if not list(la._flatten_layers(include_self=False))
    ]
    owns = [(layer, layer.call) for layer in layers]
    try:
        for layer, own in owns:
            layer.call = _looking(layer, own, found, number, since)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.stateless_call(
                [
                    keras.ops.convert_to_tensor(a, v.dtype)
                    for a, v in zip(ordered, model.trainable_variables, strict=True)
                ],
                [v.value for v in model.non_trainable_variables],
                inputs,
            )
    finally:
        for layer, _ in owns:
            del layer.call
    return found[0] if found else None


def _looking(layer: Any, own: Any, found: list[NonFinite], number: int, since: int) -> Any:
    """Return a layer's call that adds its output to what was found, if it is the first that is not finite."""

    def call(*args: Any, **kwargs: Any) -> Any:
        output = own(*args, **kwargs)
        for leaf in [] if found else keras.tree.flatten(output):
            array = _numbers(leaf)
            if array is not None and not np.isfinite(array).all():
                rows = ~np.isfinite(array).reshape(len(array), -1).all(1) if array.ndim else np.ones(1, bool)
                sample = None if rows.all() and len(rows) > 1 else int(np.flatnonzero(rows)[0])
                detail = f"the layer's output holds {_kind(array)}, with the parameters of step {since}"
                found.append(NonFinite(number, "activation", layer.path or layer.name, sample, detail))
                break
        return output

    return call


def _numbers(leaf: Any) -> Any:
    try:
        array = np.asarray(keras.ops.convert_to_numpy(leaf))
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind == "f" else None
