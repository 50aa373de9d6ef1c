from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastnn._core.team import Stop, Team

P = ParamSpec("P")
R = TypeVar("R")

class Tape:
    def __len__(self) -> int: ...
    @property
    def calls_functions(self) -> bool: ...
    @property
    def chunks(self) -> int: ...
    def tasks(self, team: Team) -> list[int | list[list[tuple[int, str, int, int]]]]: ...
    def call(self, function: Callable[[], object]) -> None: ...
    def extend(self, tape: Tape) -> None: ...
    @property
    def trial(self) -> tuple[int, int, int, int]: ...
    @property
    def work(self) -> float: ...
    def replay(
        self,
        begin: int = 0,
        end: int | None = None,
        parts: int = 1,
        team: Team | None = None,
        stop: Stop | None = None,
    ) -> None: ...

class Inlet:
    is_open: bool
    def __init__(self, tape: Tape, x: NDArray[Any], end: int) -> None: ...
    def replay(self, x: NDArray[Any], stop: Stop | None = None) -> None: ...

class RowsFunction:
    def __init__(
        self,
        recorded: Callable[[int], object],
        most: int,
        most_in_place: int,
        most_work: float,
        dtype: np.dtype[Any],
        tree: object,
        arrays: Iterable[NDArray[Any]],
    ) -> None: ...
    def of(self, rows: object, n_dims: int, out: object = None) -> NDArray[Any] | None: ...
    def is_apart(self, array: object) -> bool: ...

def permutation(n: int, seed: int, epoch: int) -> list[int]: ...
def run_epochs(
    gather: Tape | None,
    step: Tape,
    gather_rest: Tape | None,
    step_rest: Tape | None,
    index: NDArray[np.int64],
    cursor: NDArray[np.int64],
    value: NDArray[np.float64],
    batch_size: int,
    shuffle: bool,
    seed: int,
    first_epoch: int,
    losses: NDArray[np.float64],
    team: Team | None = None,
    stop: Stop | None = None,
    shuffling: Shuffle | None = None,
    ledger: Ledger | None = None,
    in_turn: bool = False,
    seeds: NDArray[np.int64] | None = None,
) -> tuple[int, int] | None: ...

class Shuffle:
    def __init__(self, random_state: Any, is_shared: bool) -> None: ...

class Patience:
    def __init__(self, tol: float, most: float, best: float, count: int) -> None: ...
    def begin_anew(self) -> None: ...

class Ledger:
    added: float
    def __init__(
        self, curve: list[float], state: dict[str, Any] | None = None, patience: Patience | None = None
    ) -> None: ...
    def take(self, loss: float, rows: int) -> None: ...

class Claim:
    def __init__(self, excluded: str, nested: str | None = None) -> None: ...
    @property
    def taken(self) -> bool: ...
    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

def copy_arrays(targets: Iterable[NDArray[Any]], sources: Iterable[NDArray[Any]]) -> None: ...

class TargetReader:
    def __init__(self, target: NDArray[Any], dtype: np.dtype[Any], low: float, high: float) -> None: ...

class RowsStep:
    def __init__(
        self,
        x: NDArray[Any],
        target: TargetReader,
        value: NDArray[np.float64],
        dtype: np.dtype[Any],
        claims: tuple[Claim, Claim],
        made_of: tuple[object, Callable[[], object], object, object],
        holds: Callable[[Any], bool],
        turn: Callable[[Any, Any, Any], tuple[Any, ...]],
        put_back: Callable[[Any, Any, tuple[Any, ...] | None], None],
        diverged: Callable[[FloatingPointError], FloatingPointError],
        tree: object,
        edited: list[object],
        ready: Callable[[], None] | None = None,
    ) -> None: ...
    def learn(
        self,
        rows: int,
        tape: Tape,
        loss: object,
        loss_name: str | None,
        optimizer_name: str | None,
    ) -> None: ...

class RowsSteps:
    def __len__(self) -> int: ...
    def put_first(self, step: RowsStep) -> None: ...
    def of(
        self, trainer: object, x: object, y: object, n_dims: int, loss: object, optimizer: object
    ) -> float | None: ...
