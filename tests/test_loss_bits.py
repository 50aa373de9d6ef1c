"""Every loss trains to the same bits, step by step and recorded, with any number of threads."""

from functools import partial

import numpy as np
import pytest
from cases import CASES, kernel
from nets import DTYPES, same_bits
from test_losses import FORMS, FRACTIONS, HEADS, LABELS, LEVELS, LOSSES, NUMBERS, OTHERS, ROWS, N

from fastnn import (
    MSE,
    Adam,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Head,
    Heads,
    Huber,
    Model,
    Quantile,
    Softplus,
    Tape,
)
from fastnn._core.team import Team

pytestmark = pytest.mark.filterwarnings("ignore:y has mean")  # of six rows
HOLES = np.where(np.arange(ROWS * N).reshape(ROWS, N) % 5 == 2, np.nan, FRACTIONS)


def heads_of(*names):
    return Heads({name: Head(HEADS[name][0](), HEADS[name][1], weight=0.5) for name in names})


# Losses, the outputs of a net for them, and targets. What takes logits or any numbers is at the end of a Dense, what
# takes means above 0 behind a Softplus.
LOSSES_TRAINED = [
    *((make, y.shape[1], t) for forms in FORMS.values() for make, y, t in forms if y is not OTHERS),
    *((kind, N, OTHERS) for kind in LOSSES if kind not in FORMS),
    *((partial(kind, **{setting: value}), N, t) for kind, setting, value, t in (
        (MSE, "output_weights", (1, 0, 3), FRACTIONS),
        (MSE, "missing", "ignore", HOLES),
        (Huber, "reduction", "sum", FRACTIONS),
    )),
    (partial(Quantile, LEVELS, missing="ignore", output_weights=(1, 2)), 2 * N, HOLES[:, 1:]),
    (partial(BinaryCrossEntropy, True, pos_weight=(0.5, 2.0, 0.0), missing="ignore"), N, HOLES),
    (partial(CrossEntropy, True, class_weight="balanced", ignore_index=1), N, LABELS),
    *((partial(heads_of, *names), sum(HEADS[name][1] for name in names), {name: HEADS[name][2] for name in names})
      for names in (("price", "kind", "tags", "margins", "levels"), tuple(HEADS))),
]  # fmt: skip


def trained(make, n_out, t, weight, dtype, n_threads):
    """Return parameters and losses after three steps; eager ones for no threads."""
    loss = make()
    above = getattr(loss, "log_input", True) is False or getattr(loss, "log_variance", True) is False
    net = Model([Dense(5, "tanh"), Dense(n_out), *[Softplus()] * above], seed=0, dtype=dtype)
    training, (x, target, factor, _) = net._trainer.ready(NUMBERS, t, weight, loss, Adam(0.01), known=True)
    plan = training.plan(2, target, 0 if factor is None else factor.shape[1]).take_epochs(
        2, x, target, factor, training.step
    )
    values = []
    for start in (0, len(x) - 2, 0):
        plan.cursor[0] = start
        plan.gather.replay()
        if n_threads == 0:
            training.step(plan.batch, None)
        elif n_threads == 1:
            plan.step.replay()
        else:
            with Team(n_threads, divide_all=True) as team:
                plan.step.replay(team=team)
        values.append(plan.batch.value[0])
    return net.params, values


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_loss_trains_to_the_same_bits_eagerly_recorded_and_on_threads(dtype):
    for make, n_out, t in LOSSES_TRAINED:
        for weight in (None, np.resize([1.0, 0.0, 2.0], ROWS)):
            params, values = trained(make, n_out, t, weight, dtype, 0)
            assert np.isfinite(values).all(), make()
            assert not same_bits(params, Model([Dense(5), Dense(n_out)], seed=0, dtype=dtype).build(N).params)
            for n_threads in (1, 2, 3):
                others, found = trained(make, n_out, t, weight, dtype, n_threads)
                assert found == values, f"{make()}, {n_threads} threads"
                assert same_bits(others, params), f"{make()}, {n_threads} threads"


SINGLE = [case for case in CASES if "each" in case.outputs and "value" in case.outputs]

# What looks at several numbers of a row, in bodies that keep no single losses in double
ALONE = {"gaussian_nll", "multi_margin", "cosine_similarity", "quantiles"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [15, 16, 37, 1500])
@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_a_loss_has_the_bits_of_the_whole_where_threads_share_its_rows(case, rows, dtype):
    """Beside what else these go through: single losses are kept, and added in the order of the whole."""
    dtype = np.dtype(dtype).type
    weighted = case.make(rows, 3, dtype, np.random.default_rng(0))
    del weighted["each"]
    for arguments in (weighted, {**weighted, "weight": None}, {**weighted, "total": True}):
        run, tape = kernel(case.op, dtype), Tape()
        run(**arguments)
        expected = [arguments[name].copy() for name in ("dy", "value")]
        kernel("identity_forward", dtype)(arguments["y"].copy(), arguments["y"], tape)
        run(**arguments, tape=tape)
        for n_threads in (1, 2, 3, 5):
            arguments["dy"][...], arguments["value"][...] = 0, 0
            with Team(n_threads, divide_all=True) as team:
                is_shared = n_threads > 1 and rows >= 16 and case.op not in ALONE
                first = tape.tasks(team)[0] if n_threads > 1 else [[]]
                assert any(call == 1 for call, *_ in first[0]) == is_shared
                tape.replay(team=team)
            assert same_bits(arguments["dy"], expected[0])
            np.testing.assert_array_equal(arguments["value"], expected[1])  # NaN of either sign, without weights of 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_a_loss_of_thousands_of_rows_is_the_sum_of_those_of_blocks(case, dtype):
    """The gradient has the bits of the whole, which is computed where single losses are wanted."""
    dtype = np.dtype(dtype).type
    arguments = case.make(2500, 3, dtype, np.random.default_rng(0))
    whole = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arguments.items()}
    run, each = kernel(case.op, dtype), arguments.pop("each")
    run(**whole)
    run(**arguments)
    assert np.isnan(each).all()
    assert same_bits(arguments["dy"], whole["dy"])
    np.testing.assert_allclose(arguments["value"], whole["value"], rtol=1e-12)
    expected, tape = [arguments[name].copy() for name in ("dy", "value")], Tape()
    kernel("identity_forward", dtype)(arguments["y"].copy(), arguments["y"], tape)
    run(**arguments, tape=tape)
    x, dw = np.ones((2500, 2), dtype), np.empty((2, arguments["dy"].shape[1]), dtype)
    kernel("dense_backward", dtype)(x, dw.copy(), arguments["dy"], None, dw, None, tape=tape)  # asks for blocks
    for n_threads in (1, 2, 3):
        arguments["dy"][...], arguments["value"][...] = 0, 0
        with Team(n_threads, divide_all=True) as team:
            tape.replay(team=team)
        assert all(same_bits(arguments[name], other) for name, other in zip(("dy", "value"), expected, strict=True))
