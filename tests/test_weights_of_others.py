"""Weights of other libraries: models that predict the same, whole or not at all, and errors that name the layer."""

import copy
import importlib
import itertools
import json
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from data.of_others import X
from predictions import ROWS_OF_LAYERS, inputs, net_of

import fastnn
from fastnn import (
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    Model,
    ModelFormatError,
    ReLU,
    Sequential,
    Softmax,
    Tanh,
)

pytestmark = pytest.mark.once

DATA = Path(__file__).parent / "data"
RECORDED = json.loads((DATA / "of_others.json").read_text(encoding="utf-8"))
RTOL = {"float32": 1e-5, "float64": 1e-12}
ROWS = np.random.default_rng(1).normal(size=(40, 6))


def near(found, expected, dtype, scale=1.0):
    np.testing.assert_allclose(found, expected, rtol=RTOL[dtype], atol=scale * RTOL[dtype])


def torch():
    return pytest.importorskip("torch")


# -- modules of PyTorch -----------------------------------------------------------------------------------------------

ACTIVATIONS = re.findall(
    r"\S+",
    """
    Identity() ReLU() ReLU6() LeakyReLU(0.3) Threshold(0.2,-1.5) ELU(0.7) CELU(1.3) SELU() GELU() GELU("tanh") SiLU()
    Mish() Hardswish() Hardsigmoid() Hardtanh() Hardtanh(-0.5,2.0) Hardshrink(0.3) Softshrink(0.4) Tanhshrink() Tanh()
    Sigmoid() LogSigmoid() Softplus() Softplus(2.0,1.5) Softsign() PReLU() PReLU(8,init=0.1) Softmax(1) Softmax(-1)
    LogSoftmax(-1) Softmin(1) GLU() Dropout(0.3) AlphaDropout(0.2)
    BatchNorm1d(8) BatchNorm1d(8,eps=0.01,momentum=0.3) BatchNorm1d(8,affine=False) LayerNorm(8)
    LayerNorm(8,eps=0.1,bias=False) LayerNorm(8,elementwise_affine=False) RMSNorm(8) RMSNorm(8,eps=0.2)
    RMSNorm(8,elementwise_affine=False) BatchNorm1d(8,eps=2,momentum=1) LayerNorm(8,eps=1) RMSNorm(8,eps=1)
    """,
)


def stirred(module, dtype):
    """The module with parameters and running averages that are not those of the beginning, in evaluation."""
    t = torch()
    module = module.to(getattr(t, dtype))
    generator = t.Generator().manual_seed(0)
    with t.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(t.rand(tensor.shape, generator=generator) - (0.0 if "running" in name else 0.4))
    return module.eval()


def outputs(module, x, dtype):
    t = torch()
    with t.no_grad():
        return module(t.from_numpy(np.asarray(x)).to(getattr(t, dtype))).numpy()


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("text", ACTIVATIONS)
def test_each_module_predicts_as_in_pytorch(text, dtype):
    nn = torch().nn
    width = 4 if text.startswith("GLU") else 8
    layer = eval(f"nn.{text}", {"nn": nn})
    module = stirred(nn.Sequential(nn.Linear(6, 8), layer, nn.Linear(width, 3, bias=False)), dtype)
    net = fastnn.from_torch(module)
    assert net.dtype == dtype
    near(net.predict(ROWS), outputs(module, ROWS, dtype), dtype)
    for source in (module, module.state_dict()) if "=False)" not in text else (module,):  # whose state is not whole
        for into in (copy.deepcopy(net), eval(f"Model([{', '.join(map(repr, net.layers))}])", vars(fastnn))):
            into.build(6).params = 0.5
            near(fastnn.from_torch(source, into=into).predict(ROWS), net.predict(ROWS), "float32")


@pytest.mark.parametrize("dtype", RTOL)
def test_nested_rows_of_modules_and_codes(dtype):
    nn = torch().nn
    inner = nn.Sequential(nn.Linear(6, 8), nn.Sequential(nn.BatchNorm1d(8), nn.ReLU()), nn.Dropout(0.2))
    module = stirred(nn.Sequential(nn.Flatten(), inner, nn.Sequential(nn.Linear(8, 2), nn.LogSoftmax(1))), dtype)
    near(fastnn.from_torch(module).predict(ROWS), outputs(module, ROWS, dtype), dtype)
    codes = np.random.default_rng(0).integers(0, 7, (30, 3))
    module = stirred(
        nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 1)), dtype
    )
    t = torch()
    with t.no_grad():
        expected = module(t.from_numpy(codes)).numpy()
    net = fastnn.from_torch(module)
    near(net.predict(codes), expected, dtype)
    assert net.n_in == 3
    for between in (nn.Identity(), nn.Sequential(nn.Dropout(0.1), nn.ReLU()), nn.PReLU()):
        module = stirred(nn.Sequential(nn.Embedding(7, 4), between, nn.Flatten(), nn.PReLU(), nn.Linear(12, 1)), dtype)
        near(fastnn.from_torch(module).predict(codes), outputs(module, codes, "int64"), dtype)
    module = nn.Sequential(nn.Embedding(7, 4), nn.Softmax(1), nn.Flatten(), nn.Linear(4, 1))
    with pytest.raises(
        ValueError, match=r"from_torch: module 1 \(Softmax\) stands before a Flatten of codes, expected"
    ):
        fastnn.from_torch(module)
    near(net.predict([[99, 0, 0]]), net.predict([[-1, 0, 0]]), dtype)  # unseen


def test_what_is_frozen_stays_frozen_and_arrays_are_copies():
    nn = torch().nn
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1), nn.BatchNorm1d(1, affine=False))
    module[0].requires_grad_(False)
    net = fastnn.from_torch(module)
    assert [layer.trainable for layer in net.layers] == [False, True, False]
    before = net.predict(ROWS)
    with torch().no_grad():
        module[0].weight.zero_()
    assert (net.predict(ROWS) == before).all()
    net.fit(ROWS, ROWS[:, :1], epochs=2)
    assert (net[0].w == 0).sum() == 0


@pytest.mark.parametrize("text", ["ReLU()", "Dropout(0.1)", "Sequential(nn.Tanh(), nn.Identity())", "Flatten()"])
def test_modules_without_numbers_that_come_again_are_read_again(text):
    nn = torch().nn
    one = eval(f"nn.{text}", {"nn": nn})
    module = stirred(nn.Sequential(nn.Linear(6, 8), one, nn.Linear(8, 8), one, one, nn.Linear(8, 2), one), "float64")
    net = fastnn.from_torch(module)
    assert len(net.layers) >= 6 or text == "ReLU()"
    near(net.predict(ROWS), outputs(module, ROWS, "float64"), "float64")


def test_tied_weights_are_copied_where_that_is_said(tmp_path):
    nn = torch().nn
    linear = nn.Linear(6, 6)
    module = stirred(nn.Sequential(linear, nn.Tanh(), linear), "float64")
    nets = [
        fastnn.from_torch(module.state_dict(), activation="tanh"),
        fastnn.from_torch(module, into=Model([Dense(6, "tanh"), Dense(6)], dtype="float64")),
        fastnn.from_torch(copy.deepcopy(nn.Sequential(linear, nn.Tanh())).append(copy.deepcopy(linear))),
    ]
    if find_spec("safetensors"):
        importlib.import_module("safetensors.torch").save_model(module, str(tmp_path / "net.safetensors"))
        nets.append(fastnn.from_torch(tmp_path / "net.safetensors", activation="tanh"))
    for net in nets:
        near(net.predict(ROWS), outputs(module, ROWS, "float64"), "float64")


def quantized():
    t = torch()
    t.backends.quantized.engine = t.backends.quantized.supported_engines[-1]
    module = t.nn.Sequential(t.nn.Linear(6, 6), t.nn.ReLU())
    return t.ao.quantization.quantize_dynamic(module, {t.nn.Linear})


NO_MODULES = {
    "nn.Linear": (TypeError, r"got <class .*Linear'>, expected a torch.nn.Module, .*: make one of the class first"),
    "{'0.weight': nn.Linear(6, 2, device='meta').weight}": (ValueError, "0.weight is on device='meta'"),
    "{'0.weight': nn.Linear(6, 2).weight.to_sparse()}": (TypeError, "0.weight is no tensor that NumPy can hold, exp"),
    "{'0.weight': nn.Linear(6, 2).weight.to(torch().float8_e4m3fn)}": (TypeError, "0.weight is no tensor that NumPy"),
    "nn.LazyLinear(2).state_dict()": (TypeError, "weight is no tensor that NumPy can hold"),
    "quantized()": (ValueError, r"module 0 \(Linear\) is not understood"),
    "quantized().state_dict()": (TypeError, r"is quantized, expected float32 or float64: pass the module before"),
}


@pytest.mark.filterwarnings("ignore")  # those of PyTorch for what it gives up
@pytest.mark.parametrize("text", NO_MODULES)
def test_what_has_no_numbers_to_take(text):
    error, message = NO_MODULES[text]
    source = eval(text, {**globals(), "nn": torch().nn})
    with pytest.raises(error, match=f"^from_torch: .*{message}"):
        fastnn.from_torch(source, into=Model([Dense(2)]) if isinstance(source, dict) else None)


def own_module():
    nn = torch().nn

    class Own(nn.Module):
        def forward(self, x):
            return x

    return Own()


def hooked():
    layer = torch().nn.Linear(6, 6)
    layer.register_forward_hook(lambda *_: None)
    return layer


def half_frozen():
    layer = torch().nn.Linear(6, 6)
    layer.bias.requires_grad_(False)
    return layer


def twice(layer):
    return torch().nn.Sequential(layer, layer)


def tied(change):
    nn = torch().nn
    module = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    module[1].weight = change(module[0].weight)
    return module


REFUSED = {
    "nn.Conv1d(6, 6, 1)": r"module 1 \(Conv1d\) is not understood: pass an nn.Sequential .*into=net",
    "nn.RReLU()": r"module 1 \(RReLU\) is not understood",
    "own_module()": r"module 1 \(Own\) is a class of your own: pass an nn.Sequential",
    "nn.Sequential(nn.ReLU(), own_module())": r"module 1.1 \(Own\) is a class of your own",
    "hooked()": r"module 1 \(Linear\) has forward_hooks.*: remove them",
    "half_frozen()": r"module 1 \(Linear\) has parameters that are frozen, and others that are not: .* requires_grad",
    "nn.Softmax(0)": r"module 1 \(Softmax\): its dim is 0, expected 1 or -1",
    "nn.BatchNorm1d(6, track_running_stats=False)": r"module 1 \(BatchNorm1d\): it has no running averages",
    "nn.BatchNorm1d(6, momentum=None)": r"its momentum is None, a cumulative average: set a number",
    "nn.LayerNorm((2, 3))": r"module 1 \(LayerNorm\): it normalizes over \(2, 3\), expected one",
    "nn.Dropout(1.0)": r"module 1 \(Dropout\): Dropout: rate is 1.0, expected",
    "nn.Flatten(0)": r"module 1 \(Flatten\): it flattens dimensions 0 to -1, expected 1 to -1",
    "nn.Embedding(3, 6)": r"module 1 \(Embedding\) stands behind other layers",
    "nn.LazyLinear(3)": r"module 1 \(LazyLinear\) is not understood",
    "nn.Linear(5, 3)": r"module 1 \(Linear\): weight has shape \(3, 5\).* takes w of shape \(6, 3\)",
    "twice(nn.Linear(6, 6))": r"module 1.1 \(Linear\) shares its weight with module 1.0 \(Linear\), .*deepcopy.*into=",
    "twice(nn.PReLU())": r"module 1.1 \(PReLU\) shares its weight with module 1.0 \(PReLU\)",
    "twice(nn.BatchNorm1d(6, affine=False))": r"module 1.1 \(BatchNorm1d\) shares its running_mean with module 1.0",
    "twice(nn.Sequential(nn.ReLU(), nn.Linear(6, 6)))": r"module 1.1.1 \(Linear\) shares its weight with module 1.0.1",
    "tied(lambda weight: weight)": r"module 1.1 \(Linear\) shares its weight with module 1.0",
    "tied(lambda weight: nn.Parameter(weight.t()))": r"module 1.1 \(Linear\) shares its weight with module 1.0",
    "nn.Linear(6, 6, device='meta')": r"module 1 \(Linear\): weight is on device='meta', .* no numbers: load",
    "nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))": r"module 1 \(ParametrizedLinear\)",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_names_the_module(text):
    nn = torch().nn
    layer = eval(text, {**globals(), "nn": nn})
    with pytest.raises(ValueError, match=f"^from_torch: .*{REFUSED[text]}|^{REFUSED[text]}"):
        fastnn.from_torch(nn.Sequential(nn.Linear(6, 6), layer))


OPTIMIZERS = {
    "Adam": "Adam(p, lr=0.01, weight_decay=0.01)",
    "Adam, AMSGrad": "Adam(p, lr=0.02, betas=(0.8, 0.9), eps=1e-4, amsgrad=True)",
    "Adam, decoupled": "Adam(p, lr=0.02, weight_decay=0.1, decoupled_weight_decay=True)",
    "AdamW": "AdamW(p, lr=0.01, weight_decay=0.1)",
    "SGD": "SGD(p, lr=0.05, weight_decay=0.01)",
    "momentum": "SGD(p, lr=0.05, momentum=0.9)",
    "Nesterov": "SGD(p, lr=0.05, momentum=0.9, nesterov=True)",
    "dampening": "SGD(p, lr=0.05, momentum=0.9, dampening=0.3)",
    "groups": "AdamW([{'params': p[2:]}, {'params': p[:2], 'lr': 0.003, 'weight_decay': 0.2}], lr=0.01)",
}


def steps(module, optimizer, n):
    t = torch()
    module.train()
    x, y = (t.from_numpy(array).to(module[0].weight.dtype) for array in (ROWS, ROWS[:, :2] ** 2))
    losses = []
    for _ in range(n):
        optimizer.zero_grad()
        loss = t.nn.functional.mse_loss(module(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("done", [0, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_next_steps_are_those_of_pytorch(name, done):
    nn = torch().nn
    torch().manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 2)).double()
    optimizer = eval(f"optim.{OPTIMIZERS[name]}", {"optim": torch().optim, "p": [*module.parameters()]})
    steps(module, optimizer, done)
    nets = [fastnn.from_torch(module, optimizer=optimizer)]
    for source, of in ((module.state_dict(), optimizer.state_dict()), (module, optimizer)):
        if name != "groups":
            into = Model([Dense(8), LayerNorm(), Tanh(), Dense(2)], seed=0, dtype="float64")
            nets.append(fastnn.from_torch(source, into=into, optimizer=of))
    theirs = steps(module, optimizer, 8)
    for net in nets:
        ours = [net.train_batch(ROWS, ROWS[:, :2] ** 2, loss="mse") for _ in range(8)]
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
        near(net.predict(ROWS), outputs(module, ROWS, "float64"), "float64", 100)


@pytest.mark.parametrize("earlier", [0, 1], ids=["frozen at once", "frozen later"])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "momentum", "of some"])
def test_what_is_frozen_takes_no_steps(name, earlier):
    """PyTorch's optimizers remember nothing of it, or what it was."""
    nn = torch().nn
    torch().manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8, elementwise_affine=False), nn.Tanh(), nn.Linear(8, 2))
    rule = "Adam(p[2:], lr=0.01)" if name == "of some" else OPTIMIZERS[name]
    optimizer = eval(f"optim.{rule}", {"optim": torch().optim, "p": [*module.double().parameters()]})
    steps(module, optimizer, earlier)
    module[0].requires_grad_(False)
    steps(module, optimizer, 2)
    nets = [fastnn.from_torch(module, optimizer=optimizer)]
    row = [Dense(8), LayerNorm(trainable=False), Tanh(), Dense(2)]
    if name != "of some":
        into = Model([Dense(8, trainable=False), *row[1:]], dtype="float64")
        nets.append(fastnn.from_torch(module, into=into, optimizer=optimizer.state_dict()))
    if name == "Adam":
        message = r"steps, of different param" if earlier else "nothing of the weight of 0, .* trained: freeze it by"
        with pytest.raises(ValueError, match=f"^from_torch: the optimizer .*{message}.* leave "):
            fastnn.from_torch(module, into=Model(row, dtype="float64"), optimizer=optimizer.state_dict())
    theirs = steps(module, optimizer, 8)
    for net in nets:
        ours = [net.train_batch(ROWS, ROWS[:, :2] ** 2, loss="mse") for _ in range(8)]
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_a_normalization_that_trains_less_has_other_steps():
    t = torch()
    module = t.nn.Sequential(t.nn.Linear(6, 8), t.nn.LayerNorm(8, bias=False))
    with pytest.raises(
        ValueError, match=r"^from_torch: module 1 \(LayerNorm\) has no bias, and LayerNorm 2 trains one"
    ):
        fastnn.from_torch(module, optimizer=t.optim.Adam(module.parameters()))


@pytest.mark.parametrize("form", ["object", "state"])
def test_optimizers_of_other_kinds_say_what_is_expected(form):
    t = torch()
    module = t.nn.Sequential(t.nn.Linear(6, 8), t.nn.LayerNorm(8), t.nn.Tanh(), t.nn.Linear(8, 2)).double()
    skipped = {"Optimizer", "LBFGS", "SparseAdam", "Muon", "Adam", "AdamW", "SGD"}
    kinds = {name: kind for name, kind in vars(t.optim).items() if isinstance(kind, type) and name not in skipped}
    assert {"RMSprop", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "Rprop", "ASGD"} <= {*kinds}
    for kind in kinds.values():
        optimizer = kind(module.parameters(), lr=0.01)
        steps(module, optimizer, 1)
        with pytest.raises(
            (TypeError, ValueError), match=r"(?s)^from_torch: optimizer .*expected .*Adam, AdamW or SGD"
        ):
            fastnn.from_torch(module, optimizer=optimizer if form == "object" else optimizer.state_dict())


def changed_state(module, group=(), state=(), without=()):
    optimizer = torch().optim.Adam(module.parameters(), lr=0.01, weight_decay=0.1)
    steps(module, optimizer, 1)
    found = optimizer.state_dict()
    found["param_groups"][0].update(group)
    for name in without:
        found["param_groups"][0].pop(name, None)
    for one in found["state"].values():
        one.update(state)
    return found


STATES_OF_OPTIMIZERS = {
    "unknown": ({"group": {"rectify": True}}, "is none of Adam, AdamW and SGD: a group of it has rectify; expected"),
    "memory": ({"state": {"square_avg": 1}}, "the optimizer remembers square_avg, expected the state_dict"),
    "no lr": ({"without": ["lr"]}, "is none of Adam, AdamW and SGD"),
    "no params": ({"without": ["params"]}, "a group of the optimizer is .*, without a list 'params'"),
    "text": ({"group": {"lr": "fast"}}, "the optimizer's lr is 'fast', expected a number"),
    "betas": ({"group": {"betas": 0.9}}, "the optimizer's betas is 0.9, expected two numbers"),
    "early": ({"without": ["decoupled_weight_decay"]}, "has a weight_decay, and does not say whether it is that of"),
}


@pytest.mark.parametrize("case", STATES_OF_OPTIMIZERS)
def test_states_of_optimizers_that_are_not_as_they_should_be(case):
    t = torch()
    options, message = STATES_OF_OPTIMIZERS[case]
    module = t.nn.Sequential(t.nn.Linear(6, 8), t.nn.Tanh(), t.nn.Linear(8, 2)).double()
    with pytest.raises((TypeError, ValueError), match=f"^from_torch: .*{message}"):
        fastnn.from_torch(module, optimizer=changed_state(module, **options))
    scheduled = changed_state(module, {"initial_lr": 0.1, "max_lr": 1.0, "name": "all"})
    assert fastnn.from_torch(module, optimizer=scheduled).optimizer.lr == pytest.approx(0.01)
    for wrong in ({"state": {}, "param_groups": []}, {"state": {}, "param_groups": [3]}):
        with pytest.raises(ValueError, match=r"^from_torch: .*optimizer .*expected the state_dict\(\)"):
            fastnn.from_torch(module, optimizer=wrong)


def test_optimizers_that_do_not_fit_change_nothing():
    t = torch()
    module = t.nn.Sequential(t.nn.Linear(6, 8), t.nn.Tanh(), t.nn.Linear(8, 2))
    other = t.nn.Linear(3, 3)
    net = Model([Dense(8, "tanh"), Dense(2)], seed=0).build(6)
    before = net.params.copy()
    first, own = t.optim.Adam(module[0].parameters()), t.optim.Adam(module.parameters())
    wrong = own.state_dict()
    wrong["state"] = {i: {"step": 1.0, "exp_avg": np.ones(3), "exp_avg_sq": np.ones(3)} for i in range(4)}
    for optimizer, error, message in (
        (t.optim.RMSprop(module.parameters()), TypeError, "expected a torch.optim.Adam, AdamW or SGD"),
        (t.optim.Adam(other.parameters()), ValueError, "optimizer has a parameter Parameter of shape .* does not have"),
        (first, ValueError, r"does not have the parameter weight of 2: give it all, or freeze this one"),
        (t.optim.Adam(module.parameters(), maximize=True), ValueError, "maximize=True, which no optimizer here"),
        (wrong, ValueError, r"the optimizer's m for 0 has shape \(3,\), expected finite numbers of shape \(8, 6\)"),
        ({"state": {}}, ValueError, "optimizer has no 'state' and 'param_groups'"),
        (3, TypeError, "optimizer is 3, expected a torch.optim.Adam"),
    ):
        with pytest.raises(error, match=message):
            fastnn.from_torch(module, into=net, optimizer=optimizer)
        assert (net.params == before).all()
        assert net.optimizer is None
    with pytest.raises(ValueError, match=r"parameters of a module, which is not here: pass the module"):
        fastnn.from_torch(module.state_dict(), into=net, optimizer=own)


# -- models as modules ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", RTOL)
def test_every_layer_becomes_a_module(dtype):
    t = torch()
    for name in ROWS_OF_LAYERS:
        net = net_of(name, dtype)
        x = np.ascontiguousarray(np.asarray(inputs(seed=1))[:, : net.n_in], dtype)
        with t.no_grad():
            found = fastnn.to_torch(net)(t.from_numpy(x)).numpy()
        expected = net.predict(x)
        assert found.shape == expected.shape, name
        np.testing.assert_allclose(found, expected, rtol=10 * RTOL[dtype], atol=10 * RTOL[dtype], err_msg=name)


@pytest.mark.parametrize("optimizer", [Adam(0.01), AdamW(0.01, amsgrad=True), SGD(0.05, momentum=0.9, nesterov=True)])
def test_a_module_goes_on_with_the_optimizer(optimizer):
    torch()
    net = Model([Dense(8), LayerNorm(), Tanh(), Dense(2)], seed=0, dtype="float64")
    net.fit(ROWS, ROWS[:, :2] ** 2, "mse", optimizer, epochs=3, batch_size=None)
    module, rule = fastnn.to_torch(net, optimizer=True)
    ours = [net.train_batch(ROWS, ROWS[:, :2] ** 2) for _ in range(5)]
    np.testing.assert_allclose(steps(module, rule, 5), ours, rtol=1e-10)
    back = fastnn.from_torch(module.eval(), optimizer=rule)
    near(back.predict(ROWS), net.predict(ROWS), "float64", 100)


def test_modules_cannot_be_made_of_everything():
    torch()
    net = Model([Dense(2)], seed=0)
    with pytest.raises(ValueError, match="the model is not built"):
        fastnn.to_torch(net)
    with pytest.raises(TypeError, match="got 3, expected a Model"):
        fastnn.to_torch(3)
    net.fit(ROWS, ROWS[:, :2], "mse", "lion", epochs=1)
    with pytest.raises(ValueError, match=r"the optimizer is Lion.*, expected Adam or AdamW without eps_hat, or SGD"):
        fastnn.to_torch(net, optimizer=True)


# -- states and files -------------------------------------------------------------------------------------------------


def test_a_file_of_safetensors_is_ordered_by_its_numbers():
    net = fastnn.from_torch(DATA / "torch.safetensors", activation="tanh")
    near(net.predict(X), RECORDED["torch.safetensors"], "float32")
    into = Model([Dense(5, "tanh"), Sequential([Dense(5, "tanh")]), Dense(3)], seed=0)
    assert fastnn.from_torch(str(DATA / "torch.safetensors"), into=into) is into
    assert into.n_in == 4


def random_state(**shapes):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


STATE = random_state(**{"0.weight": (8, 6), "0.bias": (8,), "1.weight": (2, 8), "1.bias": (2,)})
WRONG_STATES = {
    "activations": ({}, ValueError, "arrays do not say which activations .*: pass activation='relu'"),
    "as many": ({"activation": ["relu", "tanh"]}, ValueError, "activation has 2 entries, expected 1"),
    "unknown": ({"activation": "rellu"}, ValueError, "unknown activation 'rellu': did you mean relu"),
    "into": ({"into": 3}, TypeError, "into is 3, expected a Model"),
    "both": ({"into": Model([Dense(1)]), "activation": "relu"}, ValueError, "expected none of them with into"),
    "shapes": ({"into": Model([Dense(7), Dense(2)])}, ValueError, r"0: weight has shape \(8, 6\), here \(6, 8\), and "
               r"Dense 1 \(7 units\) takes w of shape \(6, 7\)"),
    "layers": ({"into": Model([Dense(8)])}, ValueError, r"2 layers with arrays were given \(0, 1\), .* has 1 \(Dens"),
    "biases": ({"into": Model([Dense(8, bias=False), Dense(2)])}, ValueError, r"0 has an array bias of shape \(8,\), "),
    "kinds": ({"into": Model([Dense(8), BatchNorm()])}, ValueError, "1 has no mean or .*running_mean, which Batch"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_STATES)
def test_states_that_do_not_fit_name_both_layers_and_change_nothing(case):
    options, error, message = WRONG_STATES[case]
    with pytest.raises(error, match=message):
        fastnn.from_torch(STATE, **options)
    into = options.get("into")
    assert not isinstance(into, Model) or not into.built


def test_a_prelu_may_come_first():
    arrays = {"1.weight": np.eye(2, 3), "1.bias": np.zeros(2)}
    for slopes in ([0.5], [0.5, 0.25, 2.0]):
        row = [fastnn.PReLU(len(slopes) > 1), Dense(2)]
        net = fastnn.from_torch({"0.weight": np.array(slopes), **arrays}, into=Model(row, dtype="float64"))
        assert net.predict([[-1.0, -2.0, 0.0]]).tolist() == [[-0.5, -2.0 * slopes[-2:][0]]]
    with pytest.raises(
        ValueError, match=r"inputs the model has does not follow from 0: pass into=net, a model .*built"
    ):
        fastnn.from_torch({"0.weight": np.ones(1)}, into=Model([fastnn.PReLU()]))


def test_arrays_that_are_no_weights_are_refused_and_nothing_is_written():
    net = Model([Dense(8), Dense(2)], seed=0).build(6)
    before = net.params.copy()
    for array, error, message in (
        (np.full((2, 8), np.nan), ValueError, "1: weight holds NaN or infinity"),
        (np.full((2, 8), 1e300), ValueError, "1: weight holds numbers that are too large for float32"),
        (np.full((2, 8), 1j), TypeError, "1.weight has dtype complex128"),
        ("text", TypeError, "1.weight has dtype <U4, expected numbers"),
        ([[1], [2, 3]], TypeError, "1.weight is .*, which is no array of numbers"),
        (np.ma.masked_less(np.ones((2, 4)), 2), ValueError, "1.weight has masked entries: fill them first"),
    ):
        with pytest.raises(error, match=message):
            fastnn.from_torch({**STATE, "1.weight": array}, into=net)
        assert (net.params == before).all()
    for source in (3, None, [1], b"net"):
        with pytest.raises(TypeError, match=r"expected a torch.nn.Module, a state_dict, or the path of a file"):
            fastnn.from_torch(source)
    with pytest.raises(TypeError, match="a name of the state is 3"):
        fastnn.from_torch({3: np.ones(2)})
    with pytest.raises(ValueError, match=r"0 layers with arrays were given .*, and the model has 2"):
        fastnn.from_torch({}, into=net)
    with pytest.raises(ValueError, match=r"from_torch: there are no arrays, expected those of one layer at least"):
        fastnn.from_torch({})


def test_what_predicts_and_trains_goes_on_with_the_new_weights():
    """A recorded prediction, averages, and names of columns are there."""
    net = Model([Dense(8, "tanh"), Dense(2)], seed=0)
    net.fit(ROWS, ROWS[:, :2], "mse", fastnn.Adam(0.01, average=fastnn.EMA(0.9)), epochs=2)
    net.predict(ROWS)
    fastnn.from_torch(STATE, into=net)
    expected = np.tanh(ROWS @ STATE["0.weight"].T + STATE["0.bias"]) @ STATE["1.weight"].T + STATE["1.bias"]
    near(net.predict(ROWS), expected, "float32")
    net.fit(ROWS, ROWS[:, :2], epochs=1)


# -- lists of arrays and trees ----------------------------------------------------------------------------------------


def weights(*sizes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for a, b in itertools.pairwise(sizes) for shape in ((a, b), (b,))]


W1, B1, W2, B2 = weights(6, 8, 2)
EXPECTED = np.tanh(ROWS @ W1 + B1) @ W2 + B2


def test_lists_of_arrays():
    for arrays in ([W1, B1, W2, B2], [(W1, B1), (W2, B2)], [W1.T, B1, W2.T, B2], [[W1, B1], [W2, B2]]):
        near(fastnn.from_numpy(arrays, activation="tanh").predict(ROWS), EXPECTED, "float64")
        into = Model([Dense(8, "tanh"), Dropout(0.1), Dense(2)], dtype="float64").build(6)
        near(fastnn.from_numpy([*arrays], into=into).predict(ROWS), EXPECTED, "float64")
    net = fastnn.from_numpy([W1.astype(np.float32), W2.astype(np.float32)], activation="relu", last=Softmax())
    assert repr(net[0]), repr(net[1]) == ("Dense(8, 'relu', bias=False)", "Dense(2, 'softmax', bias=False)")
    assert net.dtype == np.float32
    normed = Model([Dense(8), BatchNorm(), Dense(2)], dtype="float64").build(6)
    fastnn.from_numpy([W1, B1, B1, B1, B1, np.ones(8), W2, B2], into=normed)
    assert (normed[1].mean == B1).all()


WRONG_LISTS = {
    "square": ([np.ones((3, 3)), np.ones(3)], r"do not say .*: layer 1 \(3, 3\); pass orientation='in_out'"),
    "chain": (
        [W1, B1, np.ones((7, 2))],
        r"layer 2 takes 7 inputs \(weights of shape \(7, 2\)\), and layer 1 .* 8 o",
    ),
    "biases": ([W1, np.ones(7), W2, B2], r"layer 1 has weights of shape \(6, 8\), 8 outputs, and biases of shape \(7,"),
    "vector": ([B1, W1], r"array 0 has shape \(8,\), expected a matrix of weights"),
    "twice": ([W1, B1, B1], r"array 2 has shape \(8,\), expected a matrix"),
    "none": ([], "there are no arrays"),
    "row of biases": ([W1, B1[None]], r"array 1 has shape \(1, 8\), behind weights .*: biases are 1-D, .*, \(8,\)"),
    "row in a pair": ([(W1, B1), (W2, B2[None])], r"array 3 has shape \(1, 2\), behind .*: biases are 1-D"),
    "column in a pair": ([(W1, B1[:, None]), (W2, B2)], r"array 1 has shape \(8, 1\), behind .*: biases are 1-D"),
    "one bias": ([np.ones((3, 1)), np.ones((1, 1))], r"array 1 has shape \(1, 1\), behind .*: biases are 1-D"),
    "row behind a square": ([W1[:3, :3], B1[None, :3]], r"array 1 has shape \(1, 3\), behind .*: biases are 1-D"),
    "cube": ([np.ones((2, 2, 2))], r"array 0 has shape \(2, 2, 2\)"),
}


@pytest.mark.parametrize("case", WRONG_LISTS)
def test_lists_that_do_not_fit_name_layer_and_shapes(case):
    arrays, message = WRONG_LISTS[case]
    with pytest.raises(ValueError, match=message):
        fastnn.from_numpy(arrays, activation="tanh")
    if case == "square":
        for orientation, expected in (("in_out", ROWS[:, :3] @ W1[:3, :3]), ("out_in", ROWS[:, :3] @ W1[:3, :3].T)):
            near(fastnn.from_numpy([W1[:3, :3]], orientation=orientation).predict(ROWS[:, :3]), expected, "float64")


def test_what_is_no_list_of_arrays():
    with pytest.raises(ValueError, match=r"array 1 has shape \(6, 1\), behind .*: biases are 1-D"):
        fastnn.from_numpy([W1.T[:6], np.ones((6, 1))], orientation="out_in")
    ones = fastnn.from_numpy([(np.ones((3, 1)),), (np.full((1, 1), 5),)], activation="identity")
    assert ones.predict([[1, 1, 1]]).tolist() == [[15.0]]
    assert fastnn.from_numpy([W1, np.ones((8, 1))], activation="tanh").n_out == 1
    with pytest.raises(TypeError, match=r"got ndarray of shape \(6, 8\), expected a list of arrays"):
        fastnn.from_numpy(W1)
    with pytest.raises(ValueError, match="8 arrays were given, and the layers of the model take 4"):
        fastnn.from_numpy([W1, B1, W2, B2] * 2, into=Model([Dense(8), Dense(2)]).build(6))
    with pytest.raises(ValueError, match="from_numpy: orientation is 'up'"):
        fastnn.from_numpy([W1], orientation="up")


SQUARE = random_state(**{f"{i}": (6, 6) for i in range(12)})
TREES = {
    "flax": {"params": {"Dense_1": {"kernel": W2, "bias": B2}, "Dense_0": {"kernel": W1, "bias": B1}}},
    "haiku": {"mlp/~/linear_1": {"w": W2, "b": B2}, "mlp/~/linear": {"w": W1, "b": B1}},
    "equinox": {"layers": [{"weight": W1.T, "bias": B1}, {"weight": W2.T, "bias": B2}]},
    "stax": [(W1, B1), (), (W2, B2)],
    "of one's own": [[W1.T, B1], [W2.T, B2]],
    "by shapes": {"a": {"kernel": W2, "bias": B2}, "b": {"kernel": W1, "bias": B1}},
    "in turn": [W1, B1, W2, B2],
}


@pytest.mark.parametrize("case", TREES)
def test_trees_of_jax(case):
    converts = [np.asarray]
    if find_spec("jax"):
        converts.append(importlib.import_module("jax.numpy").asarray)
    for convert in converts:
        tree = mapped(TREES[case], convert)
        for net in (
            fastnn.from_jax(tree, activation="tanh"),
            fastnn.from_jax(tree, into=Model([Dense(8, "tanh"), Dense(2)], dtype="float64").build(6)),
        ):
            near(net.predict(ROWS), EXPECTED, "float64" if convert is np.asarray else "float32", 10)


def mapped(tree, convert):
    if isinstance(tree, dict):
        return {name: mapped(one, convert) for name, one in tree.items()}
    return type(tree)(mapped(one, convert) for one in tree) if isinstance(tree, (list, tuple)) else convert(tree)


def test_numbers_in_names_order_what_shapes_do_not():
    names = [f"Dense_{i}" for i in range(12)]
    shuffled = {name: {"kernel": SQUARE[name[6:]]} for name in sorted(names)}
    net = fastnn.from_jax(shuffled, activation="identity")
    assert all((net[i].w == SQUARE[str(i)]).all() for i in range(12))
    ambiguous = {"head": {"kernel": SQUARE["0"]}, "body": {"kernel": SQUARE["1"]}}
    with pytest.raises(ValueError, match=r"order .* does not follow from their names and shapes: head, body or bo"):
        fastnn.from_jax(ambiguous, activation="identity")
    with pytest.raises(ValueError, match=r"do not fit to each other, .*; the first 1 do: a \(kernel \(6, 8\)\), b"):
        fastnn.from_jax({"a": {"kernel": W1}, "b": {"kernel": np.ones((5, 5))}}, activation="relu")


def test_normalizations_and_embeddings_of_trees_go_into_a_model():
    tree = {
        "params": {
            "BatchNorm_0": {"scale": B1, "bias": B1 + 1},
            "Dense_0": {"kernel": W1, "bias": B1},
            "Dense_1": {"kernel": W2, "bias": B2},
            "LayerNorm_0": {"scale": B2, "bias": B2},
        },
        "batch_stats": {"BatchNorm_0": {"mean": B1 + 2, "var": np.ones(8)}},
    }
    net = Model([Dense(8), BatchNorm(), ReLU(), Dense(2), LayerNorm(1e-6)], dtype="float64")
    fastnn.from_jax(tree, into=net)
    assert (net[1].shift == B1 + 1).all()
    assert (net[1].mean == B1 + 2).all()
    assert (net[4].scale == B2).all()
    with pytest.raises(ValueError, match=r"BatchNorm_0 has scale .*, which are not the weights .* of a dense layer"):
        fastnn.from_jax(tree, activation="relu")
    table = np.arange(12.0).reshape(4, 3)
    net = Model([Embedding(4, size=3), Dense(2)], dtype="float64").build(1)
    fastnn.from_jax({"Embed_0": {"embedding": table}, "Dense_0": {"kernel": W2[:3], "bias": B2}}, into=net)
    assert (net[0].tables[0] == np.vstack([table, np.zeros(3)])).all()
    normed = Model([BatchNorm(), Dense(2)], dtype="float64").build(6)
    before = normed.params.copy(), normed[0].variance.copy()
    bad = {"var": -1.0, "mean": np.nan, "scale": np.inf, "bias": np.nan}
    for word, value in bad.items():
        arrays = {name: np.ones(6) for name in bad} | {word: np.r_[np.ones(5), value]}
        with pytest.raises(ValueError, match=rf"BatchNorm_0: {word} holds (-1.0, expected variances|NaN or infinity)"):
            fastnn.from_jax({"BatchNorm_0": arrays, "Dense_1": {"kernel": W1[:, :2], "bias": B2}}, into=normed)
        assert (normed.params == before[0]).all()
        assert (normed[0].variance == before[1]).all()
    for wrong, error, message in (
        ({"a": "text"}, TypeError, "from_jax: a is 'text', expected arrays, or dicts, lists"),
        ({}, ValueError, "there are no arrays in {}"),
        ([np.ones(3)], ValueError, r"from_jax: 0 has shape \(3,\), expected a matrix"),
        ({"a": {"kernel": W1}}, ValueError, "orientation is 'in_out', and the names of the arrays say it"),
    ):
        with pytest.raises(error, match=message):
            fastnn.from_jax(wrong, activation="relu", orientation="in_out" if "orientation" in message else None)


# -- files that are damaged -------------------------------------------------------------------------------------------


def mutated(text, rng):
    """The bytes with some of them changed, cut off, or doubled."""
    kind, at = rng.integers(4), int(rng.integers(len(text)))
    if kind == 0:
        return text[:at]
    if kind == 1:
        return text[:at] + text[max(0, at - int(rng.integers(64))) :]
    changed = bytearray(text)
    for _ in range(int(rng.integers(1, 4))):
        changed[int(rng.integers(len(changed) if kind == 2 else min(len(changed), 700)))] = int(rng.integers(256))
    return bytes(changed)


def test_damaged_files_of_safetensors(tmp_path):
    text, path, rng = (DATA / "torch.safetensors").read_bytes(), tmp_path / "net.safetensors", np.random.default_rng(0)
    n_errors = 0
    for _ in range(400):
        path.write_bytes(mutated(text, rng))
        try:
            fastnn.from_torch(path, activation="tanh")
        except ModelFormatError as error:
            n_errors += str(path) in str(error)
    assert n_errors > 200


def test_files_of_other_kinds(tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(b"PK\x03\x04 a pickle of torch.save")
    with pytest.raises(ModelFormatError, match=r"net.pt: no model file.*; from_torch reads files of safetensors"):
        fastnn.from_torch(path, activation="relu")
    Model([Dense(1)], seed=0).build(2).save(path)
    with pytest.raises(ModelFormatError, match=r"net.pt: it is a model of fastnn: fastnn.load reads it"):
        fastnn.from_torch(path)
    with pytest.raises(FileNotFoundError):
        fastnn.from_torch(tmp_path / "none.safetensors")
