"""Every example in a docstring, in the README and in CONTRIBUTING runs; every public name is documented."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pathlib
import pkgutil
import re

import numpy as np
import pytest

import lossmith as lm

ROOT = pathlib.Path(__file__).parents[2]
OPTIONAL = {"lossmith.ops.tensorflow", "lossmith.ops.keras"}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(lm.__path__, "lossmith.")
    if module.name not in OPTIONAL and not module.name.endswith("__main__")
)


# Packages that are no requirements, by a word in the names of the modules whose examples use them.
PACKAGES = ("torch", "jax", "tensorflow", "keras", "xgboost", "catboost", "lightning", "transformers")
NEEDED = {word: word for word in PACKAGES} | {"huggingface": "torch", "huggingface_callback": "transformers"}


def imported(source: str) -> list[str]:
    """Packages that are no requirements, and that an example imports."""
    lines = re.findall(r">>> import (.*)", source)
    return [name for name in PACKAGES if any(re.search(rf"\b{name}\b", line) for line in lines)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for part, package in NEEDED.items():
        if f".{part}" in name:
            pytest.importorskip(package)
    module = importlib.import_module(name)
    for package in imported(inspect.getsource(module)):
        pytest.importorskip(package)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_a_wrong_example_fails() -> None:
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "control", None, 0)
    result = doctest.DocTestRunner(verbose=False).run(example, out=lambda text: None)
    assert result.failed == 1


# A run takes its time budget: tests/workflow runs these two, and the README shows them.
SLOW = {"run", "predict"}


@pytest.mark.parametrize("name", [name for name in lm.__all__ if name != "__version__" and name not in SLOW])
def test_public_names_are_documented_with_an_example(name: str) -> None:
    documented = inspect.getdoc(getattr(lm, name)) or ""
    assert len(documented.splitlines()) > 3, name
    assert ">>>" in documented, f"{name} shows no example"


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("block", blocks("README.md"))
def test_python_in_the_readme_runs(block: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert block.strip()


def test_the_loss_of_the_contributing_page_keeps_the_laws() -> None:
    from lossmith.core import registry
    from lossmith.core.verify import verify

    scope: dict[str, object] = {"__name__": __name__}
    try:
        exec(compile(blocks("CONTRIBUTING.md")[0], "CONTRIBUTING.md", "exec"), scope)
        loss = lm.get("pseudo_huber_example", d=1.5)
        refuted = [verdict for verdict in verify(loss) if not verdict.held]
        assert not refuted
        residual = np.array([-1e6, -1.0, -1e-9, 0.0, 1e-9, 1.0, 1e6])
        zero = np.zeros_like(residual)
        textbook = 1.5**2 * (np.sqrt(1 + (residual.astype(np.longdouble) / 1.5) ** 2) - 1)
        np.testing.assert_allclose(loss(zero, residual, reduction="none")[[0, 1, 5, 6]], textbook[[0, 1, 5, 6]], 1e-12)
        assert loss.gradient(zero, residual)[4] == pytest.approx(1e-9, rel=1e-12)
    finally:
        registry._classes.pop("pseudo_huber_example", None)
