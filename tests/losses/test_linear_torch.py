"""Linear cross-entropy on tensors against torch's autograd on all logits, in float64."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.losses import linear_sweep
from lossmith.losses.linear_problem import solve
from lossmith.losses.linear_sweep import Wanted

torch = pytest.importorskip("torch")

from lossmith.frameworks.torch_linear import LinearCrossEntropy, linear_cross_entropy  # noqa: E402
from lossmith.frameworks.torch_linear_sweep import TorchBackend, layer_of, read_tensors  # noqa: E402

D, K, SHAPE = 6, 11, (5, 6)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.2},
    {"class_weights": tuple(np.linspace(0.5, 2, K))},
    {"z_loss": 0.1, "class_weights": tuple(np.linspace(0.5, 2, K)), "label_smoothing": 0.1},
    {"softcap": 1.5, "z_loss": 0.01},
]
settings = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(s) or "plain")
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def tensors(dtype: Any = torch.float64, bias: bool = True) -> list[Any]:
    """Inputs, coefficients and bias that require gradients."""
    torch.manual_seed(3)
    made = [torch.randn(*SHAPE, D), torch.randn(K, D), torch.randn(K) if bias else None]
    return [x if x is None else x.to(dtype).requires_grad_() for x in made]


def labels() -> Any:
    torch.manual_seed(4)
    y = torch.randint(0, K, SHAPE)
    y[0, 1:4] = y[3, 2] = -100
    return y


def sample_weight() -> Any:
    torch.manual_seed(5)
    return torch.rand(SHAPE, dtype=torch.float64) * (torch.arange(6) != 4)


def on_all_logits(inputs: list[Any], reduction: str, weight: Any, **settings: Any) -> Any:
    """The definition, for torch's autograd."""
    loss, (hidden, w, bias), y = lm.LinearCrossEntropy(**settings), inputs, labels().reshape(-1)
    z = torch.nn.functional.linear(hidden, w, bias).reshape(-1, K)
    z = z if loss.softcap is None else loss.softcap * torch.tanh(z / loss.softcap)
    by_class = torch.ones(K) if loss.class_weights is None else torch.tensor(loss.class_weights, dtype=z.dtype)
    spots = torch.nn.functional.one_hot(y.clamp(min=0), K).to(z.dtype)
    c = ((1 - loss.label_smoothing) * spots + loss.label_smoothing / K) * by_class * (y != -100)[:, None]
    lse = z.logsumexp(1, keepdim=True)
    s = torch.ones_like(y, dtype=z.dtype) if weight is None else weight.reshape(-1)
    values = s * (c * (lse - z + loss.z_loss * lse**2)).sum(1)
    if reduction == "none":
        return values.reshape(SHAPE)
    return values.sum() / (1.0 if reduction == "sum" else (s * c.sum(1)).sum())


def gradients(value: Any, inputs: list[Any]) -> list[Any]:
    """Gradients with a factor that differs from value to value."""
    factors = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    return list(torch.autograd.grad((value * factors).sum(), [x for x in inputs if x is not None]))


def close(found: Any, true: Any, rtol: float = 1e-10) -> None:
    true = true.detach().double()
    torch.testing.assert_close(found.detach().double(), true, rtol=rtol, atol=rtol * float(true.abs().max()))


@settings
@reductions
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_agrees_with_autograd_on_all_logits(settings, reduction, bias):
    inputs = tensors(bias=bias)
    for weight in (None, sample_weight()):
        options = {"sample_weight": weight, "reduction": reduction, "chunk_size": 7, **settings}
        value = linear_cross_entropy(*inputs[:2], labels(), inputs[2], **options)
        true = on_all_logits(inputs, reduction, weight, **settings)
        close(value, true)
        for found, expected in zip(gradients(value, inputs), gradients(true, inputs), strict=True):
            close(found, expected)


def test_agrees_with_torch_itself():
    hidden, weight, bias = tensors()
    true = torch.nn.functional.cross_entropy(
        torch.nn.functional.linear(hidden, weight, bias).reshape(-1, K), labels().reshape(-1), label_smoothing=0.1
    )
    close(linear_cross_entropy(hidden, weight, labels(), bias, label_smoothing=0.1), true)


def test_the_comparison_sees_a_small_error():
    """Negative control."""
    inputs = tensors()
    found = gradients(linear_cross_entropy(*inputs[:2], labels(), inputs[2]), inputs)[1]
    true = gradients(on_all_logits(inputs, "mean", None), inputs)[1]
    with pytest.raises(AssertionError):
        close(found * (1 + 1e-8), true)


@settings
@pytest.mark.parametrize("traced", [False, True])
def test_operations_of_torch_give_the_same(settings, traced):
    """The sweep of other devices and dtypes, on float64."""
    hidden, weight, bias = tensors()
    loss = lm.LinearCrossEntropy(ignore_index=-100, **settings)
    problem = read_tensors(loss, labels(), layer_of(loss, hidden, weight, bias), sample_weight(), traced=traced)
    if traced:  # rows that do not count are part of the sweep, with weight 0
        chosen = linear_sweep.Chosen(problem.chosen.targets, None, problem.weight * (problem.measure != 0))
        problem = problem._replace(chosen=chosen)
    value, found = solve(TorchBackend(), problem, Wanted(True, True, True), "sum", 7)
    true_value, true = loss.value_and_gradient(
        labels().numpy(), *(x.detach().numpy() for x in (hidden, weight, bias)), sample_weight().numpy(), "sum"
    )
    if not traced:
        close(value, torch.as_tensor(true_value))
    for mine, expected in zip(found, true, strict=True):
        close(mine, torch.as_tensor(expected), 1e-12)


@settings
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 3e-6), ("bfloat16", 2e-2), ("float16", 3e-3)])
def test_other_dtypes(dtype, bound, settings):
    """Values are float32 in half precision; gradients have the dtype of what they belong to."""
    inputs = tensors(getattr(torch, dtype))
    value = linear_cross_entropy(*inputs[:2], labels(), inputs[2], chunk_size=8, **settings)
    assert value.dtype == torch.float32
    wide = [x.detach().double().requires_grad_() for x in inputs]
    true = on_all_logits(wide, "mean", None, **settings)
    close(value, true, bound)
    for found, expected, x in zip(gradients(value, inputs), gradients(true, wide), inputs, strict=True):
        assert found.dtype == x.dtype
        close(found, expected, bound)


def test_small_gradients_survive_half_precision():
    """Of a loss that is scaled, as gradient scalers do: rounded before they are scaled, they would be 0."""
    inputs = tensors(torch.float16)
    tiny = torch.full(SHAPE, 1e-9)
    value = linear_cross_entropy(*inputs[:2], labels(), inputs[2], sample_weight=tiny, reduction="sum")
    (value * 1e9).backward()
    wide = [x.detach().double().requires_grad_() for x in inputs]
    true = torch.autograd.grad(on_all_logits(wide, "sum", None), wide)
    close(inputs[0].grad, true[0], 2e-2)


def test_many_rows_are_summed_in_float32():
    """In bfloat16, 256 + 1 is 256: 4096 equal rows in chunks of one must not be lost."""
    n = 4096
    hidden, weight = torch.ones(n, 2, dtype=torch.bfloat16), torch.zeros(4, 2, dtype=torch.bfloat16, requires_grad=True)
    linear_cross_entropy(hidden, weight, torch.zeros(n, dtype=torch.int64), reduction="sum", chunk_size=1).backward()
    assert weight.grad[1, 0].item() == n / 4


def test_autocast():
    inputs = tensors(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = linear_cross_entropy(*inputs[:2], labels(), inputs[2])
    true = on_all_logits([x.detach().double().requires_grad_() for x in inputs], "mean", None)
    close(value, true, 2e-2)
    assert {g.dtype for g in gradients(value, inputs)} == {torch.float32}


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_only_what_requires_a_gradient_is_computed(wanted, dtype, monkeypatch):
    inputs, seen = tensors(getattr(torch, dtype)), []
    sweep = linear_sweep.sweep
    monkeypatch.setattr("lossmith.losses.linear_problem.sweep", lambda *a: seen.append(a[4]) or sweep(*a))
    inputs = [x.detach().requires_grad_(flag) for x, flag in zip(inputs, wanted, strict=True)]
    linear_cross_entropy(*inputs[:2], labels(), inputs[2]).backward()
    assert seen == [wanted]
    assert [x.grad is not None for x in inputs] == list(wanted)


def test_without_gradients_there_is_one_product(monkeypatch):
    inputs, seen = tensors(), []
    sweep = linear_sweep.sweep
    monkeypatch.setattr("lossmith.losses.linear_problem.sweep", lambda *a: seen.append(a[4]) or sweep(*a))
    with torch.no_grad():
        value = linear_cross_entropy(*inputs[:2], labels(), inputs[2])
    assert seen == [(False, False, False)]
    assert not value.requires_grad


@reductions
def test_backward_twice_gives_the_same(reduction):
    """Scaling the kept gradients in place would square the factor."""
    inputs = tensors()
    value = 3.0 * linear_cross_entropy(*inputs[:2], labels(), inputs[2], reduction=reduction).sum()
    first = torch.autograd.grad(value, inputs, retain_graph=True)
    first = [g.clone() for g in first]
    for again, true in zip(torch.autograd.grad(value, inputs), first, strict=True):
        close(again, true, 1e-12)


def test_gradients_add_up_in_grad():
    inputs = tensors()
    for _ in range(2):
        linear_cross_entropy(*inputs[:2], labels(), inputs[2]).backward()
    true = torch.autograd.grad(2 * on_all_logits(inputs, "mean", None), inputs)
    for x, expected in zip(inputs, true, strict=True):
        close(x.grad, expected, 1e-12)


def test_the_second_derivative_is_refused_in_one_line():
    inputs = tensors()
    value = linear_cross_entropy(*inputs[:2], labels(), inputs[2])
    first = torch.autograd.grad(value, inputs, create_graph=True)
    for found, true in zip(first, torch.autograd.grad(on_all_logits(inputs, "mean", None), inputs), strict=True):
        close(found, true)
    with pytest.raises(NotImplementedError, match=r"has no second derivative; .* use torch\.nn") as caught:
        first[0].sum().backward()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_all_ignored_costs_nothing(dtype):
    inputs = tensors(getattr(torch, dtype))
    value = linear_cross_entropy(*inputs[:2], torch.full(SHAPE, -100), inputs[2])
    value.backward()
    assert value == 0
    assert all((x.grad == 0).all() for x in inputs)


def test_strides():
    """Transposed and sliced tensors, as tied embeddings and heads of parallel models have them."""
    hidden, weight, bias = tensors()
    true = gradients(on_all_logits([hidden, weight, bias], "mean", None), [hidden, weight, bias])
    turned = weight.detach().T.contiguous().T.requires_grad_()
    wide = torch.zeros(*SHAPE, 2 * D, dtype=torch.float64)
    wide[..., ::2] = hidden.detach()
    sparse = wide[..., ::2].requires_grad_()
    found = gradients(linear_cross_entropy(sparse, turned, labels(), bias), [sparse, turned, bias])
    for mine, expected in zip(found, true, strict=True):
        close(mine, expected)


def test_module():
    inputs = tensors()
    module = LinearCrossEntropy(label_smoothing=0.1, ignore_index=-100, reduction="sum")
    found = module(*inputs[:2], labels(), inputs[2], sample_weight())
    close(found, on_all_logits(inputs, "sum", sample_weight(), label_smoothing=0.1))
    assert not list(module.parameters())
    assert "label_smoothing=0.1" in repr(copy.deepcopy(module))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, in Dynamo
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_compiled_programs(reduction):
    """The whole graph, and the numbers of the program as written."""
    torch._dynamo.reset()
    inputs, weight = tensors(), sample_weight()
    options = {"sample_weight": weight, "reduction": reduction, "chunk_size": 8, **SETTINGS[3], "softcap": 2.0}

    def program(hidden: Any, w: Any, bias: Any) -> Any:
        return linear_cross_entropy(torch.tanh(hidden), w, labels_, bias, **options)

    labels_ = labels()
    value = torch.compile(program, fullgraph=True, backend="aot_eager")(*inputs)
    true = program(*inputs)
    close(value, true)
    for found, expected in zip(gradients(value, inputs), gradients(true, inputs), strict=True):
        close(found, expected)


WIDE = torch.zeros(11, 6, dtype=torch.float64)
BAD: list[tuple[str, type[Exception], dict[str, Any]]] = [
    (r"hidden has shape \(5, 6, 6\) and weight has shape \(11, 5\)", ValueError, {"weight": torch.zeros(11, 5)}),
    (r"bias has shape \(10,\) and weight has shape \(11, 6\)", ValueError, {"bias": torch.zeros(10)}),
    (r"labels has shape \(6,\) and hidden has shape \(5, 6, 6\)", ValueError, {"labels": torch.zeros(6).long()}),
    (r"holds the label 11; accepted are whole numbers 0 ... 10", ValueError, {"labels": torch.full(SHAPE, 11)}),
    (r"labels has dtype torch.float32; give whole-number labels", TypeError, {"labels": torch.zeros(SHAPE)}),
    (r"hidden has dtype torch.int64; give floating-point", TypeError, {"hidden": torch.zeros(5, 6, 6).long()}),
    (r"hidden has dtype torch.float32 and weight has dtype torch.float64", TypeError, {"weight": WIDE}),
    (r"labels is list; give a tensor", TypeError, {"labels": [1, 2]}),
    (r"sample_weight has shape \(5,\)", ValueError, {"sample_weight": torch.ones(5)}),
    (r"sample_weight requires a gradient", ValueError, {"sample_weight": torch.ones(SHAPE, requires_grad=True)}),
    (r"reduction='median' is not accepted", ValueError, {"reduction": "median"}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "error", "change"), BAD, ids=[message[:30] for message, _, _ in BAD])
def test_refusals_are_one_line(message, error, change):
    inputs = {"hidden": torch.zeros(5, 6, 6), "weight": torch.zeros(11, 6), "labels": torch.zeros(SHAPE).long()}
    with pytest.raises(error, match=message) as caught:
        linear_cross_entropy(**{**inputs, **change})
    assert "\n" not in str(caught.value)


def test_half_precision_checks_labels_too():
    hidden, weight, _ = tensors(torch.bfloat16)
    with pytest.raises(ValueError, match=r"labels holds 11; accepted are whole numbers 0 ... 10"):
        linear_cross_entropy(hidden, weight, torch.full(SHAPE, 11))


def test_numpy_points_to_torch():
    hidden, weight, _ = tensors()
    with pytest.raises(TypeError, match=r"X is torch.Tensor; give NumPy arrays \(torch: lossmith.frameworks"):
        lm.LinearCrossEntropy()(labels(), hidden, weight)
