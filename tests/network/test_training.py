"""The loop, the steps, dropout and what is told on the way."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.network import (
    SGD,
    Adam,
    Affine,
    Architecture,
    Cosine,
    EpochEvent,
    Event,
    Exponential,
    Inverse,
    LayerNumbers,
    Network,
    NumpyLearner,
    Objective,
    Plan,
    StartEvent,
    StepEvent,
    Task,
    Training,
    starting_point,
    train,
)
from lossmith.network.activations import HIDDEN
from lossmith.network.progress import Bar

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
Y = np.sin(X[:, 0]) + 0.1 * RNG.normal(size=90)
TASK = Task(lm.MeanSquaredError(), X, Y)


def learner(task: Task = TASK, seed: int = 0, **more: Any) -> NumpyLearner:
    made = Architecture(
        (3, *more.pop("hidden", (8,)), 1), more.pop("activation", "tanh"), dropout=more.pop("dropout", 0.0)
    )
    net = Network(made, made.initial(np.random.default_rng(seed)))
    options = {"optimizer": Adam(), "batch": 20, **more}
    return NumpyLearner(net, Objective(task, **options), np.random.default_rng(seed + 1))


def trained(work: NumpyLearner | None = None, seed: int = 3, **more: Any) -> Training:
    outside = {k: more.pop(k) for k in ("valid", "watch") if k in more}
    plan = Plan(**{"rate": 0.01, "max_epochs": 20, **more})
    return train(work or learner(), plan, np.random.default_rng(seed), **outside)


# --- what trains ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", sorted(HIDDEN))
def test_training_lowers_the_loss(activation: str) -> None:
    found = trained(learner(activation=activation), max_epochs=60)
    assert found.history.train_loss[-1] < 0.7 * found.history.train_loss[0]
    control = trained(learner(Task(lm.MeanSquaredError(), X, Y[np.argsort(X[:, 1])]), activation=activation))
    assert control.history.train_loss[-1] > found.history.train_loss[-1]


def test_the_same_seeds_give_the_same_bits_and_others_do_not() -> None:
    one, same, other = (trained(learner(dropout=0.2), seed=seed).network.theta for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-6


def test_whole_weights_repeat_rows_and_0_leaves_them_out() -> None:
    weight = RNG.integers(0, 3, 90).astype(float)
    rows = np.repeat(np.arange(90), weight.astype(int))
    kept = weight > 0
    tasks = (Task(TASK.loss, X[kept], Y[kept], weight[kept]), Task(TASK.loss, X[rows], Y[rows]), TASK)
    found = [trained(learner(task, batch=task.rows, optimizer=SGD(0.9))).network.theta for task in tasks]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10, atol=1e-13)
    assert np.abs(found[0] - found[2]).max() > 1e-3  # control


def test_class_weights_of_a_loss_count_in_the_mean() -> None:
    y = np.digitize(Y, [-0.3, 0.3])
    loss = lm.CategoricalCrossEntropy(class_weights=(1.0, 5.0, 0.5))
    task = Task(loss, X, y)
    made = Architecture((3, 4, 3), "tanh")
    net = Network(made, made.initial(np.random.default_rng(0)))
    work = NumpyLearner(net, Objective(task, SGD(), batch=90), RNG)
    total, _ = work.evaluate(np.arange(90))
    assert total / 90 == pytest.approx(float(loss(y, net.scores(X))), rel=1e-12)


def test_a_linear_network_without_hidden_layers_finds_least_squares() -> None:
    found = trained(learner(hidden=(), batch=90, optimizer=SGD(0.9)), rate=0.05, max_epochs=400, patience=None)
    ((weights, biases),) = found.network.architecture.layers(found.network.theta)
    right = np.linalg.lstsq(np.c_[X, np.ones(90)], Y, rcond=None)[0]
    np.testing.assert_allclose(np.r_[weights[:, 0], biases], right, atol=1e-8)


def test_penalties_shrink_weights_and_not_biases() -> None:
    far = dataclasses.replace(TASK, y=Y + 5.0)
    options = {"max_epochs": 300, "rate": 0.01, "patience": None}
    free = trained(learner(far), **options).network
    held = trained(learner(far, penalty=lm.L2(10.0)), **options).network
    count = free.architecture.weight_count
    assert np.abs(held.theta[:count]).max() < 0.05 < np.abs(free.theta[:count]).max()
    assert held.scores(X).mean() == pytest.approx((Y + 5.0).mean(), abs=0.2)  # carried by the bias


# --- steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ours",
    [SGD(), SGD(0.9), SGD(0.8, nesterov=True), Adam(), Adam(beta1=0.5, epsilon=1e-3), Adam(decay=0.3)],
    ids=repr,
)
def test_steps_are_torchs(ours: Any) -> None:
    torch = pytest.importorskip("torch")
    theta = np.random.default_rng(0).normal(size=7)
    w, b = (torch.tensor(part, requires_grad=True) for part in (theta[:4], theta[4:]))
    if isinstance(ours, SGD):
        theirs = torch.optim.SGD([w, b], 0.1, momentum=ours.momentum, nesterov=ours.nesterov)
    else:
        groups = [{"params": [w], "weight_decay": ours.decay}, {"params": [b], "weight_decay": 0.0}]
        theirs = torch.optim.AdamW(groups, 0.1, betas=(ours.beta1, ours.beta2), eps=ours.epsilon)
    steps = ours.start(theta, 4)
    for i in range(12):
        gradient = np.cos(theta) * (i + 1)
        w.grad, b.grad = torch.tensor(gradient[:4]), torch.tensor(gradient[4:])
        theirs.step()
        steps.step(theta, gradient.copy(), 0.1)
        np.testing.assert_allclose(theta, np.r_[w.detach(), b.detach()], rtol=1e-12)
    assert not np.allclose(theta, np.random.default_rng(0).normal(size=7))


def test_clipped_gradients_have_the_limit_for_their_norm() -> None:
    limited, free = learner(optimizer=SGD(), clip_norm=1e-3), learner(optimizer=SGD())
    start = free.network().theta
    rows = np.arange(20)
    _, norm = limited.step(rows, 1.0)
    free.step(rows, 1.0)
    moves = [work.network().theta - start for work in (limited, free)]
    assert np.linalg.norm(moves[0]) == pytest.approx(1e-3)
    np.testing.assert_allclose(moves[0] / 1e-3, moves[1] / norm, rtol=1e-9)


@pytest.mark.parametrize("schedule", [Cosine(), Cosine(0.2), Exponential(0.9), Inverse()], ids=repr)
def test_schedules_set_the_rate_of_each_epoch(schedule: Any) -> None:
    found = trained(schedule=schedule, max_epochs=10, patience=None)
    last_step = 4 * 20 / 90
    right = [0.01 * schedule.factor(epoch + last_step, 10) for epoch in range(10)]
    np.testing.assert_allclose(found.history.learning_rate, right, rtol=1e-12)
    assert len(set(right)) == 10


# --- dropout --------------------------------------------------------------------------------------------


def test_dropout_keeps_expectations_and_leaves_out_its_share() -> None:
    """Over many draws of a linear network the mean output is that without dropout; the law's own error is known."""
    made = Architecture((3, 400, 1), "identity", dropout=0.3)
    net = Network(made, made.initial(np.random.default_rng(0)))
    from lossmith.network.passes import Passes

    passes = Passes(net, 1, np.random.default_rng(1))
    outputs = np.array([passes.forward(X[:1])[0, 0] for _ in range(2000)])
    exact = float(net.scores(X[:1])[0, 0])
    error = outputs.std() / math.sqrt(2000)
    assert abs(outputs.mean() - exact) < 4 * error
    assert abs(outputs.mean() * 0.7 - exact) > 4 * error or abs(exact) < 4 * error  # control: unscaled
    mask = passes._masks[0]
    assert set(np.unique(mask)) <= {0.0, 1.0 / 0.7}
    hidden = (X[:1] @ made.layers(net.theta)[0][0])[0] * made.layers(net.theta)[1][0][:, 0]
    assert outputs.var() == pytest.approx(float((hidden**2).sum() * 0.3 / 0.7), rel=0.15)


def test_dropout_is_off_in_prediction_and_has_a_generator_of_its_own() -> None:
    work = learner(dropout=0.5)
    net = work.network()
    np.testing.assert_array_equal(net.scores(X), net.scores(X))
    plain = Network(dataclasses.replace(net.architecture, dropout=0.0), net.theta)
    np.testing.assert_array_equal(net.scores(X), plain.scores(X))
    before = np.random.default_rng(5)
    train(work, Plan(0.01, max_epochs=1), before)
    after = np.random.default_rng(5)
    after.permutation(90)
    assert before.random() == after.random()  # the order's generator was not touched by dropout


# --- when it ends, and with what ------------------------------------------------------------------------


def test_early_stopping_brings_back_the_best_network() -> None:
    noise = np.random.default_rng(9).normal(size=90)
    valid = Task(TASK.loss, X[60:], noise[60:])
    work = learner(Task(TASK.loss, X[:60], noise[:60]), hidden=(64, 64), activation="relu")
    found = trained(work, valid=valid, max_epochs=300, patience=15, rate=0.01)
    losses = found.history.valid_loss
    assert found.status == "early_stopped"
    assert len(losses) == len(found.history) < 300
    assert (
        valid.mean_loss(found.network.scores(valid.X))
        == pytest.approx(found.best_loss)
        == min(found.best_loss, *losses)
    )
    assert losses[-1] > found.best_loss  # control: the last one is not the best
    np.testing.assert_array_equal(work.network().theta, found.network.theta)


@pytest.mark.parametrize("solver", [SGD(), Adam()])
def test_a_huge_rate_ends_with_one_line_and_the_best_network(solver: Any) -> None:
    found = trained(learner(optimizer=solver, activation="relu"), rate=1e4, max_epochs=200)
    assert found.status == "diverged"
    assert "lower the learning rate" in found.message
    assert "\n" not in found.message
    assert np.isfinite(found.network.theta).all()
    assert TASK.mean_loss(found.network.scores(X)) <= TASK.mean_loss(learner(activation="relu").network().scores(X))


def test_a_loss_that_is_not_finite_takes_no_step() -> None:
    bad = X.copy()
    bad[17] = 1e300
    work = learner(Task(TASK.loss, bad, Y), activation="identity", batch=90)
    start = work.network().theta
    told: list[Event] = []
    found = trained(work, watch=told.append)
    assert (found.status, found.steps, found.best_epoch) == ("diverged", 0, 0)
    assert [type(event) for event in told] == [StartEvent, StepEvent]
    assert not math.isfinite(told[1].loss)
    np.testing.assert_array_equal(found.network.theta, start)


def test_the_keyboard_keeps_the_best_network() -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, StepEvent) and event.step == 23:
            raise KeyboardInterrupt

    found = trained(watch=interrupt)
    assert (found.status, len(found.history), found.best_epoch) == ("interrupted", 4, 4)
    assert "interrupted in epoch 5" in found.message
    four = trained(max_epochs=4)
    np.testing.assert_array_equal(found.network.theta, four.network.theta)


def test_time_is_kept_within_an_epoch() -> None:
    found = trained(max_seconds=0.0)
    assert (found.status, found.steps, len(found.history)) == ("time_limit", 1, 0)


def test_convergence_ends_training_and_a_falling_loss_is_said() -> None:
    found = trained(rate=1e-9, max_epochs=50, patience=3)
    assert (found.status, len(found.history), found.message) == ("converged", 3, "")
    short = trained(rate=1e-3, max_epochs=15, patience=5)
    assert short.status == "epoch_limit"
    assert "still falling after 15 epochs" in short.message
    assert not trained(rate=1e-3, max_epochs=15, patience=None).message


# --- what is told ---------------------------------------------------------------------------------------


def test_every_step_and_epoch_is_told_with_true_numbers() -> None:
    steps: list[StepEvent] = []
    epochs: list[EpochEvent] = []
    layers: list[dict[str, LayerNumbers]] = []
    work = learner(hidden=(8, 5), activation="relu", optimizer=SGD())

    def watch(event: Event) -> None:
        if isinstance(event, EpochEvent):
            epochs.append(event)
        if not isinstance(event, StepEvent):
            return
        steps.append(event)
        layers.append(event.layers())
        assert event.sample_losses().mean() == pytest.approx(event.loss)

    found = trained(work, max_epochs=3, watch=watch)
    assert [event.step for event in steps] == list(range(15))
    assert found.steps == 15
    assert [event.step for event in epochs] == [5, 10, 15]
    assert tuple(event.loss for event in epochs) == found.history.train_loss
    assert all(math.isnan(event.valid_loss) for event in epochs)
    for event, numbers in zip(steps, layers, strict=True):
        assert list(numbers) == ["hidden_1", "hidden_2", "output"]
        assert math.hypot(*(n.gradient_norm for n in numbers.values())) == pytest.approx(event.gradient_norm)
        for n in numbers.values():
            assert n.update_norm == pytest.approx(0.01 * n.gradient_norm)
        assert 0.1 < numbers["hidden_1"].zero_share < 0.9
        assert numbers["hidden_1"].dead_share <= numbers["hidden_1"].zero_share
    plain = trained(learner(hidden=(8, 5), activation="relu", optimizer=SGD()), max_epochs=3)
    np.testing.assert_array_equal(plain.network.theta, found.network.theta)  # watching changes nothing


def test_dead_and_saturated_units_are_seen() -> None:
    def numbers(activation: str, bias: float) -> LayerNumbers:
        seen: list[LayerNumbers] = []
        work = learner(activation=activation)
        work._net.architecture.layers(work._net.theta)[0][1][:2] = bias
        trained(
            work,
            max_epochs=1,
            watch=lambda e: seen.append(e.layers()["hidden_1"]) if isinstance(e, StepEvent) else None,
        )
        return seen[0]

    assert numbers("relu", -100.0).dead_share == pytest.approx(2 / 8)
    assert numbers("relu", 0.0).dead_share == 0.0
    for activation in ("tanh", "sigmoid"):
        assert numbers(activation, 100.0).saturated_share >= 2 / 8
        assert numbers(activation, 0.0).saturated_share < 0.1


def test_who_watches_may_stop() -> None:
    found = trained(watch=lambda event: isinstance(event, EpochEvent) and event.epoch == 2)
    assert (found.status, len(found.history)) == ("stopped_by_watch", 2)


def test_a_bar_passes_events_on_and_writes_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    event = EpochEvent(3, 15, 0.5, 0.25, 0.1, 1.0, 6.0)
    with Bar(10, lambda event: True) as bar:
        assert bar(event) is True
        assert Bar(10)(dataclasses.replace(event, seconds=0.1)) is None
    assert capsys.readouterr().err == "epoch 3/10  loss 0.5  held out 0.25\n"


# --- where it starts ------------------------------------------------------------------------------------


def test_initial_weights_keep_the_size_of_what_passes() -> None:
    wide = np.random.default_rng(0).normal(size=(500, 300))
    for activation, low, high in (("relu", 0.7, 1.3), ("identity", 0.7, 1.3), ("tanh", 0.3, 1.0)):
        made = Architecture((300, 300, 300, 300, 300), activation)
        theta = made.initial(np.random.default_rng(1))
        h = wide
        for weights, biases in made.layers(theta)[:-1]:
            assert not biases.any()
            h = h @ weights
            made.hidden.apply(h)
        assert low < math.sqrt((h**2).mean()) < high, activation


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber(delta=0.3)", "quantile(q=0.9)", "tukey", "poisson", "bce", "hinge"]
)
def test_it_starts_at_the_best_constant(loss: str) -> None:
    made = lm.get(loss)
    y = {"poisson": np.round(np.exp(Y)), "bce": (Y > 0.3) * 1.0, "hinge": np.sign(Y - 0.3)}.get(loss, 100 * Y + 7)
    start = starting_point(made, y, None, 1)
    best = float(made(y, np.full(90, start.constant[0])))
    for other in start.constant[0] + np.array([-0.1, -0.01, 0.01, 0.1]) * (np.std(y) or 1):
        assert float(made(y, np.full(90, other))) >= best - 1e-12
    assert (start.affine is None) == (loss in ("poisson", "bce", "hinge"))


def test_wild_targets_do_not_stretch_the_scale() -> None:
    wild = Y.copy()
    wild[:5] = 1e9
    plain, robust = (starting_point(lm.Huber(), y, None, 1).affine or Affine(Y, Y) for y in (Y, wild))
    assert robust.scale[0] < 1.5 * plain.scale[0]
    assert np.std(wild) > 1e8


def test_the_affine_step_can_be_taken_into_the_last_layer() -> None:
    made = Architecture((3, 4, 2), "gelu")
    net = Network(made, made.initial(np.random.default_rng(0)), Affine(np.array([1.0, -2.0]), np.array([3.0, 0.5])))
    np.testing.assert_allclose(net.plain().scores(X), net.scores(X), rtol=1e-12)
    assert np.abs(Network(made, net.theta).scores(X) - net.scores(X)).max() > 0.1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Architecture((3,)), "give inputs, hidden layers and outputs"),
        (lambda: Architecture((3, 0, 1)), "give whole numbers >= 1"),
        (lambda: Architecture((3, 1), "swish"), "'relu', 'tanh', 'gelu'"),
        (lambda: Architecture((3, 1), last="relu"), "last='relu' is not accepted"),
        (lambda: Architecture((3, 1), dropout=1.0), "give a share in"),
        (lambda: SGD(nesterov=True), "needs momentum"),
        (lambda: Adam(beta1=1.0), "beta1=1.0"),
        (lambda: Cosine(1.0), "warmup=1.0"),
        (lambda: learner(Task(lm.WeightedSum(("mse", "cross_entropy")), X, Y)), "sums of one such tier"),
        (lambda: learner(Task(lm.Huber(), X, np.c_[Y, Y])), "one target for each"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        wrong()
    assert "\n" not in str(caught.value)
