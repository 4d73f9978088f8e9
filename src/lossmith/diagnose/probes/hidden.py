"""Parameters that a PyTorch model uses but does not know of."""

from __future__ import annotations

from typing import Any


def hidden_parameters(model: Any) -> list[Any]:
    """Parameters of modules that a model keeps in plain lists or dictionaries, where no optimiser sees them.

    Parameters
    ----------
    model : torch.nn.Module
        With its registered parts.

    Returns
    -------
    list of torch.nn.Parameter
        Those that ``model.parameters()`` leaves out.
    """
    import torch

    known = {id(p) for p in model.parameters()}
    found: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            for item in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
                if isinstance(item, torch.nn.Module):
                    found |= {id(p): p for p in item.parameters() if id(p) not in known}
                elif isinstance(item, torch.nn.Parameter) and id(item) not in known:
                    found[id(item)] = item
    return list(found.values())
