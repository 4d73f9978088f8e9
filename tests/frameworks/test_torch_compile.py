"""No graph breaks: torch.compile and torch.export of every loss, with the numbers of eager mode."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from frameworks.torch_cases import EVERY, TorchCase

torch = pytest.importorskip("torch")


def _one_of_each() -> Iterator[TorchCase]:
    """One case for each loss, kind of prediction and layout of rows."""
    seen = set()
    for case in EVERY:
        key = (case.loss.name, getattr(case.loss, "inputs", ""), case.f.ndim if case.tier == "row-wise" else 0)
        if key not in seen:
            seen.add(key)
            yield case


CHOSEN = tuple(_one_of_each())
chosen = pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its compiler
        yield


def same(case: TorchCase, criterion: Any, compiled: Any) -> None:
    f, *rest = case.tensors(torch)
    x, z = f.clone().requires_grad_(True), f.clone().requires_grad_(True)
    value, want = compiled(x, *rest), criterion(z, *rest)
    value.backward()
    want.backward()
    torch.testing.assert_close(value, want, rtol=1e-13, atol=0.0)
    scale = float(z.grad.abs().max())
    torch.testing.assert_close(x.grad, z.grad, rtol=1e-12, atol=1e-14 * scale)


@chosen
def test_one_graph(case: TorchCase) -> None:
    criterion = lm.to_torch(case.loss)
    same(case, criterion, torch.compile(criterion, fullgraph=True, backend="aot_eager"))


@pytest.mark.parametrize("name", ["huber", "bce", "cce", "dice"])
def test_inductor(name: str) -> None:
    case = next(c for c in CHOSEN if c.loss.name == name)
    criterion = lm.to_torch(case.loss)
    compiled = torch.compile(criterion, fullgraph=True, backend="inductor")
    try:
        same(case, criterion, compiled)
    except torch._inductor.exc.InductorError as error:
        pytest.skip(f"no C++ compiler: {error}".splitlines()[0])


@pytest.mark.parametrize("name", ["huber", "cce", "triplet", "ctc", "dice"])
def test_dynamic_shapes(name: str) -> None:
    case = next(c for c in CHOSEN if c.loss.name == name)
    compiled = torch.compile(lm.to_torch(case.loss), fullgraph=True, backend="aot_eager", dynamic=True)
    f, *rest = case.tensors(torch)
    assert float(compiled(f, *rest)) == pytest.approx(float(lm.to_torch(case.loss)(f, *rest)))


@chosen
def test_export(case: TorchCase) -> None:
    criterion, arguments = lm.to_torch(case.loss), case.tensors(torch)
    program = torch.export.export(criterion, arguments)
    torch.testing.assert_close(program.module()(*arguments), criterion(*arguments), rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("name", ["huber", "cce"])
def test_methods_compile_too(name: str) -> None:
    case = next(c for c in CHOSEN if c.loss.name == name)
    f, y = case.tensors(torch)
    compiled = torch.compile(lambda y, f: case.loss.gradient(y, f), fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(compiled(y, f).numpy(), case.loss.gradient(case.y, case.f), rtol=1e-12)


def test_weights_and_half_precision_in_one_graph() -> None:
    criterion = lm.to_torch("cce")
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    z, y, w = torch.randn(5, 3).bfloat16(), torch.tensor([0, 1, 2, 0, 1]), torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0])
    torch.testing.assert_close(compiled(z, y, w), criterion(z, y, w))


@pytest.mark.parametrize("label", [3, -1])
def test_what_is_no_label_shows_in_the_loss(label: int) -> None:
    """A traced program cannot raise; a sample that counts for nothing without a word would be worse."""
    z, y = torch.zeros(2, 3), torch.tensor([0, label])
    compiled = torch.compile(lm.to_torch("cce"), fullgraph=True, backend="eager")
    assert torch.isnan(compiled(z, y))
    ignoring = lm.to_torch(lm.CategoricalCrossEntropy(ignore_index=label))
    assert float(torch.compile(ignoring, fullgraph=True, backend="eager")(z, y)) == pytest.approx(np.log(3.0))


def test_a_graph_break_would_be_noticed() -> None:
    def broken(x: Any) -> Any:
        torch._dynamo.graph_break()
        return x + 1

    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(broken, fullgraph=True, backend="aot_eager")(torch.zeros(2))
