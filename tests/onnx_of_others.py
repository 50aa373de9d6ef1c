"""Small ONNX files of other exporters, with what their libraries compute: written into tests/data/onnx.

    python tests/onnx_of_others.py torch     # PyTorch and its both exporters, onnxscript
    python tests/onnx_of_others.py keras     # Keras 3 on PyTorch
    python tests/onnx_of_others.py sklearn   # scikit-learn and skl2onnx

Each is run where these are installed; the files are read by tests/test_onnx.py everywhere.
"""

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "data" / "onnx"
ROWS = 7


def inputs(*shape):
    return np.random.default_rng(0).normal(size=(ROWS, *shape)).astype(np.float32)


def keep(name, model, x, y):
    """Write a model without what exporters say of themselves, and what it makes of x."""
    import onnx

    model = onnx.load(str(model)) if isinstance(model, (str, Path)) else model
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(FOLDER / f"{name}.onnx"))
    expected = {"x": np.asarray(x).tolist(), "y": np.asarray(y, np.float64).tolist()}
    text = json.dumps(expected, default=float)
    (FOLDER / f"{name}.json").write_text(text + "\n")
    print(name, (FOLDER / f"{name}.onnx").stat().st_size, [node.op_type for node in model.graph.node])


def torch_nets():
    """Modules by name, with the shapes of their inputs."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.inner, self.second = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
            self.gate, self.side = nn.Linear(6, 6), nn.Linear(4, 2)

        def forward(self, x):
            z = torch.relu(self.first(x))
            z = z + torch.tanh(self.inner(z))
            z = z * torch.sigmoid(self.gate(z))
            z = torch.cat([self.second(z), self.side(x), x[:, 1:3]], dim=1)
            return torch.softmax(z, dim=1)

    act = {
        "first": [nn.ELU(0.7), nn.SELU(), nn.GELU(), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Softplus(2.0)],
        "second": [nn.Tanhshrink(), nn.Softshrink(0.1), nn.Hardshrink(0.1), nn.LogSigmoid(), nn.GELU("tanh")],
        "third": [nn.ReLU6(), nn.CELU(0.5), nn.Softsign(), nn.LeakyReLU(0.2), nn.Hardtanh(-0.5, 0.5), nn.Hardsigmoid()],
        "fourth": [nn.PReLU(3), nn.PReLU(), nn.GLU(), nn.Softmin(1), nn.LogSoftmax(1)],
    }

    def in_a_row(layers):
        found = [nn.Linear(4, 3)]
        for layer in layers:
            found += [nn.Linear(3, 6 if isinstance(layer, nn.GLU) else 3), layer]
        return nn.Sequential(*found)

    return {
        "mlp": (nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)), (4,)),
        "norms": (nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 2, bias=False)), (4,)),
        "image": (nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Sigmoid()), (1, 3, 4)),
        "block": (Block(), (4,)),
        **{f"activations_{name}": (in_a_row(layers), (4,)) for name, layers in act.items()},
    }


def write_torch():
    import torch

    for name, (module, shape) in torch_nets().items():
        torch.manual_seed(0)
        for own in module.modules():
            for one in own._parameters.values():
                if one is not None:
                    torch.nn.init.normal_(one, std=0.5)
            if isinstance(own, torch.nn.BatchNorm1d):
                torch.nn.init.uniform_(own.running_mean)
                torch.nn.init.uniform_(own.running_var, 0.5, 2)
        module.eval()
        x = torch.from_numpy(inputs(*shape))
        y = module(x).detach().numpy()
        for is_new in (False, True):
            path = FOLDER / "writing.onnx"
            FOLDER.mkdir(parents=True, exist_ok=True)
            if is_new:
                axes = {"dynamic_shapes": ({0: torch.export.Dim("rows")},), "external_data": False}
            else:
                axes = {"dynamic_axes": {"x": {0: "rows"}}, "opset_version": 13 if name == "norms" else 17}
            torch.onnx.export(module, (x,), str(path), input_names=["x"], dynamo=is_new, **axes)
            keep(f"torch_{'new' if is_new else 'old'}_{name}", path, x.numpy(), y)
            path.unlink()


def write_keras():
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.utils.set_random_seed(0)
    made = keras.Sequential(
        [
            keras.Input((4,)), keras.layers.Dense(6, "swish"), keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.1), keras.layers.Dense(5, "gelu"),
            keras.layers.Dense(3, "softmax"),
        ]
    )  # fmt: skip
    a = keras.Input((4,))
    z = keras.layers.Dense(4, "relu")(a)
    z = keras.layers.Add()([z, a])
    z = keras.layers.Concatenate()([z, keras.layers.Dense(2, "tanh")(a)])
    functional = keras.Model(a, keras.layers.Dense(1, "sigmoid")(z))
    for name, net in (("sequential", made), ("functional", functional)):
        path, x = FOLDER / "writing.onnx", inputs(4)
        net(x)
        net.export(str(path), format="onnx", verbose=False)
        keep(f"keras_{name}", path, x, net.predict(x, verbose=0))
        path.unlink()


def write_sklearn():
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = inputs(4)
    many = np.random.default_rng(1).normal(size=(90, 4)).astype(np.float32)
    kinds = (many[:, 0] > 0).astype(int) + (many[:, 1] > 0.3)
    names = np.array(["low", "middle", "high"])[kinds]
    options = {"max_iter": 30, "random_state": 0, "hidden_layer_sizes": (6, 5)}
    three = MLPClassifier(activation="tanh", **options).fit(many, names)
    two = MLPClassifier(activation="logistic", **options).fit(many, kinds > 0)
    numbers = MLPRegressor(**options).fit(many, many[:, 0] ** 2)
    scaled = make_pipeline(StandardScaler(), MLPRegressor(**options)).fit(many, many[:, 0])
    for name, net in (("three", three), ("two", two)):
        for zipped in (True, False) if name == "three" else (False,):
            model = to_onnx(net, x[:1], options={id(net): {"zipmap": zipped}}, target_opset=15)
            keep(f"sklearn_{name}{'_zipped' if zipped else ''}", model, x, net.predict_proba(x))
    for name, net in (("numbers", numbers), ("scaled", scaled)):
        keep(f"sklearn_{name}", to_onnx(net, x[:1], target_opset=15), x, net.predict(x).reshape(len(x), -1))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"torch": write_torch, "keras": write_keras, "sklearn": write_sklearn}[sys.argv[1]]()
