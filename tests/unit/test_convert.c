/* Conversion: the golden models to GGUF and back, to the bit; against the files that gguf-py made
 * of them; types, shards, random models, and what must be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compute/quant.h"
#include "model/convert.h"
#include "model/safetensors.h"

#define GOLDEN R1_SOURCE_DIR "/tests/golden/"

static char dir[] = "/tmp/r1-test-convert-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    r1_os_dir_abort(dir);
    return 0;
}

typedef struct {
    char s[256];
} text;

static text in_dir(const char *name)
{
    text t;
    snprintf(t.s, sizeof t.s, "%s/%s", dir, name);
    return t;
}

static text golden(const char *name, const char *ending)
{
    text t;
    snprintf(t.s, sizeof t.s, GOLDEN "%s%s", name, ending);
    return t;
}

static r1_convert_options options(const char *type)
{
    r1_convert_options o = {.threads = 2, .shard = 5000000000};
    r1_err err = {0};
    if (type &&
        r1_convert_find(type, R1_CONVERT_PLAIN | R1_CONVERT_BLOCKS, &o.type, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return o;
}

static void convert(const char *src, const char *dst, const char *type)
{
    const r1_convert_options o = options(type);
    r1_convert_result r;
    r1_err err = {0};
    if (r1_convert_run(src, dst, &o, &r, &err) != R1_OK)
        fail_msg("%s", err.msg);
    assert_true(r.tensors > 0 && r.bytes > 0);
}

static void refused(const char *src, const char *dst, const char *type, const char *why)
{
    const r1_convert_options o = options(type);
    r1_convert_result r;
    r1_err err = {0};
    assert_int_not_equal(r1_convert_run(src, dst, &o, &r, &err), R1_OK);
    if (!strstr(err.msg, why))
        fail_msg("'%s' not in '%s'", why, err.msg);
}

static void expect_same_tensor(const char *name, r1_tensor a, r1_tensor b)
{
    if (a.dtype != b.dtype || a.rank != b.rank || memcmp(a.shape, b.shape, sizeof a.shape) != 0)
        fail_msg("%s: other dtype or shape", name);
    if (memcmp(a.data, b.data, r1_tensor_bytes(a.dtype, r1_tensor_count(a))) != 0)
        fail_msg("%s: other numbers", name);
}

static void expect_same_config(const char *a, const char *b)
{
    char *said[2];
    const char *path[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        r1_model *m;
        assert_int_equal(r1_model_open_files(path[i], NULL, &m, NULL), R1_OK);
        json_t *o =
            r1_config_to_json(&m->cfg, "", r1_tokenizer_bos(m->tok), r1_tokenizer_eos(m->tok));
        said[i] = json_dumps(o, JSON_SORT_KEYS);
        json_decref(o);
        r1_model_close(m);
    }
    assert_string_equal(said[0], said[1]);
    free(said[0]);
    free(said[1]);
}

/* ---- There and back ---------------------------------------------------------------------- */

static void a_round_trip_keeps_every_bit(void **state)
{
    (void)state;
    static const char *const names[] = {
        "model-a",          "model-b",        "model-bias",          "model-qwen2",
        "model-qwen2-yarn", "model-deepseek", "model-deepseek-plain"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const text src = golden(names[i], "");
        const text file = in_dir("there.gguf"), back = in_dir("back");
        r1_safetensors *a, *b;
        convert(src.s, file.s, NULL);
        convert(file.s, back.s, NULL);
        assert_int_equal(r1_safetensors_open(src.s, &a, NULL), R1_OK);
        assert_int_equal(r1_safetensors_open(back.s, &b, NULL), R1_OK);
        for (size_t k = 0; k < r1_safetensors_count(b); k++) {
            const r1_safetensors_entry *e = r1_safetensors_at(b, k);
            const r1_safetensors_entry *was = r1_safetensors_find(a, e->name);
            assert_non_null(was);
            expect_same_tensor(e->name, was->t, e->t);
        }
        r1_safetensors_close(a);
        r1_safetensors_close(b);
        expect_same_config(src.s, file.s);
        expect_same_config(src.s, back.s);
        r1_os_dir_abort(back.s);
    }
}

/* The permutation, the experts' stacks and the split latents are those of the field. */
static void tensors_are_as_gguf_py_has_them(void **state)
{
    (void)state;
    static const char *const names[] = {"model-a", "model-qwen2", "model-qwen2-yarn",
                                        "model-deepseek"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const text src = golden(names[i], ""), file = golden(names[i], ".gguf");
        const text made = in_dir("made.gguf");
        r1_gguf *a, *b;
        convert(src.s, made.s, "F32");
        assert_int_equal(r1_gguf_open(file.s, false, &a, NULL), R1_OK);
        assert_int_equal(r1_gguf_open(made.s, false, &b, NULL), R1_OK);
        assert_int_equal(a->n_tensor, b->n_tensor);
        for (uint64_t k = 0; k < a->n_tensor; k++) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)a->tensor[k].name.n, a->tensor[k].name.s);
            const r1_gguf_tensor *t = r1_gguf_find_tensor(b, name);
            assert_non_null(t);
            expect_same_tensor(name, a->tensor[k].t, t->t);
        }
        r1_gguf_close(a);
        r1_gguf_close(b);
    }
}

static void tokenizers_go_along(void **state)
{
    (void)state;
    static const char words[] = "12 + 34 = 46\nabc <eos> \xC3\xA9";
    const text src = golden("model-a", ""), file = in_dir("t.gguf"), back = in_dir("t");
    convert(src.s, file.s, NULL);
    convert(file.s, back.s, NULL);
    const char *const path[3] = {src.s, file.s, back.s};
    int32_t *ids[3] = {NULL, NULL, NULL};
    size_t n[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++) {
        r1_model *m;
        assert_int_equal(r1_model_open_files(path[i], NULL, &m, NULL), R1_OK);
        assert_int_equal(r1_tokenizer_encode(m->tok, words, sizeof words - 1, true, true,
                                             &ids[i], &n[i], NULL),
                         R1_OK);
        assert_int_equal(n[i], n[0]);
        assert_memory_equal(ids[i], ids[0], n[0] * sizeof *ids[0]);
        r1_model_close(m);
    }
    for (int i = 0; i < 3; i++)
        r1_mem_free(ids[i]);
    r1_os_dir_abort(back.s);
}

/* ---- Parts and copies -------------------------------------------------------------------- */

static void large_models_are_dealt_out(void **state)
{
    (void)state;
    const text src = golden("model-qwen2", ""), back = in_dir("shards");
    r1_convert_options o = options("BF16");
    r1_convert_result r;
    r1_safetensors *whole, *shards;
    o.shard = 8000;
    assert_int_equal(r1_convert_run(src.s, back.s, &o, &r, NULL), R1_OK);
    assert_false(r1_os_exists(in_dir("shards/model.safetensors").s));
    assert_true(r1_os_exists(in_dir("shards/model-00001-of-00004.safetensors").s));
    const text one = in_dir("one");
    convert(src.s, one.s, "BF16");
    assert_int_equal(r1_safetensors_open(back.s, &shards, NULL), R1_OK);
    assert_int_equal(r1_safetensors_open(one.s, &whole, NULL), R1_OK);
    assert_int_equal(r1_safetensors_count(shards), r1_safetensors_count(whole));
    for (size_t k = 0; k < r1_safetensors_count(whole); k++) {
        const r1_safetensors_entry *a = r1_safetensors_at(whole, k);
        const r1_safetensors_entry *b = r1_safetensors_at(shards, k);
        assert_string_equal(a->name, b->name);
        expect_same_tensor(a->name, a->t, b->t);
    }
    r1_safetensors_close(shards);
    r1_safetensors_close(whole);
    r1_os_dir_abort(back.s);
    r1_os_dir_abort(one.s);
}

static void parts_are_joined(void **state)
{
    (void)state;
    const text src = golden("split/model-a-00003-of-00003", ".gguf"), whole = in_dir("w.gguf");
    r1_gguf *a, *b;
    convert(src.s, whole.s, NULL);
    assert_int_equal(r1_gguf_open(golden("model-a", ".gguf").s, false, &a, NULL), R1_OK);
    assert_int_equal(r1_gguf_open(whole.s, false, &b, NULL), R1_OK);
    assert_null(r1_gguf_find(b, "split.count"));
    assert_int_equal(a->n_kv, b->n_kv);
    assert_int_equal(a->n_tensor, b->n_tensor);
    for (uint64_t k = 0; k < a->n_tensor; k++)
        expect_same_tensor("tensor", a->tensor[k].t, b->tensor[k].t);
    r1_gguf_close(a);
    r1_gguf_close(b);
}

/* ---- Types ------------------------------------------------------------------------------- */

static void write_text(const char *path, const char *s)
{
    r1_os_file *f;
    assert_int_equal(r1_os_file_open(path, &f, NULL), R1_OK);
    r1_os_file_write(f, s, strlen(s));
    assert_int_equal(r1_os_file_commit(f, NULL), R1_OK);
}

/* A Llama of 8 layers whose rows are of 256 numbers, but 96 for the down-projection. */
static text config_of(const char *more)
{
    char s[512];
    snprintf(
        s, sizeof s,
        "{\"model_type\": \"llama\", \"hidden_size\": 256, \"num_hidden_layers\": 8, "
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"intermediate_size\": 96, "
        "\"vocab_size\": 300, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5%s}",
        more);
    const text path = in_dir("config.json");
    write_text(path.s, s);
    return path;
}

static void create(const char *config, const char *dst, const char *type, int threads)
{
    r1_convert_options o = options(type);
    r1_convert_result r;
    r1_err err = {0};
    o.threads = threads;
    if (r1_convert_create(config, NULL, dst, 7, &o, &r, &err) != R1_OK)
        fail_msg("%s", err.msg);
}

static r1_dtype dtype_of(const r1_gguf *g, const char *name)
{
    const r1_gguf_tensor *t = r1_gguf_find_tensor(g, name);
    if (!t)
        fail_msg("%s is missing", name);
    return t->t.dtype;
}

static int64_t file_type_of(const r1_gguf *g)
{
    int64_t v = -1;
    assert_int_equal(r1_gguf_int(g, "general.file_type", 0, 100, &v, NULL), R1_OK);
    return v;
}

static void random_models_are_a_function_of_the_seed(void **state)
{
    (void)state;
    const text config = config_of(""), a = in_dir("a.gguf"), b = in_dir("b.gguf");
    create(config.s, a.s, "Q8_0", 1);
    create(config.s, b.s, "Q8_0", 2);
    r1_os_map x, y;
    assert_int_equal(r1_os_map_open(a.s, &x, NULL), R1_OK);
    assert_int_equal(r1_os_map_open(b.s, &y, NULL), R1_OK);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    r1_os_map_close(&x);
    r1_os_map_close(&y);
    /* It runs, and its weights are those of the formula. */
    r1_model *m;
    const r1_model_options o = {.threads = 1, .compute = R1_COMPUTE_F32};
    r1_err err = {0};
    create(config.s, a.s, "F32", 2);
    if (r1_model_open_with(a.s, &o, &m, &err) != R1_OK)
        fail_msg("%s", err.msg);
    float row[256];
    for (int i = 0; i < m->n_params; i++) {
        const r1_tensor t = *m->params[i].rows;
        if (t.rank != 2)
            continue;
        r1_model_initial(m, i, 0.02f, 7, t.shape[0] - 1, 1, row);
        assert_memory_equal(row, (float *)t.data + (t.shape[0] - 1) * t.shape[1],
                            (size_t)t.shape[1] * sizeof *row);
    }
    r1_model_close(m);
}

static void heads_and_sensitive_layers_are_kept_higher(void **state)
{
    (void)state;
    static const struct {
        const char *type, *more;
        r1_dtype embed, head, gate, value0, value1, down0, down1;
        int file_type;
    } cases[] = {
        {"F16", "", R1_F16, R1_F16, R1_F16, R1_F16, R1_F16, R1_F16, R1_F16, 1},
        {"Q8_0", "", R1_Q8_0, R1_Q8_0, R1_Q8_0, R1_Q8_0, R1_Q8_0, R1_Q8_0, R1_Q8_0, 7},
        {"Q4_0", "", R1_Q6_K, R1_Q6_K, R1_Q4_0, R1_Q4_0, R1_Q4_0, R1_Q4_0, R1_Q4_0, 2},
        {"Q4_0", ", \"tie_word_embeddings\": true", R1_Q6_K, R1_Q6_K, R1_Q4_0, R1_Q4_0, R1_Q4_0,
         R1_Q4_0, R1_Q4_0, 2},
        {"Q4_K", "", R1_Q6_K, R1_Q6_K, R1_Q4_K, R1_Q6_K, R1_Q4_K, R1_Q8_0, R1_Q5_0, 15},
        {"Q5_K", "", R1_Q6_K, R1_Q6_K, R1_Q5_K, R1_Q6_K, R1_Q5_K, R1_Q8_0, R1_Q5_1, 17},
        {"Q3_K", "", R1_Q6_K, R1_Q6_K, R1_Q3_K, R1_Q5_K, R1_Q3_K, R1_Q5_1, R1_IQ4_NL, 12},
        {"Q6_K", "", R1_Q6_K, R1_Q6_K, R1_Q6_K, R1_Q6_K, R1_Q6_K, R1_Q8_0, R1_Q8_0, 18},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const text config = config_of(cases[i].more), file = in_dir("types.gguf");
        r1_gguf *g;
        create(config.s, file.s, cases[i].type, 2);
        assert_int_equal(r1_gguf_open(file.s, false, &g, NULL), R1_OK);
        assert_int_equal(file_type_of(g), cases[i].file_type);
        assert_int_equal(dtype_of(g, "token_embd.weight"), cases[i].embed);
        if (!cases[i].more[0])
            assert_int_equal(dtype_of(g, "output.weight"), cases[i].head);
        assert_int_equal(dtype_of(g, "blk.3.ffn_gate.weight"), cases[i].gate);
        assert_int_equal(dtype_of(g, "blk.0.attn_v.weight"), cases[i].value0);
        assert_int_equal(dtype_of(g, "blk.1.attn_v.weight"), cases[i].value1);
        assert_int_equal(dtype_of(g, "blk.0.ffn_down.weight"), cases[i].down0);
        assert_int_equal(dtype_of(g, "blk.1.ffn_down.weight"), cases[i].down1);
        assert_int_equal(dtype_of(g, "blk.1.attn_norm.weight"), R1_F32);
        r1_gguf_close(g);
    }
}

/* A GGUF of a family that is unknown here; metadata stay but for the file's own. */
static void any_gguf_is_quantised(void **state)
{
    (void)state;
    const text src = in_dir("mamba.gguf"), dst = in_dir("mamba-q8.gguf");
    float x[64];
    for (int i = 0; i < 64; i++)
        x[i] = (float)(i - 32) / 8;
    r1_gguf_write *w = r1_gguf_write_new();
    r1_gguf_write_str(w, "general.architecture", "mamba", 5);
    r1_gguf_write_u32(w, "general.file_type", 0);
    r1_gguf_write_u32(w, "general.alignment", 32);
    r1_gguf_write_str(w, "mamba.extra", "kept", 4);
    r1_gguf_write_describe(w, "blk.0.ssm.weight", r1_tensor_2d(NULL, R1_F32, 2, 32));
    r1_gguf_write_describe(w, "odd.weight", r1_tensor_2d(NULL, R1_F32, 4, 16));
    assert_int_equal(r1_gguf_write_open(w, src.s, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_bytes(w, x, sizeof x, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_bytes(w, x, sizeof x, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_commit(w, NULL), R1_OK);
    r1_gguf_write_free(w);
    convert(src.s, dst.s, "Q8_0");
    r1_gguf *g;
    assert_int_equal(r1_gguf_open(dst.s, false, &g, NULL), R1_OK);
    assert_int_equal(file_type_of(g), 7);
    assert_non_null(r1_gguf_find(g, "mamba.extra"));
    assert_null(r1_gguf_find(g, "general.alignment"));
    assert_int_equal(dtype_of(g, "blk.0.ssm.weight"), R1_Q8_0);
    assert_int_equal(dtype_of(g, "odd.weight"), R1_F16);
    uint8_t blocks[68];
    r1_quant_encode(R1_Q8_0, x, blocks, 64);
    assert_memory_equal(r1_gguf_find_tensor(g, "blk.0.ssm.weight")->t.data, blocks, 68);
    r1_gguf_close(g);
    refused(src.s, in_dir("mamba").s, NULL, "architecture 'mamba' is not supported");
}

/* ---- Refusals ---------------------------------------------------------------------------- */

static void values_must_fit(void **state)
{
    (void)state;
    const text src = in_dir("bad.gguf"), dst = in_dir("bad-out.gguf");
    static const float bad[] = {70000.0f, (float)INFINITY, (float)NAN};
    for (int i = 0; i < 3; i++) {
        float x[32] = {0};
        x[5] = bad[i];
        r1_gguf_write *w = r1_gguf_write_new();
        r1_gguf_write_describe(w, "w", r1_tensor_2d(NULL, R1_F32, 1, 32));
        assert_int_equal(r1_gguf_write_open(w, src.s, NULL), R1_OK);
        assert_int_equal(r1_gguf_write_bytes(w, x, sizeof x, NULL), R1_OK);
        assert_int_equal(r1_gguf_write_commit(w, NULL), R1_OK);
        r1_gguf_write_free(w);
        if (i == 0)
            refused(src.s, dst.s, "F16", "tensor 'w' has values that F16 cannot hold");
        else
            refused(src.s, dst.s, "Q8_0", "tensor 'w' has values that Q8_0 cannot hold");
        assert_false(r1_os_exists(dst.s));
        convert(src.s, dst.s, "BF16");
        r1_os_dir_abort(dst.s);
    }
}

static bool stop(void *ud, const r1_convert_progress *p)
{
    (void)ud;
    assert_true(p->done <= p->total && p->tensor);
    return p->done < p->total / 2;
}

static void nothing_is_left_of_what_was_stopped(void **state)
{
    (void)state;
    const char *const names[] = {"stopped.gguf", "stopped"};
    char **left;
    size_t n;
    for (int i = 0; i < 2; i++) {
        r1_convert_options o = options("F32");
        r1_convert_result r;
        r1_err err = {0};
        o.progress = stop;
        assert_int_equal(
            r1_convert_run(golden("model-a", "").s, in_dir(names[i]).s, &o, &r, &err),
            R1_ECANCELED);
        assert_non_null(strstr(err.msg, "interrupted"));
    }
    assert_int_equal(r1_os_list_dir(dir, &left, &n, NULL), R1_OK);
    for (size_t i = 0; i < n; i++) {
        assert_null(strstr(left[i], "stopped"));
        r1_mem_free(left[i]);
    }
    r1_mem_free(left);
}

static void places_are_checked(void **state)
{
    (void)state;
    const text src = golden("model-a", ".gguf"), full = in_dir("full");
    refused(src.s, src.s, "F32", "is the source");
    refused(golden("model-a", "").s, golden("model-a", "").s, "F32", "is the source");
    refused(src.s, in_dir("dir").s, "Q8_0", "whose name ends in .gguf");
    assert_int_equal(r1_os_mkdirs(full.s, NULL), R1_OK);
    write_text(in_dir("full/precious").s, "text");
    refused(src.s, full.s, NULL, "is a directory that is not empty");
    refused(in_dir("none.gguf").s, in_dir("x.gguf").s, NULL, "cannot open");
    refused(src.s, "/nonexistent/x.gguf", NULL, "cannot create");
    r1_convert_options o = options("Q8_0");
    r1_convert_result r;
    r1_err err = {0};
    const text config = config_of("");
    assert_int_equal(r1_convert_create(config.s, NULL, in_dir("x").s, 0, &o, &r, &err),
                     R1_EARG);
    assert_non_null(strstr(err.msg, "must end in .gguf"));
    write_text(config.s, "{");
    assert_int_equal(r1_convert_create(config.s, NULL, in_dir("x.gguf").s, 0, &o, &r, &err),
                     R1_EFORMAT);
    const r1_convert_type *type;
    assert_int_equal(r1_convert_find("Q9", R1_CONVERT_BLOCKS, &type, &err), R1_EARG);
    assert_string_equal(
        err.msg, "type 'Q9' is not one of Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, Q2_K, Q5_1, Q5_0, "
                 "Q4_1, Q4_0, IQ4_NL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_keeps_every_bit),
        cmocka_unit_test(tensors_are_as_gguf_py_has_them),
        cmocka_unit_test(tokenizers_go_along),
        cmocka_unit_test(large_models_are_dealt_out),
        cmocka_unit_test(parts_are_joined),
        cmocka_unit_test(random_models_are_a_function_of_the_seed),
        cmocka_unit_test(heads_and_sensitive_layers_are_kept_higher),
        cmocka_unit_test(any_gguf_is_quantised),
        cmocka_unit_test(values_must_fit),
        cmocka_unit_test(nothing_is_left_of_what_was_stopped),
        cmocka_unit_test(places_are_checked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
