"""Probes of a Keras model have the numbers of our own network; run on each backend by test_network_patient.py."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import losses
from test_network_patient import dead, examine, ours

from lossmith.diagnose.probes import PROBES
from lossmith.diagnose.probes.keras_patient import KerasPatient
from lossmith.diagnose.probes.keras_slopes import numbers

LOSSES = {
    "regression": losses.mean_squared_error,
    "binary": lambda y, out: losses.binary_crossentropy(y, out, from_logits=True),
    "multiclass": lambda y, out: losses.sparse_categorical_crossentropy(y, out, from_logits=True),
}


def in_keras(patient, rate=0.05, dropout=0.0, optimizer=None):
    made = patient.network.architecture
    layers = [keras.layers.Input((made.inputs,))]
    for size in made.sizes[1:-1]:
        layers.append(keras.layers.Dense(size, made.hidden.name))
        layers += [keras.layers.Dropout(dropout, seed=1)] if dropout else []
    model = keras.Sequential([*layers, keras.layers.Dense(made.outputs)])
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    for layer, pair in zip(dense, made.layers(patient.network.theta), strict=True):
        layer.set_weights(pair)
    optimizer = optimizer or keras.optimizers.SGD(rate)
    return KerasPatient(model, LOSSES[patient.task], patient.task, patient.train, patient.valid, optimizer=optimizer)


def compared(patient, other, only=()):
    only = only or tuple(name for name in PROBES if name not in ("initial_loss", "restarts", "starts", "reach"))
    found = [{k: v for k, v in examine(p, only).items() if not k.startswith("fresh_")} for p in (patient, other)]
    assert found[0].keys() == found[1].keys()
    return found


# float32 there, float64 here: differences of nearly equal numbers, and shares that half precision holds exactly.
LOOSE = {"half_gradients", "half_parameters", "own_mode_gap", "mode_gap", "chance_in_own", "chance_in_eval"}


@pytest.mark.parametrize("task", LOSSES)
def test_a_sound_network_has_the_numbers_that_ours_has(task):
    patient = ours(task)
    a, b = compared(patient, in_keras(patient))
    assert len(a) > 55
    wrong = {k: (a[k], b[k]) for k in a.keys() - LOOSE if b[k] != pytest.approx(a[k], rel=5e-3, abs=5e-3)}
    assert not wrong


@pytest.mark.parametrize(
    ("probe", "name", "faulty", "low", "high"),
    [
        ("line_search", "step_excess", {"rate": 1e-5}, -6.0, -2.5),
        ("symmetry", "twin_units", {"change": lambda theta: theta.fill(0.0)}, 0.99, 1.01),
        ("activity", "dead_max", {"change": dead}, 0.99, 1.0),
        ("depth", "gradient_slope", {"hidden": "sigmoid", "depth": 4}, 0.25, 3.0),
    ],
)
def test_the_same_fault_has_the_same_number(probe, name, faulty, low, high):
    patient = ours(**faulty)
    found = examine(in_keras(patient, faulty.get("rate", 0.05)), (probe,))[name]
    assert low <= found <= high
    assert found == pytest.approx(examine(patient, (probe,))[name], rel=0.02, abs=0.02)


def test_probes_leave_no_trace():
    patient = in_keras(ours(), dropout=0.2, optimizer=keras.optimizers.Adam(0.01))
    patient.stride(*patient.batches[0])
    held = [*patient.model.variables, *patient.optimizer.variables]
    before = [numbers(v) for v in held]
    assert len(examine(patient, ("movement", "line_search", "memorise", "modes"))) > 30
    for variable, value in zip(held, before, strict=True):
        np.testing.assert_array_equal(numbers(variable), value, err_msg=variable.path)
    patient.stride(*patient.batches[0])
    assert any(not np.array_equal(numbers(v), b) for v, b in zip(held, before, strict=True))


def test_frozen_layers_and_batch_norm_are_seen():
    patient = in_keras(ours())
    inner = patient.model.layers
    model = keras.Sequential([keras.layers.Input((5,)), inner[0], keras.layers.BatchNormalization(), inner[-1]])
    model.layers[0].trainable = False
    seen = KerasPatient(model, LOSSES["regression"], "regression", patient.train, patient.valid)
    assert seen.settings().frozen == pytest.approx(2 / 6)
    (found,) = seen.normalisers(patient.train[0])
    assert found.kept_mean.tolist() == [0.0] * 8
    assert found.mean.shape == (8,)
