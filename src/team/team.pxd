"""Threads that compute the parts of a task together."""

from libc.stdint cimport uint64_t

cdef extern from "team/team.h":
    ctypedef int (*team_function "team_function")(const void *task, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
    ctypedef struct SharedTeam "team":
        pass
    int team_run(
        SharedTeam *t, team_function function, const void *task, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t chunks
    ) noexcept nogil
    bint team_is_whole(const SharedTeam *t) noexcept nogil
    uint64_t team_helped(const SharedTeam *t) noexcept nogil
    double team_rests_until(const SharedTeam *t) noexcept nogil
    enum:
        TEAM_MOST_CHUNKS

cdef class Team:
    cdef SharedTeam *shared
    cdef list ends      # of the threads: locks that they release
    cdef int come       # how many of them are where they work
    cdef readonly int n_threads
    cdef readonly bint divide_all

    cdef void belong_here(self) noexcept
    cdef int start(self) except -1

cdef class Stop:
    cdef bint _is_set
    cdef int taken      # whether one of the threads is about to run Python, or runs it
    cdef int come       # how many of them have begun

    cdef void take_turn(self) noexcept nogil
    cdef void give_turn(self) noexcept nogil
