"""Modules of ``to_torch``: NumPy's numbers in torch's layouts, dtypes and habits."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import lossmith as lm
from frameworks.torch_cases import EVERY, TorchCase, as_tensors, close

torch = pytest.importorskip("torch")

every = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)


# --- parity -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@every
def test_values_and_gradients_are_numpys(case: TorchCase, dtype: str) -> None:
    rtol = 1e-12 if dtype == "float64" else 1e-5
    case = case.rounded(dtype)
    f, *rest = case.tensors(torch)
    for reduction in ("mean", "sum"):
        x = f.clone().requires_grad_(True)
        value = lm.to_torch(case.loss, reduction)(x, *rest)
        value.backward()
        assert value.dtype == x.grad.dtype == f.dtype
        close(value, case.numpy(f.numpy(), reduction), rtol)
        close(x.grad, case.gradient(f.numpy(), reduction), rtol)


@every
def test_no_gradient_no_graph(case: TorchCase) -> None:
    f, *rest = case.tensors(torch)
    with torch.no_grad():
        value = lm.to_torch(case.loss, "none")(f.requires_grad_(True), *rest)
    assert not value.requires_grad
    close(value, case.numpy(f.detach().numpy(), "none"), 1e-12)


@pytest.mark.parametrize("case", [c for c in EVERY if c.tier == "elementwise"], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_elementwise_values_are_numpys_to_the_bit(case: TorchCase, dtype: str) -> None:
    f, y = case.tensors(torch, getattr(torch, dtype))
    x = f.clone().requires_grad_(True)
    values = lm.to_torch(case.loss, "none")(x, y)
    values.sum().backward()
    want = case.loss.value_and_gradient(y.numpy(), f.numpy())
    assert (values.detach().numpy() == want[0]).all()
    assert (x.grad.numpy() == want[1]).all()


@pytest.mark.parametrize("case", [c for c in EVERY if c.name.endswith("grid")], ids=lambda case: case.name)
def test_per_sample_values_have_the_targets_shape(case: TorchCase) -> None:
    f, y = case.tensors(torch)
    values = lm.to_torch(case.loss, "none")(f, y)
    assert values.shape == (f.shape[0], *f.shape[2:])
    close(values, case.numpy(f.numpy(), "none"), 1e-12)


def test_input_comes_first() -> None:
    high, low = torch.tensor([1.0]), torch.tensor([0.0])
    assert float(lm.to_torch(lm.Quantile(q=0.9))(low, high)) == pytest.approx(0.9)
    assert float(lm.to_torch(lm.Quantile(q=0.9))(high, low)) == pytest.approx(0.1)


def test_one_row_without_a_batch() -> None:
    z, target = torch.tensor([1.0, 0.0, -1.0]), torch.tensor(2)
    criterion = lm.to_torch("cce", "none")
    close(criterion(z, target), torch.nn.functional.cross_entropy(z, target), 1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torchs_own_losses_agree(reduction: str) -> None:
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64)
    F, labels = torch.nn.functional, torch.tensor([0, 2, 1, 1, 0])
    pairs = [
        (lm.MeanSquaredError(), F.mse_loss, y),
        (lm.Huber(delta=1.0), F.huber_loss, y),
        (lm.BinaryCrossEntropy(), F.binary_cross_entropy_with_logits, y),
        (lm.CategoricalCrossEntropy(), F.cross_entropy, labels),
        (lm.CategoricalCrossEntropy(label_smoothing=0.1), lambda *a, **k: F.cross_entropy(*a, label_smoothing=0.1, **k),
         labels),
    ]  # fmt: skip
    for ours, theirs, target in pairs:
        close(lm.to_torch(ours, reduction)(x, target), theirs(x, target, reduction=reduction), 1e-12)


@pytest.mark.parametrize("name", ["huber", "cce", "triplet", "ctc", "dice"])
def test_weights_are_a_weighted_mean(name: str) -> None:
    case = next(c for c in EVERY if c.loss.name == name)
    f, *rest = case.tensors(torch)
    values = case.numpy(f.numpy(), "none")
    weight = np.linspace(0.0, 2.0, values.size).reshape(values.shape)
    x = f.clone().requires_grad_(True)
    found = lm.to_torch(case.loss)(x, *rest, weight=torch.tensor(weight))
    found.backward()
    close(found, case.numpy(f.numpy(), "mean", weight), 1e-12)
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0


# --- CTC ----------------------------------------------------------------------------------------------


def test_ctc_takes_torchs_arguments() -> None:
    T, N, C = 9, 3, 5
    logits = torch.randn(T, N, C, dtype=torch.float64)
    lengths, frames = torch.tensor([2, 3, 1]), torch.tensor([9, 7, 8])
    padded = torch.tensor([[1, 2, 0], [3, 3, 4], [2, 0, 0]])
    flat = torch.tensor([1, 2, 3, 3, 4, 2])
    theirs = torch.nn.functional.ctc_loss(logits.log_softmax(-1), padded, frames, lengths, reduction="none")
    for targets in (padded, flat):
        close(lm.to_torch("ctc", "none")(logits, targets, frames, lengths), theirs, 1e-10)
        close(
            lm.to_torch("ctc")(logits, targets, tuple(frames.tolist()), tuple(lengths.tolist())), theirs.mean(), 1e-10
        )
    torchs_mean = (lm.to_torch("ctc", "none")(logits, padded, frames, lengths) / lengths).mean()
    close(torchs_mean, torch.nn.functional.ctc_loss(logits.log_softmax(-1), padded, frames, lengths), 1e-10)
    close(lm.to_torch("ctc", "none")(logits[:, 0], padded[0, :2]), theirs[0], 1e-10)


def test_ctc_labels_in_a_row_need_their_lengths() -> None:
    logits = torch.zeros(4, 2, 3)
    with pytest.raises(ValueError, match="no target_lengths"):
        lm.to_torch("ctc")(logits, torch.tensor([1, 2, 1]))
    with pytest.raises(ValueError, match="sum to 2"):
        lm.to_torch("ctc")(logits, torch.tensor([1, 2, 1]), None, torch.tensor([1, 1]))


# --- dtypes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@every
def test_half_precision_is_computed_in_single(case: TorchCase, dtype: str) -> None:
    if case.on_simplex:
        pytest.skip("probabilities rounded to half precision do not sum to 1")
    f, *rest = as_tensors(torch, case.mild(), torch.float32)
    half = f.to(getattr(torch, dtype)).requires_grad_(True)
    with torch.autocast("cpu", dtype=getattr(torch, dtype)):
        value = lm.to_torch(case.loss)(half, *rest)
    value.backward()
    assert value.dtype == torch.float32
    assert half.grad.dtype == half.dtype
    assert torch.isfinite(half.grad).all()
    close(value, case.numpy(half.detach().double().numpy()), 1e-5)


def test_half_precision_does_not_overflow() -> None:
    x = torch.full((70_000,), 300.0, dtype=torch.float16)
    assert float(lm.to_torch("mse", "sum")(x, torch.zeros_like(x))) == pytest.approx(70_000 * 300.0**2)


# --- modules ------------------------------------------------------------------------------------------


@every
def test_modules_are_stateless_and_copyable(case: TorchCase) -> None:
    criterion = lm.to_torch(case.loss)
    arguments = case.tensors(torch)
    want = criterion(*arguments)
    assert not criterion.state_dict()
    assert not list(criterion.parameters())
    for twin in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert (twin(*arguments) == want).all()
    assert repr(case.loss) in repr(criterion)


def test_a_weighted_sum_takes_class_indices_on_a_grid() -> None:
    loss = lm.WeightedSum((lm.Dice(class_axis=1, inputs="logits"), "cce"), (1.0, 0.5))
    z, y = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randint(0, 3, (2, 4, 4))
    value = lm.to_torch(loss)(z, y)
    value.backward()
    parts = lm.to_torch(loss.losses[0])(z, y) + 0.5 * torch.nn.functional.cross_entropy(z, y)
    close(value, parts.detach(), 1e-5)
    with pytest.raises(ValueError, match="samples in common"):
        lm.to_torch(loss, "none")


def test_negative_log_likelihood_of_any_distribution_on_cpu_tensors() -> None:
    y, f = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([[0.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    criterion = lm.to_torch(lm.NegativeLogLikelihood("norm"))
    assert torch.autograd.gradcheck(lambda x: criterion(x, y), f.requires_grad_(True))
    with pytest.raises(TypeError, match="NumPy"):
        torch.func.grad(lambda x: criterion(x, y))(f.detach())


def test_refusals_are_one_line() -> None:
    for call, message in (
        (lambda: lm.to_torch(3), "takes a loss or its name"),
        (lambda: lm.to_torch("mse", "batchmean"), "reduction='batchmean'"),
        (lambda: lm.to_torch("mse", gather=True), "compares no samples"),
        (lambda: lm.to_torch("mse")(torch.zeros(3, dtype=torch.int64), torch.zeros(3)), "input first"),
        (lambda: lm.to_torch("mse")(torch.zeros(3, 1), torch.zeros(3)), r"\(3,\).*\(3, 1\)"),
        (lambda: lm.to_torch("cce")(torch.zeros(2, 3), torch.tensor([0, 3])), "holds the label 3"),
        (lambda: lm.to_torch("bce")(torch.zeros(2), torch.tensor([0.0, 2.0])), "y_true holds 2"),
        (lambda: lm.to_torch("mse")(torch.zeros(3), np.zeros(3)), "one library"),
    ):
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_importing_lossmith_imports_no_torch() -> None:
    code = "import sys, lossmith; lossmith.Huber()([0.0], [1.0]); lossmith.to_torch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lossmith\[torch\]'"):
        lm.to_torch("mse")


def test_a_training_loop_lowers_the_loss() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 3)
    labels = (x @ torch.tensor([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]])).argmax(1)
    model = torch.nn.Linear(3, 2)
    criterion, optimizer = lm.to_torch("cce"), torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = criterion(model(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
