from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

most_threads: int

class Team:
    n_threads: int
    divide_all: bool
    def __init__(self, n_threads: int, divide_all: bool = False) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

def start_threads(function: Callable[..., object], arguments: Iterable[tuple[Any, ...]]) -> list[Any]: ...
def wait_for(ends: Iterable[Any], stop: Callable[[], object] | None = None) -> None: ...
def run_threads(
    function: Callable[..., object], arguments: Iterable[tuple[Any, ...]], stop: Callable[[], object]
) -> int: ...
