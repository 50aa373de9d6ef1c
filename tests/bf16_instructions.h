/* The instructions of AVX512_BF16 and AMX in C, as Intel's manual has them, for processors with AVX-512 alone: included
 * before all else, it lets the library's code for these instructions run. What the processor would refuse aborts. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SUBNORMAL_IS_0 0x8040u
#define ONCE static __attribute__((noinline, unused)) /* nothing moves into another mode of the processor */

ONCE __m512bh both_rounded(__m512 high, __m512 low) {
    uint32_t from[32];
    uint16_t to[32];
    _mm512_storeu_ps(from, low);
    _mm512_storeu_ps(from + 16, high);
    for (int i = 0; i < 32; i++) {
        const uint32_t bits = from[i], magnitude = bits & 0x7fffffff;
        const uint32_t nearest = magnitude > 0x7f800000 ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
        to[i] = (uint16_t)((magnitude < 0x800000 ? bits & 0x80000000 : nearest) >> 16);
    }
    return (__m512bh)_mm512_loadu_si512(to);
}

ONCE __m512 chains(__m512 sum, __m512i a, __m512i b) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000);
    sum = _mm512_fmadd_ps((__m512)_mm512_and_si512(a, upper), (__m512)_mm512_and_si512(b, upper), sum);
    return _mm512_fmadd_ps((__m512)_mm512_slli_epi32(a, 16), (__m512)_mm512_slli_epi32(b, 16), sum);
}

ONCE __m512 chains_of_pairs(__m512 sum, __m512bh a, __m512bh b) {
    const unsigned int mode = _mm_getcsr();
    _mm_setcsr(mode | SUBNORMAL_IS_0);
    sum = chains(sum, (__m512i)a, (__m512i)b);
    _mm_setcsr(mode);
    return sum;
}

typedef struct {
    int rows, bytes;
    uint16_t words[16][32];
} Register;
static _Thread_local Register registers[8];
__attribute__((weak)) _Thread_local int registers_in_use; /* of all sources */

static inline void demand(int holds) {
    if (!holds) abort();
}

ONCE void configure_registers(const void *from) {
    const uint8_t *bytes = from;
    demand(bytes[0] == 1);
    for (int i = 1; i < 64; i++) demand(bytes[i] == 0 || (i >= 16 && i < 32) || (i >= 48 && i < 56));
    for (int i = 0; i < 8; i++) {
        uint16_t row;
        memcpy(&row, bytes + 16 + 2 * i, sizeof row);
        registers[i] = (Register){.rows = bytes[48 + i], .bytes = row};
        demand(registers[i].rows <= 16 && row <= 64 && (registers[i].rows == 0) == (row == 0));
    }
    registers_in_use = 1;
}

static inline Register *usable(int i) {
    demand(registers_in_use && registers[i].rows > 0 && registers[i].bytes % 4 == 0);
    return registers + i;
}

ONCE void load_register(int i, const void *from, ptrdiff_t row) {
    Register *const to = usable(i);
    memset(to->words, 0, sizeof to->words);
    for (int r = 0; r < to->rows; r++) memcpy(to->words[r], (const char *)from + r * row, (size_t)to->bytes);
}

ONCE void store_register(int i, void *to, ptrdiff_t row) {
    const Register *const from = usable(i);
    for (int r = 0; r < from->rows; r++) memcpy((char *)to + r * row, from->words[r], (size_t)from->bytes);
}

static inline float number(uint16_t word) {
    const uint32_t bits = (uint32_t)word << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

ONCE void multiply(Register *sums, const Register *a, const Register *b) {
    demand(sums->rows == a->rows && sums->bytes == b->bytes && a->bytes == 4 * b->rows);
    for (int i = 0; i < sums->rows; i++) {
        for (int j = 0; j < sums->bytes / 4; j++) {
            float even = 0, odd = 0, sum;
            for (int p = 0; p < b->rows; p++) {
                even = fmaf(number(a->words[i][2 * p]), number(b->words[p][2 * j]), even);
                odd = fmaf(number(a->words[i][2 * p + 1]), number(b->words[p][2 * j + 1]), odd);
            }
            memcpy(&sum, &sums->words[i][2 * j], sizeof sum);
            sum += even + odd;
            memcpy(&sums->words[i][2 * j], &sum, sizeof sum);
        }
    }
}

ONCE void multiply_registers(int sums, int a, int b) {
    const unsigned int mode = _mm_getcsr();
    demand(sums != a && sums != b && a != b);
    _mm_setcsr(mode | SUBNORMAL_IS_0);
    multiply(usable(sums), usable(a), usable(b));
    _mm_setcsr(mode);
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _mm512_cvtne2ps_pbh both_rounded
#define _mm512_dpbf16_ps chains_of_pairs
#define _tile_loadconfig configure_registers
#define _tile_release() (registers_in_use = 0)
#define _tile_zero(i) memset(usable(i)->words, 0, sizeof registers[i].words)
#define _tile_loadd load_register
#define _tile_stored(i, to, row) store_register(i, to, row)
#define _tile_dpbf16ps multiply_registers
