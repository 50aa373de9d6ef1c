"""Exclusive or: the smallest task that no single layer can learn, because no line separates its ones from its zeros.

Two nets learn all four rows of the table by the mean squared error. The first has one output through a sigmoid. The
second has two, one for each answer, through a softmax: each of its outputs depends on all of its inputs, so that
backward needs the full Jacobian of the softmax, which is printed here.
"""

import numpy as np
from picture import save_picture

from fastnn import MSE, SGD, Dense, Model, ReLU, Sigmoid, Softmax

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
Y = np.array([0, 1, 1, 0])
EPOCHS = 2000


def train(net, targets):
    """Fit all four rows at once, print what was learned, and return the loss and the outputs at the end."""
    net.fit(X, targets, loss=MSE(), optimizer=SGD(lr=0.5), epochs=EPOCHS, batch_size=4)
    loss, outputs = net.evaluate(X, targets)["loss"], net.predict(X)
    print(f"{net}\nloss after {EPOCHS} epochs: {loss:.5f}")
    for row, output in zip(X, outputs, strict=True):
        print(f"  {row[0]} xor {row[1]} = {np.round(output, 3)}")
    return loss, outputs


def show_softmax_jacobian(net, targets):
    """Compare the softmax's backward with the product of dy and the Jacobian d(output j) / d(input k)."""
    *before, softmax = net.layers
    logits = X
    for layer in before:
        logits = layer.forward(logits)
    y = softmax.forward(logits)
    dy = 2 * (y - targets) / y.size  # the gradient of the mean squared error
    jacobian = np.empty((*y.shape, y.shape[1]), y.dtype)
    softmax.kernels.softmax_jacobian(y, jacobian)
    print(f"Jacobian of the softmax for the row {X[0]}:\n{jacobian[0]}")
    return softmax.backward(dy), np.einsum("bj,bjk->bk", dy, jacobian)


def main():
    # These seeds are chosen: of the seeds 0 to 19, 15 succeed with one output and 12 with two (0 is not among those).
    # The other nets stay where relus have died: their gradient is 0 for all four rows.
    one = Model([Dense(8), ReLU(), Dense(4), ReLU(), Dense(1), Sigmoid()], seed=0)
    two = Model([Dense(8), ReLU(), Dense(4), ReLU(), Dense(2), Softmax()], seed=4)
    one_hot = np.eye(2)[Y]
    result = {"sigmoid": train(one, Y), "softmax": train(two, one_hot)}
    result["softmax_backward"] = show_softmax_jacobian(two, one_hot)

    def draw(left, right):
        left.semilogy(one.history.loss, label="2-8-4-1, sigmoid")
        left.semilogy(two.history.loss, label="2-8-4-2, softmax")
        left.set(title="Learning xor", xlabel="epoch", ylabel="mean squared error")
        left.legend()
        side = np.linspace(-0.5, 1.5, 201)
        points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        surface = right.contourf(side, side, one(points).reshape(201, 201), np.linspace(0, 1, 11), cmap="RdBu_r")
        right.figure.colorbar(surface, label="output of the net")
        for answer, colour in ((0, "tab:blue"), (1, "tab:red")):
            right.scatter(*X[answer == Y].T, s=90, c=colour, edgecolors="white", label=f"xor is {answer}")
        right.set(title="What 2-8-4-1 has learned", xlabel="first input", ylabel="second input")
        right.set(xticks=(0, 1), yticks=(0, 1))
        right.legend(loc="upper right")

    save_picture("xor.png", draw)
    return result


if __name__ == "__main__":
    main()
