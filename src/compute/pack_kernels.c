/* pack_kernels.c: rows of weights to panels, compiled once per instruction set; see pack_kernels.h.
 *
 * Loading a model is little else than this, so it has to keep up with memory. */
#include "compute/pack_kernels.h"

#include "compute/kquant.h"
#include "compute/simd.h"

/* ---- Words of rows to rows of words ------------------------------------------------------- */

#if VW > 1
/* 4 by 4 words in each 128 bits of a, turned. */
R1_INLINE void turn_4(vf a[4])
{
    const vf low = v_unpack_low(a[0], a[1]), high = v_unpack_high(a[0], a[1]);
    const vf low2 = v_unpack_low(a[2], a[3]), high2 = v_unpack_high(a[2], a[3]);
    a[0] = v_unpack_low2(low, low2);
    a[1] = v_unpack_high2(low, low2);
    a[2] = v_unpack_low2(high, high2);
    a[3] = v_unpack_high2(high, high2);
}

/* VW words of VW rows; word k of row i becomes to[k*16 + i]. */
R1_INLINE void turn_square(uint32_t *to, const uint8_t *from, size_t stride)
{
    vf a[VW / 4][4];
    for (int g = 0; g < VW / 4; g++) {
        for (int i = 0; i < 4; i++)
            a[g][i] =
                v_load((const float *)(const void *)(from + (size_t)(4 * g + i) * stride));
        turn_4(a[g]);
    }
    float *out = (float *)(void *)to;
#if VW == 4
    for (int k = 0; k < 4; k++)
        v_store(out + k * R1_PANEL, a[0][k]);
#elif VW == 8
    for (int k = 0; k < 4; k++) { /* 128 bits number q of a[g][k]: word 4q + k of rows 4g on */
        v_store(out + k * R1_PANEL, _mm256_permute2f128_ps(a[0][k], a[1][k], 0x20));
        v_store(out + (4 + k) * R1_PANEL, _mm256_permute2f128_ps(a[0][k], a[1][k], 0x31));
    }
#else
    for (int k = 0; k < 4; k++) {
        const vf l = _mm512_shuffle_f32x4(a[0][k], a[1][k], 0x44); /* q = 0, 1 of both */
        const vf h = _mm512_shuffle_f32x4(a[0][k], a[1][k], 0xee); /* 2, 3 */
        const vf l2 = _mm512_shuffle_f32x4(a[2][k], a[3][k], 0x44);
        const vf h2 = _mm512_shuffle_f32x4(a[2][k], a[3][k], 0xee);
        v_store(out + k * R1_PANEL, _mm512_shuffle_f32x4(l, l2, 0x88));
        v_store(out + (4 + k) * R1_PANEL, _mm512_shuffle_f32x4(l, l2, 0xdd));
        v_store(out + (8 + k) * R1_PANEL, _mm512_shuffle_f32x4(h, h2, 0x88));
        v_store(out + (12 + k) * R1_PANEL, _mm512_shuffle_f32x4(h, h2, 0xdd));
    }
#endif
}

static void turn_panel(uint32_t *to, const uint8_t *rows, size_t stride, int64_t n)
{
    for (int64_t k = 0; k < n; k += VW) {
        k = k < n - VW ? k : n - VW; /* the last square may repeat words of the one before */
        for (int i = 0; i < R1_PANEL; i += VW)
            turn_square(to + k * R1_PANEL + i, rows + (size_t)i * stride + (size_t)k * 4,
                        stride);
    }
}
#endif

static void turn(uint32_t *to, const void *rows, size_t stride, int lanes, int64_t n)
{
    const uint8_t *from = rows;
#if VW > 1
    if (lanes == R1_PANEL && n >= VW) {
        turn_panel(to, from, stride, n);
        return;
    }
#endif
    for (int i = 0; i < lanes; i++)
        for (int64_t k = 0; k < n; k++)
            memcpy(to + k * R1_PANEL + i, from + (size_t)i * stride + (size_t)k * 4, 4);
}

/* ---- The formats of files (ggml's block_*) ------------------------------------------------ */

enum { WORDS = R1_BLOCK / 4 }; /* codes of a block, four to a word */

/* What stands beside the codes of a file's block. */
typedef struct {
    uint16_t scale, min; /* F16 */
    int8_t fine[R1_SUPER / 16], fine_min[R1_SUPER / 16];
} scales;

/* Low and high nibbles of words: inputs 0..15 of a block and 16..31. */
R1_INLINE void put_nibbles(uint32_t *to, const uint32_t code[WORDS])
{
    for (int s = 0; s < WORDS / 2; s++)
        to[s] = code[s] | code[s + WORDS / 2] << 4;
}

/* The fifth bits of a block, bit i that of code i, as its last word. */
R1_INLINE uint32_t fifth_bits(const uint8_t *src)
{
    uint32_t bits, word = 0;
    memcpy(&bits, src, sizeof bits);
    for (int s = 0; s < WORDS; s++) /* four neighbours go to the four bytes */
        word |= (((bits >> 4 * s & 15) * 0x00204081u) & 0x01010101u) << s;
    return word;
}

R1_INLINE void take_q8_0(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(to, src + 2, R1_BLOCK);
    for (int s = 0; s < WORDS; s++)
        to[s] ^= 0x80808080u;
}

/* Q4_0 and IQ4_NL. */
R1_INLINE void take_q4_0(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(to, src + 2, R1_BLOCK / 2);
}

R1_INLINE void take_q4_1(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(&p->min, src + 2, 2);
    memcpy(to, src + 4, R1_BLOCK / 2);
}

R1_INLINE void take_q5_0(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(to, src + 6, R1_BLOCK / 2);
    to[4] = fifth_bits(src + 2);
}

R1_INLINE void take_q5_1(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(&p->min, src + 2, 2);
    memcpy(to, src + 8, R1_BLOCK / 2);
    to[4] = fifth_bits(src + 4);
}

/* Codes of two bits, of 32 inputs: bits 2r and 2r + 1 of 32 bytes. */
R1_INLINE void low_bits(const uint8_t *src, int r, uint32_t code[WORDS])
{
    memcpy(code, src, R1_BLOCK);
    for (int s = 0; s < WORDS; s++)
        code[s] = code[s] >> 2 * r & 0x03030303u;
}

R1_INLINE void take_q2_k(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(&p->scale, src + 80, 2);
    memcpy(&p->min, src + 82, 2);
    for (int s = 0; s < 16; s++) {
        p->fine[s] = (int8_t)(src[s] & 15);
        p->fine_min[s] = (int8_t) - (src[s] >> 4);
    }
    for (int b = 0; b < 8; b++) {
        uint32_t code[WORDS];
        low_bits(src + 16 + b / 4 * 32, b % 4, code);
        put_nibbles(to + b * 4, code);
    }
}

R1_INLINE void take_q3_k(const uint8_t *src, uint32_t *to, scales *p)
{
    uint32_t high[WORDS];
    memcpy(high, src, sizeof high);
    memcpy(&p->scale, src + 108, 2);
    for (int s = 0; s < 16; s++)
        p->fine[s] = (int8_t)r1_kquant_scale_q3_k(src + 96, s);
    for (int b = 0; b < 8; b++) {
        uint32_t code[WORDS];
        low_bits(src + 32 + b / 4 * 32, b % 4, code);
        for (int s = 0; s < WORDS; s++)
            code[s] |= (high[s] >> b & 0x01010101u) << 2;
        put_nibbles(to + b * 4, code);
    }
}

/* Q4_K, and with `fifth` bits Q5_K. */
R1_INLINE void take_q45_k(const uint8_t *src, const uint8_t *fifth, const uint8_t *low,
                          uint32_t *to, scales *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(&p->min, src + 2, 2);
    for (int s = 0; s < 8; s++) {
        int scale, min;
        r1_kquant_scale_min(src + 4, s, &scale, &min);
        p->fine[s] = (int8_t)scale;
        p->fine_min[s] = (int8_t)-min;
    }
    const int words = fifth ? 5 : 4; /* of 32 inputs */
    uint32_t bits[WORDS] = {0};
    if (fifth)
        memcpy(bits, fifth, sizeof bits);
    for (int b = 0; b < 8; b += 2, low += R1_BLOCK) {
        uint32_t pair[WORDS], even[WORDS], odd[WORDS]; /* two blocks in 32 bytes */
        memcpy(pair, low, sizeof pair);
        for (int s = 0; s < WORDS; s++) {
            even[s] = pair[s] & 0x0f0f0f0fu;
            odd[s] = pair[s] >> 4 & 0x0f0f0f0fu;
        }
        put_nibbles(to + b * words, even);
        put_nibbles(to + (b + 1) * words, odd);
        for (int k = b; fifth && k < b + 2; k++) {
            uint32_t word = 0;
            for (int s = 0; s < WORDS; s++)
                word |= (bits[s] >> k & 0x01010101u) << s;
            to[k * words + 4] = word;
        }
    }
}

R1_INLINE void take_q4_k(const uint8_t *src, uint32_t *to, scales *p)
{
    take_q45_k(src, NULL, src + 16, to, p);
}

R1_INLINE void take_q5_k(const uint8_t *src, uint32_t *to, scales *p)
{
    take_q45_k(src, src + 16, src + 48, to, p);
}

R1_INLINE void take_q6_k(const uint8_t *src, uint32_t *to, scales *p)
{
    memcpy(p->fine, src + 192, 16);
    memcpy(&p->scale, src + 208, 2);
    for (int b = 0; b < 8; b++, to += 6) {
        const int half = b / 4,
                  r = b % 4; /* 128 inputs share 64 bytes of nibbles, 32 of pairs */
        uint32_t code[WORDS], high[WORDS];
        memcpy(code, src + half * 64 + r % 2 * 32, sizeof code);
        for (int s = 0; s < WORDS; s++)
            code[s] = code[s] >> r / 2 * 4 & 0x0f0f0f0fu;
        put_nibbles(to, code);
        low_bits(src + 128 + half * 32, r, high);
        for (int h = 0; h < 2; h++) {
            const uint32_t *at = high + 4 * h;
            to[4 + h] = at[0] | at[1] << 2 | at[2] << 4 | at[3] << 6;
        }
    }
}

/* ---- Panels ------------------------------------------------------------------------------- */

typedef void (*take_fn)(const uint8_t *src, uint32_t *to, scales *p);

/* Block i of a lane: its scales; `fine` sub-blocks have their own. */
R1_INLINE void put_scales(uint8_t *panel, r1_block_format f, const r1_block_sections *at,
                          const scales *p, int64_t i, int fine, int lane)
{
    uint16_t *scale = (uint16_t *)(void *)panel;
    uint16_t *min = (uint16_t *)(void *)(panel + at->min);
    scale[i * R1_PANEL + lane] = p->scale;
    if (f.min)
        min[i * R1_PANEL + lane] = p->min;
    for (int k = 0; k < fine; k++) {
        panel[at->fine + (size_t)((i * fine + k) * R1_PANEL + lane)] = (uint8_t)p->fine[k];
        if (f.min)
            panel[at->fine_min + (size_t)((i * fine + k) * R1_PANEL + lane)] =
                (uint8_t)p->fine_min[k];
    }
}

R1_INLINE void pack(uint8_t *to, r1_dtype t, take_fn take, const uint8_t *rows,
                    size_t row_bytes, int lanes, int64_t inputs)
{
    enum { STEP = 512 }; /* inputs of all lanes before the next: what the nearest cache holds */
    uint32_t part[R1_PANEL][STEP / 4];
    const r1_block_format f = r1_block_format_of(t);
    const r1_block_sections at = r1_block_sections_of(f, inputs);
    const int size = f.super ? R1_SUPER : R1_BLOCK, fine = f.super ? R1_SUPER / f.sub : 0;
    const size_t bytes = (size_t)r1_tensor_traits(t)->bytes;
    const int64_t words = (int64_t)at.block / R1_PANEL / 4; /* of 32 inputs */
    for (int64_t first = 0; first < inputs; first += STEP) {
        const int64_t n = inputs - first < STEP ? inputs - first : STEP;
        for (int lane = 0; lane < lanes; lane++) {
            const uint8_t *src =
                rows + (size_t)lane * row_bytes + (size_t)(first / size) * bytes;
            for (int64_t i = 0; i < n / size; i++, src += bytes) {
                scales p;
                take(src, part[lane] + i * size / R1_BLOCK * words, &p);
                put_scales(to, f, &at, &p, first / size + i, fine, lane);
            }
        }
        turn((uint32_t *)(void *)(to + at.q + (size_t)(first / R1_BLOCK) * at.block), part,
             sizeof part[0], lanes, n / R1_BLOCK * words);
    }
}

/* One function a format, in which everything that depends on it is constant. */
#define FORMATS(X)          \
    X(R1_Q8_0, take_q8_0)   \
    X(R1_Q4_0, take_q4_0)   \
    X(R1_Q4_1, take_q4_1)   \
    X(R1_Q5_0, take_q5_0)   \
    X(R1_Q5_1, take_q5_1)   \
    X(R1_IQ4_NL, take_q4_0) \
    X(R1_Q2_K, take_q2_k)   \
    X(R1_Q3_K, take_q3_k)   \
    X(R1_Q4_K, take_q4_k)   \
    X(R1_Q5_K, take_q5_k)   \
    X(R1_Q6_K, take_q6_k)

static void pack_block(uint8_t *to, r1_dtype t, const void *rows, size_t row_bytes, int lanes,
                       int64_t inputs)
{
    switch ((int)t) {
#define CASE(dtype, take) \
    case dtype: pack(to, dtype, take, rows, row_bytes, lanes, inputs); break;
        FORMATS(CASE)
#undef CASE
    default: break;
    }
}

const r1_pack_kernels R1_ISA_SYMBOL(r1_pack_kernels) = {turn, pack_block};
