"""Training loops that people bring along: our losses in Lightning, skorch and Accelerate, as the examples use them."""

from __future__ import annotations

import pathlib
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import lossmith as lm

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Small models on a busy machine: threads that wait for each other cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def line(n: int = 120) -> tuple[Any, Any]:
    """Return a table and a target that a linear model can learn but for outliers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    return x.astype(np.float32), (x @ [1.0, -2.0, 0.5] + rng.standard_t(2, n) * 0.1).astype(np.float32)


# --- Lightning ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_lightning_lowers_the_loss(tmp_path: pathlib.Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Model(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.criterion = torch.nn.Linear(3, 1), lm.to_torch(lm.Huber(delta=0.5))

        def training_step(self, batch: Any, index: int) -> Any:
            return self.criterion(self.layer(batch[0])[:, 0], batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.3)

    data = torch.utils.data.TensorDataset(*map(torch.tensor, line()))
    model = Model()
    before = float(model.training_step(data[:], 0).detach())
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=8, accelerator="cpu", devices=1, default_root_dir=tmp_path, **quiet)
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=32))
    assert float(model.training_step(data[:], 0).detach()) < 0.2 * before
    saved = tmp_path / "model.ckpt"
    trainer.save_checkpoint(saved)
    assert set(torch.load(saved, weights_only=False)["state_dict"]) == {"layer.weight", "layer.bias"}


# --- skorch -------------------------------------------------------------------------------------------


def layer(outputs: int) -> Any:
    return torch.nn.Linear(3, outputs)


def net(kind: Any, outputs: int, **options: Any) -> Any:
    return kind(
        layer,
        module__outputs=outputs,
        criterion=lm.to_torch,
        lr=0.3,
        max_epochs=12,
        batch_size=32,
        train_split=None,
        verbose=0,
        **options,
    )


def test_skorch_trains_regressors_whose_loss_is_a_parameter() -> None:
    skorch = pytest.importorskip("skorch")
    x, y = line()
    model = net(skorch.NeuralNetRegressor, 1, criterion__loss=lm.Huber(delta=0.5))
    model.fit(x, y[:, None])
    losses = model.history[:, "train_loss"]
    assert losses[-1] < 0.3 * losses[0]
    scorer = lm.to_sklearn(lm.Huber(delta=0.5))
    assert scorer(model, x, y[:, None]) == pytest.approx(-losses[-1], rel=0.2)
    again = pickle.loads(pickle.dumps(model))
    assert scorer(again, x, y[:, None]) == scorer(model, x, y[:, None])
    search = GridSearchCV(clone(model), {"criterion__loss": ["mse", "mae"]}, scoring=scorer, cv=2, error_score="raise")
    assert search.fit(x, y[:, None]).best_params_["criterion__loss"] in ("mse", "mae")
    module = skorch.NeuralNetRegressor(layer, module__outputs=1, criterion=lm.to_torch("mae"), verbose=0, max_epochs=1)
    assert clone(module).fit(x, y[:, None]).criterion_.loss == lm.MeanAbsoluteError()


def test_skorch_classifiers_say_how_logits_become_probabilities() -> None:
    skorch = pytest.importorskip("skorch")
    x, y = line()
    labels = (y > 0).astype(np.int64)
    softmax = partial(torch.softmax, dim=1)
    model = net(skorch.NeuralNetClassifier, 2, criterion__loss="cce", predict_nonlinearity=softmax)
    found = cross_val_score(model, x, labels, scoring=lm.to_sklearn("cce"), cv=2, error_score="raise")
    assert (found > -np.log(2) / 2).all()
    untold = net(skorch.NeuralNetClassifier, 2, criterion__loss="cce").fit(x, labels)
    with pytest.raises(ValueError, match="is no distribution"):
        lm.to_sklearn("cce")(untold, x, labels)


# --- Accelerate ---------------------------------------------------------------------------------------


def accelerated(batch: int, steps: int = 12) -> tuple[Any, Any]:
    """Train on 48 weighted rows a step, in batches of some size; return weights and losses."""
    from accelerate import Accelerator

    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    x, y = map(torch.tensor, line(48))
    w = torch.linspace(0.0, 3.0, 48)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y, w), batch_size=batch)
    model = torch.nn.Linear(3, 1)
    model, optimizer, loader = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.2), loader)
    total, losses = lm.to_torch("log_cosh", reduction="sum"), []
    for _ in range(steps):
        value = 0.0
        for features, target, weight in loader:
            loss = total(model(features)[:, 0], target, weight) / w.sum()
            accelerator.backward(loss)
            value += float(loss.detach())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(value)
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]), losses


def test_accelerate_sums_over_batches_equal_one_weighted_mean() -> None:
    pytest.importorskip("accelerate")
    whole, losses = accelerated(48)
    parts, same = accelerated(20)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    assert losses == pytest.approx(same, rel=1e-5)
    assert losses[-1] < 0.6 * losses[0]
