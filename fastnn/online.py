"""Learning from rows as they come: one at a time, or some at a time, for as long as there are any."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from numpy.typing import ArrayLike

from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.predictions import Predictions
from fastnn.signatures import closed, refused
from fastnn.training.options import BATCH_SIZE
from fastnn.training.passes import partial_fit
from fastnn.training.single import learn_one

Self = TypeVar("Self", bound="Online")


class Online(Predictions):
    """What of a model learns from a stream."""

    def learn_one(
        self, x: Any, y: Any, loss: str | Loss | None = None, optimizer: str | Optimizer | None = None
    ) -> float:
        """Take one training step on one row, and return the loss before it: `train_batch` of it, in less time.

        Parameters
        ----------
        x : array_like of shape (n_in,), or dict
            Numbers of a dict, and of a Series, are taken by name (`feature_names`): the first one that a new model
            is given names the columns.
        y : number or array_like of shape (n_out,)
            The row's target: a number where the net has one output, one for each output, or a label.
        loss, optimizer : str or object
            As in `train_batch`: None takes those of the last training.

        Returns
        -------
        float

        Raises
        ------
        ValueError, TypeError, FloatingPointError
            As `train_batch`; nothing is changed then.
        RuntimeError
            Where a layer takes its scale from the first data, as `Normalization` does: one row has none.

        Notes
        -----
        Parameters have the bits that `train_batch(x[None], [y])` gives them. From the second row on it is one compiled
        call, as long as nothing else happens to the model: rows that are arrays, lists, tuples or dicts, targets that
        are Python's numbers or arrays, losses, layers and optimizers of this package.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import SGD, Dense, Model
        >>> net, rng = Model([Dense(16, "tanh"), Dense(1)], seed=0), np.random.default_rng(0)
        >>> net.loss, net.optimizer = "mse", SGD(0.1)
        >>> for _ in range(5000):
        ...     x = rng.uniform(-1, 1, 2)
        ...     loss = net.learn_one(x, x[0] * x[1])
        >>> bool(abs(net.predict_one([0.5, 0.5])[0] - 0.25) < 0.05)
        True
        """
        trainer = self._trainer
        value = trainer.of_rows.of(trainer, x, y, 1, loss, optimizer)
        if value is not None:
            return value
        if not self._tree.is_own:
            self._own()
        return trainer.claim.run(learn_one, trainer, x, y, loss, optimizer)

    @closed
    def partial_fit(
        self: Self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer | None = None,
        batch_size: int | None = BATCH_SIZE,
        shuffle: bool = True,
        n_threads: int | None = None,
        **unknown: NoReturn,
    ) -> Self:
        """Go over these rows once, in batches, and return the model: for data that come in parts.

        It is a `train_batch` for each batch: what the optimizer remembers and schedules of steps go on from one call
        to the next. So weights are as they are, since nobody knows the parts to come; epochs are not counted, schedules
        that span a fit are refused, and ``history`` stays that of the last `fit`. As in `fit`, all data are checked
        before the first step, threads help, and a loss that becomes NaN leaves the model as it was before the call.

        Parameters
        ----------
        x, y
            As in `fit`.
        sample_weight : array_like of shape (rows,) or (rows, n_out), or None
            As in `train_batch`.
        loss, optimizer : str or object
            None takes those of the last training.
        batch_size : int or None
            Rows per step; None for all. The last batch may be smaller.
        shuffle : bool
            Whether the rows are visited in a new order.
        n_threads : int or None
            As in `fit`.

        Returns
        -------
        Model
            Itself, as in scikit-learn. Classes need not be announced: the net has an output for each.

        Raises
        ------
        ValueError, TypeError, FloatingPointError, KeyboardInterrupt
            As in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Model
        >>> net, rng = Model([Dense(8, "tanh"), Dense(1)], seed=0), np.random.default_rng(0)
        >>> for _ in range(200):
        ...     x = rng.uniform(-1, 1, (256, 2))
        ...     net = net.partial_fit(x, x[:, 0] * x[:, 1])
        >>> net.evaluate(x, x[:, 0] * x[:, 1])["loss"] < 0.02
        True
        """
        if unknown:
            raise refused("partial_fit", Online.partial_fit, unknown)
        if not self._tree.is_own:
            self._own()
        trainer = self._trainer
        trainer.claim.run(partial_fit, trainer, x, y, sample_weight, loss, optimizer, batch_size, shuffle, n_threads)
        return self
