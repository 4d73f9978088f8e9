"""What a model can reach, whether it bends, what right outputs cost, and a learner of another kind."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lossmith.diagnose.probes import TorchPatient, examine  # noqa: E402
from lossmith.diagnose.symptoms.probed import probed  # noqa: E402

nn, F = torch.nn, torch.nn.functional

ENDS = {
    "free": lambda: nn.Identity(),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "clamp": lambda: nn.Hardtanh(-0.5, 0.5),
    "softplus": nn.Softplus,
    "log-sigmoid": nn.LogSigmoid,
    "relu": nn.ReLU,
}
LOSSES = {
    "squared": lambda out, y: (out - y) ** 2,
    "huber": lambda out, y: F.smooth_l1_loss(out, y, reduction="none"),
    "percentage": lambda out, y: (out - y).abs() / (y.abs() + 0.01),
    "cross-entropy": lambda out, y: F.cross_entropy(out, y, reduction="none"),
    "smoothed": lambda out, y: F.cross_entropy(out, y, reduction="none", label_smoothing=0.1),
    "twice": lambda out, y: F.cross_entropy(torch.softmax(out, 1), y, reduction="none"),
    "no logarithm": lambda out, y: F.nll_loss(out, y, reduction="none"),
}


def patient(task="regression", loss="squared", end="free", activation=nn.Tanh, noise=0.1, classes=3):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    z = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + noise * rng.normal(size=300)
    many = 1 if task == "regression" else classes
    y = z.astype(np.float32) if task == "regression" else np.digitize(z, [-0.5, 0.5])
    layers = [nn.Linear(4, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, many), ENDS[end]()]
    model = nn.Sequential(*layers, *([nn.Flatten(0)] if many == 1 else []))
    return TorchPatient(model, LOSSES[loss], task, (x[:200], y[:200]), (x[200:], y[200:]))


@pytest.mark.parametrize("end", ENDS)
def test_an_output_that_is_confined_cannot_reach_the_targets(end):
    numbers = examine(patient(end=end), ("reach",))
    assert (numbers["targets_beyond"] > 0.02) == (end != "free")
    assert (probed("LM-OUTPUT", numbers) is not None) == (end != "free")


@pytest.mark.parametrize("end", ENDS)
def test_raw_scores_must_take_both_signs_and_any_size(end):
    numbers = examine(patient("multiclass", "cross-entropy", end), ("reach", "loss_shape", "carriers"))
    assert (numbers["reach_growth"] < 0.3) == (end in ("sigmoid", "tanh", "clamp"))
    assert (numbers["reach_one_side"] == 1.0) == (end in ("sigmoid", "softplus", "log-sigmoid", "relu"))
    assert (probed("LM-OUTPUT", numbers) is not None) == (end != "free")


@pytest.mark.parametrize(
    ("task", "loss", "wrong"),
    [
        ("regression", "squared", False),
        ("regression", "huber", False),
        ("regression", "percentage", True),
        ("multiclass", "cross-entropy", False),
        ("multiclass", "smoothed", False),
        ("multiclass", "twice", True),
        ("multiclass", "no logarithm", True),
    ],
)
def test_right_outputs_tell_what_a_loss_has_in_mind(task, loss, wrong):
    numbers = examine(patient(task, loss), ("asked", "reach", "loss_shape", "carriers"))
    assert (probed("LM-OUTPUT", numbers) is not None) == wrong


@pytest.mark.parametrize(("activation", "straight"), [(nn.Tanh, False), (nn.ReLU, False), (nn.Identity, True)])
def test_layers_with_nothing_between_them_are_one_straight_line(activation, straight):
    numbers = examine(patient(activation=activation), ("straight", "activity", "sizes"))
    assert (numbers["bend"] < -4.0) == straight
    seen = probed("LM-PLATEAU", numbers)
    assert (seen is not None and "straight line" in seen.evidence) == straight


def test_another_learner_finds_what_the_rows_hold_and_nothing_in_noise():
    assert examine(patient(), ("yardstick",))["yardstick"] > 0.5
    assert examine(patient(noise=100.0), ("yardstick",))["yardstick"] < 0.1
    assert examine(patient("multiclass", "cross-entropy"), ("yardstick",))["yardstick"] > 0.5


def test_columns_that_are_gone_and_rows_that_are_copies_are_counted():
    sound = patient()
    x, y = sound.train
    held = sound.valid[0].copy()
    held[:, :2] = 0.0
    copies = [(np.repeat(x[:2], 16, 0), np.repeat(y[:2], 16))] * 4
    other = TorchPatient(sound.model, sound.loss, "regression", sound.train, (held, sound.valid[1]), batches=copies)
    before, after = examine(sound, ("split", "order")), examine(other, ("split", "order"))
    assert before["columns_gone"] == 0.0
    assert after["columns_gone"] == 0.5
    assert before["batch_different"] == before["batch_size"]
    assert after["batch_different"] == 1.0
    assert probed("LM-DISAGREE", after) is not None
    assert probed("LM-OSCILLATE", after) is not None
    assert probed("LM-OSCILLATE", before) is None


class Listed(nn.Module):
    """Hidden layers in a plain list."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.last = nn.Linear(4, 16), nn.Linear(16, 1)
        self.hidden = kind([nn.Linear(16, 16), nn.Linear(16, 16)])

    def forward(self, x):
        x = torch.tanh(self.first(x))
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        return self.last(x).flatten()


@pytest.mark.parametrize(("kind", "seen"), [(nn.ModuleList, False), (list, True), (tuple, True)])
def test_layers_in_a_plain_list_are_seen_by_no_optimiser(kind, seen):
    model, sound = Listed(kind), patient()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    made = TorchPatient(model, sound.loss, "regression", sound.train, sound.valid, optimizer=optimizer)
    numbers = examine(made, ("movement",))
    assert (numbers["covered"] < 1.0) == seen
    assert (probed("LM-FROZEN", numbers) is not None) == seen


@pytest.mark.parametrize(("share", "seen"), [(1.0, False), (0.3, False), (1e-4, True)])
def test_layers_with_a_rate_of_their_own_are_left_behind(share, seen):
    sound = patient()
    *body, a, b = list(sound.model.parameters())
    groups = [{"params": [a, b]}, {"params": body, "lr": 1e-2 * share}]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    made = TorchPatient(sound.model, sound.loss, "regression", sound.train, sound.valid, optimizer=optimizer)
    numbers = examine(made, ("movement",))
    assert (numbers["left_behind"] > 0.2) == seen
    assert (probed("LM-FROZEN", numbers) is not None) == seen
