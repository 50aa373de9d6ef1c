# Whether products in bfloat16 use the instruction of AVX512_BF16, which the build for AVX-512 has beside multiply-adds
# of the same bits: chosen at import, by the instruction set.

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
    bint choose_bf16(bint native)


def _bf16_instruction(bint wanted):
    """Let products in bfloat16 use the instruction of the processor, or multiply-adds; return whether they use it."""
    return choose_bf16(wanted)
