/* block.c: from the blocks of a file to panels; the layout is described in block.h. */
#include "compute/block.h"

#include <string.h>

#include "compute/kquant.h"

/* One block of a file, taken apart: up to 256 inputs. */
typedef struct {
    uint8_t code[R1_SUPER];
    uint16_t scale, min; /* F16 */
    int8_t fine[R1_SUPER / 16], fine_min[R1_SUPER / 16];
} parts;

/* ---- The formats of files (ggml's block_*) ----------------------------------------------- */

static void nibbles(const uint8_t *src, uint8_t *code)
{
    for (int i = 0; i < 16; i++) {
        code[i] = src[i] & 15;
        code[i + 16] = src[i] >> 4;
    }
}

static void take_q8_0(const uint8_t *src, parts *p)
{
    memcpy(&p->scale, src, 2);
    for (int i = 0; i < R1_BLOCK; i++)
        p->code[i] = src[2 + i] ^ 0x80;
}

static void take_q4_0(const uint8_t *src, parts *p)
{
    memcpy(&p->scale, src, 2);
    nibbles(src + 2, p->code);
}

static void take_q4_1(const uint8_t *src, parts *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(&p->min, src + 2, 2);
    nibbles(src + 4, p->code);
}

/* Fifth bits to bit 4 of 32 codes: bit i of the four bytes at `bits` is that of code i. */
static void fifth_bits(const uint8_t *bits, uint8_t *code)
{
    for (int i = 0; i < R1_BLOCK; i++)
        code[i] = (uint8_t)(code[i] | (bits[i / 8] >> i % 8 & 1) << 4);
}

static void take_q5_0(const uint8_t *src, parts *p)
{
    memcpy(&p->scale, src, 2);
    nibbles(src + 6, p->code);
    fifth_bits(src + 2, p->code);
}

static void take_q5_1(const uint8_t *src, parts *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(&p->min, src + 2, 2);
    nibbles(src + 8, p->code);
    fifth_bits(src + 4, p->code);
}

/* The low two bits of 256 codes, which kquant.h calls four a byte, 32 apart. */
static void low_bits(const uint8_t *src, uint8_t *code)
{
    for (int i = 0; i < R1_SUPER; i++)
        code[i] = src[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

static void take_q2_k(const uint8_t *src, parts *p)
{
    low_bits(src + 16, p->code);
    memcpy(&p->scale, src + 80, 2);
    memcpy(&p->min, src + 82, 2);
    for (int s = 0; s < 16; s++) {
        p->fine[s] = (int8_t)(src[s] & 15);
        p->fine_min[s] = (int8_t) - (src[s] >> 4);
    }
}

static void take_q3_k(const uint8_t *src, parts *p)
{
    low_bits(src + 32, p->code);
    for (int i = 0; i < R1_SUPER; i++)
        p->code[i] = (uint8_t)(p->code[i] | (src[i % 32] >> i / 32 & 1) << 2);
    memcpy(&p->scale, src + 108, 2);
    for (int s = 0; s < 16; s++)
        p->fine[s] = (int8_t)r1_kquant_scale_q3_k(src + 96, s);
}

/* Q4_K, and with `fifth` bits Q5_K. */
static void take_q45_k(const uint8_t *src, const uint8_t *fifth, const uint8_t *low, parts *p)
{
    memcpy(&p->scale, src, 2);
    memcpy(&p->min, src + 2, 2);
    for (int s = 0; s < 8; s++) {
        int scale, min;
        r1_kquant_scale_min(src + 4, s, &scale, &min);
        p->fine[s] = (int8_t)scale;
        p->fine_min[s] = (int8_t)-min;
        uint8_t *code = p->code + s * 32;
        for (int i = 0; i < 32; i++)
            code[i] = low[s / 2 * 32 + i] >> s % 2 * 4 & 15;
        for (int i = 0; fifth && i < 32; i++)
            code[i] = (uint8_t)(code[i] | (fifth[i] >> s & 1) << 4);
    }
}

static void take_q4_k(const uint8_t *src, parts *p)
{
    take_q45_k(src, NULL, src + 16, p);
}

static void take_q5_k(const uint8_t *src, parts *p)
{
    take_q45_k(src, src + 16, src + 48, p);
}

static void take_q6_k(const uint8_t *src, parts *p)
{
    for (int i = 0; i < R1_SUPER; i++) {
        int low = src[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
        int high = src[128 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        p->code[i] = (uint8_t)(low | high << 4);
    }
    memcpy(p->fine, src + 192, 16);
    memcpy(&p->scale, src + 208, 2);
}

typedef void (*take_fn)(const uint8_t *src, parts *p);

static const take_fn takes[R1_DTYPE_COUNT] = {
    [R1_Q8_0] = take_q8_0, [R1_Q4_0] = take_q4_0, [R1_Q4_1] = take_q4_1,
    [R1_Q5_0] = take_q5_0, [R1_Q5_1] = take_q5_1, [R1_IQ4_NL] = take_q4_0,
    [R1_Q2_K] = take_q2_k, [R1_Q3_K] = take_q3_k, [R1_Q4_K] = take_q4_k,
    [R1_Q5_K] = take_q5_k, [R1_Q6_K] = take_q6_k,
};

bool r1_block_can_pack(r1_dtype t, int64_t inputs)
{
    return takes[t] && inputs % r1_tensor_traits(t)->block == 0;
}

/* ---- Panels ------------------------------------------------------------------------------ */

static void put_word(uint8_t *to, uint32_t word)
{
    memcpy(to, &word, sizeof word);
}

/* The codes of block q, four to a word, into the words of one lane. */
static void put_codes(uint8_t *q, r1_block_format f, const uint8_t *code)
{
    uint32_t c[8];
    memcpy(c, code, sizeof c);
    if (f.bits == 8) {
        for (int s = 0; s < 8; s++)
            put_word(q + s * 64, c[s]);
        return;
    }
    for (int s = 0; s < 4; s++)
        put_word(q + s * 64, (c[s] & 0x0f0f0f0fu) | (c[s + 4] & 0x0f0f0f0fu) << 4);
    if (f.plane == 1) {
        uint32_t bits = 0;
        for (int s = 0; s < 8; s++)
            bits |= (c[s] >> 4 & 0x01010101u) << s;
        put_word(q + 256, bits);
    }
    for (int h = 0; f.plane == 2 && h < 2; h++) {
        uint32_t bits = 0;
        for (int s = 0; s < 4; s++)
            bits |= (c[4 * h + s] >> 4 & 0x03030303u) << 2 * s;
        put_word(q + 256 + 64 * h, bits);
    }
}

/* Block i of the file's, of `inputs` weights, into lane `lane`. */
static void put_parts(uint8_t *panel, r1_block_format f, const r1_block_sections *at,
                      const parts *p, int64_t i, int inputs, int lane)
{
    uint16_t *scale = (uint16_t *)(void *)panel;
    uint16_t *min = (uint16_t *)(void *)(panel + at->min);
    scale[i * R1_PANEL + lane] = p->scale;
    if (f.min)
        min[i * R1_PANEL + lane] = p->min;
    const int fine = f.super ? inputs / f.sub : 0;
    for (int k = 0; k < fine; k++) {
        panel[at->fine + (size_t)((i * fine + k) * R1_PANEL + lane)] = (uint8_t)p->fine[k];
        if (f.min)
            panel[at->fine_min + (size_t)((i * fine + k) * R1_PANEL + lane)] =
                (uint8_t)p->fine_min[k];
    }
    const int64_t blocks = inputs / R1_BLOCK;
    for (int64_t b = 0; b < blocks; b++)
        put_codes(panel + at->q + (size_t)(i * blocks + b) * at->block + lane * 4, f,
                  p->code + b * R1_BLOCK);
}

void r1_block_pack(uint8_t *to, r1_dtype t, const void *rows, size_t row_bytes, int lanes,
                   int64_t inputs)
{
    enum { STEP = 512 }; /* inputs of all lanes before the next: what the nearest cache holds */
    const r1_block_format f = r1_block_format_of(t);
    const r1_block_sections at = r1_block_sections_of(f, inputs);
    const r1_dtype_traits *traits = r1_tensor_traits(t);
    const int64_t blocks = inputs / traits->block, step = STEP / traits->block;
    for (int64_t first = 0; first < blocks; first += step)
        for (int lane = 0; lane < lanes; lane++) {
            const uint8_t *src = (const uint8_t *)rows + (size_t)lane * row_bytes +
                                 (size_t)first * (size_t)traits->bytes;
            for (int64_t i = first; i < blocks && i < first + step; i++) {
                parts p;
                takes[t](src, &p);
                put_parts(to, f, &at, &p, i, traits->block, lane);
                src += traits->bytes;
            }
        }
}
