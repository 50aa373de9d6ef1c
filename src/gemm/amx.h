/* AMX, the matrix registers of Intel's processors since Sapphire Rapids, for bfloat16: whether compiler, processor and
 * system have them, and the system's leave to use them, for which a process must ask. */
#ifndef FASTNN_GEMM_AMX_H
#define FASTNN_GEMM_AMX_H

#include "bf16_instruction.h"

#if KNOWS_BF16 && defined(__x86_64__) && defined(__linux__)
#define KNOWS_AMX 1
#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { XCOMP_SUPPORTED = 0x1021, ASK_FOR_XCOMP = 0x1023, TILE_DATA = 18 }; /* of arch_prctl */

static inline int has_amx(void) {
    unsigned int a, b, c, d;
    uint64_t components = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & d >> 24 & 1)) return 0; /* products, registers */
    return syscall(SYS_arch_prctl, XCOMP_SUPPORTED, &components) == 0 && (components >> TILE_DATA & 1);
}

static inline int may_use_amx(void) {
    return has_amx() && syscall(SYS_arch_prctl, ASK_FOR_XCOMP, (unsigned long)TILE_DATA) == 0;
}
#else
#define KNOWS_AMX 0
static inline int has_amx(void) { return 0; }
static inline int may_use_amx(void) { return 0; }
#endif

#endif
