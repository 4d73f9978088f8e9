"""Contrastive losses gather across processes: two of them have the gradient of one on the joint batch."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import pytest

import lossmith as lm

torch = pytest.importorskip("torch")
if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
    pytest.skip("this torch has no gloo", allow_module_level=True)

LOSSES = {
    "triplet": {"loss": "triplet", "params": {"distance": "euclidean", "selection": "hard"}},
    "contrastive": {"loss": "contrastive", "params": {"margin": 2.0}},
    "nt_xent": {"loss": "nt_xent", "params": {"temperature": 0.5}},
}

WORKER = """
    import json, os, sys
    import torch, torch.distributed as dist
    import lossmith as lm

    folder, rank, config, sizes, gather, weighted = json.loads(sys.argv[1])
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(sizes))
    data = torch.load(f"{folder}/data.pt")
    start = sum(sizes[:rank])
    here = slice(start, start + sizes[rank])
    model = torch.nn.Linear(3, 2, bias=False).double()
    model.weight.data = data["w"]
    model = torch.nn.parallel.DistributedDataParallel(model)
    criterion = lm.to_torch(lm.from_config(config), gather=gather)
    weight = data["weight"][here] if weighted else None
    value = criterion(model(data["x"][here]), data["y"][here], weight)
    value.backward()
    torch.save((value.detach(), model.module.weight.grad), f"{folder}/found{rank}.pt")
    dist.barrier()
    os._exit(0)  # gloo's threads can outlive the interpreter, and then abort it
"""


def data() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    w = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 2, 1, 2, 0, 1])
    return {"x": x, "w": w, "y": y, "weight": torch.linspace(0.5, 2.0, 8, dtype=torch.float64)}


def on_processes(folder: pathlib.Path, config: Any, sizes: list[int], gather: bool, weighted: bool) -> list[Any]:
    torch.save(data(), folder / "data.pt")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    workers = []
    for rank in range(len(sizes)):
        settings = json.dumps([str(folder), rank, config, sizes, gather, weighted])
        command = [sys.executable, "-c", textwrap.dedent(WORKER), settings]
        workers.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for worker in workers:
        said = worker.communicate(timeout=120)[1]
        assert worker.returncode == 0, said
    return [torch.load(folder / f"found{r}.pt") for r in range(len(sizes))]


def alone(config: Any, weighted: bool) -> tuple[Any, Any]:
    given = data()
    w = given["w"].requires_grad_(True)
    criterion = lm.to_torch(lm.from_config(config))
    value = criterion(given["x"] @ w.T, given["y"], given["weight"] if weighted else None)
    value.backward()
    return value.detach(), w.grad


@pytest.mark.parametrize(
    ("name", "sizes", "weighted"),
    [("triplet", [4, 4], False), ("contrastive", [5, 3], True), ("nt_xent", [5, 3], False)],
)
def test_two_processes_have_the_gradient_of_the_joint_batch(
    tmp_path: pathlib.Path, name: str, sizes: list[int], weighted: bool
) -> None:
    config = LOSSES[name]
    value, gradient = alone(config, weighted)
    for found, slope in on_processes(tmp_path, config, sizes, True, weighted):
        torch.testing.assert_close(found, value, rtol=1e-13, atol=0.0)
        torch.testing.assert_close(slope, gradient, rtol=1e-12, atol=1e-14)


def test_without_gathering_the_gradient_is_another(tmp_path: pathlib.Path) -> None:
    config = LOSSES["contrastive"]
    _, gradient = alone(config, False)
    for _, slope in on_processes(tmp_path, config, [4, 4], False, False):
        assert (slope - gradient).abs().max() > 1e-3 * gradient.abs().max()


def test_without_a_process_group_gathering_changes_nothing() -> None:
    given = data()
    embeddings = given["x"] @ given["w"].T
    criterion = lm.to_torch("triplet", gather=True)
    assert criterion(embeddings, given["y"]) == lm.to_torch("triplet")(embeddings, given["y"])
    assert "gather=True" in repr(criterion)
