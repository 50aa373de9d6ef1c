# Regions: calls that run as one task, so that threads wait for each other once for all of them. Which do is found from
# what each call reads and writes; the bits are those of one call after the other.
#
# In a region of rows every call computes some rows of its outputs from the same rows of what the calls before it have
# written: whoever computes these rows runs all of the calls for them. In one of calls apart none needs what another
# writes, and all their units are shared out as if they were of one call. To have long regions of rows, what they do not
# need (the gradients of a layer, for those of its inputs) runs behind them.
#
# A loss is a sum over rows, too. It joins a region of rows all the same, where it leaves the losses of its rows, which
# are added behind it; and so does the guard of this sum, which only updates wait for.
#
# Gradients are sums over rows, in blocks. Where there are several of them, a region of rows has a chunk for each, and
# what computes gradients joins it: a block's sums lie in memory of their own, which another region adds up in order. So
# nothing that a core has computed is read by another, and where there is only one, it is in its cache.
#
# A task is a list of items, each some units of one call, which is cut into chunks for the threads.

# Whether sharing a step out is worth it at all depends on its parameters, too: cores that have read the same ones have
# to give them up, line by line, to the one that changes them.

cdef enum:
    LEAST_SHARED = 24000        # nanoseconds: of a tape that takes less, nothing is shared out
    LEAST_TASK = 4000           # nanoseconds: less is not worth telling other threads
    LEAST_OF_CUTS = 800         # nanoseconds: of what reads in parts what several cores have just written
    OF_CHUNK = 5000             # nanoseconds, where a tape's chunks are counted
    HANDING_OUT = 700           # nanoseconds that telling them and waiting for them takes
    TAKING_BACK = 12            # nanoseconds until a line of memory that others have read can be written
    LONG_CHUNK = 100000         # nanoseconds: with more for each thread, several chunks even out their speeds
    LONGEST_TOGETHER = 1000000  # of a call: signals are looked at within what takes longer
    LEAST_ROWS_TOGETHER = 8     # of a chunk
    LEAST_ROWS_OF_SEVERAL = 32  # of a chunk, if a thread has several: each transposes the weights anew for dx
    LINE = 64                   # bytes
    MOST_SUMS = 4194304         # bytes: more do not stay in a cache
    LONG_SUMS = 65536           # bytes, that are worth adding up together

cdef double CERTAIN = 0.5       # of an estimate of nanoseconds: it is for the slowest of builds


cdef struct Item:
    const Call *call
    Py_ssize_t number   # of the call, or of the one that it is made of
    Body body           # the call's own, or what computes its rows, or its parts
    Py_ssize_t begin, end

cdef struct Region:
    Py_ssize_t call     # that runs alone, or -1
    bint updates        # parameters
    Py_ssize_t first    # of the places where its chunks begin
    Py_ssize_t chunks   # 0: of a call alone, as many as there would be without regions


cdef struct Chunks:
    const Item *items
    const Py_ssize_t *begins

cdef int run_chunks(const Chunks *c, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Item *item
    cdef Py_ssize_t i
    cdef int status
    for i in range(c.begins[begin], c.begins[end]):
        item = &c.items[i]
        status = call_run_by(item.body, item.call, item.begin, item.end)
        if status != 0:
            return status
    return 0


# The regions of a tape for so many threads, in the order in which they run.
cdef struct Arrangement:
    const Call *calls
    const Links *links
    const Reach *reaches
    Py_ssize_t length
    Py_ssize_t n_threads, most_chunks
    bint divide_all
    Region *regions
    Item *items
    Py_ssize_t *begins          # of chunks, among the items
    const char **cuts           # addresses where calls apart were cut
    Py_ssize_t *together        # a region of rows that grows
    Py_ssize_t *behind          # calls that come behind it
    Call *sums                  # of blocks of rows
    char *memory                # of theirs, what is left
    Py_ssize_t n_regions, n_items, n_begins, n_cuts, n_together, n_behind, n_sums
    Py_ssize_t rows             # of that region
    Py_ssize_t long_rows        # of calls that are sums of several blocks; 0: there are none
    Py_ssize_t block            # rows of each
    bint computes               # what updates nothing is among these
    bint shares                 # some rows each: all cores read the parameters
    double gained               # nanoseconds


cdef inline bint overlap(const Reach *a, const Reach *b) noexcept nogil:
    return a.low < b.high and b.low < a.high and (a.written or b.written)

cdef bint independent(const Arrangement *a, Py_ssize_t i, Py_ssize_t j, Py_ssize_t rows) noexcept nogil:
    """Whether the order of two calls does not count: neither writes what the other reads or writes.

    With rows: whether that holds of any rows of one and other rows of the other.
    """
    cdef const Reach *r
    cdef const Reach *s
    cdef Py_ssize_t m, n
    for m in range(a.links[i].count):
        r = &a.reaches[a.links[i].first + m]
        for n in range(a.links[j].count):
            s = &a.reaches[a.links[j].first + n]
            if overlap(r, s) and (rows == 0 or r.of_row == 0 or r.low != s.low or (
                r.of_row * (a.calls[i].rows // rows) != s.of_row * (a.calls[j].rows // rows)
            )):
                return False
    return True

cdef bint all_independent(
    const Arrangement *a, const Py_ssize_t *calls, Py_ssize_t count, Py_ssize_t i, Py_ssize_t rows
) noexcept nogil:
    cdef Py_ssize_t n
    for n in range(count):
        if not independent(a, calls[n], i, rows):
            return False
    return True

cdef const Reach *first_written(const Arrangement *a, Py_ssize_t i) noexcept nogil:
    """What a call writes, or what it writes first."""
    cdef Py_ssize_t n
    for n in range(a.links[i].count):
        if a.reaches[a.links[i].first + n].written:
            return &a.reaches[a.links[i].first + n]
    return NULL

cdef inline double nanoseconds_of(const Call *call) noexcept nogil:
    return call.units * max(call.nanoseconds, 0.01)      # 0, where nobody has estimated it

cdef double nanoseconds_of_all(const Arrangement *a, const Py_ssize_t *calls, Py_ssize_t count) noexcept nogil:
    cdef double nanoseconds = 0
    cdef Py_ssize_t n
    for n in range(count):
        nanoseconds += nanoseconds_of(&a.calls[calls[n]])
    return nanoseconds

cdef double saved(const Arrangement *a, double nanoseconds) noexcept nogil:
    if a.n_threads == 1:
        return 0.05 * nanoseconds       # what is computed is in the cache where it is needed
    return CERTAIN * nanoseconds * (1 - 1.0 / a.n_threads) - HANDING_OUT

cdef bint takes(const Arrangement *a, Py_ssize_t i) noexcept nogil:
    """Whether what a call can take is written by a call behind it: else it may be memory that nobody may write."""
    cdef const Reach *r
    cdef const Reach *w
    cdef Py_ssize_t m, n, j
    if a.calls[i].taken is NULL:
        return False
    for m in range(a.links[i].count):
        r = &a.reaches[a.links[i].first + m]
        if r.low != a.calls[i].taken or r.written:
            continue
        for j in range(i + 1, a.length):
            for n in range(a.links[j].count):
                w = &a.reaches[a.links[j].first + n]
                if w.written and w.low <= r.low and r.high <= w.high:
                    return True
    return False

cdef double taking_back(const Arrangement *a, Py_ssize_t i) noexcept nogil:
    """How long a call waits for lines that other cores have read: parameters, and rows that gradients are sums over.

    It computes meanwhile. For an update most of them have been taken, if gradients take any.
    """
    cdef const Call *call = &a.calls[i]
    cdef const Reach *w = first_written(a, i)
    cdef Py_ssize_t j
    if w is NULL or (w.of_row == 0 and not call.updates and not call.takes):
        return 0
    for j in range(i if call.updates else 0):
        if a.calls[j].takes and w.low <= <const char *> a.calls[j].taken < w.high:
            return 0
    return max(TAKING_BACK * <double> (w.high - w.low) / LINE - CERTAIN * nanoseconds_of(call), 0)

cdef inline Py_ssize_t parts_of(const Call *call) noexcept nogil:
    return call.units if call.of_parts is NULL else call.parts

# Where long parts begin, at multiples of units: see team.h.
cdef inline Py_ssize_t round_units(Py_ssize_t units_of_part, Py_ssize_t units) noexcept nogil:
    cdef Py_ssize_t multiple = 16 if units_of_part >= 128 else 4 if units_of_part >= 32 else 1
    return units // multiple * multiple


cdef void arrange_calls(Arrangement *a) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(a.length):
        if stands_alone(a, i):
            close_region(a)
            add_alone(a, i)
            continue
        if not joins(a, i):
            a.behind[a.n_behind] = i
            a.n_behind += 1
        a.computes = a.computes or not a.calls[i].updates
    close_region(a)
    if a.gained <= 0 and not a.divide_all:      # one call after the other, on one thread
        for i in range(a.length):
            a.regions[i] = Region(i, a.calls[i].updates, 0, 1)
        a.n_regions = a.length


cdef bint stands_alone(const Arrangement *a, Py_ssize_t i) noexcept nogil:
    cdef const Call *call = &a.calls[i]
    if a.links[i].count < 0 or call.turn > 0 or nanoseconds_of(call) > LONGEST_TOGETHER:
        return True
    if call.guards or (call.add is not NULL and (call.block == 0 or call.rows == a.long_rows)):
        return False
    return call.units < 2 or (call.grain == 0 and not a.divide_all)


cdef bint joins(Arrangement *a, Py_ssize_t i) noexcept nogil:
    """Let a call join the region of rows if it can; a new one begins where it needs what has been left behind."""
    cdef const Call *call = &a.calls[i]
    if call.of_rows is NULL or call.rows == 0:
        return False
    if call.updates and a.computes:
        close_region(a)     # what may stop the replay before it has run
    if call.block > 0:      # its sums are wanted late
        if call.rows != a.long_rows or call.block != a.block or (a.n_together > 0 and a.rows != call.rows):
            return False
        if not all_independent(a, a.together, a.n_together, i, call.rows) or not all_independent(
            a, a.behind, a.n_behind, i, 0
        ):
            return False
    elif a.n_together > 0 and (
        call.rows % a.rows != 0 or not all_independent(a, a.together, a.n_together, i, a.rows)
    ) or not all_independent(a, a.behind, a.n_behind, i, 0):
        close_region(a)
    if a.n_together == 0:
        a.rows = call.rows
    a.together[a.n_together] = i
    a.n_together += 1
    return True


cdef void close_region(Arrangement *a) noexcept nogil:
    """What has been collected runs before all that follows."""
    cdef Py_ssize_t first = 0, n
    cdef const Call *call
    cdef bint computes = False, updates = False
    if a.n_together == 1:       # a call divides its own units better
        memmove(a.behind + 1, a.behind, a.n_behind * sizeof(Py_ssize_t))
        a.behind[0] = a.together[0]
        a.n_behind += 1
    elif a.n_together > 1:
        add_rows(a, a.together, a.n_together)
    for n in range(a.n_behind):
        call = &a.calls[a.behind[n]]
        if n > first and (
            (call.updates and computes)     # what may stop the replay before it has to run before,
            or (call.guards and updates)    # and what has been updated then is so on one thread, too
            or not all_independent(a, a.behind + first, n - first, a.behind[n], 0)
        ):
            add_apart(a, a.behind + first, n - first)
            first, computes, updates = n, False, False
        computes, updates = computes or not call.updates, updates or call.updates
    if first < a.n_behind:
        add_apart(a, a.behind + first, a.n_behind - first)
    a.n_together = a.n_behind = 0
    a.computes = False


cdef void add_alone(Arrangement *a, Py_ssize_t i) noexcept nogil:
    if a.calls[i].grain > 0:
        a.gained += saved(a, nanoseconds_of(&a.calls[i]))
    a.regions[a.n_regions] = Region(i, a.calls[i].updates, 0, 0)
    a.n_regions += 1


cdef void begin_chunk(Arrangement *a) noexcept nogil:
    a.begins[a.n_begins] = a.n_items
    a.n_begins += 1

cdef void add_item(
    Arrangement *a, const Call *call, Py_ssize_t i, Body body, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    a.items[a.n_items] = Item(call, i, body, begin, end)
    a.n_items += 1

cdef void add_region(
    Arrangement *a, const Py_ssize_t *calls, Py_ssize_t count, double nanoseconds, Py_ssize_t chunks
) noexcept nogil:
    """A region of the chunks that have begun last."""
    cdef Py_ssize_t n
    cdef bint updates = False
    for n in range(count):
        updates = updates or a.calls[calls[n]].updates
        if a.shares and (updates or (chunks > 1 and a.long_rows == 0)):
            a.gained -= taking_back(a, calls[n]) / min(chunks, a.n_threads)
    if chunks > 1:
        a.gained += saved(a, nanoseconds)
    a.regions[a.n_regions] = Region(-1, updates, a.n_begins - chunks, chunks)
    a.n_regions += 1
    begin_chunk(a)      # where the last one ends


cdef Py_ssize_t chunks_of(const Arrangement *a, double nanoseconds, Py_ssize_t most) noexcept nogil:
    cdef Py_ssize_t chunks = a.n_threads
    if a.divide_all:
        return max(min(a.most_chunks, most), 1)
    if nanoseconds < LEAST_TASK:
        return 1
    if nanoseconds > LONG_CHUNK * a.n_threads:
        chunks = a.most_chunks
    return max(min(chunks, most, <Py_ssize_t> (2 * nanoseconds / LEAST_TASK)), 1)


cdef Py_ssize_t most_of_rows(const Arrangement *a) noexcept nogil:
    """How many chunks there may be of the rows."""
    if a.divide_all:
        return a.rows
    return max(min(a.n_threads, a.rows // LEAST_ROWS_TOGETHER), a.rows // LEAST_ROWS_OF_SEVERAL)


cdef void add_rows(Arrangement *a, const Py_ssize_t *calls, Py_ssize_t count) noexcept nogil:
    cdef double nanoseconds = nanoseconds_of_all(a, calls, count)
    cdef Py_ssize_t chunks = chunks_of(a, nanoseconds, most_of_rows(a))
    cdef Py_ssize_t chunk, begin = 0, end, n, i, units, first = a.n_sums, n_sums = 0
    cdef const Call *call
    if a.rows == a.long_rows:
        chunks = blocks_of(a)
    for chunk in range(chunks):
        end = a.rows
        if a.rows == a.long_rows:
            end = min(begin + a.block, a.rows)
        elif chunk < chunks - 1:
            end = round_units(a.rows // chunks, a.rows * (chunk + 1) // chunks)
        begin_chunk(a)
        n_sums = 0
        for n in range(count):
            i = calls[n]
            call = &a.calls[i]
            units = call.rows // a.rows
            if call.block > 0:
                call = sum_of_block(a, call, chunks, NULL if chunk == 0 else a.sums[first + n_sums].sums, chunk)
            elif call.add is not NULL:
                call = sum_of_block(a, call, 1, NULL, 0) if chunk == 0 else &a.sums[first + n_sums]
            n_sums += call.add is not NULL
            add_item(a, call, i, call.of_rows, begin * units, end * units)
        begin = end
    a.n_cuts = 0
    a.shares = a.shares or chunks > 1
    add_region(a, calls, count, nanoseconds, chunks)
    if n_sums > 0:
        add_sums(a, calls, count, first, chunks)


# A loss, which is not worth sharing by itself, joins the blocks of gradients, but is no reason to have some.
cdef inline bint asks_for_blocks(const Call *call) noexcept nogil:
    return call.block > 0 and call.grain > 0


cdef inline Py_ssize_t blocks_of(const Arrangement *a) noexcept nogil:
    return (a.long_rows + a.block - 1) // a.block if a.long_rows > 0 else 0


# A call that computes the sums of a block, behind those of the block before it.
cdef const Call *sum_of_block(
    Arrangement *a, const Call *call, Py_ssize_t blocks, char *first, Py_ssize_t block
) noexcept nogil:
    cdef Call *made = &a.sums[a.n_sums]
    a.n_sums += 1
    if first is NULL:
        first = a.memory
        a.memory += blocks * call.sum_bytes
    made[0] = call[0]
    made.sums, made.n_sums = first + block * call.sum_bytes, blocks
    return made


cdef void add_sums(
    Arrangement *a, const Py_ssize_t *calls, Py_ssize_t count, Py_ssize_t first, Py_ssize_t blocks
) noexcept nogil:
    """A region that adds up what the blocks have left, in order."""
    cdef Py_ssize_t chunks = 1, chunk, n, k, bytes = 0
    cdef const Call *call
    for n in range(count):
        bytes += blocks * a.calls[calls[n]].sum_bytes if a.calls[calls[n]].block > 0 else 0
    if a.divide_all or bytes > LONG_SUMS:
        chunks = a.n_threads
    for chunk in range(chunks):
        begin_chunk(a)
        k = 0
        for n in range(count):
            if a.calls[calls[n]].add is not NULL:
                call = &a.sums[first + k]
                k += 1
                add_item(a, call, calls[n], call.add, call.parts * chunk // chunks, call.parts * (chunk + 1) // chunks)
    a.regions[a.n_regions] = Region(-1, False, a.n_begins - chunks, chunks)
    a.n_regions += 1
    begin_chunk(a)


cdef void add_apart(Arrangement *a, Py_ssize_t *calls, Py_ssize_t count) noexcept nogil:
    """Each chunk takes as long: it is units of one call or more, one behind the other.

    They are in order of the memory that is written. A call that reads it, behind them, is cut in the same places, so
    that it finds most of it in the cache of its own core.
    """
    cdef double nanoseconds = nanoseconds_of_all(a, calls, count), of_chunk, of_part, room
    cdef Py_ssize_t most = 0, chunks, chunk = 0, n, i, parts, begin, end, width
    cdef const Call *call
    cdef const Reach *w
    cdef const Reach *same = NULL       # what has been written in the chunks of the region before
    sort_by_memory(a, calls, count)
    for n in range(count):
        most += parts_of(&a.calls[calls[n]])
    chunks = chunks_of(a, nanoseconds, most)
    if count == 1 and (chunks == a.n_cuts + 1 or (chunks == 1 and nanoseconds > LEAST_OF_CUTS)):
        same = read_in_parts(a, calls[0])
        if same is not NULL:
            chunks = a.n_cuts + 1
    room = of_chunk = nanoseconds / chunks
    begin_chunk(a)
    for n in range(count):
        i = calls[n]
        call, w = &a.calls[i], first_written(a, i)
        parts = parts_of(call)
        of_part = nanoseconds_of(call) / parts
        begin = 0
        while begin < parts:
            end = parts
            if chunk < chunks - 1 and (end - begin) * of_part > room + of_chunk / 16:
                width = max(<Py_ssize_t> (room / of_part + 0.5), 0)     # a part may fill several chunks
                end = min(begin + round_units(width, width), parts)
                if same is not NULL:
                    end = cut_of(a, same, parts, chunk)
            if end > begin:
                add_item(a, call, i, call.body if call.of_parts is NULL else call.of_parts, begin, end)
            room -= (end - begin) * of_part
            begin = end
            if chunk < chunks - 1 and (begin < parts or room < of_chunk / 16):
                a.cuts[chunk] = w.low + begin * w.of_part if w is not NULL else NULL
                chunk += 1
                begin_chunk(a)
                room += of_chunk
    a.n_cuts = chunk
    add_region(a, calls, count, nanoseconds, chunk + 1)


cdef void sort_by_memory(const Arrangement *a, Py_ssize_t *calls, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t n, m, i
    cdef const Reach *w
    cdef const Reach *other
    for n in range(1, count):
        i, m = calls[n], n
        w = first_written(a, i)
        while m > 0:
            other = first_written(a, calls[m - 1])
            if w is NULL or other is NULL or other.low <= w.low:
                break
            calls[m] = calls[m - 1]
            m -= 1
        calls[m] = i


cdef Py_ssize_t cut_of(const Arrangement *a, const Reach *r, Py_ssize_t parts, Py_ssize_t chunk) noexcept nogil:
    """As many parts as lie before a cut of the region before."""
    return round_units(parts, (a.cuts[chunk] - r.low) // ((r.high - r.low) // parts))


cdef const Reach *read_in_parts(const Arrangement *a, Py_ssize_t i) noexcept nogil:
    """What a call reads in which every cut of the region before lies, one behind the other; or NULL."""
    cdef const Reach *r
    cdef Py_ssize_t n, chunk, parts = parts_of(&a.calls[i]), end, last
    for n in range(a.links[i].count):
        r = &a.reaches[a.links[i].first + n]
        if r.written or r.high - r.low < parts or (r.high - r.low) % parts != 0:
            continue
        last = 0
        for chunk in range(a.n_cuts):
            end = cut_of(a, r, parts, chunk)
            if not last < end < parts:
                break
            last = end
        else:
            return r
    return NULL


cdef int arrange(Tape tape, const Player *player) except -1:
    """Arrange the calls of a tape, if that has not been done for such threads."""
    cdef Arrangement a
    cdef Py_ssize_t n_threads = max(player.n_threads, 1), most, i, bytes = 0, n_sums = 0
    cdef const Call *call
    cdef int arranged_for = <int> (-n_threads if player.divide_all else n_threads)
    if tape.calls_python or tape.arranged_for == arranged_for or (n_threads == 1 and not tape.is_long):
        return 0
    tape.arranged_for = 0       # until it is complete
    memset(&a, 0, sizeof(a))
    for i in range(tape.length if tape.is_long else 0):
        if asks_for_blocks(&tape.calls[i]) and a.long_rows == 0:
            a.long_rows, a.block = tape.calls[i].rows, tape.calls[i].block
    for i in range(tape.length if tape.is_long else 0):
        if tape.calls[i].block > 0 and tape.calls[i].block == a.block and tape.calls[i].rows == a.long_rows:
            n_sums += blocks_of(&a)
            bytes += blocks_of(&a) * tape.calls[i].sum_bytes
    if bytes > MOST_SUMS:
        a.long_rows = n_sums = bytes = 0
    for i in range(tape.length):
        call = &tape.calls[i]
        if call.add is not NULL and call.block == 0 and nanoseconds_of(call) <= LONGEST_TOGETHER:
            n_sums += 1
            bytes += call.sum_bytes
    # Items, and places where chunks begin: of each call, those of a region, and those that add up its sums
    most = tape.length * (max(player.most_chunks, blocks_of(&a), n_threads) + n_threads + 3)
    tape.sums = <Call *> resized(tape.sums, n_sums * sizeof(Call) + bytes + LINE)
    a.sums = tape.sums
    a.memory = <char *> tape.sums + n_sums * sizeof(Call)
    a.memory += LINE - <size_t> a.memory % LINE
    tape.items = <Item *> resized(tape.items, most * sizeof(Item))
    tape.begins = <Py_ssize_t *> resized(tape.begins, most * sizeof(Py_ssize_t))
    tape.regions = <Region *> resized(tape.regions, tape.length * sizeof(Region))
    a.together = <Py_ssize_t *> resized(NULL, (2 * tape.length + 1 + most) * sizeof(Py_ssize_t))
    a.behind = a.together + tape.length
    a.cuts = <const char **> (a.behind + tape.length + 1)
    a.calls, a.links, a.reaches, a.length = tape.calls, tape.links, tape.reaches, tape.length
    a.items, a.begins, a.regions = tape.items, tape.begins, tape.regions
    a.n_threads, a.most_chunks, a.divide_all = n_threads, player.most_chunks, player.divide_all
    for i in range(tape.length):
        tape.calls[i].takes = takes(&a, i)
    arrange_calls(&a)
    free(a.together)
    tape.n_regions, tape.gained, tape.arranged_for = a.n_regions, a.gained, arranged_for
    memset(&tape.trial_of, 0, sizeof(Trial))
    return 0

cdef void *resized(void *memory, size_t n_bytes) except NULL:
    cdef void *other = realloc(memory, n_bytes + 1)
    if other is NULL:
        raise MemoryError("no memory for the regions of a tape")
    return other
