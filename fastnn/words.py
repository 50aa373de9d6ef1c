"""The words of other libraries: what each is called here, or why there is no such thing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from importlib.machinery import PathFinder
from types import FunctionType
from typing import NoReturn, TypeVar

Kind = TypeVar("Kind")

# What it is called here: the first of these that is known where it was written.
_CALLED: dict[str, tuple[str, ...]] = {
    # of optimizers and losses
    "learning_rate": ("lr",), "lr": ("lr_factor",), "learning_rate_init": ("lr",),
    "betas": ("beta1 and beta2",), "etas": ("eta_minus and eta_plus",), "step_sizes": ("min_step and max_step",),
    "decoupled_weight_decay": ("decoupled",), "beta_1": ("beta1",), "beta_2": ("beta2",), "epsilon": ("eps",),
    "rho": ("alpha",), "global_clipnorm": ("clip_norm",),
    "max_grad_norm": ("clip_norm",), "clipvalue": ("clip_value",), "gradient_accumulation_steps": ("accumulate",),
    "param_groups": ("groups",), "beta": ("delta", "shift"), "from_logit": ("from_logits",),
    # of layers
    "alpha": ("negative_slope",), "negative_slope": ("alpha",), "lambd": ("threshold",),
    "requires_grad": ("trainable",),
    "kernel_initializer": ("weight_initializer",), "kernel_init": ("weight_initializer",), "use_bias": ("bias",),
    "out_features": ("units", "n_out"), "output_dim": ("units", "n_out"), "n_units": ("units",),
    "p": ("rate",), "prob": ("rate",), "in_features": ("n_in",), "input_dim": ("n_in",), "num_features": ("n_in",),
    "input_shape": ("n_in",), "output_shape": ("n_out",), "weight": ("w", "scale"), "kernel": ("w",),
    "weights": ("w", "params"), "gamma": ("scale",), "running_mean": ("mean",), "moving_mean": ("mean",),
    "running_var": ("variance",), "moving_variance": ("variance",), "params": ("parameters",),
    "parameters": ("params",), "max_norm": ("limit",), "get_weights": ("parameters", "params"),
    # of schedules
    "T_max": ("steps",), "T_0": ("steps",), "T_mult": ("growth",), "total_iters": ("steps",), "total_steps": ("steps",),
    "decay_steps": ("steps",), "first_decay_steps": ("steps",), "warmup_steps": ("steps",), "step_size": ("steps",),
    "milestones": ("steps",), "eta_min": ("end",), "start_factor": ("start",), "end_factor": ("end",),
    "end_learning_rate": ("end",), "initial_learning_rate": ("start",), "decay_rate": ("gamma",), "t_mul": ("growth",),
    "m_mul": ("decay",), "power_t": ("power",), "lr_lambda": ("function",), "anneal_strategy": ("shape",),
    "min_lr": ("min",),
    # of penalties and constraints
    "max_value": ("limit", "high"), "min_value": ("low",), "regularizer": ("penalty",),
    # of callbacks
    "restore_best_weights": ("restore_best",), "restore": ("restore_best",),
    "start_from_epoch": ("start",), "filepath": ("path",), "filename": ("path",), "dirpath": ("path",),
    "save_top_k": ("last",), "every_n_epochs": ("every",), "save_freq": ("every",), "logdir": ("log_dir",),
    "duration": ("seconds",), "log_momentum": ("momentum",), "on_train_begin": ("begin",), "on_train_end": ("end",),
    "on_epoch_begin": ("begin_epoch",), "on_epoch_end": ("end_epoch",), "on_train_batch_begin": ("begin_batch",),
    "on_train_batch_end": ("end_batch",), "on_batch_begin": ("begin_batch",), "on_batch_end": ("end_batch",),
    "n_iter_no_change": ("patience",), "tol": ("min_delta",),
    # of cross-validation
    "cv": ("folds",), "n_splits": ("folds",), "n_folds": ("folds",),
    # of fit and the model
    "n_epochs": ("epochs",), "num_epochs": ("epochs",), "nb_epoch": ("epochs",), "max_iter": ("epochs",),
    "n_iter": ("epochs",), "bs": ("batch_size",), "callback": ("callbacks",), "eval_set": ("validation_data",),
    "validation_fraction": ("validation_split",),
    "sample_weights": ("sample_weight",), "criterion": ("loss",), "loss_fn": ("loss",), "n_jobs": ("n_threads",),
    "num_threads": ("n_threads",), "workers": ("n_threads",), "X": ("x",), "random_state": ("seed",),
    "random_seed": ("seed",), "state_dict": ("snapshot",), "load_state_dict": ("restore",), "set_weights": ("params",),
    "named_parameters": ("params",), "count_params": ("n_parameters",), "train_on_batch": ("train_batch",),
    "partial_fit": ("train_batch",), "predict_proba": ("predict",), "predict_on_batch": ("predict",),
    "score": ("evaluate",), "classes_": ("class_names",), "save_weights": ("save",), "save_model": ("save",),
    "test_on_batch": ("evaluate",), "n_features_in_": ("n_in",), "loss_curve_": ("history",),
    "feature_names_in_": ("feature_names",), "input_names": ("feature_names",),
}  # fmt: skip

# Arguments that mean the same in other libraries: accepted under these names, too, where a part is made.
_SECOND = frozenset({
    "learning_rate", "learning_rate_init", "betas", "etas", "step_sizes", "beta_1", "beta_2", "epsilon", "rho",
    "clipvalue", "global_clipnorm", "max_grad_norm", "gradient_accumulation_steps", "param_groups", "p", "prob",
    "kernel_initializer", "kernel_init", "use_bias", "out_features", "alpha", "lambd",
    "max_value", "min_value", "restore_best_weights", "restore", "start_from_epoch",
    "filepath", "filename", "logdir", "log_momentum",
})  # fmt: skip

# Why there is no such thing.
LEARNT = "the number of inputs is learnt from the first data"
_TO_FIT = "it is given to fit"
_OF_OPTIMIZER = "it is a setting of the optimizer: optimizer=Adam(lr=0.001)"
_SEED = "all randomness follows from the seed of the model: Model(layers, seed=0)"
_OF_MODEL = "the model has it, for parameters of a layer, a kind or a pattern: Model(layers"
_QUIET = "it shows nothing"
_MODES = "fit and train_batch train, predict and evaluate do not: there is no mode to set"
_CPU = "it computes on the CPU"
_EPOCHS = "an epoch goes over all rows, or over so many batches: net.fit(feeds.Batches(batches, steps=100))"
_LOADER = "a loader is given in the place of x: net.fit(loader), or feeds.Batches(loader, steps=100)"
_ROWS = "it works on each row"
_OF_COLUMNS = "BatchNorm", "Normalization"
_FILES = "net.save(path) keeps a model, and fastnn.load(path) returns it"
_ABSENT: dict[str, str] = {
    "in_features": LEARNT, "input_dim": LEARNT, "input_shape": LEARNT, "n_in": LEARNT, "num_features": LEARNT,
    "normalized_shape": LEARNT,
    "inplace": "activations run in place wherever they can",
    "dim": _ROWS, "axis": _ROWS,
    "dtype": "layers have the dtype of the model: Model(layers, dtype='float64')",
    "name": "layers are named by their place",
    "clipnorm": "Keras's is of each array; clip_layer_norm is of each layer here, clip_norm of all parameters",
    "params": "an optimizer is given its parameters by the model that it trains",
    "lr": _OF_OPTIMIZER, "learning_rate": _OF_OPTIMIZER, "weight_decay": _OF_OPTIMIZER, "momentum": _OF_OPTIMIZER,
    "kernel_regularizer": f"{_OF_MODEL}, penalties=[L2(1e-4, '0.w')])",
    "bias_regularizer": f"{_OF_MODEL}, penalties=[L2(1e-4, '0.b')])",
    "penalties": f"{_OF_MODEL}, penalties=[L2(1e-4)])", "constraints": f"{_OF_MODEL}, constraints=[MaxNorm(2.0)])",
    "precision": "it belongs to the model: Model(layers, precision='bf16')",
    "activity_regularizer": "place a layer behind it: Penalize(L1(0.01))",
    "kernel_constraint": f"{_OF_MODEL}, constraints=[MaxNorm(2.0, '0.w')])",
    "bias_constraint": f"{_OF_MODEL}, constraints=[NonNegative('0.b')])",
    "patience": "pass callbacks=[EarlyStopping(patience=5)]", "early_stopping": "pass callbacks=[EarlyStopping()]",
    "seed": _SEED, "random_state": _SEED, "device": _CPU, "to": _CPU, "cuda": _CPU, "cpu": _CPU,
    "x_val": "pass validation_data=(x, y)", "y_val": "pass validation_data=(x, y)",
    "initial_epoch": "a fit goes on from where the last one ended",
    "steps_per_epoch": _EPOCHS, "dataloader": _LOADER, "train_dataloader": _LOADER, "train_dataloaders": _LOADER,
    "train_loader": _LOADER, "data_loader": _LOADER, "verbose": _QUIET,
    "loss": _TO_FIT, "optimizer": _TO_FIT, "metrics": "they are given to fit and to evaluate",
    "class_weight": "it is a setting of the loss: CrossEntropy(class_weight={1: 2.0}), or 'balanced'",
    # of the model
    "trainable": "layers have it: net[0].trainable = False", "get_layer": "layers are got by their numbers: net[0]",
    "clone": "copy.deepcopy(net) is another one", "stop_training": "a callback that returns True ends the fit",
    "compile": "loss and optimizer are given to fit: net.fit(x, y, loss, optimizer)",
    "add": "layers are given together: Model([Dense(8), Dense(1)])",
    "append": "layers are given together: Model([Dense(8), Dense(1)])",
    "train": _MODES, "eval": _MODES, "zero_grad": "each step begins with new gradients",
    "save": _FILES, "save_weights": _FILES, "load": _FILES, "load_weights": _FILES,
    "predict_classes": "the class of a row is net.predict(x).argmax(axis=1)",
    "coefs_": "each layer has its own: net[0].w", "intercepts_": "each layer has its own: net[0].b",
    "classes_": "classes are whole numbers from 0: classes, y = np.unique(y, return_inverse=True)",
    "fit_transform": "it is no transformer: net.fit(x, y), then net.predict(x)",
}  # fmt: skip

# Names that people look for in the package: what they are called here, and why there is no such thing.
_CALLED_IN_PACKAGE = {
    "BatchNorm1d": "BatchNorm", "BatchNormalization": "BatchNorm", "LayerNormalization": "LayerNorm",
    "RMSNormalization": "RMSNorm", "Module": "Layer", "load_model": "load",
}  # fmt: skip
_DENSE = "nets are dense: there are no convolutions, recurrences and attention"
_PACKAGE = "all names stand in the package itself: fastnn.Dense, fastnn.Adam"
_ABSENT_IN_PACKAGE = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv1d", "Conv2d", "LSTM", "GRU", "RNN", "SimpleRNN", "Attention"), _DENSE),
    **dict.fromkeys(("MultiHeadAttention", "MultiheadAttention", "Transformer", "MaxPooling2D", "MaxPool2d"), _DENSE),
    "Input": LEARNT, "InputLayer": LEARNT, "nn": _PACKAGE, "optim": _PACKAGE, "save_model": _FILES,
    "Activation": "activations are layers, ReLU(), or settings, Dense(8, 'relu')",
    "set_seed": _SEED, "set_random_seed": _SEED, "manual_seed": _SEED, "DataLoader": _LOADER, "no_grad": _MODES,
    "LearningRateScheduler": "a schedule, or a function of the step, stands for the rate: Adam(lr=Cosine(steps=1000))",
}  # fmt: skip


def called(name: str, known: Collection[str]) -> str | None:
    """Return what it is called here, where that is one of the known names."""
    for right in _CALLED.get(name, ()):
        if all(word in known for word in right.split(" and ")):
            return right
    return None


def second_name(name: str, known: Collection[str]) -> list[str]:
    """Return the names here of an argument of another library that means the same: several for a tuple, or none."""
    right = called(name, known) if name in _SECOND else None
    return [] if right is None else right.split(" and ")


def answer(owner: str, name: str, known: Collection[str]) -> str | None:
    """Return the message for a word of another library: what it is called, or why it is not there."""
    found = reason(owner, name, known)
    return None if found is None else f"{owner} has no {name}: {found}"


def reason(owner: str, name: str, known: Collection[str]) -> str | None:
    """Return what a word of another library is called, or why it is not there."""
    right = called(name, known)
    if right is not None:
        return f"it is called {right} here"
    found = _ABSENT.get(name)
    return "it works on each column" if found is _ROWS and owner.startswith(_OF_COLUMNS) else found


class Word:
    """An attribute that other libraries have: reading it says what it is called here, as if it were not there.

    With a ``__getattr__`` for what is missing, Python would look up every other attribute the slow way.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, part: object, kind: type) -> NoReturn:
        raise AttributeError(answer(kind.__name__, self._name, own_names(kind)), name=self._name, obj=part)


def answering(kind: type[Kind]) -> type[Kind]:
    """Give a class an answer to each word of other libraries that is none of its names; `dir` does not list them.

    Methods that it inherits carry its name, too: in Python's errors people see the class that they know.
    """
    own = own_names(kind)
    for base in kind.__mro__[1:-1]:
        for name, function in vars(base).items():
            if isinstance(function, FunctionType) and (name == "__init__" or name[0] != "_"):
                function.__module__, function.__qualname__ = kind.__module__, f"{kind.__name__}.{function.__name__}"
    for name in {*_CALLED, *_ABSENT} - own:
        if answer(kind.__name__, name, own) is not None:
            setattr(kind, name, Word(name))
    kind.__dir__ = lambda self: own_names(type(self)).union(vars(self))  # type: ignore[method-assign]
    return kind


def own_names(kind: type) -> set[str]:
    """Return the names that a class has, without words of other libraries."""
    attributes = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    return {name for name, value in attributes.items() if not isinstance(value, Word)}


def no_such(owner: str, name: str, known: Collection[str], settable: Iterable[str] | None = None) -> str:
    """Return the message for a name that is none of the known ones.

    If it is no word of another library, it names those near to it among what is `settable`, or all of these.
    """
    found = answer(owner, name, known)
    if found is not None:
        return found
    listed = sorted(known if settable is None else settable)
    alike = near(name, listed, 0.6)
    hint = f"did you mean {' or '.join(alike)}?" if alike else f"it has {', '.join(listed) or 'no settings'}"
    return f"{owner} has no {name}: {hint}"


def no_export(
    module: str, name: str, exported: Iterable[str], gets: Iterable[Callable[[str], object]]
) -> AttributeError:
    """Return the error for a name that a module of this package has not.

    Parameters
    ----------
    module, name : str
    exported : iterable of str
        What it has.
    gets : iterable of callable
        They return what a name of another library means, or its class, or raise ValueError.
    """
    return AttributeError(f"module {module!r} has no attribute {name!r}{_found(module, name, list(exported), gets)}")


def _found(module: str, name: str, exported: list[str], gets: Iterable[Callable[[str], object]]) -> str:
    if name[:1] == "_" or PathFinder.find_spec(f"{module}.{name}", sys.modules[module].__path__):  # not yet imported
        return ""
    why = _ABSENT_IN_PACKAGE.get(name) or _ABSENT.get(name)
    if why is not None:
        return f": {why}"
    right = _CALLED_IN_PACKAGE.get(name)
    alike = [] if right else [own for own in exported if own.lower() == name.lower()]
    for get in () if right or alike else gets:
        with suppress(ValueError):
            part = get(name)
            right = part.__name__ if isinstance(part, type) else repr(part)
            break
    if right is not None:
        return f": it is called {right} here"
    alike = alike or near(name, exported, 0.6)
    return f": did you mean {' or '.join(alike)}?" if alike else ""


def near(name: str, known: Iterable[str], cutoff: float) -> list[str]:
    """Return up to three known names that are written alike."""
    from difflib import get_close_matches  # only here: what is rarely needed does not make every import longer

    return get_close_matches(name, list(known), n=3, cutoff=cutoff)
