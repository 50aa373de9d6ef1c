"""Claims and copies: what an interrupt, an error or a fork must not leave half done."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from inspect import signature

import numpy as np
import pytest
from forks import EXIT_CODE_OF_CHILD

from fastnn._core.tape import Claim, copy_arrays


def elsewhere(function, *args):
    """What a function returns or raises in another thread."""
    results = []

    def run():
        try:
            results.append(function(*args))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


# Claims


def test_a_claim_runs_a_function():
    claim = Claim("taken")
    assert claim.run(dict, [(1, 2)], self=3, function=4) == {1: 2, "self": 3, "function": 4}
    assert claim.run(lambda: claim.taken)
    assert not claim.taken
    assert str(signature(Claim.run)) == "(self, function, /, *args, **kwargs)"


def test_a_claim_excludes_other_threads():
    claim = Claim("somebody else is at it")
    error = claim.run(elsewhere, claim.run, int)
    assert isinstance(error, RuntimeError)
    assert str(error) == "somebody else is at it"
    assert elsewhere(claim.run, int) == 0


def test_the_same_thread_may_come_again():
    claim = Claim("taken")
    seen = []

    def nest(depth):
        if depth:
            claim.run(nest, depth - 1)
        seen.append((claim.taken, type(elsewhere(claim.run, int))))

    claim.run(nest, 3)
    assert seen == [(True, RuntimeError)] * 4
    assert not claim.taken


def test_the_same_thread_may_not_come_again_where_it_says_so():
    claim = Claim("taken", nested="not from within")
    with pytest.raises(RuntimeError, match="not from within"):
        claim.run(claim.run, int)
    with pytest.raises(RuntimeError, match="not from within"):
        claim.run(claim.run, claim.run, int)
    assert claim.run(int) == 0


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit, MemoryError])
def test_errors_give_a_claim_back(error):
    claim = Claim("taken")

    def fail():
        raise error("as it is")

    for function in (fail, lambda: claim.run(fail)):
        with pytest.raises(error, match="as it is"):
            claim.run(function)
        assert not claim.taken


def test_wrong_calls_leave_a_claim_free():
    claim = Claim("taken")
    for call in (claim.run, lambda: claim.run(3), lambda: claim.run(int, 1, 2, 3), lambda: claim.run(int, wrong=1)):
        with pytest.raises(TypeError):
            call()
        assert not claim.taken
    for arguments in ((), (None,), (3,), ("taken", 3)):
        with pytest.raises(TypeError):
            Claim(*arguments)


def test_a_copy_of_a_claim_is_free():
    claim = Claim("taken", "from within")
    for copied in claim.run(lambda: (copy.copy(claim), copy.deepcopy(claim), pickle.loads(pickle.dumps(claim)))):
        assert not copied.taken
        assert str(copied.run(elsewhere, copied.run, int)) == "taken"
        with pytest.raises(RuntimeError, match="from within"):
            copied.run(copied.run, int)


if hasattr(signal, "setitimer"):

    def test_no_interrupt_leaves_a_claim_taken():
        """2,000 of them, at random moments of a loop that does nothing else."""
        claim, rng, interrupts, left = Claim("taken"), np.random.default_rng(0), 0, 0

        class Interrupt(Exception):
            pass

        def handler(number, frame):
            raise Interrupt

        def nothing():
            pass

        def run_until_interrupted(seconds):
            with suppress(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, seconds)
                while True:
                    run(nothing)
                    claim.run(run, nothing)

        run, before = claim.run, signal.signal(signal.SIGALRM, handler)
        try:
            for seconds in rng.uniform(1e-6, 1e-4, 2000).tolist():
                run_until_interrupted(seconds)
                interrupts += 1
                left += claim.taken
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert (interrupts, left) == (2000, 0)


def run(script, timeout=60):
    return subprocess.run(
        [sys.executable, "-c", script], timeout=timeout, check=False, capture_output=True, text=True, cwd=os.getcwd()
    )


FORK = (
    EXIT_CODE_OF_CHILD
    + """
import threading
from fastnn._core.tape import Claim
claim = Claim("taken")

def elsewhere(function):
    results = []
    def run():
        try:
            results.append(function())
        except RuntimeError:
            results.append("excluded")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]

def while_another_thread_has_it(function):
    inside, done = threading.Event(), threading.Event()
    def hold():
        inside.set()
        done.wait()
    thread = threading.Thread(target=claim.run, args=(hold,))
    thread.start()
    inside.wait()
    result = function()
    done.set()
    thread.join()
    return result
"""
)


if hasattr(os, "fork"):  # a system without it leaves nothing behind

    def test_a_child_still_has_what_the_thread_had_that_forked_in_a_subprocess():
        """Its frames go on there, and give it back. So it is in a child of the child, and for threads of both."""
        script = """
def child():
    taken = claim.taken and elsewhere(lambda: claim.run(int)) == "excluded" and claim.run(int) == 0 and claim.taken
    return 0 if taken else 1

def both():
    return child() or exit_code_of_child(child)

code = claim.run(exit_code_of_child, both)

if claim.run(os.fork) == 0:
    os._exit(claim.taken or elsewhere(lambda: claim.run(int)))
code = code or os.waitstatus_to_exitcode(os.wait()[1])
print(code, claim.taken)
"""
        result = run(FORK + script)
        assert result.stdout.split() == ["0", "False"], result.stderr

    def test_a_child_is_free_of_what_other_threads_had_in_a_subprocess():
        """Also where a thread of the child has the identity of one that is gone."""
        script = """
def child():
    if claim.taken or elsewhere(lambda: claim.run(int)) != 0 or claim.run(int) != 0:
        return 1
    excluded = claim.run(elsewhere, lambda: claim.run(int)) == "excluded"
    return 0 if excluded and not claim.taken else 2

def parent():
    return exit_code_of_child(child), claim.taken

print(*while_another_thread_has_it(parent))
print(*while_another_thread_has_it(lambda: (exit_code_of_child(lambda: exit_code_of_child(child)), claim.taken)))
"""
        result = run(FORK + script)
        assert result.stdout.split() == ["0", "True"] * 2, result.stderr

    def test_a_thread_that_forks_in_a_child_leaves_the_first_one_behind_in_a_subprocess():
        script = """
def grandchild():
    return 0 if not claim.taken and claim.run(int) == 0 else 1

def child():    # the first thread has it, and another one forks
    return elsewhere(lambda: exit_code_of_child(grandchild)) or not claim.taken

print(claim.run(exit_code_of_child, child))
"""
        result = run(FORK + script)
        assert result.stdout.split() == ["0"], result.stderr


# Copies of arrays


def some_arrays():
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(3, 5)),
        rng.normal(size=7).astype(np.float32),
        rng.integers(0, 9, (2, 3, 4)),
        np.array(3.0),
        np.empty((0, 3)),
        np.asfortranarray(rng.normal(size=(4, 1))),
    ]


def test_all_arrays_are_copied():
    sources = some_arrays()
    targets = [np.zeros_like(array) for array in sources]
    copy_arrays(targets, sources)
    assert all(np.array_equal(target, source) for target, source in zip(targets, sources, strict=True))


def test_shapes_may_differ():
    target = np.zeros(6)
    copy_arrays([target], [np.arange(6.0).reshape(2, 3)])
    assert target.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_target_may_be_a_source():
    x = np.arange(6.0)
    copy_arrays(iter([x, x[1:]]), iter([x, x[:-1]]))
    assert x.tolist() == [0, 0, 1, 2, 3, 4]


def test_no_arrays_are_no_error():
    copy_arrays([], ())


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        (np.zeros(3), np.zeros(4), r"sources\[2\] has 32 bytes of format 'd', expected 24 bytes of format 'd'"),
        (np.zeros(4), np.zeros(8, "f"), r"sources\[2\] has 32 bytes of format 'f', expected 32 bytes of format 'd'"),
        (np.zeros(4), np.zeros(4, np.int64), r"sources\[2\] has 32 bytes of format 'l'"),
        (np.zeros((3, 4))[:, :2], np.zeros((3, 2)), r"targets\[2\] is not contiguous, expected an array in C's order"),
        (np.zeros((3, 2)), np.zeros((2, 3)).T, r"sources\[2\] is not contiguous, expected an array in C's order"),
        (read_only(np.zeros(3)), np.zeros(3), r"targets\[2\] is read-only, expected an array that can be written to"),
        (b"abc", b"abc", r"targets\[2\] is read-only"),
        (np.zeros(3), [0.0, 0.0, 0.0], "list"),
        (3, np.zeros(3), "int"),
    ],
)
def test_what_does_not_fit_changes_nothing(target, source, message):
    targets, sources = [np.zeros(4), np.zeros(5), target], [np.ones(4), np.ones(5), source]
    with pytest.raises((ValueError, TypeError), match=message):
        copy_arrays(targets, sources)
    assert not any(array.any() for array in targets[:2])


def test_as_many_sources_as_targets():
    with pytest.raises(ValueError, match="1 sources, expected 2"):
        copy_arrays([np.zeros(1), np.zeros(1)], [np.zeros(1)])


def test_no_buffer_stays_exported():
    memory = bytearray(8)
    copy_arrays([memory], [bytes(8)])
    with pytest.raises(ValueError, match="read-only"):
        copy_arrays([memory, bytes(8)], [bytes(8), bytes(8)])
    memory.extend(b"it can be resized")
