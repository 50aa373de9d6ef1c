"""The nets that are trained: sizes, data and first weights, the same for every contender."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Weights = list[tuple[np.ndarray, np.ndarray]]  # of each layer: w (n_in, n_out) and b (n_out)


@dataclass(frozen=True)
class Workload:
    """One net and how it is trained, by plain SGD in float32.

    Attributes
    ----------
    sizes : tuple of int
        Inputs, units of each hidden layer, outputs.
    rows, batch : int
        Rows of the data and of a batch, which divides them.
    hidden, output : str
        Activations.
    loss : str
        "cross_entropy" with integer labels, or "mse".
    epochs : int
        In a long call of fit.
    rtol : float
        How far losses and weights may be from those of the NumPy twin after `verified` epochs.
    at_least : {contender: number}
        How many times faster than it fastnn must be in a long call.
    """

    sizes: tuple[int, ...]
    rows: int
    batch: int
    output: str = "softmax"
    loss: str = "cross_entropy"
    hidden: str = "relu"
    lr: float = 0.05
    epochs: int = 10
    verified: int = 2
    rtol: float = 1e-3
    at_least: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def steps(self) -> int:
        return self.rows // self.batch

    def __str__(self) -> str:
        return (
            f"{self.name}, {self.hidden}, {self.output}, {self.loss}, SGD, float32: "
            f"{self.rows} rows in batches of {self.batch}, shuffled in each epoch"
        )

    def weights(self) -> Weights:
        """Return the first weights: He's for the layers."""
        rng = np.random.default_rng(1)
        shapes = zip(self.sizes[:-1], self.sizes[1:], strict=True)
        return [
            (rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out)).astype(np.float32), np.zeros(n_out, np.float32))
            for n_in, n_out in shapes
        ]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x (rows, n_in), and labels (rows,) or targets (rows, n_out) that can be learnt only in part."""
        if self.rows == 4 and self.sizes[0] == 2:  # exclusive or
            x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
            return x, np.array([[0], [1], [1], [0]], np.float32)
        rng = np.random.default_rng(2)
        x = rng.normal(size=(self.rows, self.sizes[0])).astype(np.float32)
        linear = x @ rng.normal(0, 1 / np.sqrt(self.sizes[0]), (self.sizes[0], self.sizes[-1]))
        noisy = linear + rng.normal(size=linear.shape)
        return x, noisy.argmax(axis=1) if self.loss == "cross_entropy" else noisy.astype(np.float32)


WORKLOADS = (
    Workload((2, 8, 1), 4, 4, "sigmoid", "mse", epochs=1000, verified=20, at_least={"NumPy": 8}),
    Workload((20, 64, 64, 2), 3200, 32, at_least={"NumPy": 3}),
    Workload((784, 128, 10), 6400, 64, lr=0.01, epochs=5, at_least={"NumPy": 1}),
)
