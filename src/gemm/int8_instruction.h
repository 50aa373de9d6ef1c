/* Whether the compiler knows the instructions of AVX512_VNNI, which functions ask for by themselves. */
#ifndef FASTNN_GEMM_INT8_INSTRUCTION_H
#define FASTNN_GEMM_INT8_INSTRUCTION_H

#if defined(__clang__)
#define KNOWS_VNNI (__clang_major__ >= 8)
#elif defined(__GNUC__)
#define KNOWS_VNNI (__GNUC__ >= 8)
#else
#define KNOWS_VNNI 0
#endif

#endif
