"""And: one dense layer with a sigmoid draws a line between the ones and the zeros.

It learns by the log loss (binary cross-entropy), first from the four rows of the table, then from noisy measurements
of them, and then the same again with other learning rates.
"""

import numpy as np
from picture import save_picture

from fastnn import SGD, BinaryCrossEntropy, Dense, Model, Sigmoid

TABLE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
RATES = (0.01, 0.1, 1.0, 10.0)
EPOCHS = 500


def train(x, y, lr):
    """Return a net that was trained on all rows at once."""
    net = Model([Dense(1), Sigmoid()], seed=0)
    net.fit(x, y, loss=BinaryCrossEntropy(), optimizer=SGD(lr), epochs=EPOCHS, batch_size=len(x))
    return net


def main():
    noisy = np.repeat(TABLE, 50, axis=0) + np.random.default_rng(0).normal(0, 0.15, (200, 2))
    data = {"binary": (TABLE, TABLE.all(axis=1)), "noisy": (noisy, np.repeat(TABLE, 50, axis=0).all(axis=1))}
    nets = {name: train(x, y, lr=1.0) for name, (x, y) in data.items()}
    result = {}
    for name, net in nets.items():
        result[name] = net.evaluate(*data[name])
        (w1, w2), b = net.layers[0].w[:, 0], net.layers[0].b[0]
        print(f"{name} inputs: loss {result[name]['loss']:.4f}, accuracy {result[name]['accuracy']:.3f}")
        print(f"  and(x1, x2) = sigmoid({w1:.2f} x1 + {w2:.2f} x2 {b:+.2f})")

    sweep = {lr: train(*data["noisy"], lr).history for lr in RATES}
    result["sweep"] = {lr: history.loss[-1] for lr, history in sweep.items()}
    print(f"noisy inputs, {EPOCHS} epochs:")
    for lr, loss in result["sweep"].items():
        print(f"  learning rate {lr:5}: loss {loss:.4f}")

    def draw(left, middle, right):
        for axes, (name, net) in zip((left, middle), nets.items(), strict=True):
            x, y = data[name]
            for answer, colour in ((0, "tab:blue"), (1, "tab:red")):
                axes.scatter(*x[y == answer].T, s=30, c=colour, label=f"and is {answer}")
            (w1, w2), b = net.layers[0].w[:, 0], net.layers[0].b[0]
            side = np.array([-0.5, 1.6])
            axes.plot(side, -(w1 * side + b) / w2, "k", label="output 0.5")  # where w1 x1 + w2 x2 + b is 0
            axes.set(
                title=f"{name} inputs, accuracy {result[name]['accuracy']:.3f}",
                xlabel="x1",
                ylabel="x2",
                xlim=(-0.5, 1.6),
                ylim=(-0.5, 1.6),
            )
        left.legend(loc="lower left")
        for lr, history in sweep.items():
            right.loglog(range(1, EPOCHS + 1), history.loss, label=f"learning rate {lr:g}")
        right.set(title="noisy inputs, learning rates swept", xlabel="epoch", ylabel="log loss")
        right.legend(loc="lower left")

    save_picture("and_gate.png", draw, columns=3)
    return result


if __name__ == "__main__":
    main()
