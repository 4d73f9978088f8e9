"""Formulas in plain text: nothing of LaTeX is left, and meaning is kept."""

from __future__ import annotations

import pytest

import lossmith as lm
from lossmith.report.formula import unicode

TEXTS = [(loss.name, text) for loss in lm.find() for text in (loss.about.formula, loss.about.gradient)]


@pytest.mark.parametrize(("name", "latex"), TEXTS)
def test_the_whole_catalogue_reads_without_latex(name: str, latex: str) -> None:
    text = unicode(latex)
    assert text
    assert not set(text) & set("\\{}$&"), text
    assert text.count("(") == text.count(")")
    assert text.count("[") == text.count("]")


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{a + b}{c}", "(a + b) / c"),
        (r"\frac{c^2}{6}(1 - u)", "(c² / 6)(1 − u)"),
        (r"\log \frac{P}{Q}", "log (P / Q)"),
        (r"\tfrac12 r^2", "½ r²"),
        (r"e^{-x}", "e^(−x)"),
        (r"x_{i,j}", "x_(i,j)"),
        (r"\sqrt{x^2 + 1}", "√(x² + 1)"),
        (r"\hat{y}", "y\u0302"),
        (r"\left\{ a \right\}", "{ a }"),
        (r"\log\cosh(x)", "log cosh(x)"),
        (r"\text{log-rate}", "log-rate"),
        (r"\unknown{x}", "unknownx"),
        (r"\frac{a}{", "a / ()"),
        ("", ""),
    ],
)
def test_examples(latex: str, text: str) -> None:
    assert unicode(latex) == text
