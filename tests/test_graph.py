"""Predictions as plain mathematics: what other formats are written from."""

import inspect
import math

import numpy as np
import pytest
from custom import Cube
from parts import OTHERS, public_parts
from predictions import FEATURES, ROWS_OF_LAYERS, close, inputs, net_of, random_net, trained

import fastnn
from fastnn import (
    SWA,
    BFloat16Dense,
    Dense,
    Dropout,
    Int8Dense,
    Lambda,
    Layer,
    Model,
    Normalization,
    PanelDense,
    Scale,
    Sequential,
)
from fastnn.formats import formulas, graph
from fastnn.formats.graph import graph_of, run
from fastnn.layers.tree import walk

pytestmark = pytest.mark.once

RTOL = {"float32": 2e-5, "float64": 1e-12}
each_dtype = pytest.mark.parametrize("dtype", RTOL)


@each_dtype
def test_the_graph_of_each_layer_computes_what_it_predicts(dtype):
    x = inputs(seed=5)
    for name in ROWS_OF_LAYERS:
        net = net_of(name, dtype)
        made = graph_of(net)
        expected, found = net.predict(x), run(made, x)
        assert found.dtype == expected.dtype, name
        close(found, expected, RTOL[dtype])
        wide = run(made, x, "float64")
        assert wide.dtype == np.float64, name
        close(wide, expected, RTOL[dtype])
        for layer in net:
            if layer.n_in == FEATURES:
                close(run(graph_of(layer), x), layer(x), RTOL[dtype])


@pytest.mark.parametrize("dtype", RTOL)
def test_the_graphs_of_random_nets_compute_what_they_predict(dtype):
    for seed in range(0 if dtype == "float64" else 1, 200, 2):
        net, x = random_net(seed, dtype), inputs(seed=seed)
        try:
            close(run(graph_of(net), x), net.predict(x), RTOL[dtype])
        except AssertionError as error:
            raise AssertionError(f"net {seed}: {net!r}") from error


def test_every_layer_is_in_the_table_and_every_kind_of_node_is_used():
    there = {type(layer) for name in ROWS_OF_LAYERS for layer in walk(net_of(name, "float64").layers)}
    layers = {part for name, part in public_parts().items() if issubclass(part, Layer) and name not in OTHERS}
    assert layers - there == {Lambda}
    assert there >= {BFloat16Dense, Int8Dense, PanelDense}
    nodes = [node for name in ROWS_OF_LAYERS for node in graph_of(net_of(name, "float64")).nodes]
    assert {type(node) for node in nodes} == {*graph.KINDS}
    kernels = {*fastnn.kernels.float64.activations} - {"softmax", "log_softmax", "sparsemax"}
    assert {*formulas.FORMULAS} == {*kernels, "cosine"}
    assert {node.name for node in nodes if isinstance(node, graph.Elementwise)} == {*formulas.FORMULAS}


def test_nodes_read_what_stands_before_them_and_have_names_of_their_own():
    for seed in range(30):
        made = graph_of(random_net(seed, "float64"))
        known = {made.x}
        for node in made.nodes:
            assert {*graph.inputs_of(node)} <= known
            assert node.y not in known
            assert node.y.n > 0
            known.add(node.y)
        assert made.nodes[-1].y == made.y


def _computed(term, x):
    """A formula as a tree, computed with Python's numbers."""
    if not isinstance(term, formulas.Term):
        return term
    if term.op == "variable":
        return x
    a, *others = (_computed(part, x) for part in term.parts)
    b = others[0] if others else None
    if term.op in ("+", "-", "*", "/", ">", "<", ">=", "<="):
        return eval(f"a {term.op} b", {"a": a, "b": b})
    named = {
        "negative": lambda: -a,
        "where": lambda: others[0] if a else others[1],
        "maximum": lambda: max(a, b),
        "minimum": lambda: min(a, b),
        "abs": lambda: abs(a),
        "sigmoid": lambda: 1 / (1 + math.exp(-a)),
    }
    return named[term.op]() if term.op in named else getattr(math, term.op)(a)


def test_formulas_are_also_trees_of_elementary_functions():
    x = np.linspace(-4, 4, 41)
    for name, formula in formulas.FORMULAS.items():
        constants = tuple(0.3 + 0.4 * i for i in range(len(inspect.signature(formula).parameters) - 2))
        expected = formula(formulas.Numpy, x, *constants)
        tree = formulas.term(name, constants)
        found = [_computed(tree, float(number)) for number in x]
        np.testing.assert_allclose(found, np.broadcast_to(expected, x.shape), rtol=1e-13, atol=1e-15, err_msg=name)


def test_what_cannot_be_said_names_the_layer_and_what_to_do():
    class Own(Dense):
        def _forward(self, x, y, run):
            super()._forward(x, y, run)

        def _backward(self, x, y, dy, dx, run):
            super()._backward(x, y, dy, dx, run)

    for layer, what in (
        (Cube(), "Cube of Sequential 2 is code in NumPy"),
        (Lambda(np.abs), "Lambda of Sequential 2"),
        (Own(2), "Own of Sequential 2"),
    ):
        net = Model([Dense(2), Sequential([layer])]).build(3)
        with pytest.raises(TypeError, match=rf"{what}.*define _graph\(self, x, to\) in {type(layer).__name__}"):
            graph_of(net)
    with pytest.raises(ValueError, match=r"Model is not built.*train it"):
        graph_of(Model([Dense(2)]))
    with pytest.raises(ValueError, match=r"Dense.* is not built"):
        graph_of(Dense(2))


def test_a_layer_of_a_users_own_may_say_its_nodes():
    class Doubled(Layer):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            return 2 * dy

        def _graph(self, x, to):
            return to.scale(x, 2)

    class Tripled(Doubled):  # its code is another one
        def forward(self, x):
            return 3 * x

        def backward(self, dy):
            return 3 * dy

    class Wrong(Doubled):
        def _graph(self, x, to):
            return to.columns(x, [0])

    net = Model([Dense(3), Doubled(), Dense(2)], seed=0).build(FEATURES)
    close(run(graph_of(net), inputs()), net.predict(inputs()), 1e-5)
    with pytest.raises(ValueError, match=r"Wrong.*returned a value of 1 columns, expected 3"):
        graph_of(Model([Dense(3), Wrong()]).build(2))
    with pytest.raises(TypeError, match="define _graph"):
        graph_of(Model([Dense(3), Tripled()]).build(2))


def test_a_graph_knows_features_classes_and_what_its_outputs_are():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(inputs(), columns=list("abcdef"))
    net = Model([Normalization(), Dropout(0.2), Dense(3, "softmax")], seed=0)
    net.fit(frame, np.arange(len(frame)) % 3, epochs=1)
    net.class_names = ["low", "middle", "high"]
    made = graph_of(net)
    assert made.feature_names == tuple("abcdef")
    assert made.class_names == ("low", "middle", "high")
    assert (made.gives, made.x.n, made.y.n, made.dtype) == ("class probabilities", 6, 3, np.float32)
    assert graph_of(Model([Dense(3)]).build(2)).gives == "numbers"


def test_a_graph_is_of_what_predictions_are_of():
    x, y = inputs(), np.random.default_rng(0).normal(size=(40, 2))
    net = Model([Dense(5, "tanh"), Dense(2)], seed=0, dtype="float64")
    net.fit(x, y, "mse", fastnn.SGD(0.1, average=SWA(1, 1)), epochs=4)
    close(run(graph_of(net), x), net.predict(x), 1e-12)


def test_the_arrays_of_a_graph_are_those_of_the_layers():
    net = trained([Scale(), Dense(3)], "float64")
    made = graph_of(net)
    assert made.nodes[1].w is net[1].w
    assert made.nodes[0].layer.startswith("Scale 1")
