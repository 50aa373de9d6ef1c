"""Feeds: fits, losses and predictions over data that come piece by piece are those over the same data as arrays."""

import copy
import gc
import os
import pickle
import re
import threading
import time
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from nets import same_bits

from fastnn import (
    LBFGS,
    MSE,
    SGD,
    SWA,
    Adam,
    BatchNorm,
    Callback,
    CrossEntropy,
    Dense,
    Diagnosis,
    EarlyStopping,
    Embedding,
    Head,
    Heads,
    Loss,
    MixUp,
    Model,
    Noise,
    Normalization,
    Quantile,
    Sigmoid,
    Softmax,
    feeds,
)
from fastnn.schedules import Cosine, Linear

ROWS, COLUMNS = 1000, 6
RNG = np.random.default_rng(0)
X = RNG.standard_normal((ROWS, COLUMNS)).astype(np.float32)
LABELS = X[:, :3].argmax(axis=1)
T = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
W = np.where(RNG.random(ROWS) < 0.2, 0, RNG.random(ROWS))
SMALL = 3000  # bytes of a block: 125 rows, which are 3 batches of 32 and some


def classifier(**options):
    return Model([Dense(8, "relu"), Dense(3), Softmax()], seed=0, **options)


def regression():
    return Model([Dense(8, "tanh"), Dense(2)], seed=0)


def sparse(x):
    return pytest.importorskip("scipy.sparse").csr_matrix(np.where(x > 0.3, x, 0))


@pytest.fixture
def folder(tmp_path):
    """The data in files of all kinds."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "labels.npy", LABELS)
    np.save(tmp_path / "weights.npy", W)
    for i, start in enumerate((0, 300, 301)):
        np.save(tmp_path / f"part{i}.npy", X[start : (300, 301, ROWS)[i]])
    return tmp_path


def write_tables(folder, group=90, n=ROWS, name="t", twice=(), times=1, **columns):
    """Write the columns of X, and others, as Parquet and as Arrow, in groups of rows."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pa.table({f"c{i}": X[:, i] for i in range(COLUMNS)} | columns)[:n]
    for column in twice:
        table = table.append_column(column, table[column])
    table = pa.concat_tables([table] * times).combine_chunks()
    parquet.write_table(table, folder / f"{name}.parquet", row_group_size=group)
    with pa.ipc.new_file(folder / f"{name}.arrow", table.schema) as file:
        file.write_table(table, group)


def feeds_of(folder, block_bytes):
    """The same data in each kind of feed."""
    names = str(folder / "x.npy"), str(folder / "labels.npy")
    write_tables(folder, label=LABELS)
    size = {"block_bytes": block_bytes}
    mapped = np.load(names[0], mmap_mode="r")
    batches = [(X[i : i + 32], LABELS[i : i + 32]) for i in range(0, ROWS, 32)]
    return {
        "npy": feeds.Npy(*names, **size),
        "several": feeds.Npy(folder / "part*.npy", LABELS, **size),
        "mapped": feeds.Arrays(mapped, np.load(names[1], mmap_mode="r"), **size),
        "view of a map": feeds.Arrays(np.load(names[0], mmap_mode="c")[::-1][::-1], LABELS, **size),
        "by columns": feeds.Arrays(np.asfortranarray(X), LABELS, **size),
        "float64": feeds.Arrays(X.astype(np.float64), LABELS, **size),
        "big-endian": feeds.Arrays(X.astype(">f4"), LABELS.astype(">i4"), **size),
        "list of arrays": feeds.Arrays([X[:7], X[7:]], [LABELS[:500], LABELS[500:]], **size),
        "parquet": feeds.Parquet(folder / "t.parquet", target="label", **size),
        "arrow": feeds.Arrow(str(folder / "t.arrow"), target="label", **size),
        "batches": feeds.Batches(batches),
        "function": feeds.Batches(lambda: iter(batches)),
    }


def test_a_fit_over_any_feed_has_the_bits_of_one_over_arrays(folder):
    """In the same order; all rows in one block also where they are shuffled."""
    for shuffle, block_bytes in ((False, SMALL), (True, 1 << 20)):
        expected = classifier()
        history = expected.fit(X, LABELS, "cross_entropy", epochs=3, shuffle=shuffle)
        for name, feed in feeds_of(folder, block_bytes).items():
            if shuffle and isinstance(feed, feeds.Batches):
                continue
            net = classifier()
            found = net.fit(feed, None, "cross_entropy", epochs=3, shuffle=shuffle)
            assert same_bits(net.params, expected.params), name
            np.testing.assert_allclose(found.loss, history.loss, rtol=1e-13, err_msg=name)
            assert same_bits(net.predict(feed), net.predict(X)), name
            evaluated, of_arrays = net.evaluate(feed), net.evaluate(X, LABELS)
            assert evaluated == pytest.approx(of_arrays, rel=1e-6), name
            assert evaluated.keys() == of_arrays.keys()


def test_sparse_rows_are_shuffled_as_arrays_are():
    x = sparse(X)
    expected, net = classifier(), classifier()
    expected.fit(x.toarray(), LABELS, epochs=3)
    net.fit(feeds.Arrays(x, LABELS, block_bytes=SMALL), epochs=3)
    assert same_bits(net.params, expected.params)
    assert same_bits(net.predict(feeds.Arrays(x)), net.predict(x.toarray()))


def dataset(values):
    """One of HDF5, in memory, which gives its rows in order alone."""
    file = pytest.importorskip("h5py").File(str(values.dtype), "w", driver="core", backing_store=False)
    return file.create_dataset("values", data=values)


AS_PEOPLE_HAVE_THEM = {
    "series": lambda v: pytest.importorskip("pandas").Series(v, index=np.argsort(X[:, 0])),
    "series of names": lambda v: pytest.importorskip("pandas").Series(v, index=[f"row {i}" for i in range(ROWS)]),
    "nullable": lambda v: pytest.importorskip("pandas").Series(v, index=np.argsort(X[:, 0])).convert_dtypes(),
    "frame": lambda v: pytest.importorskip("pandas").DataFrame({"v": v}, index=np.argsort(X[:, 0])),
    "polars": lambda v: pytest.importorskip("polars").Series(v),
    "list": list,
    "list of rows": lambda v: [np.array([one]) for one in v],
    "parts": lambda v: [v[:300], v[300:]],
    "nothing masked": np.ma.masked_array,
    "dataset": dataset,
}  # fmt: skip


@pytest.mark.parametrize("kind", AS_PEOPLE_HAVE_THEM)
def test_targets_and_weights_go_by_place(kind, monkeypatch):
    """As they do in memory: also beside sparse rows, which are read in any order, and in fits that make a feed."""
    monkeypatch.setattr("fastnn.feeds.found.BLOCK_BYTES", SMALL)
    made, rows, expected = AS_PEOPLE_HAVE_THEM[kind], sparse(X), classifier()
    y, weight = made(LABELS), made(1.0 + W)
    expected.fit(rows.toarray(), LABELS, sample_weight=1.0 + W, epochs=2)
    for data, own in (
        ((feeds.Arrays(rows, y, weight),), None),
        ((feeds.Arrays(list(rows.toarray()), y, weight),), None),
        ((rows, y), weight),
    ):
        net = classifier()
        net.fit(*data, epochs=2, sample_weight=own)
        assert same_bits(net.params, expected.params)


def test_targets_of_several_columns_may_be_a_list_of_rows():
    expected, net = regression(), regression()
    expected.fit(feeds.Arrays(X, T), epochs=2)
    net.fit(feeds.Arrays(X, list(T)), epochs=2)
    assert same_bits(net.params, expected.params)


def test_columns_of_frames_have_names():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pandas.DataFrame(X, columns=[*"abcdef"])
    net, expected = classifier(), classifier()
    expected.fit(frame, LABELS, epochs=2)
    net.fit(feeds.Arrays(frame, LABELS, 1 + 0 * W), epochs=2)
    assert same_bits(net.params, expected.params)
    assert net.feature_names == (*"abcdef",)
    parts = [frame.iloc[:7, ::-1], polars.from_pandas(frame[7:])]
    assert same_bits(net.predict(feeds.Arrays(parts)), net.predict(frame))
    with pytest.raises(ValueError, match="x lacks the column 'c' and has the column 'k'"):
        net.predict(feeds.Arrays(frame.rename(columns={"c": "k"})))


def test_blocks_are_shuffled_and_no_row_comes_twice():
    """Each epoch visits each row once, in an order that follows from seed, fit and epoch alone."""
    seen = []

    class Seen(Loss):
        def value_and_grad(self, y, t):
            seen.append(t[:, 0].astype(int).tolist())
            return 0.0, np.zeros_like(y)

    def epochs(seed=0, fits=1, shuffle=True, **options):
        seen.clear()
        net = Model([Dense(1)], seed=seed)
        rows = np.arange(5000.0)
        for _ in range(fits):
            data = feeds.Arrays(rows[:, None] / 5000, rows, block_bytes=4 * 700)
            data._chunks = [(0, 0, start, start + 50) for start in range(0, 5000, 50)]  # smaller than 1 MB
            net.fit(data, None, Seen(), SGD(0), epochs=3, shuffle=shuffle, **options)
        assert {len(batch) for batch in seen} <= {32, 5000 % 32}
        rows = [row for batch in seen for row in batch]
        return [rows[i : i + 5000] for i in range(0, len(rows), 5000)]

    found = epochs()
    for epoch in found:
        assert sorted(epoch) == list(range(5000))
        assert sum(abs(a - b) < 50 for a, b in pairwise(epoch)) < 500  # of other places
    assert found[0] != found[1] != found[2]
    assert epochs() == found
    assert epochs(n_threads=2) == found
    assert epochs(callbacks=[lambda *_: None]) == found
    assert epochs(seed=1) != found
    assert epochs(fits=2)[:3] == found
    assert epochs(shuffle=False) == 3 * [list(range(5000))]


def test_weights_count_as_those_of_arrays(folder):
    """Relative to all rows, and rows of weight 0 are left out, whatever they hold."""
    write_tables(folder, label=LABELS, w=W)
    x = np.where(W[:, None] == 0, np.nan, X)
    for given in (W, 1e-3 * W, np.where(np.arange(ROWS) < 400, 0, W)):  # some blocks weigh nothing
        expected = classifier()
        history = expected.fit(x, LABELS, epochs=2, shuffle=False, sample_weight=given)
        for feed in (
            feeds.Arrays(x, LABELS, given, block_bytes=SMALL),
            feeds.Batches([(x, LABELS, given)]),
            feeds.Parquet(folder / "t.parquet", target="label", sample_weight="w", block_bytes=SMALL),
        ):
            if isinstance(feed, feeds.Parquet) and given is not W:
                continue
            net = classifier()
            if not isinstance(feed, feeds.Batches):
                found = net.fit(feed, epochs=2, shuffle=False)
                np.testing.assert_allclose(net.params, expected.params, atol=1e-5)
                np.testing.assert_allclose(found.loss, history.loss, rtol=1e-6)
            of_arrays = net.fit(X[:40], LABELS[:40], epochs=1) and net.evaluate(x, LABELS, sample_weight=given)
            assert net.evaluate(feed) == pytest.approx(of_arrays, rel=1e-5)


def test_losses_that_weigh_by_themselves_count_as_those_of_arrays():
    t = np.where(RNG.random(T.shape) < 0.3, np.nan, T)
    for loss in (MSE(missing="ignore"), MSE(output_weights=[1, 3]), MSE(reduction="sum")):
        target = t if loss.missing == "ignore" else T
        expected, net = regression(), regression()
        data = feeds.Arrays(X, target, block_bytes=SMALL)
        history = expected.fit(X, target, loss, SGD(0.001), epochs=2, shuffle=False, validation_data=(X, target))
        found = net.fit(data, None, loss, SGD(0.001), epochs=2, shuffle=False, validation_data=data)
        np.testing.assert_allclose(net.params, expected.params, atol=1e-6)
        np.testing.assert_allclose(found.loss, history.loss, rtol=1e-5)
        np.testing.assert_allclose(found.val_loss, history.val_loss, rtol=1e-5)
        assert net.evaluate(data, loss=loss) == pytest.approx(net.evaluate(X, target, loss), rel=1e-5)


def test_what_fits_do_works_over_feeds():
    """Validation, stopping, schedules, averages, callbacks of batches, layers that are fitted to data, names."""
    data = feeds.Arrays(X, T, block_bytes=SMALL)
    batches = [(X[i : i + 32], T[i : i + 32]) for i in range(0, ROWS, 32)]
    for optimizer in (
        lambda: SGD(0.05 * Cosine()),
        lambda: Adam(Linear(0.01, 0.001, epochs=3)),
        lambda: Adam(0.01, average=SWA(0.5)),
        lambda: SGD(0.05, accumulate=3, clip_norm=1.0),
    ):
        expected, net, of_batches = ([Dense(8), BatchNorm(), Dense(2)] for _ in range(3))
        expected, net, of_batches = Model(expected, seed=0), Model(net, seed=0), Model(of_batches, seed=0)
        options = {"epochs": 4, "shuffle": False}
        history = expected.fit(X, T, "mse", optimizer(), **options, validation_data=(X, T))
        found = net.fit(data, None, "mse", optimizer(), **options, validation_data=data)
        assert same_bits(net.params, expected.params)
        np.testing.assert_allclose(found.val_loss, history.val_loss, rtol=1e-6)
        if not optimizer().refreshes:
            of_batches.fit(batches, None, "mse", optimizer(), epochs=4)
            assert same_bits(of_batches.params, expected.params)
    net = regression()
    stopping = EarlyStopping(2, 1e-9, monitor="loss")
    history = net.fit(data, None, "mse", SGD(0.0), epochs=50, callbacks=[stopping])
    assert len(history) == 3
    assert history.loss[0] == pytest.approx(net.evaluate(X, T)["loss"], rel=1e-6)


class Batchwise(Callback):
    def __init__(self, stop_at=None):
        self.seen, self._stop_at = [], stop_at

    def end_batch(self, model, batch, logs):
        self.seen.append((batch, logs["loss"]))
        return len(self.seen) == self._stop_at


def test_callbacks_are_told_of_batches():
    n = -(-ROWS // 32)
    told = []
    for data in (
        (X, T),
        (feeds.Arrays(X, T, block_bytes=SMALL),),
        ([(X[i : i + 32], T[i : i + 32]) for i in range(0, ROWS, 32)],),
    ):
        callback = Batchwise()
        regression().fit(*data, loss="mse", epochs=2, shuffle=False, callbacks=[callback])
        assert [batch for batch, _ in callback.seen] == 2 * list(range(n))
        told.append(callback.seen)
        callback = Batchwise(stop_at=n + 7)
        net = regression()
        history = net.fit(*data, loss="mse", epochs=9, shuffle=False, callbacks=[callback])
        assert (len(callback.seen), len(history)) == (n + 7, 1)
    assert told[0] == told[1] == told[2]


def test_a_callback_may_change_what_trains():
    """The loss, the optimizer and a structure: what is recorded over the blocks is recorded anew."""

    def change(model, epoch, logs):
        if epoch == 0:
            model.loss, model.optimizer = "mae", SGD(0.01, momentum=0.9)
        if epoch == 1:
            model.layers[0].trainable = False

    nets = []
    for data in ((X, T), (feeds.Arrays(X, T, block_bytes=SMALL),), ([(X, T)],)):
        net = regression()
        net.fit(*data, loss="mse", epochs=4, shuffle=False, callbacks=[change], **batch_size_of(data))
        nets.append(net)
    assert same_bits(nets[0].params, nets[1].params)
    assert nets[2].loss.name == "mae" if hasattr(nets[2].loss, "name") else True


def batch_size_of(data):
    return {} if isinstance(data[0], list) else {"batch_size": 32}


def test_normalization_is_fitted_to_a_block():
    x = 100 + 7 * X
    net = Model([Normalization(), Dense(3), Softmax()], seed=0)
    net.fit(feeds.Arrays(x, LABELS, block_bytes=12_000), epochs=1)
    assert net.layers[0].rows[0] > 400
    np.testing.assert_allclose(net.layers[0].center, x.mean(axis=0), atol=2)


def test_columns_have_names_and_an_order(folder):
    write_tables(folder, label=LABELS)
    net = classifier()
    columns = [f"c{i}" for i in (3, 1, 0)]
    net.fit(feeds.Parquet(folder / "t.parquet", target="label", columns=columns), epochs=1)
    assert net.feature_names == tuple(columns)
    others = feeds.Arrow(folder / "t.arrow", columns=columns[::-1])
    assert same_bits(net.predict(others), net.predict(X[:, [3, 1, 0]]))
    with pytest.raises(ValueError, match=r"lacks the columns? 'c3'"):
        net.predict(feeds.Parquet(folder / "t.parquet", columns=["c0", "c1"]))
    several = regression()
    write_tables(folder, u=T[:, 0], v=T[:, 1])
    several.fit(feeds.Parquet(folder / "t.parquet", target=["u", "v"]), epochs=1)
    assert several.n_in == COLUMNS


def test_large_maps_and_sparse_rows_are_read_by_blocks(tmp_path, monkeypatch):
    """By `fit` itself: with less memory than all rows take."""
    from fastnn.feeds import found

    monkeypatch.setattr(found, "BLOCK_BYTES", 1_000_000)
    monkeypatch.setattr(feeds.Arrays.__init__, "__kwdefaults__", {"block_bytes": 1_000_000})
    n = 200_000
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, 16))
    mapped[...] = RNG.standard_normal((n, 16), dtype=np.float32)
    labels = (mapped[:, 0] > 0).astype(int)
    rows = pytest.importorskip("scipy.sparse").random(n, 100, 0.01, "csr", np.float32, random_state=0)
    for x, whole in ((mapped, n * 64), (rows, n * 400)):
        net = Model([Dense(2), Softmax()], seed=0)
        net.build(x.shape[1])
        gc.collect()
        tracemalloc.start()
        net.fit(x, labels, epochs=1, batch_size=256, sample_weight=np.ones(n))
        net.evaluate(x, labels)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < whole * 0.9, (peak, whole)
        outputs = net.predict(x)
        assert outputs.shape == (n, 2)


def test_what_gives_batches_is_predicted_and_calibrates():
    """Batches of x, or with targets that are not read, of any number of rows; not functions, lists and single rows."""
    net = classifier()
    net.fit(X, LABELS, epochs=1)
    expected, wide = net.predict(X), Model([Dense(32, "relu"), Dense(32)], seed=0).build(32)
    rows = np.resize(X, (90, 32)).astype(np.float32)

    class Loader:
        def __iter__(self):
            return ((X[i : i + 70], LABELS[i : i + 70]) for i in range(0, len(X), 70))

    for give in (
        lambda: (X[i : i + 70] for i in range(0, len(X), 70)), lambda: iter([X.tolist()]), lambda: map(np.asarray, [X]),
        Loader, lambda: zip([X], [LABELS], strict=True),
    ):  # fmt: skip
        np.testing.assert_array_equal(net.predict(give()), expected)
        np.testing.assert_array_equal(net(give()), expected)
    out = np.zeros_like(expected)
    assert net.predict(iter(Loader()), out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(wide.quantize(iter([rows])).predict(rows), wide.quantize(rows).predict(rows))
    for give, kind in ((lambda: iter(X), ".*iterator"), (lambda: map(list, X), "map"), (lambda: zip(*X.T), "zip")):  # noqa: B905
        with pytest.raises(TypeError, match=rf"^x is a {kind}, .* as batch 0: .*pass list\(x\)"):
            net.predict(give())
    with pytest.raises(ValueError, match="there are no batches to predict"):
        net.predict(iter([]))


def test_batches_of_generators():
    """Epochs of all batches, or of so many; an end that comes too early is told, and the model is of whole batches."""

    def some(n=10):
        for i in range(n):
            yield X[32 * i : 32 * i + 32], LABELS[32 * i : 32 * i + 32]

    steps = Batchwise()
    assert len(classifier().fit(some(), callbacks=steps)) == 1
    assert [batch for batch, _ in steps.seen] == list(range(10))
    assert len(classifier().fit(some, epochs=3)) == 3
    assert len(classifier().fit(some)) == 10
    assert len(classifier().fit(list(some()))) == 400
    net, closed = classifier(), []

    def endless():
        try:
            while True:
                yield from some()
        finally:
            closed.append(True)

    assert len(net.fit(feeds.Batches(endless, steps=7), epochs=3)) == 3
    assert closed == [True]
    steps = Batchwise()
    classifier().fit(feeds.Batches(list(some()), steps=7), epochs=3, callbacks=steps)
    assert len(steps.seen) == 21
    net = classifier()
    with pytest.raises(ValueError, match="the batches end after 3 of this epoch, expected steps=7"):
        net.fit(feeds.Batches(some(), steps=7), epochs=3)
    assert (len(net.history), net.history.ended.startswith("error: after 1 epoch")) == (1, True)
    expected = classifier()
    for batch in some():
        expected.train_batch(*batch)
    assert same_bits(net.params, expected.params)


def test_loaders_of_pytorch():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(LABELS))
    net, expected = classifier(), classifier()
    history = net.fit(torch.utils.data.DataLoader(data, batch_size=32), epochs=2)
    expected.fit(X, LABELS, epochs=2, shuffle=False)
    assert same_bits(net.params, expected.params)
    assert len(history) == 2


# What is wrong with data, or with what is asked for


class ByRow(feeds.Blocks):
    sizes, n_columns, by_row = [10], 1, True

    def chunk(self, i, x=True):
        yield feeds.Piece(X[:10, :1], T[:10], None, "", 0)


WRONG = {
    "no rows by number": (lambda f: regression().fit(ByRow()), TypeError, r"ByRow: .*no some\(rows\): define it"),
    "no targets beside an array": (lambda f: classifier().fit(X), TypeError, "y is missing beside x, ndarray of shape"),
    "evaluate, too": (lambda f: classifier().evaluate(X), TypeError, "evaluate: y is missing"),
    "targets twice": (lambda f: classifier().fit(feeds.Arrays(X, LABELS), LABELS), TypeError, "has its own targets"),
    "a feed without targets": (lambda f: classifier().fit(feeds.Arrays(X)), ValueError, "has no targets: say what"),
    "weights beside a feed": (
        lambda f: classifier().fit(feeds.Arrays(X, LABELS), sample_weight=W), ValueError, "weight is given beside",
    ),
    "all rows at once": (
        lambda f: regression().fit(feeds.Arrays(X, T), optimizer=LBFGS()), TypeError, "takes all rows at once",
    ),
    "no batch size": (
        lambda f: classifier().fit(feeds.Arrays(X, LABELS, block_bytes=SMALL), batch_size=None),
        ValueError, "does not fit into a block of 3,000 bytes: say how many rows a batch has",
    ),
    "a size of batches that come": (
        lambda f: classifier().fit([(X, LABELS)], batch_size=7), ValueError, "batch_size is 7, but batches come as",
    ),
    "epochs of one generator": (
        lambda f: classifier().fit(iter([(X, LABELS)]), epochs=2), ValueError, "be gone through once: pass a f",
    ),
    "epochs of one generator to validate with": (
        lambda f: classifier().fit(X, LABELS, epochs=2, validation_data=iter([(X, LABELS)])),
        ValueError, "validation_data is .*, which can be gone through once, and there are 2 epochs: pass a list of",
    ),
    "a text": (lambda f: feeds.Arrays("abc", LABELS), TypeError, "x is 'abc', expected numbers"),
    "nothing": (lambda f: feeds.Npy(None, LABELS), TypeError, "x is None, expected numbers: pass an array"),
    "a number": (lambda f: feeds.Arrays(X, 5), TypeError, "y is 5, expected rows"),
    "masked rows": (lambda f: feeds.Arrays(np.ma.masked_greater(X, 1), LABELS), ValueError, "x has masked entries: fi"),
    "masked targets": (lambda f: feeds.Npy(f / "x.npy", np.ma.masked_equal(LABELS, 1)), ValueError, "y has masked ent"),
    "masked weights": (lambda f: feeds.Arrays(X, LABELS, np.ma.masked_less(W, 0.1)), ValueError, "weight has masked"),
    "words": (lambda f: feeds.Arrays(X, ["a", "b"] * 500), TypeError, "y holds text .*: encode classes as whole"),
    "nothing to set apart": (
        lambda f: regression().fit(None, T, validation_split=0.2), TypeError, "x is None, expected an array, a frame",
    ),
    "a generator to set apart": (
        lambda f: regression().fit(iter(X), T, validation_split=0.2), TypeError, "x is .*, expected an array, a frame",
    ),
    "no batches": (lambda f: classifier().fit(iter([])), ValueError, "there are no batches"),
    "a batch of one": (lambda f: classifier().fit(iter([X])), TypeError, r"batch 0 is .*, expected a tuple \(x, y\)"),
    "widths": (
        lambda f: classifier().fit([(X, LABELS), (X[:, :4], LABELS)], epochs=1),
        ValueError, r"batch 1: Dense 1 \(8 units\) expects 6 features, got x of shape \(1000, 4\)",
    ),
    "no iterable": (lambda f: feeds.Batches(3), TypeError, "Batches: batches is 3, expected an iterable"),
    "steps": (lambda f: feeds.Batches([], steps=0), ValueError, "Batches: steps is 0, expected a whole number >= 1"),
    "lengths": (lambda f: feeds.Npy(f / "x.npy", LABELS[1:]), ValueError, "y has 999 rows, expected 1000 to match x"),
    "no such file": (lambda f: feeds.Npy(f / "z.npy"), FileNotFoundError, "Npy: x: there is no file .*z.npy"),
    "no such files": (lambda f: feeds.Npy(f / "z*.npy"), FileNotFoundError, r"there is no file .*z\*.npy"),
    "parts of other widths": (
        lambda f: feeds.Arrays([X, X[:, :3]], np.r_[LABELS, LABELS]), ValueError, r"x\[1\] has shape \(1000, 3\)",
    ),
    "one dimension": (lambda f: feeds.Arrays(X[0], LABELS), ValueError, "y has 1000 rows|expected 2 dimensions"),
    "one number": (lambda f: feeds.Npy(f / "one.npy"), TypeError, "one.npy holds one number, 5.0, expected rows"),
    "an empty file": (lambda f: feeds.Npy(f / "empty.npy"), ValueError, "empty.npy is no .npy file of numbers"),
    "rows below 0": (lambda f: feeds.Npy(f / "below.npy"), ValueError, "below.npy is no .npy file of numbers"),
    "a directory": (
        lambda f: feeds.Parquet(f, "label"), IsADirectoryError, r"paths: .* is a directory, .*\*\.parquet' are those",
    ),
    "no .npy file": (lambda f: feeds.Npy(f / "t.parquet"), ValueError, "t.parquet is no .npy file"),
    "no Parquet file": (lambda f: feeds.Parquet(f / "x.npy"), ValueError, "x.npy is no Parquet file"),
    "no Arrow file": (lambda f: feeds.Arrow(f / "x.npy"), ValueError, "x.npy is no Arrow file"),
    "no such column": (
        lambda f: feeds.Parquet(f / "t.parquet", target="labl"), ValueError, "target has 'labl', .* mean 'label'",
    ),
    "no such weights": (
        lambda f: feeds.Parquet(f / "t.parquet", sample_weight="k"), ValueError, "sample_weight has 'k', which is",
    ),
    "no name of targets": (
        lambda f: feeds.Parquet(f / "t.parquet", target=3), TypeError, "Parquet: target is 3, expected a list of names",
    ),
    "letters": (
        lambda f: feeds.Arrow(f / "t.arrow", columns="c0"), TypeError, "Arrow: columns is 'c0', expected a list of nam",
    ),
    "no columns": (lambda f: feeds.Arrow(f / "t.arrow", columns=[]), TypeError, r"columns is \[\], expected a list"),
    "the target in x": (
        lambda f: feeds.Parquet(f / "t.parquet", "label", columns=["c0", "label"]),
        ValueError, "Parquet: columns has 'label', the target: x would hold",
    ),
    "a name twice": (
        lambda f: feeds.Arrow([f / "t.arrow", f / "twice.arrow"], "label"),
        ValueError, "columns has 'c1', and .*twice.arrow has 2 columns of this name: rename them",
    ),
    "a name twice, of Parquet": (
        lambda f: feeds.Parquet(f / "twice.parquet", columns=["c0", "c1"]), ValueError, "has 'c1', and .* 2 columns of",
    ),
    "text": (
        lambda f: classifier().fit(feeds.Parquet(f / "t.parquet", target="label")),
        TypeError, "t.parquet, row group 0: x: column 'text' holds text",
    ),
    "a size of blocks": (lambda f: feeds.Arrays(X, block_bytes=0), ValueError, "Arrays: block_bytes is 0"),
    "negative weights": (
        lambda f: classifier().fit(feeds.Arrays(X, LABELS, -W)), ValueError, "sample_weight is negative at row",
    ),
    "no weights": (
        lambda f: classifier().fit(feeds.Arrays(X, LABELS, 0 * W)), ValueError, "sample_weight is 0 in all rows",
    ),
}  # fmt: skip


def check_refused(name, call, kind, message):
    try:
        call()
    except kind as error:
        said = str(error)
    else:
        said = "nothing"
    assert re.search(message, said), f"{name}: {said}"


def test_what_is_wrong_is_said(folder):
    texts = [f"t{i}" for i in range(ROWS)]
    write_tables(folder, label=LABELS, text=texts)
    write_tables(folder, name="twice", twice=["c1"], label=LABELS, text=texts)
    np.save(folder / "one.npy", 5.0)
    (folder / "empty.npy").touch()
    (folder / "below.npy").write_bytes((folder / "x.npy").read_bytes().replace(b"(1000, 6)", b"(-100, 6)"))
    for name, (call, kind, message) in WRONG.items():
        check_refused(name, lambda call=call: call(folder), kind, message)


def test_errors_name_the_file_and_the_row_and_leave_no_thread(folder):
    """Where the reading thread meets them, in the middle of a fit, too: the model is of whole batches then."""
    before = threading.active_count()
    x, y = X.copy(), LABELS.copy()
    x[777, 4], y[888] = np.nan, 5
    np.save(folder / "bad.npy", x)
    np.save(folder / "labels5.npy", y)
    write_tables(folder, label=LABELS, c6=x[:, 4])
    for feed, message in (
        (feeds.Npy(folder / "bad.npy", LABELS, block_bytes=SMALL), "bad.npy: x is NaN at row 777, column 4"),
        (
            feeds.Npy(folder / "x.npy", folder / "labels5.npy", block_bytes=SMALL),
            "x.npy, .*5.npy: y is 5 at row 888",
        ),
        (
            feeds.Parquet(folder / "t.parquet", target="label", block_bytes=SMALL),
            "t.parquet, row group 8: x is NaN at row 57, column 'c6'",
        ),
    ):
        net = classifier()
        with pytest.raises(ValueError, match=message):
            net.fit(feed, epochs=2)
        assert not net.built or np.isfinite(net.params).all()
    net = classifier()
    data = feeds.Arrays(X.copy(), LABELS, block_bytes=SMALL)

    def spoil(model, epoch, logs):
        data._x.parts[0]._array[500, 2] = np.inf

    with pytest.raises(ValueError, match="x is infinite, or too large for float32 at row 500, column 2"):
        net.fit(data, epochs=9, callbacks=[spoil])
    assert 1 <= len(net.history) <= 3
    assert np.isfinite(net.params).all()
    wait_for_threads(before)


CHANGED_ARRAYS = {  # the file, what becomes of it, and what is said
    "another dtype, more rows": ("x.npy", lambda f: np.save(f, np.r_[X, X].astype(float)), "has been written anew"),
    "another shape": ("x.npy", lambda f: np.save(f, X.T), r"anew .* shape \(1000, 6\) and dtype float32: make"),
    "by columns": ("x.npy", lambda f: np.save(f, np.asfortranarray(X)), "has been written anew"),
    "no more by columns": ("columns.npy", lambda f: np.save(f, X), "has been written anew"),
    "targets": ("labels.npy", lambda f: np.save(f, LABELS[:999]), "has been written anew"),
    "cut off": ("x.npy", lambda f: os.truncate(f, 20_000), "ends before row 999: it has been cut off since"),
    "by columns, cut off": ("columns.npy", lambda f: os.truncate(f, 20_000), "has been cut off since it was opened"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGED_ARRAYS)
def test_arrays_that_change_once_they_are_opened_are_refused_by_name(kind, folder):
    name, change, message = CHANGED_ARRAYS[kind]
    np.save(folder / "columns.npy", np.asfortranarray(X))
    feed = feeds.Npy(folder / (name if name != "labels.npy" else "x.npy"), folder / "labels.npy", block_bytes=SMALL)
    change(folder / name)
    with pytest.raises(ValueError, match=f"{name}.* {message}"):
        classifier().fit(feed, epochs=1, shuffle=False)


def spoil(path):
    with open(path, "r+b") as file:
        file.write(b"\xff" * 2000)


CHANGED_TABLES = {
    "smaller groups": (lambda f: write_tables(f.parent, 30, label=LABELS), "anew .*: make the feed again"),
    "larger groups": (lambda f: write_tables(f.parent, 100, label=LABELS), "has been written anew"),
    "as many groups": (lambda f: write_tables(f.parent, 80, 960, label=LABELS), "has been written anew"),
    "as many groups, far larger": (
        lambda f: write_tables(f.parent, 5000, times=60, label=LABELS), "has been written anew",
    ),
    "fewer rows": (lambda f: write_tables(f.parent, 90, 990, label=LABELS), "has been written anew"),
    "more columns": (lambda f: write_tables(f.parent, label=LABELS, more=W), "has been written anew"),
    "empty": (lambda f: os.truncate(f, 0), "(row group|record batch) 0, cannot be read: "),
    "noise": (spoil, "(row group|record batch) 0, cannot be read: [^\n]*$"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
@pytest.mark.parametrize("kind", CHANGED_TABLES)
def test_tables_that_change_once_they_are_opened_are_refused_by_name(kind, name, folder):
    change, message = CHANGED_TABLES[kind]
    write_tables(folder, label=LABELS)
    make = feeds.Arrow if name == "t.arrow" else feeds.Parquet
    small, whole = (make(folder / name, "label", block_bytes=size) for size in (SMALL, 1 << 20))
    change(folder / name)
    for feed in (small, whole):
        with pytest.raises(ValueError, match=f"{name}.* {message}"):
            classifier().fit(feed, epochs=1, shuffle=False)


def wait_for_threads(n):
    for _ in range(100):
        if threading.active_count() <= n:
            return
        time.sleep(0.01)
    raise AssertionError("a thread is left")


def test_an_interrupt_ends_the_reading(folder):
    class Interrupt(Callback):
        def end_batch(self, model, batch, logs):
            if batch == 9:
                raise KeyboardInterrupt

    net = classifier()
    with pytest.raises(KeyboardInterrupt):
        net.fit(feeds.Npy(folder / "x.npy", LABELS, block_bytes=SMALL), epochs=9, callbacks=[Interrupt()])
    assert net.history.ended.startswith("interrupted")
    expected = classifier()
    with pytest.raises(KeyboardInterrupt):
        expected.fit(feeds.Arrays(X, LABELS, block_bytes=SMALL), epochs=9, callbacks=[Interrupt()])
    assert same_bits(net.params, expected.params)
    assert len(net.fit(feeds.Npy(folder / "x.npy", LABELS, block_bytes=SMALL), epochs=1)) == 1


def test_a_diverged_fit_is_put_back():
    net = regression()
    net.build(COLUMNS)
    before = net.params.copy()
    for data in ((feeds.Arrays(X, 1e18 * T, block_bytes=SMALL),), ([(X, 1e18 * T)] * 40,)):
        with (
            pytest.warns(UserWarning, match="y has mean"),
            pytest.raises(FloatingPointError, match=r"in epoch 1, batch ."),
        ):
            regression_diverges(net, data)
        assert same_bits(net.params, before)


def regression_diverges(net, data):
    net.fit(*data, loss="mse", optimizer=SGD(1e6), epochs=50)
    raise AssertionError("it has not diverged")


def test_feeds_are_copied_and_pickled(folder):
    write_tables(folder, label=LABELS)
    for feed in (
        feeds.Npy(folder / "x.npy", folder / "labels.npy", block_bytes=SMALL),
        feeds.Parquet(folder / "t.parquet", target="label", block_bytes=SMALL),
        feeds.Arrays(X, LABELS, block_bytes=SMALL),
    ):
        expected = classifier()
        expected.fit(feed, epochs=1)
        for other in (copy.copy(feed), pickle.loads(pickle.dumps(feed))):
            net = classifier()
            net.fit(other, epochs=1, validation_data=other)  # which is read by two at a time
            assert same_bits(net.params, expected.params)


# Changes of batches


def test_changes_are_the_same_over_arrays_feeds_and_threads():
    for augment in (MixUp(0.4), Noise(0.3), [Noise(0.1), MixUp(1.0)], lambda x, y, rng: (x + rng.random(x.shape), y)):
        found = []
        for data in (
            (X, LABELS),
            (X[:10], LABELS[:10]),
            (feeds.Arrays(X, LABELS, block_bytes=SMALL),),
            ([(X[i : i + 32], LABELS[i : i + 32]) for i in range(0, ROWS, 32)],),
        ):
            nets = [classifier() for _ in range(3)]
            nets[0].fit(*data, epochs=2, shuffle=False, augment=augment)
            nets[1].fit(*data, epochs=2, shuffle=False, augment=augment, n_threads=2, callbacks=[lambda *_: None])
            nets[2].fit(*data, epochs=2, shuffle=False)
            assert same_bits(nets[0].params, nets[1].params)
            assert not same_bits(nets[0].params, nets[2].params)
            found.append(nets[0].params)
        assert same_bits(found[0], found[2])
        assert same_bits(found[0], found[3])
    assert not same_bits(X[0], X[0] + 1)


def test_a_change_is_given_batches_and_a_generator_that_follows_from_the_step():
    seen = []

    def look(x, y, rng):
        seen.append((x.copy(), y.copy(), rng.random()))
        x[...] = 0
        return x, y

    x, kept = X.copy(), X.copy()
    net = classifier()
    net.fit(x, LABELS, epochs=2, shuffle=False, augment=look)
    assert same_bits(x, kept)  # a batch is a copy
    assert same_bits(np.concatenate([x for x, _, _ in seen]), np.concatenate([X, X]))
    assert all(y.dtype == np.int64 for _, y, _ in seen)
    assert len({number for _, _, number in seen}) == len(seen)
    first = [number for _, _, number in seen]
    seen.clear()
    classifier().fit(X, LABELS, epochs=2, augment=look, callbacks=[lambda *_: None])
    assert [number for _, _, number in seen] == first
    seen.clear()
    net.fit(X, LABELS, epochs=2, augment=look)  # the second fit
    assert not {number for _, _, number in seen} & set(first)


def test_mixup_mixes_rows_and_targets_alike():
    """By hand: x and one-hot rows with one share, and a partner that is another row of the batch."""
    x, y = np.eye(8), np.eye(8)[::-1].copy()
    rng = np.random.default_rng(3)
    mixed, targets = MixUp(0.5)(x, y, np.random.default_rng(3))
    share, order = rng.beta(0.5, 0.5), rng.permutation(8)
    np.testing.assert_allclose(mixed, share * x + (1 - share) * x[order], rtol=1e-15)
    np.testing.assert_allclose(targets, share * y + (1 - share) * y[order], rtol=1e-15)
    noisy, same = Noise(0.5)(np.zeros((2000, 3), np.float32), y, np.random.default_rng(0))
    assert abs(noisy.std() - 0.5) < 0.02
    assert same is y


def spoilt(x, y, rng):
    y[2] = 7
    return x, y


BATCH = "augment: in the batch that the function .* returned, "
WRONG_CHANGES = {
    "a class": (MixUp, TypeError, r"this is a class, make an object of it, MixUp\(\)"),
    "a number": (3, TypeError, r"augment is 3, expected a function f\(x, y, rng\)"),
    "too few parameters": (lambda x: x, TypeError, "it is called with these three, and takes"),
    "one thing": (lambda x, y, rng: x, TypeError, r"returned ndarray of shape .*, expected a tuple \(x, y\)"),
    "fewer rows": (lambda x, y, rng: (x[:3], y), ValueError, r"returned x of shape \(3, 6\), expected \(32, 6\)"),
    "mixed labels": (lambda x, y, rng: (x, 0.5 * y), TypeError, "expected whole labels, as given"),
    "NaN": (lambda x, y, rng: (x * np.nan, y), ValueError, "made NaN or infinity in x"),
    "text": (lambda x, y, rng: (x.astype(str), y), TypeError, "returned x of dtype <U.*, expected numbers"),
    "label 3 of 3": (lambda x, y, rng: (x, np.r_[y[:5], 3, y[6:]]), ValueError, BATCH + "y is 3 at row 5, expected"),
    "labels below 0": (lambda x, y, rng: (x, 0 * y - 1), ValueError, BATCH + "y is -1 at row 0, expected .* 0 to 2"),
    "labels in place": (spoilt, ValueError, BATCH + "y is 7 at row 2, expected labels from 0 to 2"),
    "NaN labels": (lambda x, y, rng: (x, np.nan * y), TypeError, "expected whole labels"),
    "behind others": ([Noise(), spoilt], ValueError, BATCH + "y is 7 at row 2"),
    "behind mixing": ([MixUp(), lambda x, y, rng: (x, 2 * y)], ValueError, BATCH + r"y is .* at row 0, expected prob"),
}


def test_what_is_wrong_with_changes_is_said():
    for data in ((X, LABELS), ([(X[:32], LABELS[:32])],)):
        for name, (augment, kind, message) in WRONG_CHANGES.items():
            fit = lambda augment=augment, data=data: classifier().fit(*data, epochs=1, augment=augment)  # noqa: E731
            check_refused(name, fit, kind, message)
    heads = Heads({"kind": Head(CrossEntropy(from_logits=True), 3), "price": Head(MSE(), 2)})
    for layers, y, loss, changed, message in (  # targets that other losses do not take
        ([Dense(2)], T, "mse", np.nan, "made NaN or infinity in y"),
        ([Dense(2)], T**2, "poisson_nll", -1, "y is .*-1.* at row 0, expected counts"),
        ([Dense(2), Sigmoid()], T > 0, "bce", 2, "y is .*2.* at row 0, expected numbers from 0 to 1"),
        ([Dense(2)], T > 0, "hinge", 3, "y is .*3.* at row 0, expected -1, 1, or what is mixed"),
        ([Dense(5)], {"kind": LABELS, "price": T}, heads, np.float64(2.0), "head 'kind'.* expected labels from 0 to 2"),
    ):
        net, augment = Model(layers, seed=0, dtype="float64"), lambda x, y, rng, c=changed: (x, np.full_like(y, c))
        with pytest.raises(ValueError, match=message):
            net.fit(X, y, loss, epochs=1, augment=augment)
    for loss in ("hinge", Quantile([0.1, 0.9])):  # and what they do take
        net = Model([Dense(4 if loss != "hinge" else 2)], seed=0)
        net.fit(X, np.sign(T) if loss == "hinge" else T, loss, epochs=1, augment=[MixUp(), Noise()])
        assert np.isfinite(net.params).all()
    with pytest.raises(TypeError, match="mixes rows, which have to weigh alike"):
        classifier().fit(X, LABELS, augment=MixUp(), sample_weight=1 + W)
    with pytest.raises(TypeError, match=r"mixes rows with their targets, and .* takes labels alone"):
        Model([Dense(3)], seed=0).fit(X, LABELS, "multi_margin", augment=MixUp())
    with pytest.raises(TypeError, match="augment changes each batch, while LBFGS"):
        regression().fit(X, T, "mse", LBFGS(), augment=Noise())
    with pytest.raises(ValueError, match="MixUp: alpha is 0"):
        MixUp(0)
    with pytest.raises(ValueError, match="Noise: scale is -1"):
        Noise(-1)


def test_codes_of_categories_may_miss_in_changed_batches():
    x = np.stack([np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.integers(0, 4, ROWS)), X[:, 0]], axis=1)
    net = Model([Embedding({0: 4}), Dense(3), Softmax()], seed=0)
    net.fit(x, LABELS, epochs=1, augment=lambda x, y, rng: (x, y))
    assert np.isfinite(net.params).all()


def test_diagnoses_look_at_rows_of_feeds():
    """As of arrays: at rows of all the data, or of the first batch."""
    x = 500 * X
    for data in ((x, LABELS), (feeds.Arrays(x, LABELS, block_bytes=SMALL),), ([(x, LABELS)],)):
        diagnosis = Diagnosis(say=False)
        classifier().fit(*data, epochs=2, callbacks=[diagnosis])
        assert diagnosis.findings[0].kind == "inputs"


def test_metrics_over_feeds_are_those_over_arrays():
    """Of all rows at once, weighted, on training and validation data."""
    weights = 0.1 + W
    expected, net = classifier(), classifier()
    names = ["balanced_accuracy", "log_loss"]
    data = feeds.Arrays(X, LABELS, weights, block_bytes=SMALL)
    options = {"epochs": 2, "shuffle": False, "metrics": names}
    given = expected.fit(X, LABELS, sample_weight=weights, validation_data=(X, LABELS, weights), **options)
    found = net.fit(data, validation_data=data, **options)
    assert {*names, "val_log_loss"} <= {*found}
    for name in found:
        np.testing.assert_allclose(found[name], given[name], rtol=1e-5, err_msg=name)
    of_arrays = net.evaluate(X, LABELS, sample_weight=weights, metrics=names)
    assert net.evaluate(data, metrics=names) == pytest.approx(of_arrays, rel=1e-6)
    for asked in ({"metrics": names}, {"callbacks": [EarlyStopping()]}):
        with pytest.raises(ValueError, match="over all training data are asked for behind each epoch"):
            classifier().fit([(X, LABELS)], epochs=1, **asked)
