# Dense products in bfloat16 of predictions alone, whose weights are packed beforehand: y = activation(x @ w + b).
#
# Whether those use the instruction of AVX512_BF16, which the build for AVX-512 has beside multiply-adds of the same
# bits, is chosen at import, by the instruction set.

from libc.stdint cimport uint16_t

cdef extern from "gemm/bf16_pack.h":
    """
    static int choose_bf16(int native) {
    #if !FASTNN_DOUBLE && BF16_INSTRUCTION
        bf16_native = native && (__builtin_cpu_init(), __builtin_cpu_supports("avx512bf16"));
        return bf16_native;
    #else
        (void)native;
        return 0;
    #endif
    }
    """
    int choose_bf16(int native) noexcept nogil


_bf16_instruction = switch(__name__, "_bf16_instruction", choose_bf16)


cdef struct DenseBf16:
    Input x
    const uint16_t *w
    Input b
    Output y
    Loop activation
    Number alpha
    Input factor, offset
    Number beta
    Py_ssize_t rows, n_in, panels, pairs, n_out, panel

cdef int dense_bf16_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: rows of y, or panels of its columns
    cdef const DenseBf16 *s = <const DenseBf16 *> call.payload
    cdef DenseForward forward = DenseForward(
        s.x, NULL, NULL, <Input> s.w, s.b, s.y, s.activation, s.alpha, s.factor, s.offset, s.beta, BF16_PACKED, s.rows,
        s.n_in, 0, 0, s.n_out, s.panel, 0,
    )
    return forward_of(&forward, call.units, s.panel, begin, end)

cdef Py_ssize_t prepare_dense_bf16(str kernel, Call *call) except -1:
    cdef DenseBf16 *s = <DenseBf16 *> call.payload
    cdef int[3] words
    check_factor(kernel, s.factor, s.offset)
    if s.pairs != (s.n_in + 1) // 2 or s.panels != (s.n_out + BF16_PANEL - 1) // BF16_PANEL:
        return refuse(
            kernel, "w has {} panels of {} pairs, expected 32 columns to a panel and 2 terms to a pair: those of {} "
            "outputs and {} inputs", s.panels, s.pairs, s.n_out, s.n_in
        )
    words = [word(&s.activation, call), word(&s.alpha, call), word(&s.beta, call)]
    fuse(call, BUILD, kernel, words)
    divide_product(call, &s.panel, s.rows, s.n_out, s.n_in, True, NULL)
    return 1

kernel("""dense_bf16(x: in (rows, n_in), w: in uint16 (panels, pairs, 64), b: in (n_out) | None, y: out (rows, n_out),
    activation: name = None, alpha: cell | None = None, *, factor: in (n_out) | None = None,
    offset: in (n_out) | None = None, beta: cell | None = None)

    y = activation(x @ w + b), with numbers of w, and of x in float32, in bfloat16; the bits of dense_forward with bf16.

    The bits of the weight of input p for output j lie at w[j // 32, p // 2, 2 * (j % 32) + p % 2]; what is beyond the
    last is 0. Activation, factor and offset as in dense_forward.
    """, dense_bf16_body, sizeof(DenseBf16), prepare_dense_bf16, NULL, 1)
