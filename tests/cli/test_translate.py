"""``lossmith translate``: code on the screen, and one line for what cannot be translated."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import lossmith as lm
from lossmith.cli.main import _run, app


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["translate", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_code_for_another_library() -> None:
    code = printed("torch.nn.SmoothL1Loss(beta=2)", "--to", "keras")
    assert "loss = lm.to_keras(lm.WeightedSum((lm.Huber(delta=2.0),), (0.5,)))" in code
    names: dict[str, object] = {}
    exec(compile(printed("torch.nn.HuberLoss(delta=2)"), "printed", "exec"), names)
    assert names["loss"] == lm.Huber(delta=2.0)


def test_the_origin_can_be_said() -> None:
    assert "lm.Huber(delta=0.9)" in printed("huber", "--from", "lightgbm")
    assert "lm.Huber()" in printed("huber")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["torch.nn.HubertLoss()", "--to", "keras"], ["did you mean HuberLoss"]),
        (["torch.nn.CTCLoss()", "--to", "keras"], ["divides each value by its target's length"]),
        (["huber", "--to", "tensorflw"], ["targets: lossmith, torch"]),
        (["triplet_margin_loss", "--to", "torch"], ["--from torch"]),
        (["__import__('os').getcwd()"], ["cannot read"]),
        ([], ["lossmith translate --help"]),
        (["dice", "--to", "xgboost"], ["cannot train these learners"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["translate", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    for word in words:
        assert word in said.err


def test_no_framework_is_loaded() -> None:
    """Neither the source's library nor the target's."""
    code = (
        "import sys\nfrom lossmith.cli.main import _run\n"
        "for to in ('torch', 'keras', 'optax', 'xgboost', 'sklearn'):\n"
        "    assert _run(['translate', 'torch.nn.HuberLoss(delta=2)', '--to', to]) == 0\n"
        "print({'torch', 'keras', 'tensorflow', 'jax', 'optax', 'xgboost', 'sklearn'} & set(sys.modules))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()"
