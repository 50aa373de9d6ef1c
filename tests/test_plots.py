"""Pictures: each is drawn for small, deep, wide and broken nets, with no text over another, and changes nothing."""

import itertools
import re
import runpy
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import (
    SGD,
    Add,
    BatchNorm,
    CrossEntropy,
    Dense,
    Dropout,
    History,
    Identity,
    Model,
    Normalization,
    Parallel,
    PReLU,
    Residual,
    Sequential,
    drawing,
    plots,
)
from fastnn.range_test import RangeTest

pytestmark = pytest.mark.once

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import image, pyplot  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = np.digitize(X[:, 0], (-0.5, 0.5))
NUMBERS = np.sin(X[:, :1]) + X[:, 1:2]


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Nothing is shown, no global setting changes, and figures are closed."""
    monkeypatch.setattr(pyplot, "show", lambda *_: pytest.fail("show() was called"))
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    pyplot.close("all")


def classifier(n_classes=3, width=8):
    return Model([Dense(width, "tanh"), Dense(n_classes, "softmax")], seed=0).build(4)


def with_nan(net):
    net[0].w[...] = np.nan
    return net


def broken():
    return with_nan(Model([Dense(8, "relu"), Dense(1)], seed=0).build(4))


BRANCHES = [
    Normalization,
    lambda: Dense(8, PReLU()),
    lambda: Residual([Dense(8, "relu"), Dropout(0.2), Dense(8)]),
    lambda: Parallel([Identity(), Sequential([Dense(3), BatchNorm()]), Add([Dense(2), Dense(2, trainable=False)])]),
    lambda: Dense(1),
]
NETS = {
    "one layer": lambda: Model([Dense(1)], seed=0),
    "branches": lambda: Model([make() for make in BRANCHES], seed=0),
    "20 layers": lambda: Model([*[Dense(16, "relu") for _ in range(19)], Dense(1)], seed=0),
    "45 layers": lambda: Model([*[Dense(16, "tanh") for _ in range(44)], Dense(1)], seed=0),
    "wide": lambda: Model([Dense(3000, "relu"), Dense(1)], seed=0),
    "NaN": broken,
}
LOSS = "mse"

# What is drawn of each net: also before its build, where that is possible
OF_NETS = {
    "plot_network": plots.plot_network,
    "plot_weights": lambda net, **ax: plots.plot_weights(net.build(4), **ax),
    "plot_activations": lambda net, **ax: plots.plot_activations(net, X, **ax),
    "plot_gradients": lambda net, **ax: plots.plot_gradients(net, X, NUMBERS, LOSS, **ax),
}
# What is drawn of predictions
OF_PREDICTIONS = {
    "plot_confusion": lambda **ax: plots.plot_confusion(classifier(), X, LABELS, **ax),
    "plot_confusion of one row, long names": lambda **ax: plots.plot_confusion(
        classifier(2), X[:1], [1], names=["a class with a name that is very long", "another class"], **ax
    ),
    "plot_confusion of 30 classes": lambda **ax: plots.plot_confusion(classifier(30), X, LABELS, **ax),
    "plot_confusion of 10 classes": lambda **ax: plots.plot_confusion(classifier(10), X, LABELS, **ax),
    "plot_calibration": lambda **ax: plots.plot_calibration(classifier(), X, LABELS, **ax),
    "plot_calibration of one row": lambda **ax: plots.plot_calibration(classifier(2), X[:1], [1], bins=1, **ax),
    "plot_residuals": lambda **ax: plots.plot_residuals(NETS["one layer"](), X, NUMBERS, **ax),
    "plot_residuals of NaN": lambda **ax: plots.plot_residuals(broken(), X, NUMBERS, **ax),
    "plot_residuals of many": lambda **ax: plots.plot_residuals(
        NETS["one layer"](), np.tile(X, (100, 1)), np.tile(NUMBERS, (100, 1)), **ax
    ),
    "plot_decision_boundary": lambda **ax: plots.plot_decision_boundary(classifier(), X, LABELS, **ax),
    "plot_decision_boundary of numbers": lambda **ax: plots.plot_decision_boundary(
        NETS["one layer"](), X, NUMBERS, features=(3, 1), **ax
    ),
    "plot_decision_boundary of one row": lambda **ax: plots.plot_decision_boundary(classifier(), X[:1], [2], **ax),
}


def history(**curves):
    made = History()
    made.__dict__.update(loss=curves["loss"])
    made.to_dict = lambda: curves
    return made


LOGGED = {
    "a loss": {"loss": [3.0, 2.0, 1.0]},
    "both": {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.0, 2.0]},
    "decades": {"loss": [1000.0, 1.0, 0.001], "val_loss": [1000.0, 2.0, 0.1]},
    "metrics": {"loss": [3.0, 2.0], "accuracy": [0.1, 0.9], "val_accuracy": [0.2, 0.7], "val_auc": [0.5, 0.6]},
    "other scales": {"loss": [0.3, 0.2], "rmse": [200.0, 150.0], "lr": [0.1, 0.001], "val_accuracy": [0.5, 0.75]},
    "one epoch": {"loss": [1.0], "val_loss": [1.5], "accuracy": [0.5]},
    "NaN": {"loss": [1.0, float("nan"), 0.5], "val_loss": [float("nan")] * 3},
    "nothing finite": {"loss": [float("nan")]},
    "none": {"loss": []},
    "many": {"loss": [1.0, 2.0], **{f"a number with quite a long name {i}": [10.0**i, 2.0] for i in range(12)}},
}


def texts(figure):
    """All texts of a figure with the boxes that they take."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text().strip() and text.get_visible() and text.get_alpha() != 0:
            ticks = [tick for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for tick in _outside(axis)]
            if text not in ticks:
                yield text, text.get_window_extent(renderer)


def _outside(axis):
    """Labels of ticks that are not drawn."""
    low, high = sorted(axis.get_view_interval())
    for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
        if not low <= tick.get_loc() <= high:
            yield from (tick.label1, tick.label2)


def overlapping(boxes):
    found = []
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        across = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        up = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        if across > 1 and up > 2 and one.get_text() != other.get_text():
            found.append((one.get_text(), other.get_text()))
    return found


def outside(figure, boxes):
    """Texts that the picture cuts off."""
    width, height = figure.canvas.get_width_height()
    return [
        text.get_text()
        for text, box in boxes
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]


def look_at(ax):
    assert isinstance(ax, matplotlib.axes.Axes)
    boxes = list(texts(ax.figure))
    assert not overlapping(boxes)
    assert not outside(ax.figure, boxes)


def test_overlapping_texts_are_found():
    figure, ax = pyplot.subplots()
    ax.text(0.5, 0.5, "one")
    assert not overlapping(list(texts(figure)))
    ax.text(0.5, 0.5, "two")
    ax.text(0.95, 0.5, "a text that is much longer than the room")
    boxes = list(texts(figure))
    assert overlapping(boxes) == [("one", "two")]
    assert outside(figure, boxes) == ["a text that is much longer than the room"]


@pytest.mark.parametrize("net", NETS)
def test_pictures_of_nets(net):
    for name, draw in OF_NETS.items():
        if net == "45 layers" and name in ("plot_weights", "plot_activations"):  # as plot_gradients, and slower
            continue
        model = NETS[net]()
        look_at(draw(model))
        before = model.params.copy() if model.built else None
        _, (ax, _) = pyplot.subplots(1, 2, layout="constrained")
        assert draw(model, ax=ax) is ax, name
        pyplot.close("all")
        assert before is None or np.array_equal(model.params, before, equal_nan=True), name


@pytest.mark.parametrize("name", OF_PREDICTIONS)
def test_pictures_of_predictions(name):
    look_at(OF_PREDICTIONS[name]())
    figure, (ax, _) = pyplot.subplots(1, 2, layout="constrained")
    assert OF_PREDICTIONS[name](ax=ax) is ax
    assert len(figure.axes) <= 3  # the other one, and a bar of colours or a second panel


@pytest.mark.parametrize("name", LOGGED)
def test_history_plot(name):
    ax = history(**LOGGED[name]).plot()
    look_at(ax)
    for place in ({}, {"layout": "constrained"}):
        figure, (ax, other) = pyplot.subplots(1, 2, **place)
        box = other.get_position().bounds
        assert history(**LOGGED[name]).plot(ax) is ax
        assert place or other.get_position().bounds == box
    figure = pyplot.figure()
    ax = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    assert history(**LOGGED[name]).plot(ax) is ax
    assert all(own.get_position().y0 >= 0.09 and own.get_position().y1 <= 0.91 for own in figure.axes)


def test_places_of_legends_may_take_long_to_find(monkeypatch):
    """Matplotlib warns of a place that nobody asked for, where the search takes a second: as on a loaded machine."""
    found = RangeTest(np.geomspace(1e-3, 1, 20), np.linspace(2, 1, 20))
    drawn = [draw() for draw in (*OF_PREDICTIONS.values(), history(**LOGGED["many"]).plot, found.plot)]
    monkeypatch.setattr(time, "perf_counter", itertools.count(step=10).__next__)
    for ax in drawn:
        ax.figure.canvas.draw()


def labels(ax):
    return [line.get_label() for line in ax.get_lines() if line.get_label()[0] != "_"]


def test_what_a_history_shows():
    ax = history(**LOGGED["both"]).plot()
    assert labels(ax) == ["training loss", "validation loss", "best: epoch 2 (1)"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "linear")
    np.testing.assert_array_equal(ax.get_lines()[1].get_xydata(), [[1, 3], [2, 1], [3, 2]])
    assert history(**LOGGED["decades"]).plot().get_yscale() == "log"
    panels = history(**LOGGED["other scales"]).plot().figure.axes
    assert [own.get_ylabel() for own in panels] == ["loss", "accuracy", "rmse", "lr"]
    assert [own.get_yscale() for own in panels] == ["linear", "linear", "linear", "log"]
    assert [own.get_xlabel() for own in panels] == ["", "", "", "epoch"]
    metrics = history(**LOGGED["metrics"]).plot().figure.axes[1]
    assert labels(metrics)[:3] == ["training accuracy", "validation accuracy", "val_auc".replace("val_", "validation ")]
    one, two, three = metrics.get_lines()[:3]
    assert one.get_color() == two.get_color() != three.get_color()
    assert (one.get_linestyle(), two.get_linestyle()) == ("--", "-")
    assert len(history(**LOGGED["many"]).plot().figure.axes) == 5


def test_what_a_confusion_shows():
    """The counts of scikit-learn's matrix, true classes down and predicted ones across, with the names of classes."""
    net = classifier()
    net.fit(X, LABELS, epochs=20)
    ax = plots.plot_confusion(net, X, LABELS, names=["low", "middle", "high"])
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (LABELS, net.predict(X).argmax(axis=1)), 1)
    shown = {tuple(map(int, text.get_position()[::-1])): int(text.get_text()) for text in ax.texts}
    assert shown == {place: count for place, count in np.ndenumerate(matrix) if count}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["low", "middle", "high"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    hot = plots.plot_confusion(net, X, np.eye(3)[LABELS])
    assert [text.get_text() for text in hot.texts] == [text.get_text() for text in ax.texts]


def test_what_a_calibration_shows():
    """As scikit-learn's calibration_curve, and the counts of the bins."""
    calibration = pytest.importorskip("sklearn.calibration")
    net = Model([Dense(1, "sigmoid")], seed=0)
    t = (X[:, 0] > 0).astype(int)
    net.fit(X, t, epochs=20)
    ax = plots.plot_calibration(net, X, t, bins=5)
    shares, means = calibration.calibration_curve(t, net.predict(X)[:, 0], n_bins=5)
    points = ax.get_lines()[1].get_xydata()
    np.testing.assert_allclose(points, np.c_[means, shares], rtol=1e-6)
    assert sum(bar.get_height() for bar in ax.figure.axes[1].patches) == len(X)


def test_logits_become_probabilities():
    net = Model([Dense(3)], seed=0)
    net.fit(X, LABELS, CrossEntropy(from_logits=True), epochs=5)
    ax = plots.plot_confusion(net, X, LABELS)
    assert sum(int(text.get_text()) for text in ax.texts) == len(X)
    one = Model([Dense(1)], seed=0)
    one.fit(X, LABELS > 0, fastnn.BinaryCrossEntropy(from_logits=True), epochs=20)
    right = sum(
        int(text.get_text())
        for text in plots.plot_confusion(one, X, LABELS > 0).texts
        if len({*text.get_position()}) == 1
    )
    assert right == ((one.predict(X)[:, 0] > 0) == (LABELS > 0)).sum()


def test_columns_are_called_by_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["age", "income", "rooms", "a column with quite a long name, as there are"])
    net = Model([Dense(4, "tanh"), Dense(3, "softmax")], seed=0)
    net.fit(frame, LABELS, epochs=2)
    ax = plots.plot_decision_boundary(net, frame[frame.columns[::-1]], LABELS, features=("income", "age"))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("income", "age")
    points = np.concatenate([line.get_xydata() for line in ax.get_lines()])
    assert {*map(tuple, points)} == {*map(tuple, X[:, [1, 0]])}
    look_at(plots.plot_decision_boundary(net, frame, LABELS, features=(3, 0), names=["a" * 60, "b", "c"]))
    frame.columns = ["$now, $then", "b", "c", "d"]  # no formula
    net = Model([Dense(3, "softmax")], seed=0)
    net.fit(frame, LABELS, epochs=1)
    ax = plots.plot_decision_boundary(net, frame, LABELS, features=("$now, $then", "b"), names=["_rest", "$x$", "y"])
    look_at(ax)
    assert ax.get_xlabel() == r"\$now, \$then"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [" _rest", r"\$x\$", "y"]


WRONG = {
    "plot_network(Dense(1))": (lambda: plots.plot_network(Dense(1)), TypeError, "plot_network: net is Dense"),
    "plot_weights of an unbuilt net": (
        lambda: plots.plot_weights(Model([Dense(1)])), RuntimeError, "no parameters yet",
    ),
    "plot_confusion of numbers": (
        lambda: plots.plot_confusion(NETS["one layer"](), X, LABELS), ValueError, "gives numbers, expected prob",
    ),
    "plot_confusion of other labels": (
        lambda: plots.plot_confusion(classifier(), X, LABELS + 1), ValueError, "other numbers than the class",
    ),
    "plot_confusion of fewer labels": (
        lambda: plots.plot_confusion(classifier(), X, LABELS[:5]), ValueError, "y has 5",
    ),
    "plot_confusion with two names": (
        lambda: plots.plot_confusion(classifier(), X, LABELS, names="ab"), ValueError, "2 names, expected 3",
    ),
    "plot_calibration without bins": (
        lambda: plots.plot_calibration(classifier(), X, LABELS, bins=0), ValueError, "bins is 0",
    ),
    "plot_residuals of another shape": (
        lambda: plots.plot_residuals(NETS["one layer"](), X, X), ValueError, r"\(60, 4\), expected \(60, 1\)",
    ),
    "plot_decision_boundary of one column": (
        lambda: plots.plot_decision_boundary(classifier(), X, LABELS, features=(1, 1)), ValueError, "two different",
    ),
    "plot_decision_boundary of a missing column": (
        lambda: plots.plot_decision_boundary(classifier(), X, LABELS, features=(0, 9)), ValueError, "no column 9",
    ),
    "plot_decision_boundary of a missing name": (
        lambda: plots.plot_decision_boundary(classifier(), X, LABELS, features=("a", 1)), ValueError, "no column 'a'",
    ),
    "plot_gradients of what has none": (
        lambda: plots.plot_gradients(Model([fastnn.Int8Dense(3)], seed=0), X, NUMBERS), TypeError, "has no derivative",
    ),
    "plot_gradients of targets that the loss does not take": (
        lambda: plots.plot_gradients(classifier(), X, X, "cross_entropy"), ValueError, "y has shape",
    ),
    "plot_confusion of NaN outputs": (
        lambda: plots.plot_confusion(with_nan(classifier()), X, LABELS), ValueError, "the net is NaN at row 0",
    ),
    "plot_confusion of NaN among columns of classes": (
        lambda: plots.plot_confusion(classifier(), X, np.eye(3)[LABELS] * [1, np.nan, 1]), ValueError, "y is NaN",
    ),
    "plot_residuals of one number": (
        lambda: plots.plot_residuals(NETS["one layer"](), X, 1.0), ValueError, "y has 1 rows, expected 60",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_errors(name):
    call, kind, what = WRONG[name]
    with pytest.raises(kind, match=what):
        call()


@pytest.mark.parametrize(
    "draw", [plots.plot_confusion, plots.plot_calibration, plots.plot_decision_boundary, plots.plot_residuals]
)
def test_rows_that_evaluate_refuses_are_not_drawn(draw):
    """By the error of `evaluate`: the outputs for NaN are NaN, which argmax takes for class 0."""
    is_number = draw is plots.plot_residuals
    net, y, loss = (NETS["one layer"](), NUMBERS, "mse") if is_number else (classifier(), LABELS, "cross_entropy")
    bad, far = X.copy(), X.copy()
    bad[7, 2], far[5, 3] = np.nan, np.inf
    for x in (bad, far, bad.tolist()):
        with pytest.raises(ValueError, match="at row") as told:
            net.evaluate(x, y, loss)
        with pytest.raises(ValueError, match="at row") as caught:
            draw(net, x, y)
        assert str(caught.value) == str(told.value)
    with pytest.raises(ValueError, match="x has no rows, expected at least one"):
        draw(net, X[:0], y[:0])
    for targets in ([], y[:5], y[0]):
        with pytest.raises(ValueError, match=r"y has \d rows, expected 60 to match x"):
            draw(net, X, targets)


def test_several_axes_are_refused():
    several = pyplot.subplots(2, 2)[1]
    for name, draw in {**OF_NETS, **OF_PREDICTIONS}.items():
        for ax in (several, several[0].tolist(), several[0, 0].figure):
            with pytest.raises(TypeError, match=r": ax is .*, expected one axes of matplotlib, or None"):
                draw(NETS["one layer"](), ax=ax) if name in OF_NETS else draw(ax=ax)
    with pytest.raises(TypeError, match=r"history.plot\(\): ax is ndarray of shape \(2, 2\)"):
        history(**LOGGED["both"]).plot(several)


def test_without_matplotlib(monkeypatch):
    for module in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    net = Model([Dense(1)], seed=0)
    fitted = net.fit(X, NUMBERS, epochs=1)
    found = fastnn.lr_find(net, X, NUMBERS, "mse", SGD())
    calls = [fitted.plot, found.plot, fastnn.Cosine().plot, *[lambda draw=draw: draw(net) for draw in OF_NETS.values()]]
    for call in (*calls, *[draw for name, draw in OF_PREDICTIONS.items() if "numbers" not in name]):
        with pytest.raises(ImportError, match='matplotlib: pip install matplotlib, or the extra "plot"'):
            call()


def test_the_gallery_is_what_its_script_draws(tmp_path):
    """Each picture is there and small, and the page, which lists them all, is the one that the script writes."""
    script, folder = Path(__file__).parents[1] / "docs" / "gallery.py", tmp_path
    runpy.run_path(str(script))["main"](folder)
    page = (folder / "gallery.md").read_text(encoding="utf-8")
    assert page == script.with_suffix(".md").read_text(encoding="utf-8"), "python docs/gallery.py writes it"
    names = re.findall(r"\]\(pictures/(\w+\.png)\)", page)
    drawn = [f"plots.{name}" for name in plots.__all__]
    assert all(name in page for name in (*drawn, "history.plot()", "lr_find(", "Cosine("))
    others = [
        name
        for path in script.parent.glob("*.md")
        if path.stem != "gallery"
        for name in re.findall(r"\]\(pictures/(\w+\.png)\)", path.read_text(encoding="utf-8"))
    ]
    for pictures, shown in ((folder / "pictures", names), (script.parent / "pictures", {*names, *others})):
        assert sorted(path.name for path in pictures.iterdir()) == sorted(shown)
        assert all(1000 < path.stat().st_size <= 40 * 1024 for path in pictures.iterdir())
        assert all(image.imread(path).std() > 0.01 for path in pictures.iterdir())


def test_colours_can_be_told_apart_in_grey():
    """Neighbours in lightness, by the luminance of Rec. 709."""

    def lightness(name):
        return np.dot(matplotlib.colors.to_rgb(name), (0.2126, 0.7152, 0.0722))

    near = [abs(lightness(one) - lightness(two)) for one, two in itertools.pairwise(drawing.COLORS[:4])]
    assert min(near) > 0.1


def test_every_public_picture_is_tested():
    assert {*plots.__all__} <= {*OF_NETS} | {*OF_PREDICTIONS}
