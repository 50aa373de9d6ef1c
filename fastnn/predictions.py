"""What a model puts out: for any number of rows, or for one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import threads
from fastnn.arena import Array
from fastnn.checks import count
from fastnn.feeds.contract import Feed
from fastnn.feeds.found import Given, inputs_of
from fastnn.network import Network
from fastnn.tables import table_of
from fastnn.training.over_feeds import predicted
from fastnn.training.single import as_one_row


class Predictions(Network):
    """What of a model predicts."""

    def predict(
        self, x: Given, batch_size: int | None = None, n_threads: int | None = None, out: Array | None = None
    ) -> Array:
        """Return the outputs for x; ``net(x)`` is the same.

        Parameters
        ----------
        x : array_like of shape (rows, n_in)
            As in `fit`. NaN passes through into outputs; in a data frame, where it means that something is missing, it
            is an error that names the column. Or a feed, or an iterator or a loader that gives batches, x or (x, y):
            targets are not looked at.
        batch_size : int or None
            How many rows are computed at a time: it bounds the memory, and changes no bit. None chooses as many as
            stay in the processor's cache.
        n_threads : int or None
            How many threads compute blocks at the same time. None decides it from the work. Layers from outside this
            package are run by one: they may remember what they saw.
        out : ndarray of shape (rows, n_out), or None
            Where the outputs are written to, and what is returned then. It has the dtype of the model and any strides
            that lead to each number once; it may share memory with x, which is read as if it did not, but not with
            parameters or states.

        Returns
        -------
        ndarray of shape (rows, n_out)

        Raises
        ------
        ValueError, TypeError
            For data of a wrong shape or kind, and for an `out` that cannot be written to.

        Notes
        -----
        Any number of threads may call it at once. Arrays of another dtype and sparse rows are converted block by block.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Dense, Model
        >>> net, x = Model([Dense(8, "relu"), Dense(2)], seed=0).build(3), np.ones((4, 3), np.float32)
        >>> y = np.empty((4, 2), np.float32)
        >>> net.predict(x, out=y) is y, bool((y == net.predict(x)).all())
        (True, True)
        """
        of_rows = self._predictors.of_rows
        if of_rows is not None and batch_size is None and n_threads is None:
            y = of_rows(x, 2, out)  # the usual call for few rows: it has to be fast
            if y is not None:
                return y
        outputs: Array = self._predicted(x, batch_size, n_threads, out, 2)
        return outputs

    __call__ = predict

    def predict_one(self, row: ArrayLike, out: Array | None = None) -> Array:
        """Return the outputs for one row: as `predict`, in less time.

        Parameters
        ----------
        row : array_like of shape (n_in,), or dict
            Of a Series whose index holds the names of the columns, of a named tuple, and of a dict where there are
            names (`feature_names`), numbers are taken by name.
        out : ndarray of shape (n_out,), or None
            As in `predict`.

        Returns
        -------
        ndarray of shape (n_out,)

        Raises
        ------
        ValueError, TypeError
            For data of a wrong shape or kind, and for an `out` that cannot be written to.
        """
        of_rows = self._predictors.of_rows
        if of_rows is not None:
            y = of_rows(row, 1, out)
            if y is not None:
                return y
        outputs: Array = self._predicted(as_one_row(self._tree, row, "predict"), None, None, out, 1)
        return outputs

    def _predicted(self, x: Any, batch_size: int | None, n_threads: int | None, out: Any, n_dims: int) -> Any:
        """Return the outputs for any x, in as many dimensions: 1 for one row."""
        tree, is_array = self._tree, type(x) is np.ndarray
        if not is_array and (feed := inputs_of(x)) is not None:
            return self._predicted_over(feed, batch_size, n_threads, out)
        given = x if is_array else table_of(x) or x
        matrix = tree.inputs(given, True)
        rows = None if batch_size is None else count("batch_size", batch_size)
        n_threads = threads.check(n_threads)
        self._build_for(matrix, given, not is_array or matrix.dtype is not tree.dtype, out, n_dims)
        into = out
        if out is not None:
            into = out if n_dims == 2 else out[None, :]
            into = None if not is_array or np.may_share_memory(into, x) else into
        outputs = self._predictors.current().some(matrix, rows, n_threads, into)
        if not is_array:
            tree.take_names(given)
        if out is None:
            return outputs if n_dims == 2 else outputs[0]
        if into is None:
            out[...] = outputs
        return out

    def _predicted_over(self, feed: Feed, batch_size: int | None, n_threads: int | None, out: Any) -> Any:
        """Return the outputs for all rows of a feed: where one of them is refused, the model is as it was."""
        tree = self._tree

        def outputs_of() -> Array:
            outputs = predicted(self.predict, feed, batch_size, n_threads)
            if out is not None:
                self._predictors.require_out(out, outputs.shape)
            return outputs

        if not tree.built:
            outputs = self._trainer.as_it_was(outputs_of)
        else:
            names = tree.feature_names
            try:
                outputs = outputs_of()
            except BaseException:
                tree.feature_names = names
                raise
        if out is None:
            return outputs
        out[...] = outputs
        return out
