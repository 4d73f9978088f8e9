"""A LightningModule with a loss of Lossmith: bands around the progression of diabetes, from three pinball losses.

pip install 'lossmith[torch]' lightning
python examples/lightning_module.py
"""

import lightning
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

import lossmith as lm

LEVELS = (0.1, 0.5, 0.9)


class Bands(lightning.LightningModule):
    """A small network with one output for each quantile."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.SiLU(), torch.nn.Linear(32, len(LEVELS)))
        self.criteria = torch.nn.ModuleList(lm.to_torch(lm.Quantile(q=q)) for q in LEVELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict the quantiles."""
        return self.network(x)

    def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the sum of the pinball losses."""
        x, y = batch
        return sum(criterion(column, y) for criterion, column in zip(self.criteria, self(x).unbind(1), strict=True))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        """Return what is minimised."""
        return self.loss(batch)

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        """Log the loss of held-out patients."""
        self.log("held_out_loss", self.loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam with some weight decay."""
        return torch.optim.Adam(self.parameters(), lr=0.01, weight_decay=1e-3)


def main() -> None:
    """Train the network, and print loss and coverage on held-out patients."""
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    x, y = (torch.tensor(a, dtype=torch.float32) for a in load_diabetes(return_X_y=True))
    x, y = x / x.std(0), (y - y.mean()) / y.std()
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, random_state=0)
    test = DataLoader(TensorDataset(x_test, y_test), batch_size=len(x_test))
    model = Bands()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=25, accelerator="cpu", devices=1, **quiet)
    (before,) = trainer.validate(model, test, verbose=False)
    trainer.fit(model, DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True), test)
    (after,) = trainer.validate(model, test, verbose=False)
    with torch.no_grad():
        below = (y_test[:, None] < model(x_test)).float().mean(0)
    print(f"held-out pinball loss  {before['held_out_loss']:.3f} -> {after['held_out_loss']:.3f}")
    for level, share in zip(LEVELS, below, strict=True):
        print(f"below the {level:.0%} quantile: {share:.0%} of held-out patients")


if __name__ == "__main__":
    main()
