"""Keras on TensorFlow: its loss functions in a ``tf.function`` with a gradient tape."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ..families import GRADIENT, STRUCTURED, Work
from .contender import Contender, Outcome, outcome


def prepare(threads: int) -> None:
    """Choose the back end and the number of threads; both must happen before TensorFlow runs anything.

    Parameters
    ----------
    threads : int
        Within an operation.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silence():
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def contenders(work: Work) -> list[Contender]:
    """Return Keras's loss.

    Parameters
    ----------
    work : Work
        What is to be done.
    """
    mean = _forms(work).get(work.name)
    if mean is None or work.operation != GRADIENT:  # tracing takes long; training is what Keras is for
        return []
    import tensorflow as tf

    y, f = tf.constant(work.y), tf.constant(work.f)

    def both(y: Any, f: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(f)
            value = mean(y, f)
        return value, tape.gradient(value, f)

    function = tf.function(both, autograph=False)

    def call() -> Any:
        return [part.numpy() for part in function(y, f)]  # complete, and not copied on a processor

    return [Contender("keras", "", _quiet_at_first(call), lambda result: _read(work, result))]


def _quiet_at_first(call: Callable[[], Any]) -> Callable[[], Any]:
    """The first call optimises the graph, and TensorFlow's library talks about it."""
    new = [True]

    def quiet() -> Any:
        if not new:
            return call()
        new.clear()
        with _silence():
            return call()

    return quiet


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """TensorFlow's library writes to the screen past Python."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _read(work: Work, result: Any) -> Outcome:
    value, *derivatives = result
    return outcome(value, *derivatives, scale=1.0 if work.family.tier == STRUCTURED else float(work.count))


def _forms(work: Work) -> dict[str, Callable[..., Any]]:
    import keras
    import tensorflow as tf

    losses, s = keras.losses, work.family.settings
    forms: dict[str, Callable[..., Any]] = {
        "bce": lambda y, f: losses.binary_crossentropy(y, f, from_logits=True),
        "huber": lambda y, f: losses.huber(y, f, delta=s["delta"]),
        "log_cosh": losses.log_cosh,
        "focal": lambda y, f: losses.binary_focal_crossentropy(y, f, gamma=s["gamma"], from_logits=True),
        "mse": losses.mean_squared_error,
        "mae": losses.mean_absolute_error,
        "hinge": losses.hinge,
        "squared_hinge": losses.squared_hinge,
        "cce": lambda y, f: losses.sparse_categorical_crossentropy(y, f, from_logits=True),
        "kl_divergence": lambda y, f: losses.kl_divergence(y, tf.nn.softmax(f)),
        "poisson_nll": lambda y, f: losses.poisson(y, tf.exp(f)),
        "dice": lambda y, f: losses.dice(y, tf.sigmoid(f), axis=(1, 2)),
        "ctc": losses.ctc,
    }
    return {name: lambda y, f, form=form: tf.reduce_mean(form(y, f)) for name, form in forms.items()}
