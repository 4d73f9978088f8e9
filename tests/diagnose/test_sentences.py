"""Every number that a judge knows is told in a plain sentence."""

from __future__ import annotations

import string

import pytest

from lossmith.diagnose.causes import judges
from lossmith.diagnose.probes import PROBES
from lossmith.diagnose.sentences import SENTENCES, told
from lossmith.diagnose.telling import power, power_percent

NAMES = sorted({n for judge in judges().values() for n in judge.scales if not n.startswith("mark.")})  # never told


@pytest.mark.parametrize("name", NAMES)
def test_a_number_of_the_judges_is_told_in_words(name):
    assert name in SENTENCES, f"{name}: add a sentence to lossmith/diagnose/sentences.py"
    line = told(name, 0.5, (0.1, 0.9))
    assert "healthy runs:" in line
    assert not any(sign in line for sign in ("log10", "log2", "{", "_", "\n"))


def test_each_sentence_has_one_place_and_says_something():
    for name, (text, _) in SENTENCES.items():
        places = [field for _, field, _, _ in string.Formatter().parse(text) if field is not None]
        assert places == [""], name
        assert len(text.split()) >= 4, name


def test_sentences_differ():
    texts = [text for name, (text, _) in SENTENCES.items() if name.startswith("probe.")]
    assert len(set(texts)) == len(texts)


def test_sizes_are_told_as_sizes():
    assert [power(v) for v in (-12.0, -3.0, 0.0, 1.0, 4.0, 7.0)] == ["0", "0.001", "1", "10", "10,000", "1e+07"]
    assert power_percent(-3.0) == "0.1 %"
    assert told("probe.covered", 0.25, (1.0, 1.0)) == "the optimiser holds 25 % of the parameters (healthy runs: 100 %)"


def test_an_unknown_number_is_called_by_its_name():
    assert told("probe.new_number", 1.0, (0.0, 2.0)) == "new number is 1 (healthy runs: 0 to 2)"
    assert PROBES
