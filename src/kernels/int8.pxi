# Dense products of 8-bit integers, of predictions alone: y = activation((q @ w - correction) * scale + b), q is x in
# steps. gemm/int8_product.h says how, and what w is.

from libc.stdint cimport int8_t, int32_t

cdef extern from "gemm/int8_product.h":
    """
    static int choose_int8(int native) {
    #if VNNI_INSTRUCTION
        int8_native = native && (__builtin_cpu_init(), __builtin_cpu_supports("avx512vnni"));
    #else
        (void)native;
    #endif
        return int8_native;
    }
    """
    int choose_int8(int native) noexcept nogil
    ctypedef struct Int8Product:
        Py_ssize_t m, n, k
        Input x
        const int8_t *w
        real step
        int32_t zero
        Input scale
        const int32_t *correction
        Input b
        Output y
        bint relu
        void (*finish)(
            const void *context, Py_ssize_t i, Py_ssize_t j, Py_ssize_t rows, Py_ssize_t columns
        ) noexcept nogil
        const void *context
    int int8_product(const Int8Product *product) noexcept nogil     # returns 0, or CALL_NO_MEMORY
    enum:
        INT8_MOST
        INT8_GROUP
        INT8_COLUMNS


_int8_instruction = switch(__name__, "_int8_instruction", choose_int8)


cdef struct DenseInt8:
    Input x
    const int8_t *w
    Input scale
    const int32_t *correction
    Input b
    Output y
    Number step, zero
    Loop activation
    Number alpha
    Input factor, offset
    Number beta
    Py_ssize_t rows, n_in, panels, groups, n_out
    size_t relu         # which costs nothing while numbers are in registers

cdef int dense_int8_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: rows of y
    cdef const DenseInt8 *s = <const DenseInt8 *> call.payload
    cdef Int8Product p
    cdef Finish finish
    p.m, p.n, p.k = end - begin, s.n_out, s.n_in
    p.x, p.y = s.x + begin * s.n_in, s.y + begin * s.n_out
    p.w, p.scale, p.correction, p.b = s.w, s.scale, s.correction, s.b
    p.step, p.zero = <real> s.step[0], <int32_t> s.zero[0]
    p.relu, p.finish = s.relu, NULL
    if s.activation is not NULL or s.factor is not NULL:
        finish = Finish(
            s.activation, NULL, p.y, s.n_out, <real> s.alpha[0], <real> s.beta[0], s.factor, s.offset
        )
        p.finish, p.context = apply, &finish
    return int8_product(&p)

cdef Py_ssize_t prepare_dense_int8(str kernel, Call *call) except -1:
    cdef DenseInt8 *s = <DenseInt8 *> call.payload
    cdef int[3] words
    check_factor(kernel, s.factor, s.offset)
    if s.n_in > INT8_MOST:
        return refuse(
            kernel, "x has {} columns, expected up to {}: sums of more could leave 32 bits", s.n_in, INT8_MOST
        )
    if s.groups != (s.n_in + INT8_GROUP - 1) // INT8_GROUP or s.panels != (s.n_out + INT8_COLUMNS - 1) // INT8_COLUMNS:
        return refuse(
            kernel, "w has {} panels of {} groups, expected 16 columns to a panel and 4 terms to a group: those of {} "
            "outputs and {} inputs", s.panels, s.groups, s.n_out, s.n_in
        )
    s.relu = s.factor is NULL and s.activation is not NULL and <object> <void *> s.activation == "relu"
    words = [word(&s.activation, call), word(&s.alpha, call), word(&s.beta, call)]
    fuse(call, BUILD, kernel, words)
    if s.relu:
        s.activation = NULL
    call.units = s.rows
    call_divide(call, nanoseconds_per_element(s.n_in // INT8_GROUP) * s.n_out)
    call.grain = max(call.grain, LEAST_ROWS)
    return 1

kernel("""dense_int8(x: in (rows, n_in), w: in int8 (panels, groups, 64), scale: in (n_out),
    correction: in int32 (n_out), b: in (n_out), y: out (rows, n_out), step: cell > 0, zero: cell >= 0 <= 255,
    activation: name = None, alpha: cell | None = None, *, factor: in (n_out) | None = None,
    offset: in (n_out) | None = None, beta: cell | None = None)

    y = activation((q @ w - correction) * scale + b), q = min(max(rint(x / step), -zero), 255 - zero) + zero.

    Sums are exact integers; x / step is x * (1 / step), rounded half to even. A row with a NaN is a row of NaN. Weights
    of term p and column j lie at w[j // 16, p // 4, 4 * (j % 16) + p % 4]. Activation, factor and offset as in
    dense_forward.
    """, dense_int8_body, sizeof(DenseInt8), prepare_dense_int8, NULL, 1)
