"""The nets that are trained: sizes, data and first weights, the same for every contender."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

# Of each layer w (n_in, n_out) and b (n_out), or None: normalization of a batch takes away what a bias adds
Weights = list[tuple[np.ndarray, np.ndarray | None]]

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # of Adam, for everybody


@dataclass(frozen=True)
class Workload:
    """One net and how it is trained.

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
    optimizer : str
        "sgd" without momentum, or "adam".
    normalization : str
        Of what a hidden layer gives, before its activation: "batch", "layer", or none.
    dropout : float
        The rate behind hidden layers. Libraries draw other numbers: results are compared without it.
    epochs : int
        In a call of fit.
    shuffled : bool
        Whether each epoch visits the rows in a new order, and so gathers them.
    published : int
        Other people's figures are for so many epochs: the seconds for as many are printed, too. 0 for none.
    verified : int
        After so many epochs losses and weights are compared with those of the NumPy twin.
    rtol, weights_rtol : float
        How far the losses, and the weights of each layer, may be from them. Adam makes steps of equal length from
        gradients of any size, and so large differences from roundings where a gradient almost vanishes.
    at_least : {contender: number}
        How many times faster than it fastnn must be, with one thread.
    share : float
        Of the FMA peak that the products of a step must reach, with one thread.
    speed_up : float
        That two threads must bring.
    precision : str
        Of the products, whose sums are float32.
    """

    sizes: tuple[int, ...]
    rows: int
    batch: int
    output: str = "softmax"
    loss: str = "cross_entropy"
    hidden: str = "relu"
    optimizer: str = "sgd"
    normalization: str = ""
    dropout: float = 0.0
    lr: float = 0.05
    epochs: int = 10
    shuffled: bool = True
    published: int = 0
    verified: int = 1
    rtol: float = 1e-3
    weights_rtol: float = 1e-3
    at_least: Mapping[str, float] = field(default_factory=dict)
    share: float = 0.0
    speed_up: float = 0.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.rows % self.batch:
            raise ValueError(f"Workload: {self.rows} rows, expected a multiple of the batch, which is {self.batch}")

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes)) + (f" {self.normalization} norm" if self.normalization else "")

    @property
    def steps(self) -> int:
        """The number of steps in an epoch."""
        return self.rows // self.batch

    @property
    def flops(self) -> int:
        """Operations of the matrix products of a step: forward, dw and, but for the first layer, dx."""
        products = [n_in * n_out for n_in, n_out in zip(self.sizes[:-1], self.sizes[1:], strict=True)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    def __str__(self) -> str:
        order = "shuffled in each epoch" if self.shuffled else "all of them"
        around = f"dropout {self.dropout:g}, " if self.dropout else ""
        return (
            f"{self.name}, {around}{self.hidden}, {self.output}, {self.loss}, {self.optimizer}, {self.precision}: "
            f"{self.rows} rows in batches of {self.batch}, {order}"
        )

    def weights(self, seed: int = 1) -> Weights:
        """Return the first weights: He's for the layers."""
        rng = np.random.default_rng(seed)
        shapes = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        found: Weights = []
        for i, (n_in, n_out) in enumerate(shapes):
            w = rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out)).astype(np.float32)
            has_bias = self.normalization != "batch" or i == len(shapes) - 1
            found.append((w, np.zeros(n_out, np.float32) if has_bias else None))
        return found

    def parameters(self, weights: Weights) -> list[list[np.ndarray]]:
        """Return all first parameters, layer by layer: w, b where there is one, and a norm's scale and shift."""
        found = [[w] if b is None else [w, b] for w, b in weights]
        if self.normalization:
            for i, n in enumerate(self.sizes[1:-1]):
                found[i] += [np.ones(n, np.float32), np.zeros(n, np.float32)]
        return found

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x (rows, n_in), and labels (rows,) or targets (rows, n_out) that can be learnt only in part."""
        rng = np.random.default_rng(2)
        x = rng.normal(size=(self.rows, self.sizes[0])).astype(np.float32)
        linear = x @ rng.normal(0, 1 / np.sqrt(self.sizes[0]), (self.sizes[0], self.sizes[-1]))
        noisy = linear + rng.normal(size=linear.shape)
        return x, noisy.argmax(axis=1) if self.loss == "cross_entropy" else noisy.astype(np.float32)


WORKLOADS = (
    Workload(
        (2, 8, 4, 2), 4, 4, hidden="tanh", epochs=2000, verified=20,
        at_least={"JAX": 3, "JAX, 1 epoch per call": 25, "PyTorch": 100, "scikit-learn": 60, "NumPy": 20},
    ),
    Workload(
        (20, 64, 64, 2), 3200, 32, epochs=30, speed_up=1.2,
        at_least={"JAX": 2, "PyTorch": 30, "scikit-learn": 20, "NumPy": 6},
    ),
    Workload((54, 128, 128, 7), 6400, 64, epochs=10, speed_up=1.73),
    Workload((8, 256, 256, 2), 6400, 64, lr=0.01, epochs=4, speed_up=1.93),
    Workload(
        (784, 128, 10), 3200, 64, lr=0.01, epochs=6, share=0.75, speed_up=1.8,
        at_least={"JAX": 1.25, "PyTorch": 3, "scikit-learn": 2.8, "NumPy": 1.5},
    ),
    Workload(
        (784, 512, 512, 10), 1280, 128, lr=0.01, epochs=2, share=0.85, speed_up=1.8,
        at_least={"JAX": 1.15, "PyTorch": 1.5, "scikit-learn": 1.6, "NumPy": 1.4},
    ),
    Workload(
        (1024, 1024, 1024, 10), 1024, 256, lr=0.01, epochs=2, share=0.85, speed_up=1.8,
        at_least={"JAX": 1.1, "PyTorch": 1.4, "scikit-learn": 1.35, "NumPy": 1.3},
    ),
    Workload((8, 256, 256, 1), 6400, 256, "identity", "mse", lr=0.01, epochs=4),
    Workload((784, 100, 100, 10), 4000, 200, optimizer="adam", lr=0.001, epochs=3, weights_rtol=1e-2),
    Workload(
        (54, 128, 128, 7), 6400, 64, optimizer="adam", normalization="batch", dropout=0.2, lr=0.001, epochs=6,
        weights_rtol=1e-2, at_least={"JAX": 1.3, "PyTorch": 4},
    ),
    Workload(
        (20, 64, 64, 2), 3200, 32, normalization="layer", epochs=30, at_least={"JAX": 1.3, "PyTorch": 4},
    ),
    # The net of the benchmark that SimpleChains.jl published: 10,000 epochs.
    Workload(
        (4, 32, 16, 4), 10_000, 10_000, "identity", "mse", "tanh", "adam", lr=0.001,
        epochs=20, shuffled=False, published=10_000, verified=5, weights_rtol=1e-2,
    ),
)  # fmt: skip
