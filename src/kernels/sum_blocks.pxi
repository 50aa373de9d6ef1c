# Sums over rows in float32: a chain of millions of terms stands still. Where there are more than SUM_ROWS rows, a body
# computes blocks of so many, one after the other, each as if it were all of them; what it sums is added up here, in
# double, in the order of the rows. Bodies know of no blocks, and batches of one block are not touched.
#
# What needs the sums of all rows, as dx of a batch normalization, is a second call of the same body.

cdef enum:
    SUM_ROWS = 1024
    MOST_SUMS = 4           # arrays of a kernel
    UNIT_COLUMNS = 16       # of a unit, where it is not one column

# Of a kernel's sums
cdef enum:
    ARE_SUMS = 1
    ARE_MOMENTS = 2         # a mean of each column, and behind it the variance
    COME_FIRST = 4          # of what is written for each row: the last word says that they are given

# In the last words of the payload
cdef struct SumBlocks:
    const Argument *arguments   # up to the tape
    Py_ssize_t sizes            # the word of the first one, which is that of the rows
    Body whole
    size_t are_moments

# Numbers of one array that is a sum
cdef struct Sum:
    int word
    Py_ssize_t place            # in memory, of the first one
    Py_ssize_t begin, end       # those that the units have

cdef inline SumBlocks *sum_blocks_of(const Call *call) noexcept nogil:
    return <SumBlocks *> (<char *> call.payload + sizeof(call.payload) - sizeof(SumBlocks))

cdef Py_ssize_t step_of(const Argument *a, const Call *call) noexcept nogil:
    """Numbers from one row to the next; of a sum, from one column to the next."""
    cdef Py_ssize_t numbers = 1
    cdef int d
    if a.strided:
        return <Py_ssize_t> call.payload[a.word + 1]
    for d in range(1, a.n_dims):
        numbers *= <Py_ssize_t> call.payload[sum_blocks_of(call).sizes + a.size[d]]
    return numbers

cdef int sums_of_blocks(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const SumBlocks *b = sum_blocks_of(call)
    cdef const Py_ssize_t *sizes = <const Py_ssize_t *> call.payload + b.sizes
    cdef const Argument *a
    cdef Call part = call[0]
    cdef Sum[MOST_SUMS] sums
    cdef double *total
    cdef float *of_block
    cdef double share, distance
    cdef Py_ssize_t count = 0, columns = 0, width, step, at, n, j
    cdef int n_sums = 0, i
    a = b.arguments
    while a.role != TAPE:
        if a.role == ARRAY and a.written and a.size[0] != 0 and call.payload[a.word] is not NULL:
            columns, step = sizes[a.size[0]], step_of(a, call)
            width = 1 if call.units == columns else UNIT_COLUMNS
            sums[n_sums] = Sum(a.word, count, begin * width * step, min(end * width, columns) * step)
            count += columns * step
            n_sums += 1
        a += 1
    total = <double *> calloc(count + 1, sizeof(double) + sizeof(float))
    if total is NULL:
        return CALL_NO_MEMORY
    of_block = <float *> (total + count)
    for i in range(n_sums):
        part.payload[sums[i].word] = of_block + sums[i].place
    at = 0
    while at < sizes[0]:
        n = min(sizes[0] - at, <Py_ssize_t> SUM_ROWS)
        (<Py_ssize_t *> part.payload)[b.sizes] = n
        a = b.arguments
        while a.role != TAPE:
            if a.role == ARRAY and a.size[0] == 0 and call.payload[a.word] is not NULL:
                part.payload[a.word] = <char *> call.payload[a.word] + at * step_of(a, call) * a.item_size
            a += 1
        b.whole(&part, begin, end)
        share = <double> n / (at + n)
        for i in range(1 if b.are_moments else n_sums):
            for j in range(sums[i].place + sums[i].begin, sums[i].place + sums[i].end):
                if b.are_moments:       # Chan, Golub & LeVeque 1979
                    distance = of_block[j] - total[j]
                    total[j] = total[j] + share * distance if isfinite(total[j]) else total[j] + of_block[j]
                    total[j + columns] += share * (
                        of_block[j + columns] - total[j + columns] + (1 - share) * distance * distance
                    )
                else:
                    total[j] += of_block[j]
        at += n
    for i in range(n_sums):
        for j in range(sums[i].begin, sums[i].end):
            (<float *> call.payload[sums[i].word])[j] = <float> total[sums[i].place + j]
    free(total)
    return 0


cdef Py_ssize_t divide_sums(Kernel k, Call *calls) noexcept:
    """Make the call one of blocks, and perhaps a second one that is given the sums; return how many there are."""
    cdef SumBlocks *b
    cdef const Argument *a = k.arguments
    cdef Py_ssize_t n_calls = 1
    while not a.written:            # the first is what needs the sums
        a += 1
    if k.sums & COME_FIRST and calls.payload[a.word] is not NULL:
        calls[1] = calls[0]
        calls[1].payload[k.first_size + k.n_sizes] = <void *> 1
        calls.payload[a.word] = NULL
        n_calls = 2
    b = sum_blocks_of(calls)
    b.arguments, b.sizes, b.whole, b.are_moments = k.arguments, k.first_size, calls.body, k.sums & ARE_MOMENTS
    calls.body = sums_of_blocks
    return n_calls
