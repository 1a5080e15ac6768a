/* block.h: how block-quantised weights lie in memory for the kernels of matmul.
 *
 * Every format is codes, small unsigned numbers, and what turns them into weights:
 *     weight = scale * (code - offset) [+ minimum]
 * where scale and minimum are F16 a block of 32 inputs, or (super) the product of an F16 a 256
 * inputs and an int8 a 32 or 16 inputs.  A panel of 16 outputs is a row of sections, each at a
 * multiple of 64 bytes; inside a section the inputs run outermost:
 *     scale     F16 [K/32][16], super: [K/256][16]
 *     min       the same, where the format has minimums
 *     fine      super: int8 [K/sub][16]
 *     fine_min  super with minimums: int8 [K/sub][16], negated: weight = ... + min * fine_min
 *     q         [K/32] blocks: codes of 8 bits as uint8 [8][16][4]; narrower ones as nibbles
 *               [4][16][4] (low half inputs 0..15 of the block, high half 16..31), followed by
 *               the fifth bits [16][4] (bit s of a byte: input 4s of the block on) or the fifth
 *               and sixth bits [2][16][4] (bits 2s, 2s + 1 of a byte: input 16h + 4s on). */
#ifndef R1_BLOCK_H
#define R1_BLOCK_H

#include "compute/tensor.h"

enum { R1_PANEL = 16, R1_BLOCK = 32, R1_SUPER = 256 };

typedef struct {
    int8_t bits;   /* of a code before its planes: 4 or 8; 0 = not a block format */
    int8_t plane;  /* and in planes: 0, 1 or 2 */
    int8_t sub;    /* inputs that share a scale: 32 or 16 */
    int8_t offset; /* log2 of the offset; -1 = none */
    bool min, super;
    bool table; /* codes are looked up in r1_quant_iq4_nl, plus 128 */
    bool wide;  /* codes of more than 6 bits: products of pairs do not fit 16 bits */
} r1_block_format;

/* A constant where t is one. */
static inline __attribute__((always_inline)) r1_block_format r1_block_format_of(r1_dtype t)
{
    switch ((int)t) {
    case R1_Q8_0: return (r1_block_format){.bits = 8, .sub = 32, .offset = 7, .wide = true};
    case R1_Q4_0: return (r1_block_format){.bits = 4, .sub = 32, .offset = 3};
    case R1_Q4_1: return (r1_block_format){.bits = 4, .sub = 32, .offset = -1, .min = true};
    case R1_Q5_0: return (r1_block_format){.bits = 4, .plane = 1, .sub = 32, .offset = 4};
    case R1_Q5_1:
        return (r1_block_format){.bits = 4, .plane = 1, .sub = 32, .offset = -1, .min = true};
    case R1_IQ4_NL:
        return (r1_block_format){
            .bits = 4, .sub = 32, .offset = 7, .table = true, .wide = true};
    case R1_Q2_K:
        return (r1_block_format){
            .bits = 4, .sub = 16, .offset = -1, .min = true, .super = true};
    case R1_Q3_K: return (r1_block_format){.bits = 4, .sub = 16, .offset = 2, .super = true};
    case R1_Q4_K:
        return (r1_block_format){
            .bits = 4, .sub = 32, .offset = -1, .min = true, .super = true};
    case R1_Q5_K:
        return (r1_block_format){
            .bits = 4, .plane = 1, .sub = 32, .offset = -1, .min = true, .super = true};
    case R1_Q6_K:
        return (r1_block_format){.bits = 4, .plane = 2, .sub = 16, .offset = 5, .super = true};
    default: return (r1_block_format){.bits = 0};
    }
}

/* Where the sections of a panel begin, in bytes from its start. */
typedef struct {
    size_t min, fine, fine_min, q, end; /* scale is at 0 */
    size_t block;                       /* bytes of 32 inputs in q */
} r1_block_sections;

static inline __attribute__((always_inline)) size_t r1_block_align(int64_t bytes)
{
    return ((size_t)bytes + 63) / 64 * 64;
}

static inline __attribute__((always_inline)) r1_block_sections
r1_block_sections_of(r1_block_format f, int64_t inputs)
{
    const size_t coarse =
        r1_block_align(inputs / (f.super ? R1_SUPER : R1_BLOCK) * R1_PANEL * 2);
    const size_t fine = f.super ? r1_block_align(inputs / f.sub * R1_PANEL) : 0;
    r1_block_sections s = {.min = coarse};
    s.fine = s.min + (f.min ? coarse : 0);
    s.fine_min = s.fine + fine;
    s.q = s.fine_min + (f.min ? fine : 0);
    s.block = (size_t)(f.bits == 8 ? 32 : 16 + 4 * f.plane) * R1_PANEL;
    s.end = s.q + (size_t)(inputs / R1_BLOCK) * s.block;
    return s;
}

/* Inputs of block weights can be packed when they are whole blocks of the format. */
static inline bool r1_block_can_pack(r1_dtype t, int64_t inputs)
{
    const r1_block_format f = r1_block_format_of(t);
    return f.bits && inputs % (f.super ? R1_SUPER : R1_BLOCK) == 0;
}

#endif
