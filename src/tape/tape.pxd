"""What a kernel fills and a tape replays."""

cdef extern from *:
    unsigned int FASTNN_LAYOUT      # the checksum of call.h and of the declarations that modules share, from the build

cdef extern from "tape/call.h":
    enum:
        CALL_WORDS
        CALL_NUMBERS
        CALL_RAISED
        CALL_NOT_FINITE
        CALL_OUT_OF_RANGE
        CALL_NO_MEMORY
        CALL_OUT_OF_BOUNDS
        CALL_END
        CALL_NO_ENTRY
    ctypedef struct Call
    ctypedef int (*Body)(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
    ctypedef Body (*Joint)(const Call *call, const Call *following) noexcept
    ctypedef struct CallNumber:
        const char *name
        int word
        double low
        double high
        int above
        int below
        int array
        const char *of_array
    ctypedef struct CallBounds:
        const char *kernel
        int count
        CallNumber number[8]
    ctypedef struct Call:
        Body body
        const CallBounds *bounds
        Py_ssize_t units
        Py_ssize_t turn
        Py_ssize_t grain
        double nanoseconds
        int updates
        Body of_rows
        Py_ssize_t rows
        Body of_parts
        Py_ssize_t parts
        const void *taken
        int takes
        Py_ssize_t block
        Py_ssize_t sum_bytes
        char *sums
        Py_ssize_t n_sums
        Body add
        int guards
        Joint joint
        Body both
        void *payload[24]
    bint call_number_holds(const Call *call, const CallNumber *number) noexcept nogil
    int call_run_by(Body body, const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
    int call_run(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
    bint call_in_bounds(const Call *call) noexcept nogil
    void call_divide(Call *call, double nanoseconds) noexcept nogil

cdef extern from "team/owner.h":
    ctypedef struct Owner "owner":
        pass

cdef struct Reach:              # memory that a call reads or writes
    const char *low
    const char *high
    Py_ssize_t of_row           # its bytes for each row of the call, in order; 0: any of it for each
    Py_ssize_t of_part          # the same for each of its parts, where they are in order here
    bint written

cdef struct Links:              # of a call
    Py_ssize_t first            # of its reaches
    Py_ssize_t count            # -1: nobody knows what it reads or writes

cdef struct Trial:              # which way of replaying takes less time, see trials.pxi
    Py_ssize_t left             # replays until it is tried again
    Py_ssize_t alone            # how many trials in a row have found one thread faster, or were cut short by a rest
    Py_ssize_t shared           # replays of a trial that goes on, by all threads, and by one
    Py_ssize_t one
    double waited               # seconds of replays that none has helped with
    double least_shared
    double least_alone

cdef struct Region              # see regions.pxi
cdef struct Item

cdef class Tape:
    cdef Call *calls
    cdef Py_ssize_t length
    cdef Py_ssize_t capacity
    cdef Py_ssize_t n_bounded       # calls that have numbers with bounds
    cdef bint calls_python          # functions that could change these
    cdef Py_buffer *buffers         # of the arrays, exported so that nobody can resize or free them
    cdef Py_ssize_t n_buffers
    cdef Py_ssize_t buffer_capacity
    cdef Links *links               # of each call
    cdef Reach *reaches
    cdef Py_ssize_t n_reaches
    cdef Py_ssize_t reach_capacity
    cdef Region *regions            # for so many threads as it is arranged for
    cdef Item *items
    cdef Call *sums                 # calls of blocks of rows, and what adds them up, behind which is their memory
    cdef Py_ssize_t *begins
    cdef Py_ssize_t n_regions
    cdef double gained              # nanoseconds, by sharing it out
    cdef Trial trial_of
    cdef Py_ssize_t n_chunks        # -1: not counted
    cdef int arranged_for           # so many threads; below 0: of a team that divides all; 0: not
    cdef bint has_joint             # calls run in one pass with the next ones
    cdef bint is_long               # calls are sums over several blocks of rows
    cdef list kept                  # numbers and Python functions
    cdef object error
    cdef Owner replayer             # the thread that replays it

    cdef int reserve(self, Py_ssize_t n_calls, Py_ssize_t n_buffers, Py_ssize_t n_reaches) except -1
    cdef Py_ssize_t count_chunks(self) except -1
    cdef void append(self, const Call *call, const Reach *reaches, Py_ssize_t n_reaches) noexcept
    cdef void hold(self, const Py_buffer *buffer) noexcept
    cdef int run(self, bint is_short, stop=*) except -1
    cdef int fail(self, int status) except -1

cdef int run_now(const Call *calls, Py_ssize_t n_calls) except -1
cdef int raise_status(int status, const Call *call) except -1
cdef object bounds_in_words(const CallNumber *number)
