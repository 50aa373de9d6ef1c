"""What looks wrong in one batch, in words: pure functions of what was seen of it, with their thresholds.

They are for training as it is usual here: inputs and targets of about unit scale, outputs of hidden layers of about
their scale (Glorot & Bengio 2010, He et al. 2015). Each is set so that a fault is clear, and trainings that go well say
nothing; tests hold a table of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.callbacks.finding import Finding
from fastnn.checks import number_of
from fastnn.inspection.lines import Line, multiply_adds
from fastnn.inspection.probe import Probe, Seen, is_elementwise
from fastnn.layers.contract import Layer
from fastnn.layers.inputs import ColumnLayer
from fastnn.layers.tree import walk
from fastnn.losses import BinaryCrossEntropy, BinaryFocal, CategoricalFocal, CrossEntropy

LARGE = (
    10.0  # of means and standard deviations of x, as of targets (training/scale.py): steps are then 100 times as large
)
SMALL = 0.01  # of all of x: first layers learn a hundred times as slowly as others by SGD
NEAR = 0.01  # of the range, from a bound: the slope of a sigmoid or tanh is there below 4 % of its largest
DEAD = 0.9  # of the units of a layer: deep nets of relu learn well with three quarters dead (Lu et al. 2019 say more)
SATURATED = 0.75  # of the outputs of a layer: nets of tanh that have learnt all are at 60 %
WRONG = 0.1  # of the outputs: at the wrong bound, where their gradient is lost
LEAST_ROWS = (
    32  # of which a unit that gives nothing is dead: one that is on in every tenth row is off in all by 1 in 29
)
VANISHED = 1e-3  # of the largest gradient: what is left of it in the lowest layer; Adam evens out less than that
EXPLODED = 1e3  # times the gradient at the end, or the scale of x
IMBALANCED = 10.0  # times as many rows of one class as of another, as in the rules of Amazon SageMaker Debugger
COUNTED_ROWS = 100  # from which classes are counted
_SHOWN = 3  # names in a sentence


def findings_of(probe: Probe) -> list[Finding]:
    """Return all that looks wrong, the causes before what may follow from them."""
    found = [*_inputs(probe), *_classes(probe), *_range(probe)]
    broken = list(_not_finite(probe))
    if broken:
        return [*found, *broken]
    return [*found, *_units(probe), *_end(probe), *_flow(probe)]


def bounds_of(layer: Layer) -> tuple[float, float] | None:
    """Return the least and the largest number that an activation of single numbers gives: None where it is none."""
    if not is_elementwise(layer):
        return None
    low, high = kernels.float64.activations[layer.kernel].range
    return _bound(layer, low), _bound(layer, high)


def _bound(layer: Layer, text: str) -> float:
    try:
        return float(text)
    except ValueError:  # the name of a constant
        sign = -1 if text.startswith("-") else 1
        return sign * float(getattr(layer, text.lstrip("-")))


def saturated(layer: Layer, y: Array) -> Array | None:
    """Return which outputs of an activation lie at one of its two bounds, or None where it does not have two."""
    bounds = bounds_of(layer)
    if bounds is None or not np.isfinite(bounds).all() or layer.kernel == "sine":
        return None
    low, high = bounds
    near = NEAR * (high - low)
    return np.asarray((y < low + near) | (y > high - near))


def dead(seen: Seen) -> Array | None:
    """Return the units through which no gradient comes, in any row: None for what is no activation."""
    return None if seen.slope is None else np.asarray(~seen.slope.any(axis=0))


def rms(array: Array) -> float:
    """Return the root of the mean square."""
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.square(array, dtype=np.float64).mean())) if array.size else 0.0


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


def constant_loss(probe: Probe) -> float:
    """Return the least loss of outputs that are the same for all rows, where it is known: else NaN.

    That of the mean or the median for losses of numbers; the entropy of the shares of the classes for cross-entropies.
    """
    loss, target = probe.loss, probe.target
    assert loss is not None
    assert target is not None
    weight = None if probe.weight is None else probe.weight[:, 0]
    if loss.of_numbers and target.ndim == 2 and target.shape[1] == probe.tree.n_out:
        values = []
        for middle in (np.average(target, axis=0, weights=weight), np.median(target, axis=0)):
            y, value = np.ascontiguousarray(np.broadcast_to(middle, target.shape), target.dtype), np.zeros(1)
            loss.compute(y, np.ascontiguousarray(target), probe.weight, None, value, None)
            values.append(float(value[0]))
        return min(values)
    kinds = (CrossEntropy, BinaryCrossEntropy)
    is_plain = any(type(loss) is kind and loss.settings() == kind(loss.from_logits).settings() for kind in kinds)
    counts = class_counts(probe, weight) if is_plain else None
    if counts is None:
        return float("nan")
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


# -- data -------------------------------------------------------------------------------------------------------------


def _inputs(probe: Probe) -> Iterator[Finding]:
    for line in probe.lines:
        seen = probe.of(line.layer)
        if seen is not None and multiply_adds(line.layer):  # the first product
            yield from _inputs_of(probe, line, seen.x)
            return


def _inputs_of(probe: Probe, line: Line, x: Array) -> Iterator[Finding]:
    names = probe.feature_names
    is_x = x.shape == probe.x.shape and bool((x == probe.x).all())
    with np.errstate(all="ignore"):
        means, stds = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    wrong = np.flatnonzero((np.abs(means) > LARGE) | (stds > LARGE))
    cure = (
        "Scale the columns to mean 0 and standard deviation 1 with numbers from the training rows, or begin the net "
        "with Normalization()"
    )
    if len(wrong):
        i = int(wrong[np.abs(np.maximum(np.abs(means), stds)[wrong]).argmax()])
        columns = [repr(names[j]) if names and is_x else str(j) for j in wrong]
        plural = "s" if len(wrong) > 1 else ""
        what = (
            f"column{plural} {_some(columns)} of {'x' if is_x else f'what comes into {line.name}'} "
            f"{'are' if plural else 'is'} not scaled: column {repr(names[i]) if names and is_x else i} has mean "
            f"{means[i]:.4g} and standard deviation {stds[i]:.4g}"
        )
        yield Finding("inputs", "", what, cure)
    elif len(x) > 1 and 0 < rms(x) < SMALL:
        yield Finding("inputs", "", f"x is very small: the root of its mean square is {rms(x):.3g}", cure)


def _classes(probe: Probe) -> Iterator[Finding]:
    if probe.target is None or probe.weight is not None or len(probe.x) < COUNTED_ROWS:
        return
    counts = class_counts(probe)
    if counts is None or len(counts) < 2:
        return
    few, many = int(counts.argmin()), int(counts.argmax())
    if counts[many] > IMBALANCED * counts[few]:
        names = probe.class_names or ()
        rare, common = (repr(names[i]) if len(names) == len(counts) else str(i) for i in (few, many))
        have = f"class {rare} has {number_of(int(counts[few]), 'row')} and class {common} {int(counts[many])}"
        what = f"the classes are not balanced: {have}, so that a net may learn to give class {common} always"
        cure = (
            "Let the rows of all classes weigh the same, by class_weight='balanced', and look at the balanced "
            "accuracy, not at the accuracy"
        )
        yield Finding("classes", "", what, cure)


def class_counts(probe: Probe, weight: Array | None = None) -> Array | None:
    """Return how many rows each class has, or what they weigh; None where targets are no classes."""
    target, loss = probe.target, probe.loss
    assert target is not None
    n_out = probe.tree.n_out
    if target.ndim == 1:
        return np.bincount(target, weight, minlength=n_out)
    is_row = target.shape[1] == 1 and isinstance(loss, (BinaryCrossEntropy, BinaryFocal))
    if is_row and np.isin(target, (0, 1)).all():
        return np.bincount(target[:, 0].astype(np.int64), weight, minlength=2)
    if isinstance(loss, (CrossEntropy, CategoricalFocal)) and target.shape[1] > 1:
        one_hot = np.isin(target, (0, 1)).all() and (target.sum(axis=1) == 1).all()
        return np.bincount(target.argmax(axis=1), weight, minlength=n_out) if one_hot else None
    return None


def _range(probe: Probe) -> Iterator[Finding]:
    """Targets that the last activation cannot give."""
    target, last = probe.target, probe.tree.last
    bounds = bounds_of(last)
    if target is None or bounds is None or probe.loss is None or not probe.loss.of_numbers:
        return
    low, high = bounds
    near = NEAR * (high - low) if np.isfinite(high - low) else NEAR
    beyond = (target < low - near) | (target > high + near)
    if beyond.any():
        span = f"from {low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
        span = span if np.isfinite(low) else f"below {high:g}"
        what = (
            f"{beyond.mean():.0%} of the targets lie where the net cannot reach them: it ends in {last!r}, which gives "
            f"numbers {span}, and they go from {target.min():.3g} to {target.max():.3g}"
        )
        yield Finding(
            "outputs", "", what, "End the net with a Dense without activation, or scale the targets into that range"
        )


# -- what goes through the layers -------------------------------------------------------------------------------------


def _not_finite(probe: Probe) -> Iterator[Finding]:
    cure = "Scale the inputs to about -1 to 1, begin with smaller weights, and lower the learning rate"
    for line in probe.lines:
        seen = probe.seen(line)
        if seen is not None and not np.isfinite(seen.y).all():
            yield Finding("not finite", line.name, "its outputs are NaN or infinite", cure)
            return
    if probe.target is not None and not np.isfinite(probe.value):
        yield Finding("not finite", "", f"the loss is {probe.value}, although all outputs are finite", cure)
        return
    for line in reversed(probe.lines):
        seen = probe.seen(line)
        if seen is not None and seen.dy is not None and not np.isfinite(seen.dy).all():
            what = "the gradient of the loss with respect to its outputs is NaN or infinite"
            yield Finding("not finite", line.name, what, cure)
            return


def _units(probe: Probe) -> Iterator[Finding]:
    if len(probe.x) < LEAST_ROWS:
        return
    for line in probe.lines:
        seen = probe.of(line.gives)
        is_end = line.gives is probe.tree.last
        if seen is None:
            continue
        at_bounds = saturated(line.gives, seen.y)
        if at_bounds is not None:
            if not is_end and at_bounds.mean() > SATURATED:
                what = f"{at_bounds.mean():.0%} of its outputs are saturated: hardly any gradient comes through them"
                cure = (
                    "Scale what comes in to about -1 to 1, begin with smaller weights, or place a BatchNorm before it"
                )
                yield Finding("saturated units", line.name, what, cure)
            continue
        off = dead(seen)
        if off is not None and off.mean() > DEAD:
            same = f"they give the same for all {len(seen.y)} rows"
            what = f"{off.sum()} of {off.size} units are dead: {same}, and learn nothing"
            cure = (
                "Lower the learning rate and begin anew, start biases at 0 or a little above, or take 'leaky_relu' or "
                "'gelu'"
            )
            yield Finding("dead units", line.name, what, cure)


def _end(probe: Probe) -> Iterator[Finding]:
    """Outputs at a bound where the target is at the other, and a loss whose gradient the activation stops."""
    last, target = probe.tree.last, probe.target
    seen = probe.of(last)
    if seen is None or seen.slope is None or target is None or target.shape != seen.y.shape:
        return
    at_bounds, bounds = saturated(last, seen.y), bounds_of(last)
    if at_bounds is None or bounds is None:
        return
    wrong = at_bounds & (np.abs(seen.y - target) > (bounds[1] - bounds[0]) / 2)
    if wrong.mean() > WRONG:
        what = (
            f"{wrong.mean():.0%} of the outputs are saturated and wrong: hardly any gradient of {probe.loss!r} comes "
            f"through {last!r}"
        )
        cure = "Take a cross-entropy, which contains the activation, or begin with smaller weights"
        yield Finding("saturated outputs", "", what, cure)


def _flow(probe: Probe) -> Iterator[Finding]:
    """Gradients, from the end to the lowest layer that is trained; of layers in layers, only the outer ones."""
    flow = []
    for line in probe.lines:
        seen = probe.seen(line)
        if line.depth == 0 and seen is not None:
            flow.append((line, seen))
    trained = [(line, seen) for line, seen in flow if line.n_parameters and not line.frozen and seen.dy is not None]
    scale = max(rms(probe.x), 1.0)
    for line, seen in flow:
        if rms(seen.y) > EXPLODED * scale and not isinstance(line.layer, ColumnLayer):
            what = f"its outputs are {rms(seen.y) / scale:.2g} times as large as x, and so will gradients be"
            yield Finding("exploding gradients", line.name, what, _SMALLER)
            return
    if len(trained) < 2:
        return
    (first, lowest), (last, highest) = trained[0], trained[-1]
    assert lowest.dy is not None
    assert highest.dy is not None
    least, most = rms(lowest.dy), rms(highest.dy)
    if most == 0:
        return
    if least > EXPLODED * most:
        times = f"they are {least / most:.2g} times as large in {first.name} as in {last.name}"
        what = f"gradients grow from layer to layer: {times}"
        yield Finding("exploding gradients", "", what, _SMALLER)
    elif least < VANISHED * most and relative(first) < VANISHED * relative(last):
        what = (
            f"gradients vanish from layer to layer: in {first.name} they are {least / most:.2g} of those in "
            f"{last.name}, so that it hardly learns"
        )
        cure = (
            "Take 'relu' or 'gelu' in hidden layers, place BatchNorm or LayerNorm between them, wrap them in "
            "Residual, or take fewer"
        )
        yield Finding("vanishing gradients", "", what, cure)


_SMALLER = (
    "Begin with smaller weights (the default initializers fit), place BatchNorm or LayerNorm between layers, and clip "
    "gradients by clip_norm=1.0 of the optimizer"
)


def relative(line: Line) -> float:
    """Return the norm of the gradient of a line's parameters beside their own: how much changes (You et al. 2017).

    Where batches are normalized, a small gradient may be a large change.
    """
    changes, sizes = 0.0, 0.0
    for layer in walk([line.layer]):
        for name, gradient in layer._gradients.items():
            changes += float(np.square(gradient, dtype=np.float64).sum())
            sizes += float(np.square(layer.parameters[name], dtype=np.float64).sum())
    return float(np.sqrt(changes / sizes)) if sizes else 0.0
