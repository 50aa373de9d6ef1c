"""A microcontroller: a net that hears from a motor's vibrations how it is, as one header of C, in the board's loop.

The net is trained here, and written by `fastnn.to_c`: a file without dependencies, which says how much flash and RAM it
takes. `microcontroller/loop.c` is the loop around it. Where there is a compiler, it runs here, too, on a stream of
readings, and answers what the net predicts.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from picture import save_picture

import fastnn
from fastnn import Adam, CrossEntropy, Dense, Model, Normalization

STATES = ("off", "turning", "worn")
READINGS, BETWEEN = 32, 10  # as in loop.c: what the net sees, and from one answer to the next
LOOP = Path(__file__).parent / "microcontroller" / "loop.c"


def readings(state, n, rng):
    """Return n accelerations, a hundred in a second: a worn bearing knocks at each turn."""
    turns = np.arange(n) * rng.uniform(0.08, 0.12) + rng.uniform()
    noise = rng.normal(0, 0.1, n)
    if STATES[state] == "off":
        return noise
    turning = np.sin(2 * np.pi * turns) * rng.uniform(0.8, 1.2)
    return noise + turning + (STATES[state] == "worn") * 1.5 * (turns % 1 < 0.1)


def train(rng):
    states = rng.integers(0, len(STATES), 3000)
    x = np.array([readings(state, READINGS, rng) for state in states])
    net = Model([Normalization(), Dense(24, "relu"), Dense(12, "relu"), Dense(len(STATES), "softmax")], seed=0)
    net.class_names = STATES
    net.fit(x[:2400], states[:2400], loss=CrossEntropy(), optimizer=Adam(), epochs=30)
    return net, net.evaluate(x[2400:], states[2400:])["accuracy"]


def answers_of_the_loop(stream, folder):
    """Return what the loop answers here, as rows of a state and its probability; None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = str(Path(folder) / "loop")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", "-DON_A_COMPUTER", "-I."]
    subprocess.run([compiler, *flags, str(LOOP), "-o", program], check=True)
    text = "\n".join(f"{reading:.9g}" for reading in stream)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    return np.array([line.split() for line in done.stdout.splitlines()], float)


def main():
    rng = np.random.default_rng(0)
    net, accuracy = train(rng)
    footprint = fastnn.to_c(net, "motor_net.h", name="motor")
    print(f"accuracy on windows that were not trained: {accuracy:.3f}")
    print(f"motor_net.h: {footprint.flash:,} bytes of flash beside the code, {footprint.ram} bytes of RAM\n")

    stream = np.concatenate([readings(state, 300, rng) for state in (0, 1, 2)]).astype(np.float32)
    ends = np.arange(READINGS, len(stream) + 1, BETWEEN)
    windows = np.array([stream[end - READINGS : end] for end in ends])
    with tempfile.TemporaryDirectory() as folder:
        answers = answers_of_the_loop(stream, folder)
    same = None
    if answers is None:
        print("no C compiler here: put loop.c and motor_net.h into a sketch for a board")
    else:
        expected = net.predict(windows)
        states = answers[:, 0].astype(int)
        same = bool(np.allclose(answers[:, 1], expected.max(axis=1), atol=1e-6))
        same = same and np.array_equal(states, expected.argmax(axis=1))
        for state, name in enumerate(STATES):
            heard = states[(ends > 300 * state + READINGS) & (ends <= 300 * (state + 1))]
            print(f"three seconds of {name!r}: heard {', '.join(repr(STATES[own]) for own in np.unique(heard))}")
        print(f"the loop answers what the net predicts: {same}")

    def draw(axes):
        seconds = np.arange(len(stream)) / 100
        axes.plot(seconds, stream, color="0.6", label="acceleration")
        axes.step(
            ends / 100, net.predict(windows).argmax(axis=1), where="post", label="heard: 0 off, 1 turning, 2 worn"
        )
        axes.set(title="three states of a motor, three seconds each", xlabel="seconds")
        axes.legend()

    save_picture("microcontroller.png", draw, columns=1)
    return {"accuracy": accuracy, "footprint": footprint, "same": same}


if __name__ == "__main__":
    main()
