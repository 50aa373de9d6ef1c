"""Writes the files of other libraries beside it, with the outputs of their nets: python tests/data/of_others.py.

It needs torch, keras and safetensors. Where a file changes, its outputs in of_others.json do, too.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")
FOLDER = Path(__file__).parent
X = np.random.default_rng(0).normal(size=(6, 4)).round(3)


def pytorch():
    """An MLP of torch.nn in a file of safetensors, in which "10" stands before "2" by the alphabet."""
    import torch
    from safetensors.torch import save_file
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(
        *[nn.Linear(4, 5), *[nn.Identity() for _ in range(7)], nn.Tanh(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)]
    )
    save_file(net.state_dict(), FOLDER / "torch.safetensors")
    with torch.no_grad():
        return {"torch.safetensors": net(torch.from_numpy(X).float()).tolist()}


def keras():
    """Models of Keras 3: its own format, weights alone, and HDF5."""
    import logging

    import keras

    logging.disable()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((4,)), layers.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=[1.0, 2.0, 3.0, 4.0]),
            layers.Dense(5, "gelu"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(4),
            layers.LeakyReLU(0.1), layers.LayerNormalization(), layers.Dense(3, "softmax"),
        ]
    )  # fmt: skip
    _stir(net)
    net.save(FOLDER / "keras.keras")
    net.save(FOLDER / "keras.h5")
    net.save_weights(FOLDER / "keras.weights.h5")
    given = keras.Input((4,))
    inner = keras.Sequential([layers.Dense(4, "tanh"), layers.ReLU(6.0)])
    functional = keras.Model(given, layers.Dense(2, "hard_sigmoid")(inner(layers.Rescaling(0.5, -1.0)(given))))
    _stir(functional)
    functional.save(FOLDER / "keras_functional.keras")
    outputs = {name: net.predict(X, verbose=0).tolist() for name in ("keras.keras", "keras.h5", "keras.weights.h5")}
    return {**outputs, "keras_functional.keras": functional.predict(X, verbose=0).tolist()}


def _stir(net):
    rng = np.random.default_rng(0)
    net.set_weights([rng.uniform(0.1, 0.9, w.shape) - (0.4 if w.ndim == 2 else 0.0) for w in net.get_weights()])


def main():
    """Write what is asked for by name, or all."""
    path = FOLDER / "of_others.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or ("pytorch", "keras"):
        found.update({"pytorch": pytorch, "keras": keras}[name]())
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
