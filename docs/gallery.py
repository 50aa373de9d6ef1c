"""Draws the pictures of the gallery: python docs/gallery.py writes docs/gallery.md and docs/pictures/."""

import sys
from pathlib import Path

import numpy as np

import fastnn
from fastnn import (
    SGD,
    Adam,
    BatchNorm,
    Cosine,
    Dense,
    Dropout,
    Identity,
    LinearWarmup,
    Model,
    Parallel,
    Residual,
    Sequential,
    Softmax,
    lr_find,
    plots,
)
from fastnn.datasets import load_digits

HERE = Path(__file__).parent
HEAD = """\
# Gallery

Each picture is a line of Python, with `pip install matplotlib`; each function takes `ax=` and returns the axes.
[gallery.py](gallery.py) draws them, and writes this page.
"""


def rings(n=400):
    """Points on two rings, with noise, and which ring each is of."""
    rng = np.random.default_rng(0)
    ring, angle = rng.integers(0, 2, n), rng.uniform(0, 2 * np.pi, n)
    radius = 1 + ring + rng.normal(0, 0.2, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), ring


def trained():
    """A net that knows digits, and data that it has not seen."""
    pixels, labels = load_digits()
    x = pixels / 16
    net = Model([Dense(64), BatchNorm(), fastnn.ReLU(), Dropout(0.2), Dense(32, "relu"), Dense(10), Softmax()], seed=0)
    data = x[1200:], labels[1200:]
    net.fit(x[:1200], labels[:1200], epochs=25, validation_data=data, metrics=["accuracy"], n_threads=1)
    return net, *data


def pictures():
    """Yield the name of each picture, a sentence, the line that draws it, and the axes that it returns."""
    net, x, y = trained()
    yield (
        "history",
        "All that is logged, with the best epoch marked. Losses that span two decades have a logarithmic scale.",
        "history.plot()",
        net.history.plot(),
    )
    fresh = Model([Dense(64, "relu"), Dense(10, "softmax")], seed=0)
    yield (
        "rates",
        "The range test of learning rates (Smith 2017).",
        "lr_find(net, x, y, optimizer=SGD(momentum=0.9)).plot()",
        lr_find(fresh, x, y, optimizer=SGD(momentum=0.9)).plot(),
    )
    yield (
        "schedule",
        "A rate that follows a schedule: it warms up, then falls.",
        "(LinearWarmup(steps=50) >> Cosine(steps=450)).plot()",
        (LinearWarmup(steps=50) >> Cosine(steps=450)).plot(),
    )
    points, ring = rings()
    of_rings = Model([Dense(16, "tanh"), Dense(16, "tanh"), Dense(1, "sigmoid")], seed=0)
    of_rings.fit(points, ring, optimizer=Adam(0.01), epochs=60, n_threads=1)
    yield (
        "boundary",
        "What a net makes of two columns, here classes; of a number, it is shades.",
        'plots.plot_decision_boundary(net, x, y, names=["inner", "outer"])',
        plots.plot_decision_boundary(of_rings, points, ring, names=["inner", "outer"]),
    )
    yield (
        "confusion",
        "Which classes are taken for which: the number of rows, as dark as their share of the true class.",
        "plots.plot_confusion(net, x, y)",
        plots.plot_confusion(net, x, y),
    )
    yield (
        "calibration",
        "Whether probabilities hold, and how many rows each point is of.",
        "plots.plot_calibration(net, x, y)",
        plots.plot_calibration(net, x, y),
    )
    rng = np.random.default_rng(0)
    numbers = rng.uniform(-1, 1, size=(300, 2))
    heights = numbers[:, :1] ** 2 + np.sin(3 * numbers[:, 1:]) + rng.normal(0, 0.1, size=(300, 1))
    of_numbers = Model([Dense(16, "tanh"), Dense(1)], seed=0)
    of_numbers.fit(numbers, heights, optimizer=Adam(0.01), epochs=200, n_threads=1)
    yield (
        "residuals",
        "What is left of a regression: it should lie evenly around 0.",
        "plots.plot_residuals(net, x, y)",
        plots.plot_residuals(of_numbers, numbers, heights),
    )
    yield (
        "weights",
        "How parameters are spread: the median, the middle half, 1 to 99 %, the range.",
        "plots.plot_weights(net)",
        plots.plot_weights(net),
    )
    yield (
        "activations",
        "How the outputs of layers are spread, with what is 0, saturated or dead.",
        "plots.plot_activations(net, x)",
        plots.plot_activations(net, x),
    )
    deep = Model([*[Dense(32, "sigmoid") for _ in range(7)], Dense(10, "softmax")], seed=0)
    yield (
        "gradients",
        "The flow of gradients: in this net of sigmoids they vanish on the way to the first layer.",
        "plots.plot_gradients(net, x, y)",
        plots.plot_gradients(deep, x, y),
    )
    deep_part = Sequential([Dense(16, "relu"), Dense(8, "relu")])
    wide = Model(
        [
            Parallel([Identity(), deep_part]),
            Residual([Dense(32, "gelu"), Dropout(0.1), Dense(20)]),
            Dense(1),
        ],
        seed=0,
    )
    yield (
        "network",
        "The layers of a net, with branches and what stands inside others.",
        "plots.plot_network(net)",
        plots.plot_network(wide.build(12)),
    )


def main(folder=HERE):
    """Write the page and its pictures below a folder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    (folder / "pictures").mkdir(exist_ok=True)
    parts = [HEAD]
    for name, sentence, line, ax in pictures():
        path = folder / "pictures" / f"{name}.png"
        width, height = ax.figure.get_size_inches()
        ax.figure.savefig(path, dpi=min(76.0, 470 / width, 620 / height), metadata={"Software": None})
        pyplot.close(ax.figure)
        parts.append(f"## {name.capitalize()}\n\n{sentence}\n\n```\n{line}\n```\n\n![{line}](pictures/{name}.png)\n")
    (folder / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
