"""How much memory a call needs, as `tracemalloc` sees it."""

import tracemalloc


def peak_of(function, times=3):
    """The most bytes that Python and NumPy hold in a call beyond what they hold before: the least of several calls.

    What other threads of the process hold meanwhile is counted as well (those of pytest-xdist read and write messages),
    and never the same in each call.
    """
    found = []
    for _ in range(times):
        tracemalloc.start()
        function()
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(found)
