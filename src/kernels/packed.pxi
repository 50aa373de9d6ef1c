# Dense products of predictions alone, whose weights are packed beforehand: y = activation(x @ w + b).
#
# Whether those in bfloat16 use the instruction of AVX512_BF16, which the build for AVX-512 has beside multiply-adds of
# the same bits (1), or those of AMX (2), is chosen at import, by the instruction set.

from libc.stdint cimport uint16_t

cdef extern from "gemm/bf16_pack.h":
    """
    static int choose_bf16(int native) {
    #if !FASTNN_DOUBLE && BF16_INSTRUCTION
        const int has_pairs = (__builtin_cpu_init(), __builtin_cpu_supports("avx512bf16")) != 0;
        const int allowed = has_pairs && native == BF16_REGISTERS ? may_use_amx() : has_pairs;
        return bf16_native = allowed ? native : BF16_MULTIPLY_ADDS;
    #else
        (void)native;
        return 0;
    #endif
    }
    """
    int choose_bf16(int native) noexcept nogil


_bf16_instruction = switch(__name__, "_bf16_instruction", choose_bf16)


cdef struct DensePacked:
    Input x
    const void *w
    Input b
    Output y
    Loop activation
    Number alpha
    Input factor, offset
    Number beta
    Py_ssize_t rows, n_in, panels, terms, n_out, panel, in_registers

# units: rows of y, or panels of its columns
cdef inline int packed_forward_of(const Call *call, bint bf16, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const DensePacked *s = <const DensePacked *> call.payload
    cdef DenseForward forward = DenseForward(
        s.x, NULL, NULL, <Input> s.w, s.b, s.y, s.activation, s.alpha, s.factor, s.offset, s.beta, bf16, s.rows, s.n_in,
        0, 0, s.n_out, s.panel, s.in_registers, True,
    )
    return forward_of(&forward, call.units, s.panel, begin, end)

cdef int prepare_packed(str kernel, Call *call, bint bf16) except -1:
    cdef DensePacked *s = <DensePacked *> call.payload
    cdef int[3] words
    check_factor(kernel, s.factor, s.offset)
    cdef Py_ssize_t terms = (s.n_in + 1) // 2 if bf16 else s.n_in
    if s.terms != terms or s.panels != (s.n_out + PACKED_COLUMNS - 1) // PACKED_COLUMNS:
        return refuse(
            kernel, "w has {} panels of {} pairs, expected 32 columns to a panel and 2 terms to a pair: those of {} "
            "outputs and {} inputs" if bf16 else "w has {} panels of {} terms, expected 32 columns to a panel: those "
            "of {} outputs and {} inputs", s.panels, s.terms, s.n_out, s.n_in
        )
    words = [word(&s.activation, call), word(&s.alpha, call), word(&s.beta, call)]
    s.in_registers = is_in_registers(s.activation, bf16) and s.factor is NULL
    fuse(call, BUILD, kernel, words)
    divide_product(call, &s.panel, s.rows, s.n_out, s.n_in, bf16, NULL)
    return 1


cdef int dense_panels_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return packed_forward_of(call, False, begin, end)

cdef Py_ssize_t prepare_dense_panels(str kernel, Call *call) except -1:
    cdef const DensePacked *s = <const DensePacked *> call.payload
    if s.n_out < 4:
        return refuse(kernel, "y has {} columns, expected 4 or more: sums for fewer differ in order", s.n_out)
    return prepare_packed(kernel, call, False)

kernel("""dense_panels(x: in (rows, n_in), w: in (panels, terms, 32), b: in (n_out) | None, y: out (rows, n_out),
    activation: name = None, alpha: cell | None = None, *, factor: in (n_out) | None = None,
    offset: in (n_out) | None = None, beta: cell | None = None)

    y = activation(x @ w + b), with the bits of dense_forward; n_out is 4 or more.

    The weight of input p for output j lies at w[j // 32, p, j % 32]; what is beyond the last is 0. Activation, factor
    and offset as in dense_forward.
    """, dense_panels_body, sizeof(DensePacked), prepare_dense_panels, NULL, 2)


cdef int dense_bf16_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    return packed_forward_of(call, True, begin, end)

cdef Py_ssize_t prepare_dense_bf16(str kernel, Call *call) except -1:
    return prepare_packed(kernel, call, True)

kernel("""dense_bf16(x: in (rows, n_in), w: in uint16 (panels, pairs, 64), b: in (n_out) | None, y: out (rows, n_out),
    activation: name = None, alpha: cell | None = None, *, factor: in (n_out) | None = None,
    offset: in (n_out) | None = None, beta: cell | None = None)

    y = activation(x @ w + b), with numbers of w, and of x in float32, in bfloat16; the bits of dense_forward with bf16.

    The bits of the weight of input p for output j lie at w[j // 32, p // 2, 2 * (j % 32) + p % 2]; what is beyond the
    last is 0. Activation, factor and offset as in dense_forward.
    """, dense_bf16_body, sizeof(DensePacked), prepare_dense_bf16, NULL, 2)
