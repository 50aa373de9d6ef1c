"""Exam scores: predict the final of 25 students from their three exams.

A 3-5-1 net, relu in the middle and nothing behind the output, begins with He's weights and learns by the mean squared
error from all 25 rows at once. How far 30 epochs lead depends on the first weights, so the median of 20 seeds is shown,
for two learning rates; then what the best of these nets consists of, with the gradient of each weight beside it. A
column of gradients that are all 0 belongs to a relu unit that is 0 for every student: it no longer learns.
"""

import numpy as np
from picture import save_picture

from fastnn import MSE, SGD, Dense, Model, datasets

EXAMS, FINAL = datasets.load_exam_scores()
X, Y = EXAMS / 100, FINAL / 200  # from points to 0-1
RATES, SEEDS, EPOCHS = (0.01, 0.03), range(20), 30


def train(lr, seed):
    """Return a trained net and its loss at the end."""
    net = Model([Dense(5, "relu", weight_initializer="he"), Dense(1, weight_initializer="he")], seed=seed)
    net.fit(X, Y, loss=MSE(), optimizer=SGD(lr), epochs=EPOCHS, batch_size=len(X))
    return net, net.evaluate(X, Y)["loss"]


def write_gradients(net):
    """Fill net.grads for all students: plain SGD has trained the net in one pass with backward, and stored none."""
    _, dy = MSE().value_and_grad(net.forward(X), Y)
    net.backward(dy)


def print_weights(layer):
    print(f"\n{layer!r}: weights, and their gradients as the net is now")
    for w, dw in zip([*layer.w, layer.b], [*layer.dw, layer.db], strict=True):
        print(" ".join(f"{value:8.5f}" for value in w), " | ", " ".join(f"{value:8.5f}" for value in dw))


def main():
    runs = {lr: [train(lr, seed) for seed in SEEDS] for lr in RATES}
    medians = {lr: float(np.median([loss for _, loss in run])) for lr, run in runs.items()}
    for lr, median in medians.items():
        print(f"learning rate {lr}: median loss of {len(SEEDS)} seeds after {EPOCHS} epochs {median:.4f}")
    net, loss = min(runs[RATES[-1]], key=lambda run: run[1])
    write_gradients(net)
    for layer in net.layers:
        print_weights(layer)
    predicted = 200 * net.predict(X)
    wrong_by = np.abs(predicted - FINAL).mean()
    print(f"\nthis net, the best, has a loss of {loss:.4f} and is wrong by {wrong_by:.1f} of 200 points on average")

    def draw(left, right):
        for (lr, run), colour in zip(runs.items(), ("tab:blue", "tab:orange"), strict=True):
            losses = np.array([net.history.loss for net, _ in run])
            left.semilogy(range(1, EPOCHS + 1), losses.T, color=colour, alpha=0.2, linewidth=0.8)
            left.semilogy(range(1, EPOCHS + 1), np.median(losses, axis=0), color=colour, lw=2, label=f"median, lr {lr}")
        left.set(title=f"{len(SEEDS)} seeds each", xlabel="epoch", ylabel="mean squared error")
        left.legend()
        right.plot([90, 205], [90, 205], color="grey", label="equal")
        right.scatter(FINAL, predicted, label="a student")
        right.set(title=f"The best net, loss {loss:.4f}", xlabel="final, points", ylabel="predicted, points")
        right.legend()

    save_picture("exam_scores.png", draw)
    return medians


if __name__ == "__main__":
    main()
