"""Layers to which columns are not alike: chosen ones, codes, and what is fitted to data."""

import copy
import pickle

import numpy as np
import pytest
from custom import Cube
from nets import each_dtype, same_bits

from fastnn import (
    SGD,
    Adam,
    Add,
    Columns,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Layer,
    Model,
    Normalization,
    OneHot,
    Parallel,
    Reshape,
    Residual,
    Sequential,
    fit_many,
    optimizers,
)

UNSEEN = np.nan, -1.0, 5.0, 1e30, -1e30, 2.0**24
RNG = np.random.default_rng(0)
ROWS = 60
CODED = np.column_stack(
    [RNG.normal(1000, 50, ROWS), RNG.integers(0, 5, ROWS), RNG.normal(size=ROWS), RNG.integers(0, 3, ROWS)]
)
TARGET = (CODED[:, :1] - 1000) / 50 + (CODED[:, 1:2] == 2)


def missing_codes():
    x = CODED.copy()
    x[::7, 1], x[::5, 3], x[3, 1] = np.nan, -1, 99
    return x


# -- codes


@each_dtype
def test_an_embedding_is_a_product_with_what_is_one_hot(dtype):
    """Outputs, the gradients of both, and what training makes of them."""
    embedding = Model([Embedding({1: 5, 3: 3}, size=4, others=False), Dense(1)], seed=0, dtype=dtype).build(4)
    one_hot = Model([OneHot({1: 5, 3: 3}, unseen_column=True, others=False), Dense(8, bias=False), Dense(1)], 0, dtype)
    one_hot.build(4)
    tables = embedding[0].tables
    one_hot[1].w[...] = 0
    one_hot[1].w[:6, :4], one_hot[1].w[6:, 4:] = tables[1], tables[3]
    one_hot[2].w, one_hot[2].b = embedding[1].w, embedding[1].b
    x, tolerance = missing_codes(), 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(embedding.predict(x), one_hot.predict(x), rtol=tolerance, atol=tolerance)
    for net in (embedding, one_hot):
        net.train_batch(x, TARGET, loss="mse", optimizer=SGD(0.1))
    got, expected = embedding[0], one_hot[1].dw
    np.testing.assert_allclose(got.dtable_1, expected[:6, :4], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(got.dtable_3, expected[6:, 4:], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", [lambda: SGD(0.1), lambda: Adam(0.01), lambda: SGD(0.1, momentum=0.9)])
@each_dtype
def test_only_rows_that_occur_have_gradients_and_move(dtype, rule):
    """In a step, and in a fit with batches of several sizes; rows of the batch before are 0 again."""
    net = Model([Embedding({0: 50}, size=3), Dense(1)], seed=0, dtype=dtype).build(2)
    before, optimizer = net[0].table_0.copy(), rule()
    for codes in ([3, 7, 7], [8], [-1, np.nan], [7, 49, 2, 1]):
        x = np.column_stack([codes, np.ones(len(codes))])
        net.train_batch(x, np.ones(len(codes)), loss="mse", optimizer=optimizer)
        seen = {50 if not 0 <= code < 50 else int(code) for code in codes}
        assert set(np.flatnonzero(net[0].dtable_0.any(axis=1))) == seen
    x = np.column_stack([np.arange(10, 20), np.ones(10)])
    net.fit(x, np.zeros(10), optimizer=optimizer, epochs=3, batch_size=4)
    moved = set(np.flatnonzero((net[0].table_0 != before).any(axis=1)))
    assert moved == {1, 2, 3, 7, 8, 49, 50, *range(10, 20)}


@each_dtype
def test_plain_sgd_steps_code_by_code_through_large_tables_to_the_same_bits(dtype):
    """As a pass over the whole table does; frozen tables stay, and gradients are not stored."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(-1, 20, 200) * 450, rng.normal(size=200), rng.integers(0, 3, 200)])
    x[:, 0] += rng.integers(0, 2, 200)
    t = rng.normal(size=(200, 1))

    def net_of(trainable=True):
        return Model([Embedding({0: 9000, 2: 3}, 8, trainable=trainable), Dense(5, "tanh"), Dense(1)], 0, dtype).build(
            3
        )

    fused, whole, begin = net_of(), net_of(), net_of().params.copy()
    fused.fit(x, t, "mse", SGD(0.1), epochs=3, batch_size=64, shuffle=False)
    with pytest.raises(RuntimeError, match="without storing gradients"):
        fused[0].dtable_0  # noqa: B018
    rule = SGD(0.1)
    for _ in range(3):
        for start in range(0, 200, 64):
            whole.train_batch(x[start : start + 64], t[start : start + 64], loss="mse", optimizer=rule)
    assert same_bits(fused.params, whole.params)
    assert 30 < (fused.params != begin).sum() < 1000
    for n_threads in (1, 2, 3):
        other = net_of()
        other.fit(x, t, "mse", SGD(0.1), epochs=3, batch_size=64, shuffle=False, n_threads=n_threads)
        assert same_bits(other.params, fused.params)
    frozen = net_of(False)
    before = frozen[0].table_0.copy()
    frozen.fit(x, t, "mse", SGD(0.1), epochs=2)
    assert same_bits(frozen[0].table_0, before)


@pytest.mark.parametrize(
    ("layer", "of_unseen"),
    [
        (Embedding({1: 5}, size=2), lambda layer: layer.tables[1][-1]),
        (OneHot({1: 5}), lambda layer: np.zeros(5)),
        (OneHot({1: 5}, unseen_column=True), lambda layer: np.eye(6)[5]),
    ],
    ids=lambda value: repr(value) if isinstance(value, Layer) else "",
)
@each_dtype
def test_whatever_is_no_code_is_unseen(layer, of_unseen, dtype):
    """In a net that is trained, whose replays and predictions trust nobody: also fractions, where nobody looks."""
    net = Model([copy.deepcopy(layer), Dense(1)], seed=0, dtype=dtype)
    net.fit(missing_codes()[:, :2], TARGET, epochs=3)
    net[1].w[...], net[1].b[...] = 0, 0
    size = net[0].n_out - 1
    net[1].w[:size, 0] = np.arange(1, size + 1)
    expected = of_unseen(net[0]) @ net[1].w[:size]
    for code in (*UNSEEN, 0.5, 4.999):
        row = np.array([7, code], dtype)
        for y in (net.predict_one(row), net.predict(row[None])[0], net.predict(np.tile(row, (300, 1)))[-1]):
            np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert not np.allclose(net.predict_one(np.array([7.0, 4])), expected)


@pytest.mark.parametrize("layer", [Embedding({1: 5, 3: 3}), OneHot({1: 5, 3: 3}), Columns(0, 2)], ids=repr)
def test_nan_is_welcome_in_codes_and_in_columns_that_nobody_reads_and_nowhere_else(layer):
    x = missing_codes()
    net = Model([copy.deepcopy(layer), Dense(1)], seed=0)
    net.fit(x, TARGET, epochs=2, validation_data=(x, TARGET))
    net.evaluate(x, TARGET)
    net.train_batch(x[:9], TARGET[:9])
    for column, value in ((0, np.nan), (2, np.nan), (1, np.inf), (3, -np.inf)):
        wrong = x.copy()
        wrong[5, column] = value
        for call in (
            lambda wrong=wrong: net.fit(wrong, TARGET, epochs=1),
            lambda wrong=wrong: net.train_batch(wrong, TARGET),
            lambda wrong=wrong: net.evaluate(wrong, TARGET),
            lambda wrong=wrong: Model([copy.deepcopy(layer), Dense(1)]).fit(wrong, TARGET),
        ):
            with pytest.raises(ValueError, match=rf"^x is (NaN|infinite).* at row 5, column {column}"):
                call()


def test_fractions_among_codes_are_refused_where_data_are_checked():
    pandas = pytest.importorskip("pandas")
    net, x = Model([Embedding({1: 5, 3: 3}), Dense(1)], seed=0), CODED.copy()
    x[4, 3] = 1.5
    message = r"^x is 1.5 at row 4, column {}, expected a whole number: it is read as codes"
    for call in (net.fit, net.train_batch, net.evaluate):
        with pytest.raises(ValueError, match=message.format(3)):
            call(x, TARGET)
        assert not net.built
    net.fit(CODED, TARGET, epochs=1)
    frame = pandas.DataFrame(x, columns=["a", "b", "c", "kind"])
    with pytest.raises(ValueError, match=message.format("'kind'")):
        net.predict(frame)
    whole = frame.astype({"b": "int64"}).drop(index=4)
    assert net.predict(whole).shape == (ROWS - 1, 1)
    fresh = Model([Embedding({"b": 5, "kind": 3}), Dense(1)], seed=0)
    with pytest.raises(ValueError, match=message.format("'kind'")):
        fresh.predict(frame)
    assert not fresh.built
    assert fresh.predict(whole).shape == (ROWS - 1, 1)


def test_tables_begin_as_they_are_said_to():
    net = Model([Embedding({0: 1000, 2: 3})], seed=0).build(3)
    assert [table.shape for table in net[0].tables.values()] == [(1001, 77), (4, 3)]
    table = net[0].tables[0]
    assert abs(table[:-1].std() - 1) < 0.01
    assert not table[-1].any()
    assert list(net[0].parameters) == ["table_0", "table_2"]
    assert {entry.kind for entry in net._tree.entries()} == {"weights"}
    assert Embedding({0: 3}, 2, initializer="ones").forward([[0], [3]]).tolist() == [[1, 1], [0, 0]]
    of_all = Model([Embedding(12, 8)], seed=0).build(3)
    assert of_all.n_out == 24
    assert not same_bits(of_all[0].tables[0], of_all[0].tables[1])


def test_frozen_tables_stay_and_groups_name_them():
    net = Model([Embedding({1: 5}, size=2, trainable=False), Dense(1)], seed=0).build(4)
    before = net[0].table_1.copy()
    net.fit(CODED, TARGET, epochs=2)
    assert same_bits(net[0].table_1, before)
    net[0].trainable = True
    net.fit(CODED, TARGET, optimizer=Adam(groups=[optimizers.Group("*.table_*", lr_factor=0.0)]), epochs=2)
    assert same_bits(net[0].table_1, before)


def test_codes_of_layers_that_make_new_numbers_are_refused():
    for layer in (Dense(4), Dropout(0.1), Residual([Dense(4)])):
        net = Model([layer, Embedding({0: 3}), Dense(1)])
        with pytest.raises(ValueError, match="makes new numbers of the columns that a layer behind reads as codes"):
            net.fit(CODED, TARGET)
        assert not net.built


# -- columns and their names


def test_columns_are_chosen_and_the_gradients_of_what_is_chosen_twice_are_added():
    layer = Columns(2, slice(0, 2), -1, 2)
    x = np.arange(8.0).reshape(2, 4)
    assert layer.forward(x).tolist() == [[2, 0, 1, 3, 2], [6, 4, 5, 7, 6]]
    assert layer.backward(np.array([[1.0, 2, 3, 4, 5], [0, 0, 0, 0, 1]])).tolist() == [[2, 3, 6, 4], [0, 0, 1, 0]]
    assert repr(layer) == "Columns(2, slice(0, 2, None), -1, 2)"
    assert Columns([1, 0]).columns == (1, 0)
    with pytest.raises(AttributeError):
        layer.columns = (1,)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_have_the_names_of_frames_also_behind_layers_that_keep_them(library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame({name: CODED[:, i] for i, name in enumerate(["a", "city", "b", "kind"])})
    inner = Sequential([OneHot({"kind": 3}), Columns("kind[2]", "a", "city", "b")])
    net = Model([Normalization(columns=["a", "b"]), inner, Embedding({"city": 5}, 2), Dense(1)], seed=0)
    by_number = Model(
        [
            Normalization(columns=[0, 2]),
            Sequential([OneHot({3: 3}), Columns(2, 3, 4, 5)]),
            Embedding({2: 5}, 2),
            Dense(1),
        ],
        seed=0,
    )
    net.fit(frame, TARGET, epochs=2)
    by_number.fit(CODED, TARGET, epochs=2)
    assert same_bits(net.predict(frame[["kind", "b", "city", "a"]]), by_number.predict(CODED))
    assert list(net[2].tables) == ["city"]
    again = pickle.loads(pickle.dumps(net))
    assert same_bits(again.predict(frame), net.predict(frame))
    again.fit(frame, TARGET, epochs=1)
    with pytest.raises(ValueError, match="'kind'"):
        again.fit(frame[["a", "city", "b"]], TARGET)


@pytest.mark.parametrize(
    "layer", [Identity(), Flatten(), Reshape((2, 2)), Sequential([Flatten(), Identity()])], ids=repr
)
def test_what_hands_columns_on_hands_on_names_codes_and_what_is_missing(layer):
    pandas = pytest.importorskip("pandas")
    x = missing_codes()
    x[2, 2] = np.nan
    frame = pandas.DataFrame(x, columns=["a", "city", "b", "kind"])

    def net_of(first):
        behind = [Normalization(missing="center"), Embedding({"city": 5, "kind": 3}, 2), Dense(1)]
        return Model([*first, *behind], seed=0)

    net, plain = net_of([layer]), net_of([])
    net.fit(frame, TARGET, epochs=2)
    plain.fit(frame, TARGET, epochs=2)
    assert same_bits(net.predict(frame), plain.predict(frame))


def test_branches_read_columns_of_their_own():
    """By name, beside each other and one in the other; what a branch does not read may be missing in it."""
    pandas = pytest.importorskip("pandas")
    x = missing_codes()
    x[2, 2] = np.nan
    frame = pandas.DataFrame(x, columns=["a", "city", "b", "kind"])

    def net_of(a, city, b, kind):
        numbers = Sequential([Columns(a), Parallel([Normalization(), Normalization(robust=True)])])
        return Model(
            [
                Parallel(
                    [
                        Sequential([Columns(city), Embedding(5, 3)]),
                        Add(
                            [
                                Sequential([Columns(kind), OneHot(3, others=False)]),
                                Embedding({kind: 3}, 3, others=False),
                            ]
                        ),
                        Sequential([Columns(b), Normalization(missing="center")]),
                        numbers,
                    ]
                ),
                Dense(4, "tanh"),
                Dense(1),
            ],
            seed=0,
            dtype="float64",
        )

    net, by_number = net_of("a", "city", "b", "kind"), net_of(0, 1, 2, 3)
    net.fit(frame, TARGET, epochs=2)
    by_number.fit(x, TARGET, epochs=2)
    assert net[0].n_out == 3 + 3 + 1 + 2
    assert same_bits(net.predict(frame), by_number.predict(x))
    wrong = x.copy()
    wrong[8, 0] = np.nan
    with pytest.raises(ValueError, match="x is NaN at row 8, column 0"):
        by_number.fit(wrong, TARGET)
    wrong = x.copy()
    wrong[8, 3] = 0.5
    with pytest.raises(ValueError, match=r"x is 0\.5 at row 8, column 3, expected a whole number"):
        by_number.fit(wrong, TARGET)
    beside = Model([Parallel([Identity(), OneHot({1: 5}, others=False)]), Embedding({1: 5, 3: 3}, 2), Dense(1)], seed=0)
    with pytest.raises(ValueError, match="x is NaN at row 2, column 2"):
        beside.fit(x, TARGET)
    beside.fit(missing_codes(), TARGET, epochs=1)


WRONG = {
    "no columns": (Columns, "Columns: got no columns"),
    "a float": (lambda: Columns(1.5), r"Columns: got 1.5, expected the number of a column, or its name, or a slice"),
    "a truth value": (lambda: Columns(True), "Columns: got True"),
    "a slice of floats": (lambda: Columns(slice(0.5)), r"Columns: got slice\(None, 0.5, None\), expected the number"),
    "a slice of names": (lambda: Normalization(columns=slice("a", "b")), r"columns has slice\('a', 'b', None\), exp"),
    "a slice of truth": (lambda: Columns(slice(True)), r"got slice\(None, True, None\), expected"),
    "a slice that stands still": (lambda: Columns(slice(0, 4, 0)), "expected a step other than 0"),
    "no list of columns": (lambda: Normalization(columns=np.array(3)), r"columns is array\(3\), expected some"),
    "bytes": (lambda: Normalization(columns=b"ab"), "columns has b'ab', expected the number of a column"),
    "no initializer": (lambda: Embedding(5, initializer=3), "Embedding: initializer is 3, expected a name"),
    "an empty slice": (lambda: Columns(slice(9, 9)), "chooses none of 4 columns"),
    "beyond": (lambda: Columns(4), "Columns 1: there is no column 4, expected -4 to 3 of 4"),
    "a name": (lambda: Columns("age"), "'age' is the name of a column, and what comes here has no names"),
    "no codes": (lambda: Embedding({0: 0}), "the number of codes of column 0 is 0, expected a whole number >= 1"),
    "too many codes": (lambda: OneHot({0: 2**24}), "is 16777216, expected a whole number from 1 to 16777215"),
    "a list of codes": (lambda: Embedding([12]), r"columns is \[12\], expected the number of codes of each column"),
    "no columns of codes": (lambda: OneHot({}), "columns is empty"),
    "a column that is no place": (lambda: OneHot({1.5: 3}), "columns has 1.5, expected the number of a column"),
    "twice": (lambda: Embedding({0: 3, -4: 3}), "column 0 is named twice"),
    "sizes of others": (lambda: Embedding({0: 3}, {1: 2}), r"size has the columns \[1\], expected those of codes, "),
    "no size": (lambda: Embedding({0: 3}, 0), "Embedding: size is 0"),
    "an initializer": (lambda: Embedding({1: 5}, initializer=lambda s, rng: np.ones(3)), r"returned shape \(3,\)"),
    "a word": (lambda: Normalization(missing="median"), "Normalization: missing is 'median'"),
    "a number": (lambda: Normalization(columns=1.5), "columns is 1.5, expected some"),
    "scaled codes": (
        lambda: Sequential([Normalization(columns=[0, 1]), OneHot({1: 5})]), "columns has column 1, which a layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings_are_refused_and_nothing_is_built(wrong):
    make, message = WRONG[wrong]
    nets = []

    def fit():
        nets.append(Model([make(), Dense(1)]))
        nets[0].fit(CODED, TARGET)

    with pytest.raises((ValueError, TypeError), match=message):
        fit()
    assert not any(net.built or net.layers[1].n_in for net in nets)


def test_names_are_answered_with_the_near_ones():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(CODED, columns=["amount", "city", "b", "kind"])
    with pytest.raises(ValueError, match="Embedding 1: there is no column 'citty': did you mean 'city'"):
        Model([Embedding({"citty": 5}), Dense(1)]).fit(frame, TARGET)


# -- what is fitted


def scaled(layer, x):
    return Model([layer], seed=0, dtype="float64").build(x.shape[1]).predict(x)


@pytest.mark.parametrize("robust", [False, True])
def test_what_is_fitted_is_what_numpy_computes(robust):
    x = RNG.normal([5, -3, 1e6], [1, 100, 0.01], (501, 3))
    got = scaled(Normalization(robust).adapt(x), x)
    if robust:
        first, median, third = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
        expected = (x - median) / (third - first)
    else:
        expected = x - x.astype(np.longdouble).mean(axis=0).astype(float)
        expected /= expected.std(axis=0)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_very_large_and_very_small_columns_are_scaled_and_weights_of_any_size_count(robust, dtype):
    """Their squares, or 1 / what is subnormal, would leave the range of the dtype."""
    x = RNG.normal(size=(41, 1))
    usual = scaled(Normalization(robust).adapt(x), x)
    for size in (2.0**-1000, 2.0**-530, 2.0**530, 2.0**1000) if dtype == "float64" else (2.0**-120, 2.0**120):
        np.testing.assert_allclose(scaled(Normalization(robust).adapt(x * size), x * size), usual, rtol=1e-12)
    least = np.finfo(dtype).smallest_subnormal * np.round(10 * x)
    net = Model([Normalization(robust), Dense(1)], seed=0, dtype=dtype)
    net.fit(least, x[:, 0], epochs=1)
    assert np.isfinite(net.predict(least)).all()
    weights = RNG.random(41)
    for size in (1e307, 1e-307):
        large, plain = Normalization(robust).adapt(x, size * weights), Normalization(robust).adapt(x, weights)
        np.testing.assert_allclose(large.center, plain.center, rtol=1e-12)
        np.testing.assert_allclose(large.factor, plain.factor, rtol=1e-12)


@pytest.mark.parametrize("robust", [False, True])
def test_a_weight_of_2_is_a_row_twice_and_one_of_0_none(robust):
    x, weights = RNG.normal(size=(41, 3)), RNG.integers(0, 4, 41)
    x[:, 1] = np.round(x[:, 1])
    alike = 2 * np.ones(weights.sum())
    alike[0] = 2 * (1 + 1e-15)  # weights, which are no weights
    weighted = Normalization(robust).adapt(x, weights)
    repeated = Normalization(robust).adapt(np.repeat(x, weights, axis=0), alike)
    by_fit = Model([Normalization(robust), Dense(1)], seed=0, dtype="float64")
    by_fit.fit(x, x[:, 0], sample_weight=weights, epochs=1)
    for other in (repeated, by_fit[0]):
        np.testing.assert_allclose(other.center, weighted.center, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(other.factor, weighted.factor, rtol=1e-12)


@pytest.mark.parametrize("robust", [False, True])
def test_constant_columns_become_0_whatever_comes_later(robust):
    x = np.column_stack([np.full(20, 1e8 + 0.1), np.arange(20), np.r_[np.zeros(19), 4]])
    layer = Normalization(robust).adapt(x)
    y = scaled(layer, x + 7)
    assert not y[:, 0].any()
    assert y[:, 1].any()
    if robust:  # whose quartiles are equal
        assert layer.factor[2] == 0.5


@pytest.mark.parametrize("robust", [False, True])
def test_missing_numbers_are_refused_or_become_the_center(robust):
    x = CODED.copy()
    x[::4, 2] = np.nan
    with pytest.raises(ValueError, match="x is NaN at row 0, column 2"):
        Model([Normalization(robust), Dense(1)]).fit(x, TARGET)
    net = Model([Normalization(robust, missing="center"), Embedding({1: 5, 3: 3}), Dense(1)], seed=0, dtype="float64")
    net.fit(x, TARGET, epochs=2)
    there = x[~np.isnan(x[:, 2]), 2]
    assert net[0].center[2] == pytest.approx(np.median(there) if robust else there.mean())
    filled = x.copy()
    filled[::4, 2] = net[0].center[2]
    assert same_bits(net.predict(x), net.predict(filled))
    x[::4, 1] = np.nan  # a code that is missing is no number to be filled in
    unseen = x.copy()
    unseen[::4, 1] = -1
    assert same_bits(net.predict(x), net.predict(unseen))
    nothing = Normalization(robust, missing="center").adapt([[np.nan, 1.0], [np.nan, 2.0]])
    assert nothing.forward([[5.0, 1.5]]).tolist() == [[0, 0]]


def test_the_first_training_fits_it_and_nothing_else_does():
    net = Model([Normalization(), Dense(1)], seed=0, dtype="float64")
    np.testing.assert_allclose(net.build(4).predict(CODED), CODED @ net[1].w, rtol=1e-12)  # as it is, before
    kept = net.snapshot()
    for train in (
        lambda: net.fit(CODED, TARGET, epochs=0),
        lambda: net.train_batch(CODED, TARGET),
        lambda: net.train_batch(CODED, TARGET, -np.arange(float(ROWS))),
        lambda: net.forward(CODED),
        lambda: net.fit(CODED, TARGET, epochs=1, batch_size=7),
    ):
        net.restore(kept)
        assert not net[0].rows[0]
        train()
        np.testing.assert_allclose(net[0].center, CODED.mean(axis=0), rtol=1e-12)
        assert net[0].rows[0] == ROWS
    center = net[0].center.copy()
    net.fit(CODED + 5, TARGET, epochs=1)
    net.predict(CODED + 5)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        other.fit(CODED + 5, TARGET, epochs=1)
        assert same_bits(other[0].center, center)
    net[0].adapt(CODED + 5)
    np.testing.assert_allclose(net[0].center, center + 5)
    by_hand = Model([Normalization(), Dense(1)], seed=0, dtype="float64").build(4)
    by_hand[0].factor = np.full(4, 2.0)
    by_hand.fit(CODED, TARGET, epochs=1)
    assert (by_hand[0].factor == 2).all()


def test_a_training_that_cannot_begin_fits_nothing():
    net = Model([Normalization(), Dense(1)], seed=0).build(4)
    for call in (
        lambda: net.fit(CODED, TARGET[:5]),
        lambda: net.fit(CODED, TARGET, validation_data=(CODED[:, :2], TARGET)),
        lambda: net.fit(CODED, TARGET, loss="cross_entropy"),
        lambda: net.train_batch(CODED, TARGET, optimizer=Adam(groups=[optimizers.Group("9.*")])),
    ):
        with pytest.raises((ValueError, TypeError)):
            call()
        assert net[0].waits


def test_it_is_fitted_to_what_reaches_it():
    """Behind other layers, in rows and residuals, with what a prediction makes of the data."""
    embedding = Embedding({1: 5, 3: 3}, 2)
    rows = Sequential([Columns(2, 0, 1, 3), Residual([Normalization()])])
    net = Model([rows, Dropout(0.5), Cube(), Normalization(robust=True), Dense(1), Normalization()], seed=0).build(4)
    net.fit(CODED, TARGET, epochs=0)
    first, behind, last = rows.layers[1].layers[0], net[3], net[5]
    x = CODED[:, [2, 0, 1, 3]].astype("float32")
    np.testing.assert_allclose(first.center, x.mean(axis=0), rtol=1e-5)
    y = (x + (x - first.center) * first.factor) ** 3 / 3
    np.testing.assert_allclose(behind.center, np.median(y, axis=0), rtol=1e-4)
    outputs = net.predict(CODED)
    np.testing.assert_allclose([outputs.mean(), outputs.std()], [0, 1], atol=1e-4)
    assert last.rows[0] == ROWS
    net = Model([embedding, Normalization(), Dense(1)], seed=0)
    net.fit(missing_codes(), TARGET, epochs=1)
    vectors = np.concatenate([embedding.tables[1][[2]], embedding.tables[3][[1]]], axis=1)
    assert np.isfinite(vectors).all()
    assert net[1].rows[0] == ROWS


def test_many_nets_are_fitted_to_their_own_rows():
    nets = [Model([Normalization(), Embedding({1: 5}), Dense(1)], seed=seed) for seed in range(3)]
    folds = [{"x": CODED[rows], "y": TARGET[rows]} for rows in (slice(0, 20), slice(20, 40), slice(40, 60))]
    fit_many(nets, CODED, TARGET, epochs=1, each=folds)
    for net, fold in zip(nets, folds, strict=True):
        np.testing.assert_allclose(net[0].center[0], fold["x"][:, 0].mean(), rtol=1e-6)
        assert (net[0].center[1], net[0].factor[1]) == (0, 1)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_large_batches_of_codes_train_to_the_same_bits_with_any_number_of_threads(n_threads):
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(-1, 2000, 6000), rng.normal(size=6000), rng.integers(0, 3, 6000)])
    nets = [Model([Normalization(), Embedding({0: 2000, 2: 3}, 16), Dense(32, "relu"), Dense(1)], 0) for _ in range(2)]
    for net, n in zip(nets, (1, n_threads), strict=True):
        net.fit(x, x[:, 1:2], epochs=2, batch_size=3000, n_threads=n)
    assert same_bits(nets[0].params, nets[1].params)
