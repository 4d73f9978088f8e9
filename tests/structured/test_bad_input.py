"""One clear line for each thing that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm

X = np.zeros((4, 3))
Z = np.zeros((2, 5, 4))
MASK = np.zeros((2, 6))

BAD = [
    # embeddings
    ("triplet", [0, 0, 1], X, None, "one label for each of the 4 embeddings"),
    ("triplet", [0, 0, 1, 1.5], X, None, "whole numbers"),
    ("triplet", [0, 0, 1, np.nan], X, None, "whole numbers"),
    ("triplet", [0, 0, 1, 1], X[0], None, "one embedding a row"),
    ("triplet", [[0, 1, 4]], X, None, "row 4; the rows of y_pred are 0 to 3"),
    ("triplet", [[0, 1, -1]], X, None, "row -1"),
    ("triplet", [[0, 1]], X, None, "columns anchor, positive, negative"),
    ("triplet", [0, 0, 1, 1], X + np.inf, None, "y_pred holds inf"),
    ("triplet", [0, 0, 1, 1], X + 1e200, None, "y_pred holds 1e"),
    ("triplet", [0, 0, 1, 1], X.astype(np.int8), None, "differences wrap around"),
    ("triplet", [0, 0, 1, 1], X[:, :0], None, "empty"),
    ("triplet", [0, 0, 1, 1], X, [1.0, 1.0], "sample_weight has shape"),
    ("triplet", [0, 0, 1, 1], X, [1.0, 1.0, 1.0, -1.0], "negative, infinite or NaN"),
    ("triplet", [[0, 1, 2]], X, [1.0, 1.0], "sample_weight has shape"),
    ("contrastive", [0, 1], X, None, "one label for each of the 4 embeddings"),
    ("contrastive", [[0, 1, 2]], X, None, "other labels than 0 and 1"),
    ("contrastive", [[0, 5, 1]], X, None, "row 5"),
    ("nt_xent", [0, 1], X, None, "one label for each of the 4 embeddings"),
    ("nt_xent", [[0, 1, 2]], X, None, "one label for each of the 4 embeddings"),
    ("nt_xent", [0, 0, 1, 1], X + 1e200, None, "y_pred holds 1e"),
    ("nt_xent", [0, 0, 1, 1], X, [1.0, 1.0], "sample_weight has shape"),
    ("info_nce", [0, 0, 1, 1], X, None, "columns query, key"),
    ("info_nce", [[0, 4]], X, None, "row 4; the rows of y_pred are 0 to 3"),
    ("info_nce", [[0, 1]], X, [1.0, 1.0], "sample_weight has shape"),
    # sequences
    ("ctc", [[1, 2], [1, 2]], Z[0], None, r"logits \(sequences, frames, classes\)"),
    ("ctc", [[1, 2]], Z, None, r"one row of labels a sequence, \(2, S\)"),
    ("ctc", [[1, 4], [1, 2]], Z, None, r"holds 4 at index \(0, 1\)"),
    ("ctc", [[1, 2], [0, 2]], Z, None, r"except the blank 0"),
    ("ctc", [[1, 2], [-1, 2]], Z, None, "label after the padding -1 in row 1"),
    ("ctc", [[1, 2], [-2, 2]], Z, None, "holds -2"),
    ("ctc", [[1.5, 2], [1, 2]], Z, None, "whole numbers"),
    ("ctc(blank=4)", [[1, 2], [1, 2]], Z, None, "blank=4 but y_pred has 4 classes"),
    ("ctc", lm.CTC.targets([[1, 2], [1, 2]], [3, 1]), Z, None, "target_lengths holds 3 at index 0; there are 2"),
    ("ctc", lm.CTC.targets([[1, 2], [1, 2]], None, [5, 6]), Z, None, "input_lengths holds 6 at index 1"),
    ("ctc", lm.CTC.targets([[1, 2], [1, 2]], [-1, 1]), Z, None, "target_lengths holds -1"),
    ("ctc", lm.CTC.targets([[1, 2], [1, 2]], [1]), Z, None, "one length a sequence"),
    ("ctc", [[1, 2], [1, 2]], Z - np.inf, None, "-inf for every class in frame 0 of sequence 0"),
    ("ctc", [[1, 2], [1, 2]], Z, [1.0], "sample_weight has shape"),
    # masks
    ("dice", MASK[:1], MASK, None, "they must be equal"),
    ("dice", MASK[0], MASK[0], None, "first axis counts samples"),
    ("dice", MASK + 2, MASK, None, "y_true holds 2"),
    ("dice", MASK, MASK - 1, None, "y_pred holds -1"),
    ("dice", MASK + np.nan, MASK, None, "y_true holds nan"),
    ("dice(class_axis=0)", MASK, MASK, None, "whole number other than 0"),
    ("dice(class_axis=2)", MASK, MASK, None, "class_axis=2 is no axis"),
    ("dice(class_axis=-2)", MASK, MASK, None, "class_axis=-2 is no axis"),
    ("dice(class_axis=1)", [6, 0], MASK, None, "holds class 6 at index"),
    ("dice(class_axis=1)", [0, 1, 2], MASK, None, "class indices for y_pred"),
]


@pytest.mark.parametrize(("name", "y", "f", "weight", "words"), BAD, ids=[f"{b[0]}-{b[4][:30]}" for b in BAD])
def test_one_clear_line(name, y, f, weight, words):
    with pytest.raises(ValueError, match=words) as caught:
        lm.get(name)(y, f, weight)
    assert "\n" not in str(caught.value)
    if "whole number other" not in words:
        with pytest.raises(ValueError, match=words):
            lm.get(name).gradient(y, f, weight)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lm.Triplet(margin=-1), "margin=-1 is not accepted; give a finite number >= 0"),
        (lambda: lm.Triplet(distance="manhattan"), "'squared_euclidean' or 'euclidean' or 'cosine'"),
        (lambda: lm.Triplet(selection="easy"), "'all' or 'hard' or 'semi_hard'"),
        (lambda: lm.Triplet(soft=1), "True or False"),
        (lambda: lm.Contrastive(margin=0), "a finite number > 0"),
        (lambda: lm.Contrastive(distance="squared_euclidean"), "'euclidean' or 'cosine'"),
        (lambda: lm.NTXent(temperature=0), "a finite number > 0"),
        (lambda: lm.InfoNCE(symmetric=1), "True or False"),
        (lambda: lm.InfoNCE.given([[0.0]], [1.0]), r"queries \(1, 1\), keys \(1,\)"),
        (lambda: lm.CTC(blank=-1), "a whole number >= 0"),
        (lambda: lm.CTC(infeasible="zero"), "'inf' or 'exclude'"),
        (lambda: lm.Dice(smooth=-1e-6), "a finite number >= 0"),
        (lambda: lm.Dice(inputs="scores"), "'probabilities' or 'logits'"),
        (lambda: lm.Triplet.given([[0.0]], [[1.0]], [1.0]), r"anchor \(1, 1\), positive \(1, 1\), negative \(1,\)"),
        (lambda: lm.Contrastive.given([0, 1], [[0.0]], [[1.0]]), "one label a pair"),
        (lambda: lm.Contrastive.given([2], [[0.0]], [[1.0]]), "other labels than 0 and 1"),
        (lambda: lm.Dice()(MASK, MASK, reduction="average"), "'mean', 'sum' or 'none'"),
        (lambda: lm.Dice().gradient(MASK, MASK, reduction="average"), "'mean', 'sum' or 'none'"),
        (lambda: lm.Dice()(MASK, MASK, broadcast=True), "does not broadcast"),
    ],
)
def test_bad_parameters_and_calls(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("y", [None, ["a", "b", "c", "d"], object()])
def test_what_is_no_array_of_numbers(y):
    with pytest.raises(TypeError):
        lm.Triplet()(y, X)
