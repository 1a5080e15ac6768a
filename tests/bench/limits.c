/* limits.c: what this machine can do at most, and how near the kernels come, as one line of JSON.
 *
 * Usage: limits [THREADS]: bytes read a second from memory; multiply-adds a second of bare loops
 * in F32, BF16 and INT8 (an operation is a product or a sum); and for shapes of a prompt and of a
 * single row what r1_matmul_run does of it.  Each figure is the best of many short runs.  An
 * instruction that the processor lacks reads 0.  The shares are of the limit that the weights meet:
 * inputs of quantised weights have two bytes, so half of INT8's rate is theirs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"
#include "base/rng.h"
#include "compute/matmul.h"
#include "compute/quant.h"

enum { ROUNDS = 20000, CHAINS = 16, TRIES = 40, BUFFER = 256 << 20 };

static volatile float sink;
static r1_pool *pool;

/* ---- Bare loops: CHAINS chains of different numbers, ROUNDS long ------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

__attribute__((target("avx2,fma"))) static void fma_256(void)
{
    __m256 a[CHAINS / 2], x = _mm256_set1_ps(sink), sum = _mm256_setzero_ps();
    UNROLL for (int i = 0; i < CHAINS / 2; i++) a[i] = _mm256_set1_ps((float)i);
    for (int n = 0; n < 2 * ROUNDS; n++)
        UNROLL for (int i = 0; i < CHAINS / 2; i++) a[i] = _mm256_fmadd_ps(a[i], x, x);
    UNROLL for (int i = 0; i < CHAINS / 2; i++) sum = _mm256_add_ps(sum, a[i]);
    sink = _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) static void fma_512(void)
{
    __m512 a[CHAINS], x = _mm512_set1_ps(sink), sum = _mm512_setzero_ps();
    UNROLL for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (int n = 0; n < ROUNDS; n++)
        UNROLL for (int i = 0; i < CHAINS; i++) a[i] = _mm512_fmadd_ps(a[i], x, x);
    UNROLL for (int i = 0; i < CHAINS; i++) sum = _mm512_add_ps(sum, a[i]);
    sink = _mm512_cvtss_f32(sum);
}

__attribute__((target("avx512f,avx512bf16"))) static void bf16_512(void)
{
    __m512 a[CHAINS], sum = _mm512_setzero_ps();
    const __m512bh x = (__m512bh)_mm512_set1_ps(sink);
    UNROLL for (int i = 0; i < CHAINS; i++) a[i] = _mm512_set1_ps((float)i);
    for (int n = 0; n < ROUNDS; n++)
        UNROLL for (int i = 0; i < CHAINS; i++) a[i] = _mm512_dpbf16_ps(a[i], x, x);
    UNROLL for (int i = 0; i < CHAINS; i++) sum = _mm512_add_ps(sum, a[i]);
    sink = _mm512_cvtss_f32(sum);
}

typedef int32_t lanes
    __attribute__((vector_size(64))); /* one type within a loop: see block_kernels.c */

__attribute__((target("avx512f,avx512vnni"))) static void int8_512(void)
{
    lanes a[CHAINS], sum = (lanes)_mm512_setzero_si512();
    const __m512i x = _mm512_castps_si512(_mm512_set1_ps(sink));
    UNROLL for (int i = 0; i < CHAINS; i++) a[i] = (lanes)_mm512_set1_epi32(i);
    for (int n = 0; n < ROUNDS; n++)
        UNROLL for (int i = 0; i < CHAINS; i++) a[i] =
            (lanes)_mm512_dpbusd_epi32((__m512i)a[i], x, x);
    UNROLL for (int i = 0; i < CHAINS; i++) sum += a[i];
    sink = (float)sum[0];
}
#endif

typedef void (*loop_fn)(void);

static void run_loop(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    (void)begin;
    (void)end;
    (*(loop_fn *)ud)();
}

/* 10^9 operations a second of a loop whose instruction does `ops` of them. */
static double rate(loop_fn loop, double ops)
{
    double best = 0;
    for (int i = 0; loop && i < TRIES; i++) {
        double start = r1_os_seconds();
        r1_pool_each(pool, run_loop, &loop);
        double s = r1_os_seconds() - start;
        double now = ops * CHAINS * ROUNDS * r1_pool_threads(pool) / s * 1e-9;
        best = now > best ? now : best;
    }
    return best;
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void read_part(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const uint64_t *p = ud;
    uint64_t a[8] = {0};
    for (int64_t i = begin; i < end; i += 8)
        for (int k = 0; k < 8; k++)
            a[k] ^= p[i + k];
    for (int k = 1; k < 8; k++)
        a[0] ^= a[k];
    sink = (float)a[0];
}

static double read_rate(void) /* 10^9 bytes a second */
{
    void *p;
    r1_err err = {0};
    if (r1_mem_large(BUFFER, &p, &err) != R1_OK)
        return 0;
    memset(p, 1, BUFFER);
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = r1_os_seconds();
        r1_pool_for(pool, BUFFER / 8, 1 << 16, read_part, p);
        double now = BUFFER / (r1_os_seconds() - start) * 1e-9;
        best = now > best ? now : best;
    }
    r1_mem_large_free(p, BUFFER);
    return best;
}

/* ---- The kernels ------------------------------------------------------------------------- */

/* Weights of any dtype whose bytes are all 0x11: finite and not zero. */
static r1_packed *pack(r1_dtype t, int64_t o, int64_t k)
{
    r1_packed *p = NULL;
    r1_err err = {0};
    void *data = r1_mem_alloc(r1_tensor_bytes(t, o * k));
    memset(data, 0x11, r1_tensor_bytes(t, o * k));
    const r1_pack_want want = {.p = &p, .w = r1_tensor_2d(data, t, o, k), .as = t};
    if (r1_matmul_pack(pool, r1_isa_detect(), &want, 1, &err) != R1_OK) {
        fprintf(stderr, "limits: %s\n", err.msg);
        exit(1);
    }
    r1_mem_free(data);
    return p;
}

/* One product of n rows with each of enough weights (O,K) that no cache holds them; limit: 10^9
 * operations a second for n > 1, bytes for n = 1. */
static void print_product(r1_dtype t, int64_t n, int64_t k, int64_t o, double limit, bool last)
{
    enum { MAX_COPIES = 64 };
    r1_packed *w[MAX_COPIES];
    r1_matmul_scratch scratch = {0};
    int copies = 0;
    for (size_t bytes = 0; copies < (n > 1 ? 1 : MAX_COPIES) && bytes < BUFFER; copies++) {
        w[copies] = pack(t, o, k);
        bytes += w[copies]->bytes;
    }
    const r1_dtype act = t == R1_BF16 ? R1_BF16 : R1_F32;
    float *x = r1_mem_alloc((size_t)(n * k) * 4), *y = r1_mem_alloc((size_t)(n * o) * 4);
    r1_tensor out = r1_tensor_2d(y, R1_F32, n, o);
    double best = 1e9;
    for (int i = 0; i < TRIES; i++) {
        double start = r1_os_seconds();
        for (int c = 0; c < copies; c++)
            r1_matmul_run(pool, r1_isa_detect(), &scratch, &out, r1_tensor_2d(x, act, n, k),
                          &w[c], 1, 0);
        double s = (r1_os_seconds() - start) / copies;
        best = s < best ? s : best;
    }
    const double did = (n > 1 ? 2.0 * (double)(n * k * o) : (double)w[0]->bytes) / best * 1e-9;
    printf("{\"weights\": \"%s\", \"rows\": %d, \"inputs\": %d, \"outputs\": %d, "
           "\"%s\": %.1f, \"share\": %.3f}%s",
           r1_tensor_traits(t)->name, (int)n, (int)k, (int)o, n > 1 ? "gops" : "gb_s", did,
           limit > 0 ? did / limit : 0, last ? "" : ", ");
    for (int c = 0; c < copies; c++)
        r1_matmul_pack_free(w[c]);
    r1_matmul_scratch_release(&scratch);
    r1_mem_free(x);
    r1_mem_free(y);
}

int main(int argc, char **argv)
{
    r1_err err = {0};
    if (r1_pool_open(argc > 1 ? atoi(argv[1]) : 0, &pool, &err) != R1_OK) {
        fprintf(stderr, "limits: %s\n", err.msg);
        return 1;
    }
    loop_fn f32 = NULL, bf16 = NULL, int8 = NULL;
    double width = 0; /* F32 operations an instruction */
#if defined(__x86_64__)
    r1_os_cpu cpu = r1_os_cpu_features();
    f32 = cpu.avx512 ? fma_512 : cpu.avx2 ? fma_256 : NULL;
    bf16 = cpu.avx512_bf16 ? bf16_512 : NULL;
    int8 = cpu.avx512_vnni ? int8_512 : NULL;
    width = cpu.avx512 ? 32 : 16;
#endif
    const double read = read_rate(), f = rate(f32, width), b = rate(bf16, 64);
    const double i = rate(int8, 128);
    /* BF16 weights meet the faster of the two instructions, see isa.c. */
    const double narrow = r1_isa_detect() == R1_ISA_AVX512BF16 ? b : f;
    printf("{\"threads\": %d, \"isa\": \"%s\", \"read_gb_s\": %.1f, \"f32_gflops\": %.1f, "
           "\"bf16_gflops\": %.1f, \"int8_gops\": %.1f, \"matmul\": [",
           r1_pool_threads(pool), r1_isa_text(r1_isa_detect()), read, f, b, i);
    static const int shapes[][3] = {{512, 576, 1536},
                                    {512, 1536, 576},
                                    {256, 576, 49152},
                                    {64, 576, 1536},
                                    {1, 4096, 4096}};
    static const r1_dtype weights[] = {R1_F32,  R1_BF16, R1_Q8_0, R1_Q4_0,
                                       R1_Q4_K, R1_Q5_K, R1_Q6_K};
    enum {
        SHAPES = sizeof shapes / sizeof shapes[0],
        WEIGHTS = sizeof weights / sizeof *weights
    };
    for (int s = 0; s < SHAPES; s++)
        for (int w = 0; w < WEIGHTS; w++) {
            const bool block = r1_tensor_traits(weights[w])->block > 1;
            if (shapes[s][1] % r1_tensor_traits(weights[w])->block)
                continue;
            print_product(weights[w], shapes[s][0], shapes[s][1], shapes[s][2],
                          shapes[s][0] == 1       ? read
                          : block                 ? i / 2
                          : weights[w] == R1_BF16 ? narrow
                                                  : f,
                          s == SHAPES - 1 && w == WEIGHTS - 1);
        }
    printf("]}\n");
    r1_pool_close(pool);
    return 0;
}
