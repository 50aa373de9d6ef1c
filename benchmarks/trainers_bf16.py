"""Who trains with products in bfloat16, and how much faster than float32 that is to be."""

from collections.abc import Mapping
from typing import Any

from trainers import FastNN, Jax, PyTorch, PyTorchCompiled, Trainer

RTOL = 2e-2  # of losses, against the twin in float32
WEIGHTS_RTOL = 0.1  # of the largest number: first biases are sums of gradients that nearly cancel

PEERS = {"PyTorch compiled bfloat16": 1, "PyTorch autocast bfloat16": 1, "JAX bfloat16": 1}
# By the workload: at least so many times as fast as each of these, with one thread
FASTER: dict[str, Mapping[str, float]] = {
    "784-128-10": {"fastnn float32": 1.4, **PEERS},
    "784-512-512-10": {"fastnn float32": 1.7, **PEERS},
    "1024-1024-1024-10": {"fastnn float32": 1.55, **PEERS},
}


class FastNNInBfloat16(FastNN):
    """``Model(precision="bf16")``."""

    precision = "bf16"


class PyTorchInBfloat16(PyTorch):
    """By hand, under ``torch.autocast``."""

    def value(self, parameters: list[Any], x: Any, t: Any) -> Any:
        with self.torch.autocast("cpu", dtype=self.torch.bfloat16):
            return super().value(parameters, x, t)


class JaxInBfloat16(Jax):
    """Inputs of products in bfloat16, with sums in float32."""

    precision = "bf16"


class PyTorchCompiledInBfloat16(PyTorchCompiled):
    """As ``torch.autocast`` has it: products and what is between them in bfloat16, parameters and loss in float32."""

    def value(self, parameters: list[Any], x: Any, t: Any) -> Any:
        x = x.bfloat16()
        for i in range(0, len(parameters), 2):
            w, b = (parameter.bfloat16() for parameter in parameters[i : i + 2])
            x = self.torch.addmm(b, x, w)
            x = self.hidden(x) if i < len(parameters) - 2 else x.float()
        return self.loss(x, t)


TRAINERS_BF16: dict[str, type[Trainer]] = {
    "fastnn": FastNNInBfloat16, "fastnn float32": FastNN, "PyTorch compiled bfloat16": PyTorchCompiledInBfloat16,
    "PyTorch autocast bfloat16": PyTorchInBfloat16, "JAX bfloat16": JaxInBfloat16,
}  # fmt: skip
