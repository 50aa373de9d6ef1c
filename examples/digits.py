"""Handwritten digits: what ``fastnn demo`` does, in 20 lines, and which digits are taken for which others."""

import numpy as np
from picture import save_picture

from fastnn import SGD, CrossEntropy, Dense, Model, Softmax, datasets


def main():
    pixels, labels = datasets.load_digits()
    x = pixels / 16
    order = np.random.default_rng(0).permutation(len(x))
    test, train = order[: len(x) // 5], order[len(x) // 5 :]

    net = Model([Dense(256, "relu"), Dense(10), Softmax()], seed=0)
    history = net.fit(
        x[train], labels[train], loss=CrossEntropy(), optimizer=SGD(lr=0.2, momentum=0.9), epochs=20, batch_size=32
    )
    recognised = net.predict(x[test]).argmax(axis=1)
    accuracy = np.mean(recognised == labels[test])
    print(f"{len(test)} held-out digits: accuracy {accuracy:.4f} after {history.seconds:.3f} s of training\n")

    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels[test], recognised), 1)
    print("rows: the digit; columns: what it was taken for")
    print("  ", *(f"{digit:3}" for digit in range(10)))
    for digit, row in enumerate(confusion):
        print(f"{digit:2}", *(f"{count or '.':>3}" for count in row))

    def draw(axes):
        axes.imshow(np.sqrt(confusion), cmap="Blues")  # the root, so that a single mistake can be seen
        for (digit, taken_for), count in np.ndenumerate(confusion):
            if count:
                axes.text(taken_for, digit, count, ha="center", va="center", color="w" if count > 9 else "k")
        axes.set(title=f"{len(test)} digits, accuracy {accuracy:.3f}", xlabel="taken for", ylabel="digit")
        axes.set(xticks=range(10), yticks=range(10))

    save_picture("digits.png", draw, columns=1)
    return accuracy, confusion


if __name__ == "__main__":
    main()
