"""PyTorch, which is an extra: imported here alone, with an error that says how to install it."""

try:
    import torch
    from torch.autograd.function import once_differentiable
except ModuleNotFoundError as error:
    raise ImportError(
        "clocked neurons need PyTorch, which is not installed; "
        "install the extra \"torch\": pip install 'eventsim-snn[torch]'"
    ) from error

__all__ = ["once_differentiable", "torch"]
