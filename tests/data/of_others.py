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


def main():
    """Write what is asked for by name, or all."""
    path = FOLDER / "of_others.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or ("pytorch",):
        found.update(globals()[name]())
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
