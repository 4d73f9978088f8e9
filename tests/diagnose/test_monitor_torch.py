"""The monitor of a PyTorch loop, against norms and shares computed by hand."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import lossmith as lm  # noqa: E402
from lossmith.diagnose.monitors import torch_hook  # noqa: E402
from lossmith.diagnose.monitors.torch_gauge import Gauge, norms  # noqa: E402


def data(n=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator)
    return x, (x[:, :1] > 0).float()


def network(*middle, seed=1):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(5, 8), *(middle or (torch.nn.ReLU(),)), torch.nn.Linear(8, 1))


def train(model, steps=5, *, seen=None, lr=0.1, x=None, y=None, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    if x is None:
        x, y = data()
    with lm.TorchMonitor(model, optimizer, live=False, **options) as monitor:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            before = [p.detach().clone() for p in model.parameters()]
            optimizer.step()
            if seen is not None:
                seen.append((loss.item(), [p.grad.clone() for p in model.parameters()], before))
            monitor.step(loss)
    return monitor


def norm(tensors):
    return math.sqrt(sum(float((t.double() ** 2).sum()) for t in tensors))


def test_norms_of_every_step_and_layer_are_those_computed_by_hand():
    model, seen = network(), []
    record = train(model, steps=4, seen=seen, every=1).record
    after = [*(before for _, _, before in seen[1:]), [p.detach() for p in model.parameters()]]
    for step, (loss, gradients, before), now in zip(record.steps, seen, after, strict=True):
        moved = [a - b for a, b in zip(now, before, strict=True)]
        assert step.loss == pytest.approx(loss)
        assert step.learning_rate == 0.1
        assert step.grad_norm == pytest.approx(norm(gradients), rel=1e-5)
        assert step.parameter_norm == pytest.approx(norm(now), rel=1e-5)
        assert step.update_norm == pytest.approx(norm(moved), rel=1e-5)
        assert tuple(step.layers) == ("0", "1", "2")
        assert step.layers["2"].gradient_norm == pytest.approx(norm(gradients[2:]), rel=1e-5)
        assert step.layers["0"].update_norm == pytest.approx(norm(moved[:2]), rel=1e-5)
        assert step.layers["1"].gradient_norm is None


def test_activation_shares_are_those_computed_by_hand():
    model = network()
    with torch.no_grad():
        model[0].bias[:3] = -100.0  # three units that no sample can wake
        hidden = torch.relu(model[0](data()[0]))
    layer = train(model, steps=1).record.steps[0].layers["1"]
    assert layer.zero_share == pytest.approx(float((hidden == 0).double().mean()))
    assert layer.dead_share == pytest.approx(3 / 8)
    assert layer.activation_mean == pytest.approx(float(hidden.mean()), rel=1e-5)
    assert layer.activation_std == pytest.approx(float(hidden.std(correction=0)), rel=1e-5)


def test_saturated_means_a_slope_below_a_twentieth_of_the_steepest():
    x, y = data()
    for function in (torch.nn.Sigmoid(), torch.nn.Tanh()):
        model = network(function)
        with torch.no_grad():
            model[0].weight *= 10
        inner = model[0](x).detach().requires_grad_()
        function(inner).sum().backward()
        steepest = 0.25 if isinstance(function, torch.nn.Sigmoid) else 1.0
        expected = float((inner.grad < 0.05 * steepest).double().mean())
        assert 0.1 < expected < 0.95
        layer = train(model, steps=1, x=x, y=y).record.steps[0].layers["1"]
        assert layer.saturated_share == pytest.approx(expected, abs=0.005)


def test_activation_functions_that_are_no_modules_are_seen_too():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(5, 8), torch.nn.Linear(8, 1)

        def forward(self, x):
            return torch.sigmoid(self.b(torch.relu(self.a(x)).reshape(-1, 8)))

    torch.manual_seed(0)
    model = Net()
    expected = float((torch.relu(model.a(data()[0])) == 0).double().mean())
    step = train(model, steps=1).record.steps[0]
    assert tuple(step.layers) == ("a", "a.relu", "b", "b.sigmoid")
    assert step.layers["a.relu"].zero_share == pytest.approx(expected)
    assert 0 < step.metrics["output_min"] < step.metrics["output_max"] < 1


def test_watching_changes_nothing():
    def end(watched):
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(8), network()[2])
        if watched:
            train(model, steps=6, every=1)
        else:
            optimizer, (x, y) = torch.optim.SGD(model.parameters(), lr=0.1), data()
            for _ in range(6):
                optimizer.zero_grad()
                torch.nn.functional.binary_cross_entropy_with_logits(model(x), y).backward()
                optimizer.step()
        return model.state_dict()

    plain, watched = end(False), end(True)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_an_optimiser_that_is_not_stepped_shows():
    model = network()
    x, y = data()
    with lm.TorchMonitor(model, torch.optim.SGD(model.parameters(), lr=0.1), every=1, live=False) as monitor:
        for _ in range(3):
            model.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            monitor.step(loss)
    assert [s.update_norm for s in monitor.record.steps] == [0.0] * 3
    assert all(s.grad_norm > 0 for s in monitor.record.steps)


def test_norm_layers_in_the_wrong_mode_show():
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
    assert train(model, steps=1).record.steps[0].metrics["norm_in_eval"] == 0.0
    model.eval()
    assert train(model, steps=1).record.steps[0].metrics["norm_in_eval"] == 1.0


def test_facts_are_found_out():
    facts = train(network(), steps=1).record.facts
    assert (facts.optimizer, facts.framework, facts.precision, facts.batch_size) == ("SGD", "torch", "float32", 64)
    assert facts.loss == "bce_with_logits"
    assert facts.input_std_max == pytest.approx(float(data()[0].std(0, correction=0).max()), rel=1e-5)


def test_hooks_are_gone_in_the_end():
    model = network()
    train(model, every=1)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_copies_and_saved_models_do_not_carry_the_monitor(tmp_path):
    model = network()
    x, _ = data()
    with lm.TorchMonitor(model, torch.optim.SGD(model.parameters(), lr=0.1), every=1, live=False) as monitor:
        twin = copy.deepcopy(model)
        torch.save(model, tmp_path / "model.pt")
        back = torch.load(tmp_path / "model.pt", weights_only=False)
        expected = model(x)
        seen = monitor.record.total
        for other in (twin, back):
            assert torch.equal(other(x), expected)
        assert monitor.record.total == seen
        hooks = [hook for module in twin.modules() for hook in module._forward_hooks.values()]
        assert hooks
        assert all(hook is torch_hook.deaf for hook in hooks)


# --- numbers that are not finite ------------------------------------------------------------------------------


def stopped(model, steps=5, poison=None, criterion=None, **options):
    x, y = data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = lm.TorchMonitor(model, optimizer, live=False, **options)

    def loop():
        with monitor:
            for i in range(steps):
                optimizer.zero_grad()
                output = model(poison(x, i) if poison else x)
                loss = (criterion or torch.nn.functional.binary_cross_entropy_with_logits)(output, y)
                loss.backward()
                optimizer.step()
                monitor.step(loss)

    with pytest.raises(lm.NonFiniteError) as caught:
        loop()
    return caught.value.found, monitor, model


def test_a_bad_input_is_named_before_it_spoils_the_parameters():
    def poison(x, i):
        if i == 3:
            x = x.clone()
            x[17, 2] = math.nan
        return x

    found, monitor, model = stopped(network(), poison=poison)
    assert (found.step, found.term, found.sample) == (3, "input", 17)
    assert str(found) == "step 3: input, sample 17: argument 0 of the model holds 1 NaN of 320"
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert monitor.record.steps[-1].step == 3
    assert not math.isfinite(monitor.record.steps[-1].grad_norm)
    assert monitor.record.notes == (f"first number that is not finite: {found}",)


class Root(torch.nn.Module):
    def forward(self, x):
        return torch.sqrt(x)


@pytest.mark.parametrize("every", [1, None])
def test_the_first_bad_layer_is_named_and_not_those_after_it(every):
    model = network(torch.nn.Linear(8, 8), Root(), torch.nn.Linear(8, 8), torch.nn.ReLU())
    found, _, _ = stopped(model, every=every)
    assert (found.step, found.term, found.layer) == (0, "activation", "2")


def test_one_bad_sample_in_a_layer_is_named():
    class Log(torch.nn.Module):
        def forward(self, x):
            return torch.log(x)

    model = torch.nn.Sequential(Log(), torch.nn.Linear(5, 1))

    def poison(x, i):
        x = x.abs() + 1
        if i == 2:
            x[40] = -1.0
        return x

    found, _, _ = stopped(model, poison=poison)
    assert (found.step, found.term, found.layer, found.sample) == (2, "activation", "0", 40)


def test_a_gradient_that_explodes_on_its_way_back_is_named():
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * math.inf

    class Trap(torch.nn.Module):
        def forward(self, x):
            return Steep.apply(x)

    found, _, _ = stopped(network(Trap()))
    assert (found.step, found.term, found.layer) == (0, "gradient", "0")


def test_a_loss_with_an_infinite_slope_at_one_sample_is_named():
    def criterion(output, y):
        return (output - output.detach() + torch.arange(64.0)[:, None]).sqrt().mean()

    found, _, _ = stopped(network(), criterion=criterion)
    assert (found.step, found.term, found.sample) == (0, "loss", 0)
    assert found.detail == "its gradient at the model's output holds 1 inf of 64"


def test_the_term_and_the_sample_of_the_loss_are_named():
    monitor = lm.TorchMonitor(network(), live=False)
    monitor.step(1.0, terms={"fit": 1.0, "penalty": 0.0})
    losses = np.array([1.0, 2.0, math.nan])
    with pytest.raises(lm.NonFiniteError) as caught:
        monitor.step(math.nan, terms={"fit": 1.0, "penalty": math.inf}, samples=losses)
    found = caught.value.found
    assert (found.step, found.term, found.sample) == (1, "penalty", 2)
    monitor.close()


def test_warn_goes_on_and_ignore_is_silent():
    model = network(Root())
    with pytest.warns(RuntimeWarning, match=r"not finite at step 0: activation of layer '1'"):
        warned = train(model, steps=3, nan="warn")
    assert warned.record.total == 3
    assert train(network(Root()), steps=3, nan="ignore").record.notes == ()


def test_looking_for_the_fault_leaves_buffers_and_random_numbers_alone():
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), Root())
    monitor = lm.TorchMonitor(model, live=False)
    model(data()[0])
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    assert monitor._looks.search(0).layer == "3"
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    monitor.close()


# --- smaller things -------------------------------------------------------------------------------------------


def test_per_sample_losses_are_summed_up():
    losses = torch.tensor([1.0] * 199 + [801.0])
    monitor = lm.TorchMonitor(network(), live=False)
    monitor.step(losses)
    step = monitor.record.steps[0]
    assert step.loss == pytest.approx(5.0)
    assert step.samples["top1_share"] == pytest.approx(802 / 1000)
    assert (step.samples["max"], step.samples["median"], step.samples["reservoir_max"]) == (801.0, 1.0, 801.0)
    monitor.close()


def test_held_out_figures_get_their_prefix():
    monitor = lm.TorchMonitor(network(), live=False)
    monitor.step(1.0, accuracy=0.5)
    monitor.evaluate(0.75, accuracy=0.25)
    assert monitor.record.column("eval_loss")[1].tolist() == [0.75]
    assert monitor.record.column("eval_accuracy")[0].tolist() == [0]
    assert monitor.record.column("accuracy")[1].tolist() == [0.5]
    monitor.close()


def test_norms_do_not_overflow():
    assert norms([torch.full((4,), 1e30)]) == [pytest.approx(2e30, rel=1e-6)]
    assert norms([torch.full((4,), 60000.0, dtype=torch.float16), torch.ones(1, dtype=torch.float64)])[1] == 1.0
    assert math.isinf(norms([torch.tensor([math.inf])])[0])


def test_shared_parameters_count_once():
    layer = torch.nn.Linear(3, 3)
    assert len(Gauge(torch.nn.Sequential(layer, layer)).parameters) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"watch": "some"}, "watch='some': give 'all' or 'loss'"),
        ({"nan": "halt"}, "nan='halt': give one of stop, warn, ignore"),
        ({"every": 0}, "every=0: give the number of steps"),
        ({"budget": -1.0}, r"budget=-1.0: give the largest share"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        lm.TorchMonitor(network(), **options)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((None,), {}, "the model is NoneType"),
        ((torch.optim.SGD([torch.zeros(1)], lr=0.1), torch.nn.Linear(1, 1)), {}, "the model is SGD"),
        ((torch.nn.Linear(1, 1), "sgd"), {}, "takes the optimizer itself, not str"),
        (
            (torch.nn.Linear(1, 1),),
            {"pth": "run.jsonl"},
            "no option is called 'pth'; give facts, limit, live, nan, path",
        ),
    ],
)
def test_what_makes_no_monitor_is_one_line(given, options, message):
    with pytest.raises(TypeError, match=message):
        lm.TorchMonitor(*given, **options)


def test_a_loss_may_be_any_number_and_nothing_else():
    with lm.TorchMonitor(network(), live=False) as monitor:
        for loss in (np.float32(0.5), np.float64(0.5), 0.5, torch.tensor(0.5)):
            monitor.step(loss)
        for other in (None, "0.5", [0.5]):
            with pytest.raises(TypeError, match="step takes the loss as a tensor or a number"):
                monitor.step(other)
    assert monitor.record.column("loss")[1].tolist() == [0.5] * 4


def test_steps_after_the_end_are_left_out_and_said_so():
    torch.manual_seed(0)
    model, (x, y) = network(), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor = lm.TorchMonitor(model, optimizer, live=False)

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        monitor.step(loss)

    for _ in range(3):
        step()
    monitor.close()
    monitor.close()
    with pytest.warns(UserWarning, match="is closed: this step is not recorded"):
        step()
    monitor.at(7)
    with pytest.warns(UserWarning, match="make a new one"):
        step()
    monitor.close()
    assert monitor.record.total == 3
