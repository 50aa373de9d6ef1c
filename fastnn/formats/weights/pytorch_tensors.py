"""Tensors of PyTorch as arrays."""

from __future__ import annotations

from typing import Any

from fastnn.arena import Array
from fastnn.formats.weights.described import as_weights


def array_of(tensor: Any, where: str) -> Array:
    """Return a tensor, or an array, as numbers of NumPy.

    Raises
    ------
    TypeError, ValueError
        For one without numbers, or with others than NumPy has.
    """
    if getattr(tensor, "is_meta", False):
        raise ValueError(
            f"{where} is on device='meta', so it has a shape and no numbers: load the weights first, on device='cpu'"
        )
    several = tensor if isinstance(tensor, (list, tuple)) else [tensor]
    if any(getattr(one, "is_quantized", False) or str(one).startswith("torch.q") for one in several):
        raise TypeError(f"{where} is quantized, expected float32 or float64: pass the module before it was quantized")
    if hasattr(tensor, "detach"):
        try:
            tensor = tensor.detach().cpu()
            if str(tensor.dtype) in ("torch.bfloat16", "torch.float16"):
                tensor = tensor.float()
            tensor = tensor.numpy()
        except (TypeError, ValueError, RuntimeError) as error:  # sparse, 8 bits, not made yet
            raise TypeError(
                f"{where} is no tensor that NumPy can hold, expected a dense one of float32 or float64: "
                f"{str(error)[:200]}"
            ) from error
    return as_weights(tensor, where)
