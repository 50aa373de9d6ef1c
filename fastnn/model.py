"""The model: layers in a row, trained and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from numpy.typing import ArrayLike

from fastnn.callbacks.contract import Function
from fastnn.feeds.found import Given, feed_of
from fastnn.losses import Loss
from fastnn.metrics import Metric
from fastnn.online import Online
from fastnn.optimizers import Optimizer
from fastnn.signatures import closed, refused
from fastnn.splits import Split
from fastnn.training.data import require_targets
from fastnn.training.evaluation import evaluate
from fastnn.training.history import History
from fastnn.training.options import BATCH_SIZE, FitOptions
from fastnn.training.over_feeds import evaluate_over
from fastnn.words import answering

Metrics = str | Metric | Callable[..., Any] | Sequence[Any] | Mapping[str, Any] | None


@answering
class Model(Online):
    """Layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        Each reads what the one before it puts out. The number of inputs is learnt from the first data.
    seed : int or None
        Decides the first weights, the order of rows and what `Dropout` leaves out: the same seed gives the same bits.
        None draws one.
    dtype : {"float32", "float64"}
        Of the parameters and of all computation.
    penalties : sequence of Penalty or str
        What is added to the loss for the size of parameters: ``[L2(1e-4), L1(1e-5, "0.*")]``.
    constraints : sequence of Constraint or str
        Sets to which parameters are brought back behind each step: ``[MaxNorm(3.0), NonNegative("2.w")]``.
    precision : {None, "bf16"}
        "bf16" rounds what products with weights of 32 rows and columns or more multiply to bfloat16, for speed where
        the processor has AVX512_BF16; parameters, gradients, sums and all else stay float32: docs/training.md.

    Attributes
    ----------
    layers : tuple of Layer
        ``net[0]``, ``net[1:]``, ``len(net)`` and iteration are over these.
    params, grads : ndarray of shape (n_parameters,)
        All parameters and their gradients. ``layer.w``, ``layer.dw`` etc. are views into them.
    history : History
        Of the last fit; also after an interruption.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Model, Dense, Softmax
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> labels = np.array([0, 1, 1, 0])
    >>> net = Model([Dense(8, "tanh"), Dense(2), Softmax()], seed=0)
    >>> history = net.fit(x, labels, loss="cross_entropy", optimizer="adam", epochs=1000, batch_size=4)
    >>> net.predict(x).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    @closed
    def evaluate(
        self,
        x: Given,
        y: ArrayLike | None = None,
        loss: str | Loss | None = None,
        sample_weight: ArrayLike | None = None,
        batch_size: int | None = None,
        *,
        metrics: Metrics = None,
        **unknown: NoReturn,
    ) -> dict[str, float]:
        """Return the loss on other data, metrics and, for a cross-entropy, accuracies.

        Parameters
        ----------
        x, y
            As in `fit`: also a feed, or batches, without y.
        loss : str, Loss or None
            None takes that of the last training, or what fits the last activation.
        sample_weight : array_like of shape (rows,) or (rows, n_out), or None
            As in `fit`: the loss is Σ weight * loss / Σ weight, and accuracies follow the same rule.
        batch_size : int or None
            How many rows are computed at a time; None chooses, as in `predict`.
        metrics : str, Metric, callable, or a sequence of them, or a dict
            As in `fit`.

        Returns
        -------
        dict
            {"loss": ...}, with the penalties of the model, and for a cross-entropy "accuracy": the share of rows whose
            largest output is that of their class, or whose one output is on the right side of 0.5. Of several outputs
            of `BinaryCrossEntropy`, "binary_accuracy" is the share of right entries; "accuracy" is there where every
            row is of one class. Metrics that are asked for stand beside them, by their names.
        """
        if unknown:
            raise refused("evaluate", Model.evaluate, unknown)
        feed = feed_of(x, y, sample_weight)
        if feed is not None:
            return evaluate_over(self._trainer, feed, loss, sample_weight if feed is x else None, batch_size, metrics)
        require_targets("evaluate", x, y)
        return evaluate(self._trainer, x, y, loss, sample_weight, batch_size, metrics)  # type: ignore[arg-type]

    def quantize(self, calibration_x: Given | None = None, *, precision: str = "int8") -> Model:
        """Return a model that predicts as this one does, with weights of wide dense layers packed once.

        It is a snapshot with weights of its own: training this model does not change it, and it cannot be trained.
        Names, class names and the loss come along; penalties and constraints, which are of parameters, do not, so that
        a loss of `evaluate` is without them. Of a class of your own, too, it is a `Model`.
        Each `Dense` of 32 inputs and 32 units or more ("float32": of 32 units and 65,536 weights or more) becomes
        another layer, whose docstring has its formula; narrower ones and those with code of your own stay as they
        are.

        ``"int8"``
            An `Int8Dense`, with weights of a quarter of the bytes. With AVX512_VNNI it predicts about 3.5 times as fast
            as float32 where layers are wide (docs/performance.md). All other layers stay float32.
        ``"bf16"``
            A `BFloat16Dense`, with weights of half the bytes. The outputs have the bits of a model of
            ``precision="bf16"``, which this one may be; that rounds and packs weights in each prediction, which takes
            5 % of one of many rows and a third of one of few.
        ``"float32"``
            A `PanelDense`, with weights of as many bytes. Nothing is rounded: outputs have the bits of this model's. It
            gains where processors read short parts of rows slowly that lie far apart, as Intel's do, and most where
            weights come from memory, as after other work (docs/performance.md).

        Products of "int8" and "bf16" have the same bits on all processors. NaN in a row gives NaN, as in float32.
        Columns fill whole panels of 32, or 16 for "int8": weights of 33 units take the bytes of 64, or 48.

        Parameters
        ----------
        calibration_x : array_like of shape (rows, n_in)
            For "int8" alone: some hundred rows as the model will be given, such as those of the training, as in
            `predict`. The range of the inputs of each layer in their prediction is what these inputs are rounded in,
            later ones beyond it are cut off.
        precision : {"int8", "bf16", "float32"}
            What the products are of.

        Returns
        -------
        Model
            With `predict`, `evaluate`, `save` and all else that needs no derivative.

        Raises
        ------
        RuntimeError
            Where this model is not built.
        TypeError
            Where calibration_x is missing for "int8", or given for another one.
        ValueError
            For a model of float64, one without a layer that gains, and, for "float32", one in bfloat16; for "int8" also
            for weights that are not finite, rows that are fewer than two, are not finite, or leave a layer without a
            range, and products too small for float32.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Model
        >>> x = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
        >>> net = Model([Dense(128, "relu"), Dense(128, "relu"), Dense(1)], seed=0).build(64)
        >>> small = net.quantize(x)
        >>> bool(np.abs(small.predict(x) - net.predict(x)).max() < 0.05 * np.abs(net.predict(x)).max())
        True
        >>> net.quantize(precision="bf16")[0]
        BFloat16Dense(128, 'relu')
        """
        from fastnn.quantization import quantize

        return quantize(self, calibration_x, precision)

    # -- training -----------------------------------------------------------------------------------------------------

    @closed
    def train_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer | None = None,
        **unknown: NoReturn,
    ) -> float:
        """Take one training step on these rows and return the loss before it.

        Parameters
        ----------
        x, y
            As in `fit`.
        sample_weight : array_like of shape (rows,) or (rows, n_out), or None
            Multiplies losses of rows or targets: that of the batch is Σ weight * loss / rows, weights as they are,
            negative ones (advantages), too. In `fit` they are relative; here rows of weight 0 are rows, NaN is refused.
        loss, optimizer : str or object
            None takes those of the last training. What an optimizer remembers goes on where the same object, the same
            name or none is passed again, also after steps of others.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError, FloatingPointError
            As `fit`; the last also for a gradient that is NaN or infinite. This step has changed nothing then.
        """
        if unknown:
            raise refused("train_batch", Model.train_batch, unknown)
        trainer = self._trainer
        if sample_weight is None:
            value = trainer.of_rows.of(trainer, x, y, 2, loss, optimizer)
            if value is not None:
                return value
        if not self._tree.is_own:
            self._own()
        return trainer.claim.run(trainer.train_batch, x, y, sample_weight, loss, optimizer)

    @closed
    def fit(
        self,
        x: Given,
        y: ArrayLike | None = None,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer | None = None,
        epochs: int | None = None,
        batch_size: int | None = BATCH_SIZE,
        shuffle: bool = True,
        validation_data: tuple[ArrayLike, ...] | Given | None = None,
        sample_weight: ArrayLike | None = None,
        callbacks: Sequence[Function] | Function | None = (),
        verbose: bool | str = "auto",
        n_threads: int | None = None,
        *,
        metrics: Metrics = None,
        validation_split: float | Split | None = None,
        class_weight: Mapping[Any, Any] | Sequence[Any] | str | None = None,
        augment: Any = None,
        resume: bool = False,
        **unknown: NoReturn,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array_like of shape (rows, n_in), feed, or batches
            Arrays of any number type and layout, lists, data frames whose columns hold numbers (a column is taken by
            its name, see `feature_names`), sparse rows of SciPy. An array or frame of the model's dtype alone is not
            copied, another frame becomes one such array, column by column. Memory-mapped arrays, and sparse rows that
            would be more than 64 MB of numbers, are read block by block. Without y: a feed, such as files larger than
            memory (`fastnn.feeds`), or an iterable of batches (x, y), such as a generator (`feeds.Batches`).
        y : array_like of shape (rows, n_out) or (rows,), or None
            Targets; labels for `CrossEntropy`; 1-D ones are a column where the net has one output.
        loss, optimizer : str or object
            By default those of the last training, at first the loss that fits the last activation, and Adam. A name
            means the model's own optimizer of that name. One that is used again goes on with what it remembers.
        epochs : int or None
            How often to go over all rows; 0 builds the model and trains nothing. None is as many as make 4,000 steps,
            but at most 1,000 epochs and 1,000,000 rows, and at least 10 epochs: 400 for 308 rows in batches of 32.
        batch_size : int or None
            Rows per step; None for all. The last batch of an epoch may be smaller.
        shuffle : bool
            Whether each epoch visits the rows in a new order.
        validation_data : tuple (x, y), (x, y, sample_weight), feed, or None
            Evaluated after every epoch into ``history.val_loss``, weighted as in `evaluate`.
        validation_split : float, Split or None
            In place of such data, a share of the rows, which are not trained with: drawn by the seed of the model, so
            that each class keeps its share. `Split` says what else: whole groups, or the last rows.
        sample_weight : array_like of shape (rows,) or (rows, n_out), or None
            What rows, or targets, weigh, relative to each other: numbers >= 0. A row of weight 2 counts as two; what
            weighs 0 is left out, whatever it holds, NaN too. Others are scaled to mean 1, and the loss of a batch is
            Σ weight * loss / rows. A loss of your own without weights can do with those that are all 0 or 1.
        callbacks : sequence of callables, or one
            Called as ``f(model, epoch, {"loss": ..., "val_loss": ...})`` after each epoch; True ends the fit. A
            `Callback` may have methods for the begin and end of the fit, of epochs and of batches. What callbacks
            change in x, y, sample_weight and validation_data is seen from the next epoch on, of any size, dtype and
            kind; the number of rows must stay. So data are checked, and where needed converted, once per epoch where
            there are other callbacks than those of this package.
        verbose : bool or "auto"
            Show progress, the rate and the time that is left: "auto" where standard error is a terminal, or in a
            notebook. True shows it in a log, too: a line every so often.
        n_threads : int or None
            How many threads compute together: the result has the same bits for any number. None decides it from the
            work: one for small nets, never more than the process may use or than FASTNN_NUM_THREADS says, or
            OMP_NUM_THREADS where that is not set.
        class_weight : dict, "balanced", sequence or None
            What classes weigh in training, as in Keras not in validation: ``{0: 1, 1: 5}`` by labels, 1 for those that
            are not named; "balanced" weighs all classes alike. It multiplies sample_weight, and is relative as that
            is. Of outputs that are each of two classes it holds for each, or is a list; for `Heads` it is a dict.
        metrics : str, Metric, callable, or a sequence of them, or a dict
            What to log at the end of each epoch, of the training data and, behind "val_", of the validation data:
            names (`fastnn.metrics.get` knows all), objects such as ``TopK(3)``, functions of (y_true, y_pred,
            sample_weight), also scikit-learn's. They see predictions, probabilities in place of logits, and are
            weighted as the loss is. A dict gives them other names; for `Heads` it says which are those of a head.
        augment : callable, sequence of callables, or None
            Changes each batch before its step: ``f(x, y, rng)`` returns x and y (see `Augmentation`), as `MixUp` and
            `Noise` do. Of a sequence, each gets what the one before has returned.
        resume : bool
            Go on with the fit that the model has begun, or that was saved, if there is one (docs/saving.md).

        Returns
        -------
        History
            Also kept as ``model.history``, from the first epoch on. ``history.ended`` says why the fit has ended. Its
            losses are with the penalties of the model.

        Raises
        ------
        ValueError, TypeError
            For data that do not fit, hold NaN or infinity, or are no numbers: the model is as it was.
        FloatingPointError
            When the loss becomes NaN or infinite, with the epoch and the batch. Parameters that lead there are of no
            use: those from before this fit are put back, with what the optimizer remembers.
        KeyboardInterrupt
            On Ctrl-C, within 100 ms, with the parameters as they are then: of whole batches. Only a change of the
            parameters that has begun, and the loss of one batch, are finished first.

        Warns
        -----
        UserWarning
            Once for each model, also from `predict` and `evaluate`: of a column whose numbers span fewer than 1000
            steps of the dtype, so that what tells rows apart is lost; times in seconds since 1970 are such in float32.
            At the first fit with `MSE`, `MAE` or `Huber`: of targets far from unit scale (a mean beyond 10, a standard
            deviation above 10 or below 0.1), with what to do.
        """
        if unknown:
            raise refused("fit", Model.fit, unknown)
        if not self._tree.is_own:
            self._own()
        trainer = self._trainer
        options = FitOptions(
            epochs, batch_size, shuffle, validation_data, sample_weight, callbacks, verbose, n_threads, metrics,
            validation_split, class_weight, augment, resume=resume,
        )  # fmt: skip
        return trainer.claim.run(trainer.fit, x, y, loss, optimizer, options)
