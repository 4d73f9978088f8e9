"""The monitor of Keras on the backend that KERAS_BACKEND names, run by test_monitors.py in a process of its own."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import lossmith as lm
from lossmith.diagnose.monitors.arrays import norm

BACKEND = keras.backend.backend()
# NumPy 2 against tensors of torch, inside Keras's own convert_to_numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def data(n=96, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + 0.1 * random.normal(size=n)
    return x.astype("float32"), y.astype("float32")[:, None]


def keras_model(rate=0.05, activation="relu"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(6, activation), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def test_norms_losses_and_rates_are_those_computed_by_hand(tmp_path):
    model = keras_model()
    x, y = data()
    weights = [np.array(w) for w in model.get_weights()]

    def forward(w, x):
        return np.maximum(x @ w[0] + w[1], 0) @ w[2] + w[3]

    monitor = lm.keras_monitor(live=False, every=1)
    seen = []
    spy = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append([np.array(w) for w in model.get_weights()])
    )
    table = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = model.fit(
        x, y, batch_size=32, epochs=2, shuffle=False, verbose=0, validation_data=(x, y), callbacks=[monitor, spy, table]
    ).history
    record = monitor.record
    assert record.column("loss")[0].tolist() == list(range(6))
    before = weights
    for i, (step, after) in enumerate(zip((s for s in record.steps if s.loss is not None), seen, strict=True)):
        rows = slice(32 * (i % 3), 32 * (i % 3) + 32)
        assert step.loss == pytest.approx(float(np.mean((forward(before, x[rows]) - y[rows]) ** 2)), rel=1e-4)
        assert step.parameter_norm == pytest.approx(norm(after), rel=1e-5)
        assert step.update_norm == pytest.approx(norm([a - b for a, b in zip(after, before, strict=True)]), rel=1e-4)
        # Plain gradient descent: the update is the rate times the gradient.
        assert (step.grad_norm is not None) == (BACKEND == "torch")
        if step.grad_norm is not None:
            assert step.grad_norm == pytest.approx(step.update_norm / 0.05, rel=1e-3)
        before = after
    np.testing.assert_allclose(record.column("eval_loss")[1], history["val_loss"], rtol=1e-6)
    assert record.facts.planned_steps == 6
    assert record.column("learning_rate")[1].tolist() == pytest.approx([0.05] * 6)
    assert len(record.layer_names) == 2
    assert record.facts.source == f"keras on {BACKEND}"
    for source in (history, tmp_path / "log.csv"):
        again = lm.read_record(source)
        np.testing.assert_allclose(again.column("loss")[1], history["loss"], rtol=1e-6)
        np.testing.assert_allclose(again.column("eval_loss")[1], history["val_loss"], rtol=1e-6)


def spoil(where, model, x, y):
    """Make something not finite from the second batch of 32 on; return what stands in for training."""
    if where == "input":
        x[40, 1] = np.nan
    elif where == "target":
        y[40] = np.inf
    elif where == "layer":  # finite itself, too large for what goes in at row 40 only
        x[:, 0] = np.abs(x[:, 0]) * 1e-6
        x[40, 0] = 3e38
        weights = [np.array(w) for w in model.get_weights()]
        weights[0][0, :] = 10.0
        model.set_weights(weights)


@pytest.mark.parametrize(
    ("where", "term", "layer", "sample"),
    [("input", "input", None, 8), ("target", "target", None, 8), ("layer", "activation", "dense", 8)],
)
def test_where_a_number_that_is_not_finite_comes_from_is_named(where, term, layer, sample):
    model = keras_model(1e-3, "softplus")
    x, y = data()
    spoil(where, model, x, y)
    monitor = lm.keras_monitor(live=False)
    with pytest.raises(lm.NonFiniteError) as caught:
        model.fit(x, y, batch_size=32, shuffle=False, verbose=0, callbacks=[monitor])
    found = caught.value.found
    assert (found.step, found.term, found.sample) == (1, term, sample), found
    assert (found.layer is None) == (layer is None)
    assert monitor.record.steps[-1].step == 1
    # The model is as it was, and trains without a monitor.
    assert np.isfinite(keras_model().fit(*data(), verbose=0).history["loss"][0])
    model.set_weights(keras_model().get_weights())
    assert np.isfinite(model.fit(*data(), verbose=0).history["loss"][0])


def test_parameters_that_are_not_finite_are_named_where_the_loss_does_not_show_them():
    x, y = data()
    x[40, 1] = np.nan
    model = keras_model()  # the ReLU of a NaN is 0 on TensorFlow
    with pytest.raises(lm.NonFiniteError) as caught:
        model.fit(x, y, batch_size=32, shuffle=False, verbose=0, callbacks=[lm.keras_monitor(live=False, every=1)])
    found = caught.value.found
    assert found.step == 1
    assert (found.term, found.sample) == ("input", 8) if found.layer is None else found.term == "parameter"


def test_a_fault_of_the_loss_alone_is_told_as_one():
    model = keras_model()
    model.compile("sgd", lambda y, p: keras.ops.log(-keras.ops.abs(p)) + 0 * y)
    with pytest.raises(lm.NonFiniteError, match=r"step 0: loss: is nan"):
        model.fit(*data(), batch_size=32, verbose=0, callbacks=[lm.keras_monitor(live=False)])


def test_at_its_default_every_loss_is_there_and_training_is_the_same():
    ends, losses = [], []
    for watched in (False, True):
        model = keras_model()
        monitor = lm.keras_monitor(live=False)
        callbacks = [monitor] if watched else []
        fitted = model.fit(*data(), batch_size=8, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
        ends.append(model.get_weights())
        losses.append(fitted.history["loss"])
    assert all(np.array_equal(a, b) for a, b in zip(*ends, strict=True))
    steps, values = monitor.record.column("loss")
    assert steps.tolist() == list(range(48))
    np.testing.assert_allclose(values.reshape(4, 12).mean(1), losses[1], rtol=1e-4)
    assert 1 <= sum(bool(s.layers) for s in monitor.record.steps) < 48


def test_a_schedule_of_the_rate_is_told_where_it_is_known():
    model = keras_model(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5))
    monitor = lm.keras_monitor(live=False, every=1)
    model.fit(*data(), batch_size=32, shuffle=False, verbose=0, callbacks=[monitor])
    steps, rates = monitor.record.column("learning_rate")
    # The rate of the step to come: Keras counts a step before it tells of it.
    np.testing.assert_allclose(rates, 0.1 * 0.5 ** (steps + 1.0), rtol=1e-5)
    assert len(rates) >= 2
