"""Metrics are those of scikit-learn, for weights, ties, classes that do not occur and several columns."""

import copy
import pickle
import re
import warnings
from functools import partial

import numpy as np
import pytest

import fastnn
from fastnn import metrics
from fastnn.metrics import (
    R2,
    RMSE,
    Accuracy,
    AveragePrecision,
    BalancedAccuracy,
    BinaryAccuracy,
    Brier,
    CalibrationError,
    CohenKappa,
    Coverage,
    ExplainedVariance,
    FBeta,
    FunctionMetric,
    LogLoss,
    Matthews,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MedianAbsoluteError,
    Pinball,
    Precision,
    Recall,
    RocAUC,
    TopK,
)

pytestmark = pytest.mark.once

CASES = 28  # of each kind of data
APART = 7  # of many pairs, each case sees every seventh
AVERAGES = ("macro", "micro", "weighted")


def sk(name, **options):
    return partial(getattr(pytest.importorskip("sklearn.metrics"), name), **options)


def weights_of(rng, n, integers=False):
    """None, or weights of which some are 0, but not all."""
    kind = rng.integers(4)
    if kind == 0:
        return None
    w = rng.integers(0, 4, n).astype(float) if kind == 1 or integers else rng.random(n) * (rng.random(n) > 0.2)
    w[rng.integers(n)] = 1.0
    return w * (1e300 if kind == 3 and not integers else 1)


def there(weight, *arrays):
    """Rows that count, with what they weigh: others are left out here, while scikit-learn counts their labels."""
    if weight is None:
        return (*arrays, None)
    return (*(array[weight > 0] for array in arrays), weight[weight > 0] / weight.max())


def probabilities(rng, n, k, ties):
    p = rng.integers(1, 4, (n, k)).astype(float) if ties else rng.random((n, k)) + 0.01
    return p / p.sum(axis=1, keepdims=True)


def compare(what, ours, theirs, *case):
    message = f"{what}: {ours} is not {theirs} for {case}"
    if np.isnan(theirs):
        assert np.isnan(ours), message
    else:
        assert abs(ours - theirs) <= 1e-12 * max(1, abs(theirs)), message


def scored(function, true, pred, weight, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options |= {} if weight is None else {"sample_weight": weight}
        return function(true, pred, **options)


def of_labels():
    """Pairs of a metric and scikit-learn's function of labels."""
    yield Accuracy(), sk("accuracy_score")
    yield BalancedAccuracy(), sk("balanced_accuracy_score")
    yield Matthews(), sk("matthews_corrcoef")
    for weights in (None, "linear", "quadratic"):
        yield CohenKappa(weights), sk("cohen_kappa_score", weights=weights)
    yield from of_ratios()


def of_ratios(averages=AVERAGES):
    for average in averages:
        for zero in (0.0, 1.0, np.nan):
            options = {"average": average, "zero_division": zero}
            yield Precision(average, zero), sk("precision_score", **options)
            yield Recall(average, zero), sk("recall_score", **options)
            for beta in (0.5, 1, 2):
                yield FBeta(beta, average, zero), sk("fbeta_score", beta=beta, **options)


def test_metrics_of_classes_are_those_of_scikit_learn():
    pairs = list(of_labels())
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(1, 30)), int(rng.integers(2, 6))
        t, p, weight = rng.integers(0, k, n), probabilities(rng, n, k, seed % 2), weights_of(rng, n)
        if seed % 3 == 0:
            t[t == 1] = 0  # a class that occurs in no row
        true, labels, w = there(weight, t, p.argmax(axis=1))
        one_hot, names = np.eye(k)[t], np.array(list("abcdef"))
        for metric, function in pairs[seed % APART :: APART]:
            theirs = scored(function, true, labels, w)
            for given in ((t, p), (one_hot, p), (t, p.argmax(axis=1)), (names[t], names[p.argmax(axis=1)])):
                compare(metric, metric(*given, weight), theirs, seed)


def test_metrics_of_two_classes_are_those_of_scikit_learn():
    pairs = [*of_labels(), *of_ratios(["binary"])]
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 30))
        t, p, weight = rng.integers(0, 2, n), rng.random(n).round(1 + seed % 2), weights_of(rng, n)
        if seed % 5 == 0:
            t[:] = 0
        true, labels, w = there(weight, t, (p > 0.5).astype(int))
        for metric, function in pairs[seed % APART :: APART]:
            theirs = scored(function, true, labels, w)
            compare(metric, metric(t[:, None], p[:, None], weight), theirs, seed)
            if t.any():  # else nobody knows that 0 and 1 were -1 and 1
                margins = np.where(p > 0.5, p, -p - 0.1)
                compare(metric, metric(t * 2 - 1, margins, weight), theirs, seed)
        for metric in (Precision(), Recall(), FBeta(2)):  # binary by themselves
            assert metric(t, p, weight) == type(metric)(average="binary", **of_beta(metric))(t, p, weight)


def of_beta(metric):
    return {"beta": metric.beta} if isinstance(metric, FBeta) else {}


def test_metrics_of_several_labels_are_those_of_scikit_learn():
    pairs = [(Accuracy(), sk("accuracy_score")), *of_ratios()]
    for average in AVERAGES:
        pairs.append((AveragePrecision(average), sk("average_precision_score", average=average)))
        pairs.append((RocAUC(average), sk("roc_auc_score", average=average)))
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(2, 30)), int(rng.integers(2, 5))
        t, p, weight = rng.integers(0, 2, (n, k)), rng.random((n, k)).round(1), weights_of(rng, n)
        t[0] = 1  # not one class
        if weight is not None:
            weight[0] = weight.max()
        true, scores, w = there(weight, t, p)
        if (true.sum(axis=1) == 1).all():
            continue
        for metric, function in pairs[seed % APART :: APART]:
            is_ranking = isinstance(metric, (RocAUC, AveragePrecision))
            theirs = scored(function, true, scores if is_ranking else (scores > 0.5).astype(int), w)
            compare(metric, metric(t, p, weight), theirs, seed)
        theirs = np.average(((scores > 0.5) == true).mean(axis=1), weights=w)
        compare(BinaryAccuracy(), BinaryAccuracy()(t, p, weight), theirs, seed)


def test_metrics_of_scores_are_those_of_scikit_learn():
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(1, 40)), int(rng.integers(3, 6))
        t, p, weight = rng.integers(0, k, n), probabilities(rng, n, k, seed % 2), weights_of(rng, n)
        true, scores, w = there(weight, t, p)
        labels = {"labels": np.arange(k)}
        for top in range(1, k):
            theirs = scored(sk("top_k_accuracy_score", k=top, **labels), true, scores, w)
            compare(TopK(top), TopK(top)(t, p, weight), theirs, seed)
        assert TopK(k)(t, p, weight) == 1
        compare("log_loss", LogLoss()(t, p, weight), scored(sk("log_loss", **labels), true, scores, w), seed)
        compare("brier", Brier()(t, p, weight), scored(sk("brier_score_loss", **labels), true, scores, w), seed)
        if len(np.unique(t)) > 1:
            for average in ("macro", "weighted"):
                metric = RocAUC(average, "ovo")
                theirs = scored(sk("roc_auc_score", multi_class="ovo", average=average, **labels), t, p, None)
                compare(metric, metric(t, p), theirs, seed)
        for average in AVERAGES:
            metric = RocAUC(average)
            theirs = scored(sk("roc_auc_score", multi_class="ovr", average=average, **labels), true, scores, w)
            compare(metric, metric(t, p, weight), theirs, seed)
            metric = AveragePrecision(average)
            theirs = scored(sk("average_precision_score", average=average), np.eye(k, dtype=int)[true], scores, w)
            compare(metric, metric(t, p, weight), theirs, seed)


def test_metrics_of_scores_of_two_classes_are_those_of_scikit_learn():
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(1, 40))
        t, p, weight = rng.integers(0, 2, n), rng.random(n).round(1 + seed % 2), weights_of(rng, n)
        true, scores, w = there(weight, t, p)
        both = np.stack([1 - p, p], axis=1)
        for metric, function in (
            (RocAUC(), sk("roc_auc_score")),
            (AveragePrecision(), sk("average_precision_score")),
            (Brier(), sk("brier_score_loss", pos_label=1)),
            (LogLoss(), sk("log_loss", labels=[0, 1])),
        ):
            theirs = scored(function, true, scores, w)
            compare(metric, metric(t, p, weight), theirs, seed)
            compare(metric, metric(t, both, weight), theirs, seed)
            compare(metric, metric(np.eye(2)[t], both, weight), theirs, seed)
            if isinstance(metric, (RocAUC, AveragePrecision)) and t.any():
                compare(metric, metric(t * 2 - 1, p - 3, weight), theirs, seed)


def test_weights_of_pairs_are_rows_more_than_once():
    """scikit-learn has none there."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        t, p = rng.integers(0, 4, 30), probabilities(rng, 30, 4, True)
        weight = rng.integers(0, 4, 30)
        again = np.repeat(np.arange(30), weight)
        for metric in (RocAUC("macro", "ovo"), RocAUC("weighted", "ovo"), *every_metric_of_classes()):
            compare(metric, metric(t, p, weight), metric(t[again], p[again]), seed)


def every_metric_of_classes():
    return (metric for metric in map(metrics.get, metrics._BY_NAME) if metric.name not in OF_NUMBERS)


OF_NUMBERS = {metrics.get(name).name for name in (
    "r2", "rmse", "mse", "mae", "mape", "median_absolute_error", "explained_variance", "pinball", "coverage",
)}  # fmt: skip


def test_metrics_of_numbers_are_those_of_scikit_learn():
    pairs = [
        (R2(), sk("r2_score")),
        (RMSE(), sk("root_mean_squared_error")),
        (MeanSquaredError(), sk("mean_squared_error")),
        (MeanAbsoluteError(), sk("mean_absolute_error")),
        (MeanAbsolutePercentageError(), sk("mean_absolute_percentage_error")),
        (MedianAbsoluteError(), sk("median_absolute_error")),
        (ExplainedVariance(), sk("explained_variance_score")),
        *((Pinball(q), sk("mean_pinball_loss", alpha=q)) for q in (0.1, 0.5, 0.9)),
    ]
    version = pytest.importorskip("sklearn").__version__.split(".")
    averages_medians = tuple(map(int, version[:2])) >= (1, 8)  # of weighted errors, where two are in the middle
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(1, 30)), int(rng.integers(1, 4))
        t, y = rng.integers(-3, 4, (n, k)) / 2, rng.integers(-3, 4, (n, k)) / 2
        if seed % 2:
            t, y = t + rng.normal(size=(n, k)), y + rng.normal(size=(n, k))
        if seed % 4 == 0:
            t[:, 0] = 0.5
        if seed % 8 == 0:
            y[:, 0] = 0.5
        weight = weights_of(rng, n, integers=True)
        true, pred, w = there(weight, t, y)
        for metric, function in pairs:
            if weight is None or averages_medians or not isinstance(metric, MedianAbsoluteError):
                compare(metric, metric(t, y, weight), scored(function, true, pred, w), seed)
            if n == 1:  # of which R2 is NaN
                continue
            if k == 1:
                assert metric(t[:, 0], y, weight) == metric(t, y[:, 0], weight) == metric(t, y, weight)
            each = np.full((n, k), 1.0 if weight is None else weight[:, None])
            compare(metric, metric(t, y, each), metric(t, y, weight), seed)


def test_numbers_may_weigh_on_their_own():
    """As those of a target that is missing: columns are as if they were alone, and what weighs nothing is not seen."""
    rng = np.random.default_rng(0)
    t, y, weight = rng.normal(size=(20, 2)), rng.normal(size=(20, 2)), rng.random((20, 2)) * (rng.random((20, 2)) > 0.3)
    t[weight == 0] = np.nan
    for name in sorted(OF_NUMBERS - {"pinball_0.5", "coverage"}):
        metric = metrics.get(name)
        alone = [metric(t[:, j], y[:, j], weight[:, j]) for j in range(2)]
        compare(metric, metric(t, y, weight), np.mean(alone))
    with pytest.raises(ValueError, match=r"sample_weight has 2 columns, expected one number per row"):
        Accuracy()(rng.integers(0, 2, (20, 2)), y, weight)


def test_calibration_and_coverage_are_their_formulas():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        t, p, w = rng.integers(0, 3, 60), probabilities(rng, 60, 3, seed % 2), rng.random(60)
        confidence, right, bins = p.max(axis=1), p.argmax(axis=1) == t, int(rng.integers(1, 12))
        expected = 0.0
        for b in range(bins):
            rows = (confidence > b / bins) & (confidence <= (b + 1) / bins)
            if rows.any():
                gap = np.average(right[rows], weights=w[rows]) - np.average(confidence[rows], weights=w[rows])
                expected += abs(gap) * w[rows].sum() / w.sum()
        compare("ece", CalibrationError(bins)(t, p, w), expected, seed)
        one = rng.random(60)
        assert CalibrationError()(t > 0, one, w) == CalibrationError()(t > 0, np.stack([1 - one, one], axis=1), w)
        ends = np.sort(rng.normal(size=(60, 2, 3)), axis=2)
        number = rng.normal(size=(60, 2))
        inside = (ends[..., 0] <= number) & (number <= ends[..., 2])
        compare("coverage", Coverage(3)(number, ends.reshape(60, 6), w), np.average(inside.mean(axis=1), weights=w))
        high = sk("mean_pinball_loss", alpha=0.9)(number, ends[..., 2], sample_weight=w)
        compare("pinball", Pinball(0.9, 2, 3)(number, ends.reshape(60, 6), w), high, seed)


# What is defined by convention, where scikit-learn warns
CONVENTIONS = (
    (Precision(), [1, 1], [0.1, 0.2], 0.0),
    (Precision(zero_division=float("nan")), [1, 1], [0.1, 0.2], np.nan),
    (Recall(zero_division=1), [0, 0], [0.1, 0.2], 1.0),
    (BalancedAccuracy(), [0, 0], [0, 1], 0.5),
    (RocAUC(), [1, 1], [0.1, 0.2], np.nan),
    (AveragePrecision(), [0, 0], [0.1, 0.2], 0.0),
    (CohenKappa(), [1, 1], [1, 1], np.nan),
    (Matthews(), [1, 1], [1, 1], 0.0),
    (R2(), [1.0], [1.0], np.nan),
    (R2(), [1.0, 1.0], [1.0, 1.0], 1.0),
    (R2(), [1.0, 1.0], [1.0, 2.0], 0.0),
    (ExplainedVariance(), [1.0, 1.0], [2.0, 2.0], 1.0),
)


def test_conventions():
    for metric, true, pred, expected in CONVENTIONS:
        assert metric(true, pred) == pytest.approx(expected, nan_ok=True), (metric, true, pred)


REFUSED = (
    ("accuracy", [0, 1], [[0.1, 0.9]], "Accuracy(): y_pred has 1 rows, expected 2 as y_true has"),
    ("accuracy", [], [], "Accuracy(): y_true has no rows, expected at least one"),
    ("accuracy", [0, 2], [0.2, 0.7], "expected classes 0 and 1, or -1 and 1, beside one column of numbers"),
    ("accuracy", [0, 3], [[0.1, 0.9], [0.5, 0.5]], "y_true is 3 at row 1, expected labels from 0 to 1"),
    ("accuracy", ["a", "b"], [0.1, 0.9], "expected names of classes in both"),
    ("accuracy", [0, np.nan], [0.1, 0.9], "Accuracy(): y_true is NaN at row 1"),
    ("f1", [[0, 1], [1, 1]], [[0.1, 0.9, 0.5], [0.5, 0.5, 0.5]], "y_pred has shape (2, 3), expected (2, 2)"),
    (Precision("binary"), [0, 2], [0, 1], "Precision('binary'): average is 'binary', but there are [0, 1, 2]"),
    ("matthews", [[1, 1], [0, 1]], [[0.1, 0.9], [0.5, 0.5]], "Matthews(): rows of y_true have several labels"),
    ("roc_auc", [0, 2], [0.2, 0.7], "RocAUC(): y_true holds [0, 2], expected classes 0 and 1"),
    ("log_loss", [0, 1], [-3.0, 2.0], "LogLoss(): y_pred is -3.0 at row 0, expected probabilities from 0 to 1"),
    ("rmse", [1.0, 2.0], [[1.0, 2.0], [1.0, 2.0]], "RMSE(): y_pred has 2 columns, expected 1 as y_true has"),
    ("coverage", [1.0], [[1.0]], "Coverage(): y_pred has 1 column, expected 2, 2 for each column of y_true"),
)


def test_errors_say_what_was_expected():
    for metric, true, pred, message in REFUSED:
        with pytest.raises(ValueError, match=re.escape(message)):
            metrics.get(metric)(true, pred)
    for weight, message in (([0, 0], "is 0 in all rows"), ([1, -1], "negative at row 1"), ([1], "1 rows")):
        with pytest.raises(ValueError, match=message):
            Accuracy()([0, 1], [0, 1], weight)
    with pytest.raises(ValueError, match="unknown metric 'acuracy': did you mean accuracy"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match=r"unknown metric 'neg_log_loss': .* did you mean 'log_loss'"):
        metrics.get("neg_log_loss")
    with pytest.raises(TypeError, match=r"metric is 3, expected a name \('accuracy'\)"):
        metrics.get(3)
    with pytest.raises(ValueError, match="metrics names 'accuracy' twice"):
        metrics.by_name(["accuracy", Accuracy()])


BAD_SETTINGS = (
    (partial(TopK, 0), "TopK: k is 0, expected a whole number >= 1"),
    (partial(FBeta, 0), "FBeta: beta is 0, expected a finite number > 0"),
    (partial(Precision, "samples"), "Precision: average is 'samples', expected 'auto' or 'binary'"),
    (partial(Recall, zero_division=0.5), "Recall: zero_division is 0.5, expected 0.0, 1.0 or float('nan')"),
    (partial(Pinball, 1.5), "Pinball: q is 1.5, expected a finite number >= 0 and <= 1"),
    (partial(Pinball, 0.5, 3, 3), "Pinball: column is 3, expected a whole number from -3 to 2"),
    (partial(Coverage, 1), "Coverage: n is 1, expected a whole number from 2"),
    (partial(Coverage, 2, 0, 2), "Coverage: high is 2, expected a whole number from -2 to 1"),
    (partial(CalibrationError, 0), "CalibrationError: bins is 0"),
    (partial(CohenKappa, "cubic"), "CohenKappa: weights is 'cubic', expected 'none' or 'linear' or 'quadratic'"),
    (partial(RocAUC, "micro", "ovo"), "RocAUC: average is 'micro', expected 'macro' or 'weighted'"),
)


def test_bad_settings_are_refused():
    for make, message in BAD_SETTINGS:
        with pytest.raises(ValueError, match=re.escape(message)):
            make()


def test_metrics_are_read_copied_and_named():
    made = [*map(metrics.get, metrics._BY_NAME), TopK(3), FBeta(2, average="macro"), Pinball(0.9, 1, 2), Coverage(3, 1)]
    for metric in made:
        again = eval(repr(metric), vars(metrics))
        for other in (again, copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
            assert (repr(other), other.name) == (repr(metric), metric.name)
        assert (metric.larger_is_better is None) == isinstance(metric, Coverage)
    names = [metric.name for metric in made[-4:]]
    assert names == ["top_3_accuracy", "f2_macro", "pinball_0.9", "coverage"]
    for name in metrics._BY_NAME:
        assert metrics.larger_is_better(f"val_{name}") == metrics.get(name).larger_is_better
        assert metrics.get(name).name in metrics._BY_NAME or name in ("pinball", "mean_pinball_loss") or "top" in name
    assert metrics.larger_is_better("anything") is None


def test_functions_of_scikit_learn_are_taken_as_they_are():
    """With probabilities in place of classes where they expect classes."""
    rng = np.random.default_rng(0)
    t, p, w = rng.integers(0, 3, 50), probabilities(rng, 50, 3, False), rng.random(50)
    binary, one = rng.integers(0, 2, 50), rng.random((50, 1))
    numbers = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    for function, ours, given in (
        (sk("accuracy_score").func, Accuracy(), (t, p)),
        (sk("f1_score", average="macro"), FBeta(1, "macro"), (t, p)),
        (sk("f1_score").func, FBeta(), (binary, one)),
        (sk("matthews_corrcoef").func, Matthews(), (np.eye(3)[t], p)),
        (sk("log_loss").func, LogLoss(), (t, p)),
        (sk("roc_auc_score", multi_class="ovr"), RocAUC(), (t, p)),
        (sk("roc_auc_score").func, RocAUC(), (binary, one)),
        (sk("roc_auc_score").func, RocAUC(), (binary, np.hstack([1 - one, one]))),
        (sk("r2_score").func, R2(), numbers),
        (sk("mean_absolute_error").func, MeanAbsoluteError(), numbers),
    ):
        metric = metrics.get(function)
        assert isinstance(metric, FunctionMetric)
        compare(metric, metric(*given, w), ours(*given, w))
        assert metric.larger_is_better == ours.larger_is_better


def test_functions_of_users():
    def off(y_true, y_pred):
        return np.abs(y_true - y_pred).max()

    assert metrics.get(off)([1.0, 5.0], [1.0, 2.0]) == 3
    assert metrics.get(off)([1.0, 5.0], [1.0, 2.0], [1, 0]) == 0  # of weight 0: left out
    assert metrics.get(off).name == "off"
    assert metrics.get(off).larger_is_better is None
    with pytest.raises(TypeError, match="there are weights of rows, but the function takes none"):
        metrics.get(off)([1.0, 5.0], [1.0, 2.0], [1, 2])
    with pytest.raises(ValueError, match=r"metric <?lambda>? returned ndarray of shape \(2,\), expected one number"):
        metrics.get(lambda t, y: t - y)([1.0, 5.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="metric lambda returned None, expected one number"):
        metrics.get(lambda t, y: None)([1.0, 5.0], [1.0, 2.0])
    for wrong in (lambda y: 0, lambda y_true, y_pred, more: 0):
        with pytest.raises(TypeError, match=r"function is .*, expected one of \(y_true, y_pred\), .*: it takes \(y"):
            metrics.get(wrong)

    def spoils(y_true, y_pred):
        y_pred *= 2
        return 0.0

    with pytest.raises(TypeError, match="Nothing has no value: define __call__"):
        type("Nothing", (metrics.Metric,), {})()([1.0], [1.0])
    with pytest.raises(ValueError, match="spoils changes an array that it is given"):
        metrics.get(spoils)([1.0, 5.0], [1.0, 2.0])


def test_every_metric_is_exported():
    for name in metrics.__all__:
        part = getattr(metrics, name)
        if isinstance(part, type):
            assert getattr(fastnn, name) is part
