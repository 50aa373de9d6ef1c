/* Whether the compiler knows the instructions of AVX512_BF16, which functions ask for by themselves. */
#ifndef FASTNN_GEMM_BF16_INSTRUCTION_H
#define FASTNN_GEMM_BF16_INSTRUCTION_H

#if defined(__clang__)
#define KNOWS_BF16 (__clang_major__ >= 14)
#elif defined(__GNUC__)
#define KNOWS_BF16 (__GNUC__ >= 12)
#else
#define KNOWS_BF16 0
#endif

#endif
