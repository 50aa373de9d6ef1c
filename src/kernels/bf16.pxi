# Whether products in bfloat16 use the instruction of AVX512_BF16: a choice for the process, before anything is computed.
# Its bits are those of multiply-adds.

cdef extern from "gemm/bf16_pack.h":
    """
    static int choose_bf16(int native) {
    #if !FASTNN_DOUBLE && BF16_INSTRUCTION
        bf16_native = native && __builtin_cpu_supports("avx512bf16");
        return bf16_native;
    #else
        (void)native;
        return 0;
    #endif
    }
    """
    bint choose_bf16(bint native)


def bf16_instruction(bint wanted):
    """Let products in bfloat16 use the processor's instruction or not; return whether they do."""
    return choose_bf16(wanted)
