/* rng.h: counter-based random numbers (Philox4x32-10, Salmon et al. 2011).
 *
 * A number is a pure function f(seed, stream, sequence, position), so results do not depend on
 * batching, threads or device, and "the state of the generator" is a few integers. */
#ifndef R1_RNG_H
#define R1_RNG_H

#include <stdint.h>

/* Which use a number is for: two uses never share numbers. */
typedef enum {
    R1_RNG_SAMPLE = 1, /* tokens: sequence = sample's identity, position = token position */
    R1_RNG_DATA,       /* corpora and problems */
    R1_RNG_SHUFFLE,
    R1_RNG_INIT, /* initial weights */
    R1_RNG_EVAL,
    R1_RNG_TEST,
    R1_RNG_AGAIN, /* tokens, where the first choice was not allowed */
    R1_RNG_POOL   /* difficulties of questions */
} r1_rng_stream;

typedef struct {
    uint32_t x[4];
} r1_rng_block;

static inline r1_rng_block r1_rng_philox(uint64_t key, uint64_t hi, uint64_t lo)
{
    uint32_t c0 = (uint32_t)lo, c1 = (uint32_t)(lo >> 32);
    uint32_t c2 = (uint32_t)hi, c3 = (uint32_t)(hi >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int i = 0; i < 10; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (r1_rng_block){{c0, c1, c2, c3}};
}

/* Uniform in [0,1), 24 bits. */
static inline float r1_rng_uniform(uint64_t seed, r1_rng_stream stream, uint64_t sequence,
                                   uint64_t position)
{
    r1_rng_block b = r1_rng_philox(seed, ((uint64_t)stream << 56) ^ sequence, position);
    return (float)(b.x[0] >> 8) * 0x1p-24f;
}

/* A sequential view of one (seed, stream, sequence), for generators of data.  The struct is its
 * whole state: save it to save the generator. */
typedef struct {
    uint64_t seed, hi, next;
} r1_rng;

static inline r1_rng r1_rng_init(uint64_t seed, r1_rng_stream stream, uint64_t sequence)
{
    return (r1_rng){seed, ((uint64_t)stream << 56) ^ sequence, 0};
}

static inline uint32_t r1_rng_u32(r1_rng *r)
{
    return r1_rng_philox(r->seed, r->hi, r->next++).x[0];
}

/* Uniform integer in [0,n), n >= 1 (bias below 2^-32 n). */
static inline uint32_t r1_rng_below(r1_rng *r, uint32_t n)
{
    return (uint32_t)(((uint64_t)r1_rng_u32(r) * n) >> 32);
}

static inline float r1_rng_float(r1_rng *r)
{
    return (float)(r1_rng_u32(r) >> 8) * 0x1p-24f;
}

#endif
