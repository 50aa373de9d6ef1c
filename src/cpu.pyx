"""What this processor is like: the instruction sets that it and the operating system support, how it reads memory."""

cdef extern from *:
    """
    #include "gemm/amx.h"
    #include "gemm/int8_instruction.h"
    #if defined(__GNUC__) && defined(__x86_64__)
    #include <cpuid.h>
    /* The compiler's run-time library asks cpuid for the processor and xgetbv for the operating system. */
    static int has_baseline(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("popcnt");
    }
    static int has_avx2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
               __builtin_cpu_supports("bmi2");
    }
    static int has_avx512(void) {
        return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
    }
    #if KNOWS_VNNI
    static int has_avx512_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }
    #else
    static int has_avx512_vnni(void) { return 0; }
    #endif
    #if KNOWS_BF16
    static int has_avx512_bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
    #else
    static int has_avx512_bf16(void) { return 0; }
    #endif
    static int is_intel(void) { return __builtin_cpu_is("intel") != 0; }
    static int is_zen_4(void) { /* or 3 */
        unsigned int a = 0, b, c, d;
        return __builtin_cpu_is("amd") && __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 15) + (a >> 20 & 255) == 25;
    }
    #else
    static int is_intel(void) { return 0; }
    static int is_zen_4(void) { return 0; }
    static int has_baseline(void) { return 1; }
    static int has_avx2(void) { return 0; }
    static int has_avx512(void) { return 0; }
    static int has_avx512_vnni(void) { return 0; }
    static int has_avx512_bf16(void) { return 0; }
    #endif
    """
    bint has_baseline()
    bint has_avx2()
    bint has_avx512()
    bint has_avx512_vnni()
    bint has_avx512_bf16()
    bint has_amx()
    bint is_intel()
    bint is_zen_4()


def supported():
    """The names of the supported instruction sets, the most capable last."""
    if not has_baseline():
        return ()
    names = ("baseline",) + (("avx2",) if has_avx2() else ()) + (("avx512",) if has_avx512() else ())
    names += ("avx512_vnni",) if has_avx512_vnni() else ()
    names += ("avx512_bf16",) if has_avx512_bf16() else ()
    return names + (("amx_bf16",) if has_avx512_bf16() and has_amx() else ())


def far_reads():
    """How it reads short parts of rows that lie far apart: "fast" (Zen 4), "slow" (Cascade Lake) or "unknown".

    Zen 3 and Intel's other processors were not measured, and are taken to be like these.
    """
    return "fast" if is_zen_4() else "slow" if is_intel() else "unknown"
