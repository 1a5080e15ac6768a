/* golden.h: the golden models of tests/golden (made by tools/gen_golden_model.py) for tests of
 * model, forward and backward: opening, expectations, and rows of packed documents. */
#ifndef R1_GOLDEN_H
#define R1_GOLDEN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "model/backward.h"

#define GOLDEN   R1_SOURCE_DIR "/tests/golden/"
#define GOLDEN_A GOLDEN "model-a"
#define GOLDEN_B GOLDEN "model-b"

/* Every family, tied and untied, biases, and every scaling of rotary frequencies. */
static const char *const golden_dirs[] = {
    GOLDEN_A,
    GOLDEN_B,
    GOLDEN "model-bias",
    GOLDEN "model-qwen2",
    GOLDEN "model-qwen2-yarn",
    GOLDEN "model-deepseek",
    GOLDEN "model-deepseek-plain",
};
enum { GOLDEN_DIRS = sizeof golden_dirs / sizeof golden_dirs[0] };

/* A call that must succeed; the test fails with the message otherwise. */
#define OK(call)                                    \
    do {                                            \
        r1_err ok_err_ = {0}, *err = &ok_err_;      \
        if ((call) != R1_OK)                        \
            fail_msg("%s: %s", #call, ok_err_.msg); \
    } while (0)

static inline r1_model *golden_open(const char *path, r1_compute compute, bool trainable)
{
    const r1_model_options o = {.threads = 2, .compute = compute, .trainable = trainable};
    r1_model *m = NULL;
    OK(r1_model_open_with(path, &o, &m, err));
    return m;
}

static inline json_t *golden_json(const char *dir)
{
    char path[512];
    json_t *j = NULL;
    snprintf(path, sizeof path, "%s/golden.json", dir);
    OK(r1_json_load(path, 1 << 20, &j, err));
    return j;
}

static inline int32_t *golden_ids(const json_t *array, int *n)
{
    *n = (int)json_array_size(array);
    int32_t *ids = R1_NEW_N(int32_t, (size_t)*n);
    for (int i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, (size_t)i));
    return ids;
}

static inline float golden_real(const json_t *array, int i)
{
    return (float)json_number_value(json_array_get(array, (size_t)i));
}

/* ---- Documents in one call --------------------------------------------------------------- */

enum { BATCH_MAX = 256 };

/* Rows of several documents, and the targets to score on them. */
typedef struct {
    int n;
    int32_t ids[BATCH_MAX], pos[BATCH_MAX], key_row[BATCH_MAX];
    int32_t list[BATCH_MAX], n_keys[BATCH_MAX];
    int spans;
    r1_span span[2 * BATCH_MAX];
    int targets;
    int32_t row[BATCH_MAX], target[BATCH_MAX];
} batch;

static inline r1_rows batch_rows(const batch *b)
{
    return (r1_rows){b->n, b->pos, b->key_row, b->span, b->list, b->n_keys};
}

static inline void batch_target(batch *b, int row, int32_t id)
{
    assert_true(b->targets < BATCH_MAX);
    b->row[b->targets] = row;
    b->target[b->targets++] = id;
}

/* Append ids as rows that see prefix (rows [0,prefix) of the call, also its positions) and
 * themselves; every one but the last predicts its successor. */
static inline int batch_add(batch *b, const int32_t *ids, int n, int prefix)
{
    const int first = b->n, list = b->spans;
    assert_true(first + n <= BATCH_MAX);
    if (prefix > 0)
        b->span[b->spans++] = (r1_span){0, prefix};
    b->span[b->spans++] = (r1_span){first, n};
    for (int i = 0; i < n; i++) {
        const int r = b->n++;
        b->ids[r] = ids[i];
        b->pos[r] = prefix + i;
        b->key_row[r] = r;
        b->list[r] = list;
        b->n_keys[r] = prefix + i + 1;
        if (i + 1 < n)
            batch_target(b, r, ids[i + 1]);
    }
    return first;
}

#endif
