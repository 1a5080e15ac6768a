/* The forward pass against PyTorch's numbers, and against itself: chunked, packed, with a shared
 * prefix, on other thread counts. */
#include "golden.h"

/* ---- Golden ------------------------------------------------------------------------------ */

/* Differences from the golden log-probabilities and entropies, over all sequences. */
typedef struct {
    double max, mean; /* of log-probabilities */
    double entropy;   /* largest */
} difference;

static difference compare(const char *path, const char *golden, r1_compute compute)
{
    r1_model *m = golden_open(path, compute, false);
    json_t *g = golden_json(golden), *s;
    difference d = {0};
    size_t k;
    int count = 0;
    json_array_foreach(json_object_get(g, "sequences"), k, s)
    {
        batch b = {0};
        int n;
        int32_t *ids = golden_ids(json_object_get(s, "ids"), &n);
        batch_add(&b, ids, n, 0);
        const r1_rows rows = batch_rows(&b);
        r1_acts *a;
        OK(r1_forward_open(m, n, false, false, &a, err));
        float lp[BATCH_MAX], entropy[BATCH_MAX];
        r1_tensor h = r1_forward_run(m, a, &rows, b.ids, NULL);
        const float t = (float)json_number_value(json_object_get(s, "temperature"));
        r1_forward_score(m, a, h, b.row, b.target, b.targets, t, lp, entropy);
        for (int i = 0; i < b.targets; i++) {
            const json_t *expected = json_object_get(s, "logprobs");
            const double off = fabs((double)(lp[i] - golden_real(expected, i)));
            expected = json_object_get(s, "entropies");
            d.max = fmax(d.max, off);
            d.mean += off;
            d.entropy = fmax(d.entropy, fabs((double)(entropy[i] - golden_real(expected, i))));
            count++;
        }
        r1_forward_close(a);
        r1_mem_free(ids);
    }
    d.mean /= count;
    json_decref(g);
    r1_model_close(m);
    return d;
}

static void expect_f32(const char *path, const char *golden, r1_compute compute)
{
    const difference d = compare(path, golden, compute);
    if (!(d.max <= 1e-5) || !(d.entropy <= 1e-5))
        fail_msg("%s: log-probabilities differ by %g, entropies by %g", path, d.max, d.entropy);
}

/* F32 sums of a few dozen terms: 1e-5 of numbers up to 10. */
static void golden_f32(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_DIRS; i++)
        expect_f32(golden_dirs[i], golden_dirs[i], R1_COMPUTE_F32);
}

/* AUTO of F32 weights is F32. */
static void golden_auto(void **state)
{
    (void)state;
    expect_f32(GOLDEN_A, GOLDEN_A, R1_COMPUTE_AUTO);
}

static void golden_gguf(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "qwen2", "qwen2-yarn", "deepseek",
                                        "deepseek-plain"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char file[512], dir[512];
        snprintf(file, sizeof file, GOLDEN "model-%s.gguf", names[i]);
        snprintf(dir, sizeof dir, GOLDEN "model-%s", names[i]);
        expect_f32(file, dir, R1_COMPUTE_F32);
    }
}

static void golden_fp8(void **state)
{
    (void)state;
    expect_f32(GOLDEN "model-deepseek-fp8", GOLDEN "model-deepseek-fp8", R1_COMPUTE_F32);
}

/* BF16 keeps 8 bits, and these weights are larger than a trained model's.  The bar is PyTorch's
 * own BF16, which rounds at more places: no farther from F64 than that, and the farthest of some
 * hundred numbers, which is luck, no more than twice as far. */
static void golden_bf16(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_DIRS; i++) {
        json_t *g = golden_json(golden_dirs[i]);
        const json_t *peer = json_object_get(g, "bf16_error");
        const double max = json_number_value(json_object_get(peer, "max"));
        const double mean = json_number_value(json_object_get(peer, "mean"));
        const difference d = compare(golden_dirs[i], golden_dirs[i], R1_COMPUTE_BF16);
        if (!(d.max <= 2 * max) || !(d.mean <= mean) || d.max <= 1e-4)
            fail_msg("%s: off by %g, mean %g; PyTorch %g, mean %g", golden_dirs[i], d.max,
                     d.mean, max, mean);
        json_decref(g);
    }
}

/* ---- One sequence in several ways -------------------------------------------------------- */

/* The longest golden sequence. */
static int32_t *sequence(const char *dir, int *n)
{
    json_t *g = golden_json(dir);
    const json_t *all = json_object_get(g, "sequences");
    const json_t *last = json_array_get(all, json_array_size(all) - 1);
    int32_t *ids = golden_ids(json_object_get(last, "ids"), n);
    json_decref(g);
    return ids;
}

/* r1_forward_run of whole documents and their targets. */
static void score(r1_model *m, const batch *b, float *lp)
{
    r1_acts *a;
    const r1_rows rows = batch_rows(b);
    OK(r1_forward_open(m, b->n, false, false, &a, err));
    r1_tensor h = r1_forward_run(m, a, &rows, b->ids, NULL);
    r1_forward_score(m, a, h, b->row, b->target, b->targets, 1, lp, NULL);
    r1_forward_close(a);
}

static void sequence_call(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_DIRS; i++) {
        r1_model *m = golden_open(golden_dirs[i], R1_COMPUTE_F32, false);
        batch b = {0};
        int n;
        int32_t *ids = sequence(golden_dirs[i], &n);
        float lp[BATCH_MAX], whole[BATCH_MAX];
        OK(r1_forward_sequence(m, ids, n, lp, err));
        batch_add(&b, ids, n, 0);
        score(m, &b, whole);
        assert_memory_equal(lp, whole, (size_t)(n - 1) * sizeof *lp);
        r1_mem_free(ids);
        r1_model_close(m);
    }
}

static r1_kv_layer *open_kv(r1_model *m, int rows, void **block, size_t *bytes)
{
    const int64_t w = r1_config_key_width(&m->cfg), v = r1_config_value_width(&m->cfg);
    const size_t one = r1_tensor_bytes(m->kv_dtype, rows * w);
    r1_kv_layer *kv = R1_NEW_N(r1_kv_layer, (size_t)m->cfg.n_layers);
    *bytes = 2 * one * (size_t)m->cfg.n_layers;
    OK(r1_op_alloc(m->backend, *bytes, block, err));
    for (int i = 0; i < m->cfg.n_layers; i++) {
        char *at = (char *)*block + 2 * one * (size_t)i;
        kv[i].k = r1_tensor_2d(at, m->kv_dtype, rows, w);
        if (v)
            kv[i].v = r1_tensor_2d(at + one, m->kv_dtype, rows, v);
    }
    return kv;
}

/* Prefill in chunks at cache rows from `base` on, then one token at a time from `alone` on. */
static void score_cached(r1_model *m, const int32_t *ids, int n, int chunk, int alone, int base,
                         float *lp)
{
    void *block;
    size_t bytes;
    r1_kv_layer *kv = open_kv(m, base + n + 3, &block, &bytes);
    r1_acts *a;
    OK(r1_forward_open(m, chunk, false, false, &a, err));
    for (int first = 0; first < n;) {
        batch b = {.span = {{base, n}}};
        int take = first >= alone ? 1 : chunk;
        take = take < n - first ? take : n - first;
        for (int i = 0; i < take; i++) {
            const int at = first + i;
            b.pos[i] = at;
            b.key_row[i] = base + at;
            b.n_keys[i] = at + 1;
            if (at + 1 < n)
                batch_target(&b, i, ids[at + 1]);
        }
        b.n = take;
        const r1_rows rows = batch_rows(&b);
        r1_tensor h = r1_forward_run(m, a, &rows, ids + first, kv);
        r1_forward_score(m, a, h, b.row, b.target, b.targets, 1, lp + first, NULL);
        first += take;
    }
    r1_forward_close(a);
    r1_op_free(m->backend, block, bytes);
    r1_mem_free(kv);
}

/* A row's result does not depend on the others of the call: chunks give the same bits. */
static void chunked_prefill(void **state)
{
    (void)state;
    static const r1_compute computes[] = {R1_COMPUTE_F32, R1_COMPUTE_BF16};
    static const int chunks[][3] = {{64, 70, 0}, {7, 70, 5}, {16, 33, 1}, {1, 0, 0}};
    for (int i = 0; i < 2 * GOLDEN_DIRS; i++) {
        const char *dir = golden_dirs[i / 2];
        r1_model *m = golden_open(dir, computes[i % 2], false);
        int n;
        int32_t *ids = sequence(dir, &n);
        float whole[BATCH_MAX], lp[BATCH_MAX];
        OK(r1_forward_sequence(m, ids, n, whole, err));
        for (int c = 0; c < 4; c++) {
            score_cached(m, ids, n, chunks[c][0], chunks[c][1], chunks[c][2], lp);
            for (int t = 0; t < n - 1; t++)
                if (lp[t] != whole[t])
                    fail_msg("%s, compute %d, chunks of %d: target %d has %.9g, not %.9g", dir,
                             (int)computes[i % 2], chunks[c][0], t, (double)lp[t],
                             (double)whole[t]);
        }
        r1_mem_free(ids);
        r1_model_close(m);
    }
}

/* ---- Several documents in one call ------------------------------------------------------- */

static void packed_documents(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_DIRS; i++) {
        r1_model *m = golden_open(golden_dirs[i], R1_COMPUTE_F32, false);
        json_t *g = golden_json(golden_dirs[i]), *s;
        size_t k;
        batch all = {0};
        float packed[BATCH_MAX], single[BATCH_MAX];
        int done = 0;
        json_array_foreach(json_object_get(g, "sequences"), k, s)
        {
            batch one = {0};
            int n;
            int32_t *ids = golden_ids(json_object_get(s, "ids"), &n);
            batch_add(&all, ids, n, 0);
            batch_add(&one, ids, n, 0);
            score(m, &one, single + done);
            done += one.targets;
            r1_mem_free(ids);
        }
        score(m, &all, packed);
        assert_int_equal(all.targets, done);
        assert_memory_equal(packed, single, (size_t)done * sizeof *packed);
        json_decref(g);
        r1_model_close(m);
    }
}

/* Two samples that share a prompt's rows as their prefix, and the same with own copies. */
static void shared_prefix(void **state)
{
    (void)state;
    enum { PROMPT = 19, SAMPLE = 13 };
    for (int i = 0; i < GOLDEN_DIRS; i++) {
        r1_model *m = golden_open(golden_dirs[i], R1_COMPUTE_F32, false);
        int n;
        int32_t *ids = sequence(golden_dirs[i], &n), copy[PROMPT + SAMPLE];
        batch shared = {0}, own = {0};
        float lp_shared[BATCH_MAX], lp_own[BATCH_MAX];
        assert_true(n >= PROMPT + 2 * SAMPLE);
        batch_add(&shared, ids, PROMPT, 0);
        for (int s = 0; s < 2; s++) {
            const int32_t *sample = ids + PROMPT + s * SAMPLE;
            memcpy(copy, ids, PROMPT * sizeof *ids);
            memcpy(copy + PROMPT, sample, SAMPLE * sizeof *ids);
            batch_add(&own, copy, PROMPT + SAMPLE, 0);
            batch_target(&shared, PROMPT - 1, sample[0]);
            batch_add(&shared, sample, SAMPLE, PROMPT);
        }
        score(m, &shared, lp_shared);
        score(m, &own, lp_own);
        for (int s = 0; s < 2; s++)
            for (int t = 0; t < SAMPLE; t++) {
                const float a = lp_shared[PROMPT - 1 + s * SAMPLE + t];
                const float b = lp_own[s * (PROMPT + SAMPLE - 1) + PROMPT - 1 + t];
                if (a != b)
                    fail_msg("%s, sample %d, target %d: %.9g shared, %.9g with its own copy",
                             golden_dirs[i], s, t, (double)a, (double)b);
            }
        r1_mem_free(ids);
        r1_model_close(m);
    }
}

/* ---- The rest of the interface ----------------------------------------------------------- */

static void threads(void **state)
{
    (void)state;
    int n;
    int32_t *ids = sequence(GOLDEN_B, &n);
    float lp[3][BATCH_MAX];
    for (int i = 0; i < 3; i++) {
        const r1_model_options o = {.threads = 1 + 2 * i, .compute = R1_COMPUTE_F32};
        r1_model *m = NULL;
        OK(r1_model_open_with(GOLDEN_B, &o, &m, err));
        OK(r1_forward_sequence(m, ids, n, lp[i], err));
        r1_model_close(m);
        assert_memory_equal(lp[i], lp[0], (size_t)(n - 1) * sizeof(float));
    }
    r1_mem_free(ids);
}

/* The log-softmax of the logits is what scoring says, for any selection of rows. */
static void logits_of_rows(void **state)
{
    (void)state;
    static const int32_t pick[] = {69, 3, 3, 0};
    enum { PICKS = 4 };
    r1_model *m = golden_open(GOLDEN_B, R1_COMPUTE_F32, false);
    const int vocab = m->cfg.vocab;
    batch b = {0};
    int n;
    int32_t *ids = sequence(GOLDEN_B, &n);
    batch_add(&b, ids, n, 0);
    const r1_rows rows = batch_rows(&b);
    r1_acts *a;
    OK(r1_forward_open(m, n, false, false, &a, err));
    r1_tensor h = r1_forward_run(m, a, &rows, b.ids, NULL);
    assert_int_equal(h.shape[0], n);
    assert_int_equal(h.shape[1], m->cfg.d_model);
    float *z = R1_NEW_N(float, (size_t)(PICKS * vocab));
    r1_forward_logits(m, a, h, pick, PICKS, r1_tensor_2d(z, R1_F32, PICKS, vocab));
    const int32_t target[PICKS] = {5, 0, 60, 7};
    float lp[PICKS];
    r1_forward_score(m, a, h, pick, target, PICKS, 0.5f, lp, NULL);
    for (int i = 0; i < PICKS; i++) {
        const float *row = z + i * vocab;
        double sum = 0;
        for (int v = 0; v < vocab; v++)
            sum += exp(2 * (double)row[v]);
        assert_true(fabs(2 * (double)row[target[i]] - log(sum) - (double)lp[i]) < 1e-5);
    }
    assert_memory_equal(z + vocab, z + 2 * vocab, (size_t)vocab * sizeof *z);
    r1_mem_free(z);
    r1_forward_close(a);
    r1_mem_free(ids);
    r1_model_close(m);
}

static void memory(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    const size_t infer = r1_forward_bytes(m, 64, false, false);
    const size_t train = r1_forward_bytes(m, 64, true, false);
    assert_true(infer > 0 && infer < train);
    assert_true(r1_forward_bytes(m, 64, true, true) < train);
    assert_true(r1_forward_bytes(m, 128, true, false) > train);
    r1_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_f32),      cmocka_unit_test(golden_auto),
        cmocka_unit_test(golden_gguf),     cmocka_unit_test(golden_fp8),
        cmocka_unit_test(golden_bf16),     cmocka_unit_test(sequence_call),
        cmocka_unit_test(chunked_prefill), cmocka_unit_test(packed_documents),
        cmocka_unit_test(shared_prefix),   cmocka_unit_test(threads),
        cmocka_unit_test(logits_of_rows),  cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
