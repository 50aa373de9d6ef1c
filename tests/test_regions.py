"""Regions: which calls of a tape threads run as one task, and that the bits are those of one call after the other."""

import time
from itertools import pairwise

import numpy as np
import pytest
from nets import same_bits

from fastnn import SGD, Adam, BatchNorm, Dense, Layer, Model, kernels
from fastnn._core.tape import Tape
from fastnn._core.team import Team
from fastnn.kernels import Rows


def tape_of(net, x, t, rows=64, guarded=False, optimizer=Adam):
    """The step of a fit; perhaps with a guard of the gradients before the update."""
    training, (x, t, *_) = net._trainer.ready(x, t, None, "cross_entropy", optimizer())

    def step(batch, tape):
        training.step(batch, tape, guarded)

    return training.plan(rows, t, 0, guarded).recorded(rows, step)[1]


def classifier(sizes, **options):
    return Model([*(Dense(n, "relu") for n in sizes[1:-1]), Dense(sizes[-1], "softmax")], seed=0, **options)


def data(n_in, n_out, rows=256):
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, n_in)).astype(np.float32), rng.integers(0, n_out, rows)


class Passes(Layer):
    """What is written in Python ends up in the tape, and no tape with such calls is arranged."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


def shapes_of(tasks):
    """What each task is, how many calls it has and in how many chunks: ("rows", 3, 2)."""
    found = []
    for task in tasks:
        items = [] if isinstance(task, int) else [item for chunk in task for item in chunk]
        found.append((items[0][1], len({item[0] for item in items}), len(task)) if items else "alone")
    return found


@pytest.fixture(scope="module")
def two():
    with Team(2) as team:
        yield team


def test_a_step_waits_twice_and_for_an_update_apart_once_more(two):
    """Forward, loss and dx by rows; dw of all layers, as SGD changes them; what adds, guards and counts is of one."""
    net, given = classifier((54, 128, 128, 7)), data(54, 7)
    rows, added, guarded = ("rows", 6, 2), ("parts", 1, 1), ("units", 1, 1)
    assert shapes_of(tape_of(net, *given, optimizer=SGD).tasks(two)) == [rows, added, guarded, ("parts", 3, 2)]
    shapes = shapes_of(tape_of(net, *given).tasks(two))
    assert shapes == [rows, added, ("units", 4, 2), "alone", ("units", 1, 2)]  # the guard of the loss beside dw


def test_chunks_are_as_long_as_each_other_and_hold_every_unit_once(two):
    tape = tape_of(classifier((54, 128, 128, 7)), *data(54, 7))
    for task in tape.tasks(two):
        units = {}
        for chunk in [] if isinstance(task, int) else task:
            assert chunk
            for call, by, begin, end in chunk:
                units.setdefault((call, by), []).append((begin, end))
        for parts in units.values():
            assert parts[0][0] == 0
            assert all(before[1] == after[0] < after[1] for before, after in pairwise(parts))
    rows, added, _, count, update = tape.tasks(two)
    assert {item[2:] for chunk in rows for item in chunk} == {(0, 32), (32, 64)}
    assert added == [[(rows[0][3][0], "parts", 0, 1)]]  # the losses
    assert isinstance(count, int)
    n = [sum(end - begin for *_, begin, end in chunk) for chunk in update]
    assert sum(n) == 54 * 128 + 128 + 128 * 128 + 128 + 128 * 7 + 7
    assert 0.4 < n[0] / sum(n) < 0.6


def test_the_update_is_cut_where_the_gradients_were(two):
    """So that a core updates mostly what it has computed: by no more than a cache line is it another number."""
    net = classifier((54, 128, 128, 7))
    *_, dw, _, update = tape_of(net, *data(54, 7)).tasks(two)
    (*_, end), rest = update[0][0], dw[1][0]
    assert rest[0] == dw[0][-1][0]  # the cut is within a layer, the second: 54 x 128 and 128 numbers stand before it
    assert abs(54 * 128 + 128 + rest[2] * 128 - end) <= 16


def test_threads_bring_the_rows_that_they_go_on_with(two):
    """Labels, too: the first task of a batch gathers, on any number of threads to the same bits."""
    net, (x, t) = classifier((54, 128, 128, 7)), data(54, 7)
    training, (x, t, *_) = net._trainer.ready(x, t, None, "cross_entropy", SGD())
    plan = training.plan(64, t, 0, False).take_epochs(64, x, t, None, training.step)
    assert len(plan.both) == len(plan.gather) + len(plan.step)
    assert shapes_of(plan.both.tasks(two))[0] == ("units", 8, 2)


def test_a_small_update_is_cut_where_the_gradients_were(two):
    """It would be none to hand out, but half of what it reads would come from another core."""
    tape = tape_of(classifier((20, 64, 64, 2)), *data(20, 2), rows=40)
    *_, dw, count, update = tape.tasks(two)
    assert len(dw) == len(update) == 2
    assert isinstance(count, int)


@pytest.mark.parametrize(("rows", "chunks"), [(64, 2), (96, 3), (256, 6)])
def test_a_chunk_has_enough_rows_for_what_it_packs(two, rows, chunks):
    """Of what takes long, where each thread has several: each chunk transposes the weights anew for dx."""
    tape = tape_of(classifier((8, 256, 256, 2)), *data(8, 2), rows=rows)
    assert shapes_of(tape.tasks(two))[0] == ("rows", 6, chunks)


def test_gradients_take_what_the_update_will_write(two):
    """Lines that other cores have read, beside the multiply-adds; no bit changes."""
    tape = tape_of(classifier((54, 128, 128, 7)), *data(54, 7))
    tasks = [task for task in tape.tasks(two)[2:] if not isinstance(task, int)]
    by = [item[1] for task in tasks for chunk in task for item in chunk]
    assert by == ["units", *["parts, taking"] * 4, "units", "units"]


@pytest.mark.parametrize("written", ["all", "first half", "second half", "x", "before", "nothing"])
def test_gradients_take_no_weights_that_nothing_will_write(two, written):
    """These may be memory that nobody can write."""
    k, rng, tape = kernels.float32, np.random.default_rng(0), Tape()
    x, dy = (rng.normal(size=(64, 200)).astype(np.float32) for _ in range(2))
    w, dw = np.zeros((2, 200, 200), np.float32)
    parts = {"all": w, "before": w, "first half": w[:100], "second half": w[100:], "x": x}
    if written == "before":
        k.sgd(w.reshape(-1), np.ones(w.size, np.float32), None, 0.1, tape=tape)
    gradients = len(tape)
    k.dense_backward(x, w, dy, None, dw, None, tape=tape)
    if written not in ("before", "nothing"):
        part = parts[written].reshape(-1)
        k.sgd(part, np.ones_like(part), None, 0.1, tape=tape)
    tasks = [task for task in tape.tasks(two) if not isinstance(task, int)]
    by = {item[1] for task in tasks for chunk in task for item in chunk if item[0] == gradients}
    assert by == {"parts, taking" if written == "all" else "parts"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(54, 130, 61, 7), (300, 300), (40, 600, 33)])
def test_weights_that_are_taken_keep_their_bits(dtype, sizes):
    """Whatever way products go."""
    x, t = data(sizes[0], sizes[-1], 320)
    x = x.astype(dtype)

    def trained(n_threads):
        net = Model([*(Dense(n, "relu") for n in sizes[1:-1]), Dense(sizes[-1], "softmax")], seed=0, dtype=dtype)
        net.fit(x, t, optimizer=Adam(0.01), epochs=3, batch_size=160, n_threads=n_threads)
        return net

    alone, two = trained(1), trained(2)
    assert same_bits(alone.params, two.params)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_thousands_of_rows_go_through_a_step_in_blocks(n_threads):
    """Gradients, too: the sums of each block are added up behind them."""
    tape = tape_of(classifier((4, 32, 16, 4)), *data(4, 4, 10000), rows=10000)
    with Team(n_threads) as team:
        shapes = shapes_of(tape.tasks(team))
    assert shapes[:3] == [("rows", 9, 10), ("parts", 4, 1), ("units", 1, 1)]  # all but the guard, and the update


def test_a_loss_is_no_reason_for_blocks():
    """As many chunks as threads want are more even, where no gradient is a sum of blocks."""
    k, tape = kernels.float32, Tape()
    x, y, z, t, dy = (np.ones((3000, 4), np.float32) for _ in range(5))
    k.relu_forward(x, y, tape)
    k.tanh_forward(y, z, tape)
    k.mse(z, t, None, dy, np.zeros(1), tape=tape)
    with Team(2, divide_all=True) as team:
        assert shapes_of(tape.tasks(team)) == [("units", 2, 6), "alone"]


@pytest.mark.parametrize(
    ("dtype", "options"),
    [("float32", {}), ("float64", {}), ("float32", {"precision": "bf16"})],
    ids=["float32", "float64", "bf16"],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_blocks_of_rows_give_the_bits_of_whole_products(dtype, options, shuffle):
    """Shuffled rows are read where they lie. With a layer in Python nothing runs in blocks."""
    x, t = data(200, 7, 9000)

    def trained(n_threads, is_python=False):
        layers = [Dense(70, "relu"), *([Passes()] if is_python else []), Dense(7, "softmax")]
        net = Model(layers, seed=0, dtype=dtype, **options)
        net.fit(x, t, optimizer=Adam(0.01), epochs=2, batch_size=4500, n_threads=n_threads, shuffle=shuffle)
        return net

    whole = trained(1, is_python=True)
    for n_threads in (1, 2, 3):
        assert same_bits(trained(n_threads).params, whole.params)


@pytest.mark.parametrize(
    ("net", "rows", "shapes"),
    [
        (
            lambda: Model([Dense(64, "relu"), BatchNorm(), Dense(64, "relu"), Dense(7, "softmax")], seed=0),
            128,
            [("rows", 5, 2)],  # behind the norm, and back to it
        ),
        (lambda: Model([Dense(700, "relu"), Dense(700, "relu"), Dense(7, "softmax")], seed=0), 8, []),
    ],
    ids=["all rows are needed in between", "wide weights, few rows"],
)
def test_regions_of_rows_end_where_they_have_to(two, net, rows, shapes):
    tape = tape_of(net(), *data(54, 7), rows=rows)
    assert [shape for shape in shapes_of(tape.tasks(two)) if shape[0] == "rows"] == shapes


def test_small_steps_are_not_shared_out(two):
    """A core would have to give up the parameters that it has read, line by line."""
    assert tape_of(classifier((20, 64, 64, 2)), *data(20, 2), rows=24).chunks == 0
    tape = tape_of(classifier((8, 32, 32, 2)), *data(8, 2), rows=12)
    assert tape.chunks == 0
    assert tape.tasks(two) == list(range(len(tape)))
    larger = tape_of(classifier((64, 64, 64, 10)), *data(64, 10), rows=64)
    assert larger.chunks > 1
    assert len(larger.tasks(two)) < len(larger)


# The order of calls is kept wherever it counts: calls drawn at random over few arrays, so that most depend on others


def random_tape(rng, k, rows, n):
    """Calls that read and write the same arrays, rows, parts of them, and vectors over the same memory."""
    arrays = [np.zeros((rows, n), np.float32) for _ in range(5)]
    flat = [array.reshape(-1) for array in arrays]
    w, dw = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    b, db = np.zeros(n, np.float32), np.zeros(n, np.float32)
    moments, halves = [np.zeros(n * n, np.float32) for _ in range(2)], [array[: rows // 2] for array in arrays]
    among, index = rng.normal(size=(2 * rows, n)).astype(np.float32), rng.permutation(2 * rows)[:rows]
    values, weight, labels = np.zeros((2, 1)), rng.random((rows, 1)).astype(np.float32), rng.integers(0, n, rows)
    slopes = np.zeros((n, n), np.float32)
    everything = [*arrays, w, dw, b, db, *moments, slopes, values]
    tape = Tape()

    def some(of, count):
        return [of[i] for i in rng.choice(len(of), count, replace=False)]

    def dense():
        x, y = some(arrays, 2)
        k.dense_forward(x, w, b, y, "tanh", tape=tape)

    def backward():
        x, dy, dx = some(arrays, 3)
        k.dense_backward(x, w, dy, dx, dw, db, "tanh" if rng.random() < 0.5 else None, tape=tape)

    def by_index():
        k.dense_backward(Rows(among, index, np.zeros(1, np.int64)), w, some(arrays, 1)[0], None, dw, db, tape=tape)

    def half():
        x, y = some(halves, 2)
        k.relu_forward(x, y, tape=tape)

    def shifted():
        x, y = (array[1:] if rng.random() < 0.5 else array[:-1] for array in some(arrays, 2))
        k.sigmoid_forward(x, y, tape=tape)

    def vectors():
        x, y = some(flat, 2)
        k.copy(x.reshape(-1, 1), y.reshape(-1, 1), tape)

    def pair():
        x, y, z = some(arrays, 3)
        k.add(x, z, y, tape)

    def adam():
        k.adam(w.reshape(-1), dw.reshape(-1), *moments, 1e-2, 3.0, tape=tape)

    def loss():
        y, t, dy = some(arrays, 3)
        name = rng.choice(["mse", "hinge", "binary_cross_entropy_from_logits", "cross_entropy_labels_from_logits"])
        of_rows = weight if rng.random() < 0.5 else None
        value = some(values, 1)[0]
        getattr(k, name)(y, labels if "labels" in name else t, of_rows, dy, value, tape=tape)

    makes = [
        dense,
        dense,
        loss,
        backward,
        backward,
        by_index,
        half,
        shifted,
        shifted,
        vectors,
        pair,
        adam,
        lambda: k.softmax_forward(*some(arrays, 2), tape),
        lambda: k.tanh_backward(*some(arrays, 3), tape),
        lambda: k.tanh_forward(dw, slopes, tape),
    ]
    for make in rng.choice(len(makes), 14):
        makes[make]()

    def begin():
        start = np.random.default_rng(5)
        for array in everything:
            array[...] = start.normal(size=array.shape) * 0.3
        moments[1][...] = np.abs(moments[1])

    return tape, begin, everything


@pytest.mark.parametrize("seed", range(50))
def test_any_order_of_calls_gives_the_same_bits(seed):
    rng = np.random.default_rng(seed)
    rows, n = [(64, 64), (40, 24), (130, 30), (24, 24), (2100, 16)][seed % 5]
    tape, begin, everything = random_tape(rng, kernels.float32, rows, n)
    begin()
    for _ in range(2):
        tape.replay(parts=1 + seed % 3, end=len(tape) - 1)  # what is not replayed whole is not arranged
        tape.replay(len(tape) - 1)
    expected = [array.copy() for array in everything]
    for n_threads in (1, 2, 3, 4):
        with Team(n_threads, divide_all=True) as team:
            for _ in range(3):
                begin()
                for _ in range(2):
                    tape.replay(team=team)
                assert all(same_bits(array, other) for array, other in zip(everything, expected, strict=True))


def are_in_order(tasks):
    """Whether chunks hold every unit of their calls once, one behind the other from 0 on."""
    for task in tasks:
        parts = {}
        for call, by, *part in [] if isinstance(task, int) else [item for chunk in task for item in chunk]:
            parts.setdefault((call, by), []).append(part)
        for of_call in parts.values():
            begins, ends = zip(*of_call, strict=True)
            if begins != (0, *ends[:-1]) or any(begin > end for begin, end in of_call):
                return False
    return True


@pytest.mark.parametrize("n_threads", [2, 3, 7, 16])
@pytest.mark.parametrize("divide_all", [False, True])
def test_every_unit_is_in_one_chunk_whatever_its_size(n_threads, divide_all):
    """Also where one unit takes as long as several chunks should, and small calls are behind it."""
    k, rng = kernels.float32, np.random.default_rng(0)
    with Team(n_threads, divide_all) as team:
        for _ in range(100):
            tape = Tape()
            for kind in rng.integers(0, 4, rng.integers(2, 6)):
                rows, n, m = (int(rng.choice(sizes)) for sizes in ((2, 17, 300, 4000), (1, 2, 7, 200), (2, 33, 600)))
                x, y = np.zeros((rows, n), np.float32), np.zeros((rows, m), np.float32)
                w, dw = np.zeros((2, n, m), np.float32)
                if kind < 2:
                    k.dense_backward(x, w, y, None, dw, None, tape=tape)
                elif kind == 2:
                    k.dense_forward(x, w, None, y, tape=tape)
                else:
                    k.relu_forward(x, x.copy(), tape)
            assert are_in_order(tape.tasks(team))


@pytest.mark.parametrize("n_threads", [1, 4, 9])
def test_a_tape_of_sums_alone_has_room_for_all_that_adds_them_up(n_threads):
    """Of as many blocks as there are chunks, on so many threads that these are many beside the calls."""
    k, rng = kernels.float32, np.random.default_rng(0)
    rows = 1024 * 3 * n_threads if n_threads > 1 else 3000
    x, w = rng.normal(size=(rows, 3)).astype(np.float32), np.zeros((3, 2), np.float32)
    dy, tape = rng.normal(size=(rows, 2)).astype(np.float32), Tape()
    gradients = [(np.zeros((3, 2), np.float32), np.zeros(2, np.float32)) for _ in range(12)]
    for dw, db in gradients:
        k.dense_backward(x, w, dy, None, dw, db, tape=tape)
    expected = np.zeros((3, 2), np.float32), np.zeros(2, np.float32)
    k.dense_backward(x, w, dy, None, *expected)
    with Team(n_threads, divide_all=True) as team:
        tape.replay(team=team)
    assert all(same_bits(array, other) for found in gradients for array, other in zip(found, expected, strict=True))


def calls_in_order(tasks, n_calls):
    """Of each call, the number of the task that runs it; a task may be one call alone."""
    found = [None] * n_calls
    for n, task in enumerate(tasks):
        for call in [task] if isinstance(task, int) else {item[0] for chunk in task for item in chunk}:
            found[call] = n
    return found


@pytest.mark.parametrize("divide_all", [False, True])
@pytest.mark.parametrize("kinds", ["dense", "vector", "dense, vector"])
@pytest.mark.parametrize("of_numbers", [False, True], ids=["value", "numbers"])
def test_a_guard_between_updates_lets_none_behind_it_run(of_numbers, kinds, divide_all):
    """And all before it, whatever it looks at: as on one thread."""
    k, rng, tape, value = kernels.float32, np.random.default_rng(0), Tape(), np.array([np.nan])
    x, dy = rng.normal(size=(64, 300)).astype(np.float32), rng.normal(size=(64, 300)).astype(np.float32)
    weights, numbers = [np.zeros((300, 300), np.float32) for _ in range(4)], np.zeros(300 * 300, np.float32)
    numbers[-1] = np.nan
    for i, w in enumerate(weights):
        if i == 2 and of_numbers:
            k.guard_numbers(numbers, tape)
        elif i == 2:
            kernels.guard(value, tape)
        if kinds == "vector" or ("vector" in kinds and i % 2):
            k.sgd(w.reshape(-1), np.tile(dy, (5, 1))[:300].reshape(-1), None, 0.1, tape=tape)
        else:
            k.dense_sgd(x, w, None, dy, 0.1, tape=tape)
    with pytest.raises(FloatingPointError):
        tape.replay()
    expected = [w.copy() for w in weights]
    assert [bool(w.any()) for w in weights] == [True, True, False, False]
    for n_threads in (2, 3):
        for w in weights:
            w[...] = 0
        with Team(n_threads, divide_all) as team:
            first, second, guard, *behind = calls_in_order(tape.tasks(team), len(tape))
            assert max(first, second) < guard < min(behind)
            with pytest.raises(FloatingPointError):
                tape.replay(team=team)
        assert all(same_bits(w, other) for w, other in zip(weights, expected, strict=True))


@pytest.mark.parametrize("optimizer", [SGD, Adam])
@pytest.mark.parametrize("divide_all", [False, True])
def test_no_update_comes_before_the_guard_of_the_loss(optimizer, divide_all):
    """Others run while it waits for the losses of all rows; one that is NaN lets none be changed."""
    net = Model([Dense(128, "relu"), BatchNorm(), Dense(64), BatchNorm(), Dense(7, "softmax")], seed=0)
    x, t = data(54, 7)
    tape = tape_of(net, x, t, optimizer=optimizer)  # of 64 rows, as the second norm has columns
    training = net._trainer._training
    _, _, *kept = training.changing()  # but for gradients
    kept, before = [net.params, *kept], [array.copy() for array in (net.params, *kept)]
    training.plan(64, t, 0, False).batch.work.activations[0][40, 3] = np.nan
    for n_threads in (2, 3):
        with Team(n_threads, divide_all) as team:
            for _ in range(20):
                with pytest.raises(FloatingPointError):
                    tape.replay(team=team)
    assert all(same_bits(array, other) for array, other in zip(kept, before, strict=True))


@pytest.mark.parametrize("divide_all", [False, True])
@pytest.mark.parametrize("update", ["adam", "dense_sgd"])
def test_an_update_waits_for_the_guard_before_it(update, divide_all):
    """Which is shared out itself, and reads what the update reads, so that they could run as one."""
    k, n = kernels.float32, 50000
    w, dw, m, v = (np.full(n, 0.5, np.float32) for _ in range(4))
    dw[[3, n - 5]] = np.nan
    tape = Tape()
    k.guard_numbers(dw, tape)
    if update == "adam":
        k.adam(w, dw, m, v, 1e-2, 3.0, tape=tape)
    else:
        x, dy = np.ones((64, 200), np.float32), np.ones((64, 250), np.float32)
        k.dense_sgd(x, w.reshape(200, 250), None, dy, 0.1, tape=tape)
    for n_threads in (2, 3, 4):
        with Team(n_threads, divide_all) as team:
            for _ in range(20):
                with pytest.raises(FloatingPointError):
                    tape.replay(team=team)
    assert all((array == 0.5).all() for array in (w, m, v))


@pytest.mark.parametrize("batch_size", [32, 64, 100])
@pytest.mark.parametrize("optimizer", [Adam, lambda **o: SGD(0.05, momentum=0.9, **o)], ids=["adam", "momentum"])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"accumulate": 2}], ids=["", "clipped", "accumulated"])
def test_nets_whose_steps_are_regions_train_to_the_same_bits(batch_size, optimizer, options):
    x, t = data(54, 7)

    def trained(n_threads):
        net = classifier((54, 128, 100, 7))
        net.fit(
            x, t, optimizer=optimizer(**options), epochs=3, batch_size=batch_size, n_threads=n_threads, verbose=False
        )
        return net

    one = trained(1)
    for n_threads in (2, 3, 4):
        other = trained(n_threads)
        assert same_bits(other.params, one.params)
        assert other.history.loss == one.history.loss


@pytest.mark.parametrize("n_threads", [2, 3])
def test_trials_of_both_ways_change_no_bit(n_threads):
    """Whether threads help is tried now and then: here several times, and one replay is as good as the other."""
    x, t = data(64, 10, rows=640)

    def trained(n_threads):
        net = classifier((64, 64, 64, 10))
        net.fit(x, t, epochs=100, batch_size=64, n_threads=n_threads, verbose=False)
        return net

    one, other = trained(1), trained(n_threads)
    assert same_bits(other.params, one.params)
    assert other.history.loss == one.history.loss


def test_a_trial_counts_only_replays_that_a_thread_has_helped_with(two):
    tape, absent = tape_of(classifier((54, 128, 128, 7)), *data(54, 7)), Team(2)  # its thread is never started
    while tape.trial[0] < 1:
        tape.replay(team=absent)
        assert tape.trial[1:3] == (0, 0)
    assert tape.trial[3] >= 1000

    tape, counts = tape_of(classifier((54, 128, 128, 7)), *data(54, 7)), []
    ends = time.monotonic() + 10
    while not any(by_one for _, by_one in counts):
        if time.monotonic() > ends:
            pytest.skip("no processor for a second thread: it has not helped often enough")
        tape.replay(team=two)
        counts.append(tape.trial[1:3])
    assert counts[-1] == (12, 1)
    while tape.trial[2] > 0:
        tape.replay(team=two)
    assert tape.trial[1:3] == (0, 0)


def test_a_trial_of_blocks_of_rows_on_one_thread_needs_no_help():
    tape = tape_of(classifier((4, 32, 16, 4)), *data(4, 4, 10_000), rows=10_000)
    for _ in range(12):
        assert tape.trial[2:] == (0, 0)
        tape.replay()
    assert tape.trial == (0, 12, 1, 0)
    while tape.trial[2] > 0:
        tape.replay()
    assert tape.trial[0] in (0, 1)
    assert tape.trial[3] >= 1000


def test_a_tape_is_arranged_anew_for_another_team_and_after_more_calls():
    k, rng, tape = kernels.float32, np.random.default_rng(0), Tape()
    x, y = rng.normal(size=(512, 256)).astype(np.float32), np.zeros((512, 256), np.float32)
    k.tanh_forward(x, y, tape)
    for n_threads in (2, 4, 3):
        k.sigmoid_forward(y, y, tape)
        tape.replay()
        expected = y.copy()
        with Team(n_threads, divide_all=n_threads == 4) as team:
            for _ in range(2):
                y[...] = 0
                tape.replay(team=team)
                assert same_bits(y, expected)
