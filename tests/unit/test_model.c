/* Opening, saving, creating and cloning models: what is read is what was written, and a wrong file
 * is refused by name. */
#include "golden.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "compute/quant.h"
#include "model/safetensors.h"

/* ---- Places to write --------------------------------------------------------------------- */

typedef struct {
    char dir[64];
    char path[512]; /* of the name last asked for */
} place;

static const char *at(place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->dir, name);
    return p->path;
}

static place place_make(void)
{
    place p = {.dir = "/tmp/r1-test-model-XXXXXX"};
    assert_non_null(mkdtemp(p.dir));
    return p;
}

static void remove_tree(const char *dir)
{
    char **names;
    size_t n;
    OK(r1_os_list_dir(dir, &names, &n, err));
    for (size_t i = 0; i < n; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (r1_os_is_dir(path))
            remove_tree(path);
        else
            unlink(path);
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    assert_int_equal(rmdir(dir), 0);
}

static void write_text(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static char *read_text(const char *dir, const char *name, size_t *n)
{
    char path[512], *text;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    OK(r1_os_read_file(path, 1 << 20, &text, n, err));
    return text;
}

/* A copy of golden model A that a test may spoil. */
static place copy_model(void)
{
    static const char *const files[] = {"config.json", "generation_config.json",
                                        "model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    place p = place_make();
    for (int i = 0; i < 5; i++) {
        size_t n;
        char *text = read_text(GOLDEN_A, files[i], &n);
        write_text(at(&p, files[i]), text, n);
        r1_mem_free(text);
    }
    return p;
}

/* Replace text in a file of the place; it must occur. */
static void edit(place *p, const char *name, const char *from, const char *to)
{
    size_t n;
    char *text;
    OK(r1_os_read_file(at(p, name), 1 << 20, &text, &n, err));
    const char *hit = strstr(text, from);
    if (!hit)
        fail_msg("%s has no '%s'", name, from);
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_append(&b, text, (size_t)(hit - text));
    r1_buf_puts(&b, to);
    r1_buf_puts(&b, hit + strlen(from));
    write_text(at(p, name), b.data, b.len);
    r1_buf_release(&b);
    r1_mem_free(text);
}

/* Opening must fail with this status and every one of these words; the place is removed. */
static void expect_refused(place *p, r1_status status, const char *const words[3])
{
    const r1_model_options o = {.threads = 1};
    r1_model *m = NULL;
    r1_err err = {0};
    const r1_status s = r1_model_open_with(p->dir, &o, &m, &err);
    for (int i = 0; i < 3; i++)
        if (words[i] && !strstr(err.msg, words[i]))
            fail_msg("'%s' not in '%s'", words[i], err.msg);
    assert_int_equal(s, status);
    assert_null(m);
    assert_int_equal(r1_model_open_with(p->dir, &o, &m, NULL), status);
    remove_tree(p->dir);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static void check_config(const r1_config *c, const r1_config *e)
{
    assert_string_equal(c->arch, e->arch);
    assert_int_equal(c->n_layers, e->n_layers);
    assert_int_equal(c->d_model, e->d_model);
    assert_int_equal(c->n_heads, e->n_heads);
    assert_int_equal(c->n_kv_heads, e->n_kv_heads);
    assert_int_equal(c->head_dim, e->head_dim);
    assert_int_equal(c->d_ff, e->d_ff);
    assert_int_equal(c->vocab, e->vocab);
    assert_int_equal(c->context, e->context);
    assert_true(c->norm_eps == e->norm_eps);
    assert_true(c->rope_theta == e->rope_theta);
    assert_int_equal(c->rope_scaling, e->rope_scaling);
    assert_int_equal(c->tied, e->tied);
    assert_int_equal(c->qkv_bias, e->qkv_bias);
    assert_int_equal(c->out_bias, e->out_bias);
    if (e->rope_scaling == R1_ROPE_NONE)
        return;
    assert_true(c->rope_factor == e->rope_factor);
    assert_true(c->rope_low_freq == e->rope_low_freq);
    assert_true(c->rope_high_freq == e->rope_high_freq);
    assert_true(c->rope_beta_fast == e->rope_beta_fast);
    assert_true(c->rope_beta_slow == e->rope_beta_slow);
    assert_true(c->rope_attention == e->rope_attention);
    assert_true(c->rope_mscale == e->rope_mscale);
    assert_true(c->rope_mscale_all == e->rope_mscale_all);
    assert_int_equal(c->rope_original_context, e->rope_original_context);
}

static const r1_config config_a = {.arch = "llama",
                                   .n_layers = 2,
                                   .d_model = 32,
                                   .n_heads = 4,
                                   .n_kv_heads = 2,
                                   .head_dim = 8,
                                   .d_ff = 48,
                                   .vocab = 97,
                                   .context = 128,
                                   .norm_eps = 1e-5f,
                                   .rope_theta = 10000,
                                   .tied = true};
static const r1_config config_b = {.arch = "llama",
                                   .n_layers = 2,
                                   .d_model = 48,
                                   .n_heads = 6,
                                   .n_kv_heads = 2,
                                   .head_dim = 16,
                                   .d_ff = 64,
                                   .vocab = 61,
                                   .context = 256,
                                   .norm_eps = 1e-6f,
                                   .rope_theta = 10000,
                                   .rope_scaling = R1_ROPE_LLAMA3,
                                   .rope_factor = 8,
                                   .rope_low_freq = 1,
                                   .rope_high_freq = 4,
                                   .rope_original_context = 32};

static void expect_shape(const r1_param *p, int rank, int rows, int cols)
{
    assert_int_equal(p->rows->rank, rank);
    assert_int_equal(p->rows->shape[0], rows);
    assert_int_equal(p->rows->shape[1], cols);
    assert_int_equal(p->decay, rank == 2);
}

static void open_directory(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_AUTO, false);
    check_config(&m->cfg, &config_a);
    assert_int_equal(m->compute, R1_COMPUTE_F32);
    assert_int_equal(m->act, R1_F32);
    assert_false(m->trainable);
    assert_int_equal(m->n_params, 2 + 2 * 9); /* the tied head is not listed */
    assert_int_equal(r1_model_count(m), 97 * 32 + 32 + 2 * (64 + 3072 + 3 * 48 * 32));
    assert_string_equal(m->params[0].name, "model.embed_tokens.weight");
    expect_shape(&m->params[0], 2, 97, 32);
    assert_ptr_equal(m->head.rows.data, m->embed.data);
    assert_ptr_equal(m->params[2].linear, &m->layers[0].wq);
    r1_model_close(m);

    m = golden_open(GOLDEN_B, R1_COMPUTE_BF16, false);
    check_config(&m->cfg, &config_b);
    assert_int_equal(m->act, R1_BF16);
    assert_int_equal(m->kv_dtype, R1_BF16);
    assert_int_equal(m->n_params, 3 + 2 * 9);
    assert_int_equal(r1_model_count(m), 2 * 61 * 48 + 48 + 2 * (96 + 12288 + 3 * 64 * 48));
    assert_string_equal(m->params[11].name, "model.layers.1.self_attn.q_proj.weight");
    expect_shape(&m->params[11], 2, 96, 48);
    expect_shape(&m->params[10], 1, 48, 1);
    expect_shape(m->params + 20, 2, 61, 48);
    assert_string_equal(m->params[20].name, "lm_head.weight");
    r1_model_close(m);
}

static void open_trainable(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN_B, R1_COMPUTE_AUTO, true);
    assert_true(m->trainable && m->f32_masters_owned);
    assert_int_equal(m->compute, R1_COMPUTE_BF16);
    for (int i = 0; i < m->n_params; i++) {
        assert_int_equal(m->params[i].rows->dtype, R1_F32);
        if (m->params[i].linear) {
            assert_non_null(m->params[i].linear->fwd);
            assert_non_null(m->params[i].linear->bwd);
        }
    }
    r1_model_close(m);
}

static void expect_tokens(const r1_model *m)
{
    json_t *g = golden_json(GOLDEN_A);
    const json_t *text = json_object_get(g, "text");
    const char *s = json_string_value(json_object_get(text, "text"));
    int n_expected;
    int32_t *expected = golden_ids(json_object_get(text, "ids"), &n_expected), *ids = NULL;
    size_t n = 0;
    OK(r1_tokenizer_encode(m->tok, s, strlen(s), true, false, &ids, &n, err));
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
    r1_mem_free(ids);
    r1_mem_free(expected);
    json_decref(g);
}

/* The same weights from both kinds of files: after the rotary pairs are undone, bit for bit. */
static void same_model(const char *dir, const char *file)
{
    r1_model *d = golden_open(dir, R1_COMPUTE_AUTO, false);
    r1_model *g = golden_open(file, R1_COMPUTE_AUTO, false);
    check_config(&g->cfg, &d->cfg);
    assert_int_equal(g->n_params, d->n_params);
    for (int i = 0; i < d->n_params; i++) {
        const r1_param *p = &d->params[i], *q = &g->params[i];
        assert_string_equal(p->name, q->name);
        assert_memory_equal(p->rows->data, q->rows->data,
                            (size_t)r1_tensor_count(*p->rows) * sizeof(float));
    }
    static const int32_t ids[] = {5, 60, 17, 42, 3, 3, 60, 8};
    float a[7], b[7];
    OK(r1_forward_sequence(d, ids, 8, a, err));
    OK(r1_forward_sequence(g, ids, 8, b, err));
    assert_memory_equal(a, b, sizeof a);
    r1_model_close(d);
    r1_model_close(g);
}

static void open_gguf(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "qwen2", "qwen2-yarn", "deepseek",
                                        "deepseek-plain"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char dir[512], file[512];
        snprintf(dir, sizeof dir, GOLDEN "model-%s", names[i]);
        snprintf(file, sizeof file, GOLDEN "model-%s.gguf", names[i]);
        same_model(dir, file);
    }
    r1_model *d = golden_open(GOLDEN_A, R1_COMPUTE_AUTO, false);
    r1_model *g = golden_open(GOLDEN "model-a.gguf", R1_COMPUTE_AUTO, false);
    check_config(&g->cfg, &config_a);
    expect_tokens(d);
    expect_tokens(g);
    r1_model_close(d);
    r1_model_close(g);
}

/* Biases are vectors without weight decay, listed after their matrices. */
static void open_biases(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN "model-qwen2", R1_COMPUTE_F32, true);
    assert_true(m->cfg.qkv_bias && !m->cfg.out_bias);
    assert_int_equal(m->n_params, 3 + 2 * 12);
    assert_string_equal(m->params[3].name, "model.layers.0.self_attn.q_proj.bias");
    expect_shape(&m->params[3], 1, 24, 1);
    assert_null(m->params[3].linear);
    assert_true(r1_tokenizer_size(m->tok) == 61 && m->cfg.vocab == 64); /* rows beyond */
    r1_model_close(m);
    m = golden_open(GOLDEN "model-bias", R1_COMPUTE_F32, false);
    assert_true(m->cfg.qkv_bias && m->cfg.out_bias && m->layers[1].bo.data);
    assert_int_equal(m->n_params, 2 + 2 * 13);
    r1_model_close(m);
}

/* FP8 is multiplied by its blocks' scales, which may be in the other file of the two; a layer
 * that predicts further tokens is left alone. */
static void open_fp8(void **state)
{
    (void)state;
    static const char dir[] = GOLDEN "model-deepseek-fp8";
    r1_model *m = golden_open(dir, R1_COMPUTE_AUTO, false);
    assert_int_equal(m->compute, R1_COMPUTE_BF16);
    assert_int_equal(m->layers[0].gate.rows.dtype, R1_BF16);
    assert_int_equal(m->cfg.n_layers, 2);
    r1_model *wide = golden_open(dir, R1_COMPUTE_F32, false);
    r1_model *train = golden_open(dir, R1_COMPUTE_F32, true);
    r1_safetensors *s = NULL;
    OK(r1_safetensors_open(dir, &s, err));
    for (int i = 0; i < wide->n_params; i++) {
        const r1_tensor a = *wide->params[i].rows, b = *train->params[i].rows;
        assert_memory_equal(a.data, b.data, (size_t)r1_tensor_count(a) * sizeof(float));
    }
    /* A column of the second block of columns, a row of the second block of rows. */
    const r1_tensor q = r1_safetensors_find(s, "model.layers.0.mlp.down_proj.weight")->t;
    const r1_tensor scale =
        r1_safetensors_find(s, "model.layers.0.mlp.down_proj.weight_scale_inv")->t;
    assert_true(scale.shape[0] == 1 && scale.shape[1] == 2 && q.dtype == R1_F8_E4M3);
    float x;
    r1_quant_decode(q.dtype, (const char *)q.data + 5 * q.shape[1] + 130, &x, 1);
    const float *rows = wide->layers[0].down.rows.data;
    assert_true(rows[5 * q.shape[1] + 130] == x * ((const float *)scale.data)[1]);
    r1_safetensors_close(s);
    r1_model_close(m);
    r1_model_close(wide);
    r1_model_close(train);
}

static void open_experts(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN "model-deepseek", R1_COMPUTE_F32, true);
    const r1_config *c = &m->cfg;
    assert_string_equal(c->arch, "deepseek_v3");
    assert_true(c->kv_rank == 12 && c->q_rank == 14 && c->nope_dim == 6 && c->rope_dim == 8);
    assert_true(c->head_dim == 14 && c->v_dim == 10 && c->n_experts == 8 && c->n_used == 3);
    assert_true(c->n_groups == 4 && c->used_groups == 2 && c->n_shared == 2);
    assert_true(c->d_expert == 10 && c->dense_layers == 1 && c->expert_norm);
    assert_true(c->expert_scale == 2.5f);
    /* 14^-0.5 times the square of 0.1 ln(4) + 1 */
    assert_true(fabs((double)r1_config_score_scale(c) - 0.346498) < 1e-6);
    assert_true(r1_config_rope_scale(c) == 1);
    assert_true(r1_config_key_width(c) == 20 && r1_config_value_width(c) == 0);
    assert_null(m->layers[0].experts);
    assert_non_null(m->layers[1].experts);
    assert_int_equal(m->n_params, 3 + 2 * 9 + 3 + 5 + 8 * 3);
    int exact = 0;
    for (int i = 0; i < m->n_params; i++)
        exact += m->params[i].exact;
    assert_int_equal(exact, 1); /* the correction of the choice */
    r1_model_close(m);
}

/* transformers 4 wrote rope_theta and rope_scaling instead of rope_parameters. */
static void older_rope_keys(void **state)
{
    (void)state;
    place p = copy_model();
    edit(&p, "config.json", "\"rope_parameters\": {", "\"old\": {");
    edit(&p, "config.json", "\"use_cache\"",
         "\"rope_theta\": 500000.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}, "
         "\"use_cache\"");
    r1_model *m = golden_open(p.dir, R1_COMPUTE_AUTO, false);
    assert_int_equal(m->cfg.rope_scaling, R1_ROPE_LINEAR);
    assert_true(m->cfg.rope_theta == 500000 && m->cfg.rope_factor == 2);
    const float *f = m->inv_freq.data;
    assert_true(f[0] == 0.5f);
    assert_true(fabsf(f[2] - 0.5f / sqrtf(500000)) < 1e-9f);
    r1_model_close(m);
    edit(&p, "config.json", "{\"type\": \"linear\", \"factor\": 2.0}", "null");
    m = golden_open(p.dir, R1_COMPUTE_AUTO, false);
    assert_int_equal(m->cfg.rope_scaling, R1_ROPE_NONE);
    r1_model_close(m);
    remove_tree(p.dir);
}

/* ---- Refusing ---------------------------------------------------------------------------- */

typedef struct {
    const char *from, *to; /* in config.json */
    r1_status status;
    const char *words[3];
} refusal;

static void refused_configurations(void **state)
{
    (void)state;
    static const refusal cases[] = {
        {"\"model_type\": \"llama\"",
         "\"model_type\": \"mamba\"",
         R1_EUNSUPPORTED,
         {"config.json", "'mamba'", "llama"}},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"dynamic\", \"factor\": 4.0",
         R1_EUNSUPPORTED,
         {"config.json", "'dynamic'", "llama3, yarn"}},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"yarn\", \"factor\": 4.0, \"beta_fast\": 1.0, \"beta_slow\": 2.0",
         R1_EFORMAT,
         {"config.json", "beta_fast 1", "beta_slow 2"}},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"yarn\", \"factor\": 4.0, \"truncate\": false",
         R1_EUNSUPPORTED,
         {"config.json", "truncate"}},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5",
         R1_EUNSUPPORTED,
         {"config.json", "partial_rotary_factor 0.5"}},
        {"\"use_cache\": true",
         "\"use_sliding_window\": true",
         R1_EUNSUPPORTED,
         {"config.json", "use_sliding_window"}},
        {"\"use_cache\": true",
         "\"use_sliding_window\": false, \"sliding_window\": 64",
         R1_OK,
         {0}},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"linear\"",
         R1_EFORMAT,
         {"config.json", "factor"}},
        {"\"rope_type\": \"default\"",
         "\"rope_type\": \"llama3\", \"factor\": 4.0, \"low_freq_factor\": 4.0, "
         "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 32",
         R1_EFORMAT,
         {"config.json", "high_freq_factor"}},
        {"\"hidden_act\": \"silu\"",
         "\"hidden_act\": \"gelu\"",
         R1_EUNSUPPORTED,
         {"config.json", "hidden_act", "'gelu'"}},
        {"\"attention_bias\": false",
         "\"attention_bias\": true",
         R1_EFORMAT,
         {"'model.layers.0.self_attn.q_proj.bias'", "missing"}},
        {"\"mlp_bias\": false",
         "\"mlp_bias\": true",
         R1_EUNSUPPORTED,
         {"config.json", "mlp_bias"}},
        {"\"hidden_size\": 32",
         "\"hidden_sizes\": 32",
         R1_EFORMAT,
         {"config.json", "hidden_size"}},
        {"\"hidden_size\": 32",
         "\"hidden_size\": 0",
         R1_EFORMAT,
         {"config.json", "hidden_size"}},
        {"\"num_key_value_heads\": 2",
         "\"num_key_value_heads\": 3",
         R1_EFORMAT,
         {"config.json", "4", "3"}},
        {"\"head_dim\": 8", "\"head_dim\": 7", R1_EUNSUPPORTED, {"config.json", "7"}},
        {"\"head_dim\": 8,", "", R1_OK, {0}}, /* 32 / 4 */
        {"\"head_dim\": 8,\n  \"hidden_act\": \"silu\",\n  \"hidden_size\": 32",
         "\"hidden_size\": 3",
         R1_EUNSUPPORTED,
         {"config.json", "head width 0"}},
        {"\"vocab_size\": 97", "\"vocab_size\": 96", R1_EFORMAT, {"97", "96"}},
        {"\"num_hidden_layers\": 2",
         "\"num_hidden_layers\": 3",
         R1_EFORMAT,
         {"'model.layers.2.input_layernorm.weight'", "missing"}},
        {"\"intermediate_size\": 48",
         "\"intermediate_size\": 40",
         R1_EFORMAT,
         {"'model.layers.0.mlp.gate_proj.weight'", "(48,32)", "(40,32)"}},
        {"\"tie_word_embeddings\": true",
         "\"tie_word_embeddings\": false",
         R1_EFORMAT,
         {"'lm_head.weight'", "missing"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        place p = copy_model();
        edit(&p, "config.json", cases[i].from, cases[i].to);
        if (cases[i].status != R1_OK) {
            expect_refused(&p, cases[i].status, cases[i].words);
            continue;
        }
        r1_model_close(golden_open(p.dir, R1_COMPUTE_AUTO, false));
        remove_tree(p.dir);
    }
}

/* Write model A's weights again, one of them changed by `spoil`, which returns false to drop it. */
static void rewrite(place *p, bool (*spoil)(r1_safetensors_entry *e))
{
    r1_safetensors *s = NULL;
    OK(r1_safetensors_open(GOLDEN_A "/model.safetensors", &s, err));
    const size_t n = r1_safetensors_count(s);
    r1_safetensors_entry *e = R1_NEW_N(r1_safetensors_entry, n);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        e[kept] = *r1_safetensors_at(s, i);
        kept += spoil(&e[kept]);
    }
    OK(r1_safetensors_write(at(p, "model.safetensors"), e, kept, NULL, err));
    r1_mem_free(e);
    r1_safetensors_close(s);
}

static bool drop_down(r1_safetensors_entry *e)
{
    return strcmp(e->name, "model.layers.1.mlp.down_proj.weight") != 0;
}

static bool transpose_down(r1_safetensors_entry *e)
{
    if (!strcmp(e->name, "model.layers.1.mlp.down_proj.weight"))
        e->t = r1_tensor_2d(e->t.data, R1_F32, 48, 32);
    return true;
}

static bool integer_norm(r1_safetensors_entry *e)
{
    if (!strcmp(e->name, "model.norm.weight"))
        e->t.dtype = R1_I32;
    return true;
}

static bool matrix_norm(r1_safetensors_entry *e)
{
    if (!strcmp(e->name, "model.norm.weight"))
        e->t = r1_tensor_2d(e->t.data, R1_F32, 32, 1);
    return true;
}

static void refused_weights(void **state)
{
    (void)state;
    static const struct {
        bool (*spoil)(r1_safetensors_entry *);
        r1_status status;
        const char *words[3];
    } cases[] = {
        {drop_down,
         R1_EFORMAT,
         {"model.safetensors", "'model.layers.1.mlp.down_proj.weight'", "missing"}},
        {transpose_down,
         R1_EFORMAT,
         {"'model.layers.1.mlp.down_proj.weight'", "(48,32)", "(32,48)"}},
        {integer_norm, R1_EUNSUPPORTED, {"'model.norm.weight'", "integers"}},
        {matrix_norm, R1_EFORMAT, {"'model.norm.weight'", "(32,1)", "(32"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        place p = copy_model();
        rewrite(&p, cases[i].spoil);
        expect_refused(&p, cases[i].status, cases[i].words);
    }
}

/* A bias that nobody asked for would be left out in silence. */
static void refused_bias(void **state)
{
    (void)state;
    place p = copy_model();
    r1_safetensors *s = NULL;
    OK(r1_safetensors_open(GOLDEN_A "/model.safetensors", &s, err));
    const size_t n = r1_safetensors_count(s);
    r1_safetensors_entry *e = R1_NEW_N(r1_safetensors_entry, n + 1);
    for (size_t i = 0; i < n; i++)
        e[i] = *r1_safetensors_at(s, i);
    float bias[32] = {0};
    e[n].name = "model.layers.0.self_attn.q_proj.bias";
    e[n].t = r1_tensor_1d(bias, R1_F32, 32);
    OK(r1_safetensors_write(at(&p, "model.safetensors"), e, n + 1, NULL, err));
    r1_mem_free(e);
    r1_safetensors_close(s);
    expect_refused(
        &p, R1_EUNSUPPORTED,
        (const char *const[3]){"'model.layers.0.self_attn.q_proj.bias'", "llama", NULL});
}

static void refused_places(void **state)
{
    (void)state;
    place p = place_make();
    expect_refused(&p, R1_EIO, (const char *const[3]){"config.json", NULL, NULL});
    p = copy_model();
    unlink(at(&p, "model.safetensors"));
    expect_refused(&p, R1_EIO, (const char *const[3]){"safetensors", NULL, NULL});
}

/* Scoring by ids needs no tokenizer. */
static void opens_without_tokenizer(void **state)
{
    (void)state;
    place p = copy_model();
    unlink(at(&p, "tokenizer.json"));
    const r1_model_options o = {.threads = 1};
    r1_model *m = NULL;
    OK(r1_model_open_with(p.dir, &o, &m, err));
    assert_int_equal(r1_tokenizer_size(m->tok), m->cfg.vocab);
    const int32_t ids[3] = {1, 2, 3};
    float lp[2];
    OK(r1_logprob(m, ids, 3, lp, err));
    assert_true(lp[0] < 0 && lp[1] < 0);
    r1_model_close(m);
    remove_tree(p.dir);
}

/* ---- Saving ------------------------------------------------------------------------------ */

static void expect_key(const json_t *config, const json_t *original, const char *key)
{
    const json_t *a = json_object_get(config, key), *b = json_object_get(original, key);
    if (!b) /* a family without it */
        return;
    if (!a || !b ||
        !(json_is_number(a) ? json_number_value(a) == json_number_value(b) : json_equal(a, b)))
        fail_msg("config.json: '%s' differs from what transformers wrote", key);
}

/* The keys that transformers reads, with the values that it wrote itself. */
static void check_saved_config(const char *dir, const char *original, const char *dtype)
{
    static const char *const keys[] = {"architectures",
                                       "model_type",
                                       "hidden_size",
                                       "num_hidden_layers",
                                       "num_attention_heads",
                                       "num_key_value_heads",
                                       "head_dim",
                                       "intermediate_size",
                                       "vocab_size",
                                       "max_position_embeddings",
                                       "rms_norm_eps",
                                       "tie_word_embeddings",
                                       "attention_bias",
                                       "mlp_bias",
                                       "use_sliding_window",
                                       "hidden_act",
                                       "bos_token_id",
                                       "eos_token_id"};
    char path[600];
    json_t *saved, *made;
    snprintf(path, sizeof path, "%s/config.json", dir);
    OK(r1_json_load(path, 1 << 20, &saved, err));
    snprintf(path, sizeof path, "%s/config.json", original);
    OK(r1_json_load(path, 1 << 20, &made, err));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        expect_key(saved, made, keys[i]);
    assert_string_equal(json_string_value(json_object_get(saved, "torch_dtype")), dtype);
    const json_t *rope = json_object_get(made, "rope_parameters");
    expect_key(saved, rope, "rope_theta");
    if (!strcmp(json_string_value(json_object_get(rope, "rope_type")), "default")) {
        assert_true(json_is_null(json_object_get(saved, "rope_scaling")));
    } else {
        static const char *const scaling[] = {"rope_type",
                                              "factor",
                                              "low_freq_factor",
                                              "high_freq_factor",
                                              "original_max_position_embeddings",
                                              "beta_fast",
                                              "beta_slow",
                                              "attention_factor",
                                              "mscale",
                                              "mscale_all_dim"};
        for (size_t i = 0; i < sizeof scaling / sizeof scaling[0]; i++)
            expect_key(json_object_get(saved, "rope_scaling"), rope, scaling[i]);
    }
    json_decref(saved);
    json_decref(made);
}

/* Weights come back as written: F32 unchanged, BF16 and F16 rounded once. */
static void save_and_reopen(void **state)
{
    (void)state;
    static const struct {
        r1_dtype dtype;
        const char *name;
        r1_compute compute; /* what AUTO then means */
    } forms[] = {{R1_F32, "float32", R1_COMPUTE_F32},
                 {R1_BF16, "bfloat16", R1_COMPUTE_BF16},
                 {R1_F16, "float16", R1_COMPUTE_BF16}};
    for (int i = 0; i < 3 * GOLDEN_DIRS; i++) {
        const char *dir = golden_dirs[i / 3];
        const r1_dtype dtype = forms[i % 3].dtype;
        place p = place_make();
        r1_model *m = golden_open(dir, R1_COMPUTE_AUTO, i % 3 == 1);
        OK(r1_model_save(m, at(&p, "saved"), dtype, err));
        OK(r1_model_save(m, p.path, dtype, err)); /* in place of the first */
        check_saved_config(p.path, dir, forms[i % 3].name);
        r1_model *r = golden_open(p.path, R1_COMPUTE_AUTO, false);
        check_config(&r->cfg, &m->cfg);
        assert_int_equal(r->compute, forms[i % 3].compute);
        assert_int_equal(r->n_params, m->n_params);
        for (int k = 0; k < m->n_params; k++) {
            const r1_tensor a = *m->params[k].rows, b = *r->params[k].rows;
            const int64_t n = r1_tensor_count(a);
            float *x = R1_NEW_N(float, (size_t)n), *y = R1_NEW_N(float, (size_t)n);
            uint16_t *half = R1_NEW_N(uint16_t, (size_t)n);
            assert_int_equal(a.dtype, R1_F32);
            memcpy(x, a.data, (size_t)n * sizeof *x);
            if (dtype != R1_F32 && !m->params[k].exact) {
                r1_quant_encode(dtype, x, half, n);
                r1_quant_decode(dtype, half, x, n);
            }
            r1_quant_decode(b.dtype, b.data, y, n);
            assert_memory_equal(x, y, (size_t)n * sizeof *x);
            r1_mem_free(x);
            r1_mem_free(y);
            r1_mem_free(half);
        }
        if (i / 3 == 0)
            expect_tokens(r);
        r1_model_close(r);
        r1_model_close(m);
        remove_tree(p.dir);
    }
}

/* A model that came as GGUF, saved as a directory, is the model whose GGUF it was. */
static void save_gguf_as_directory(void **state)
{
    (void)state;
    place p = place_make();
    r1_model *g = golden_open(GOLDEN "model-a.gguf", R1_COMPUTE_AUTO, false);
    OK(r1_model_save(g, at(&p, "saved"), R1_F32, err));
    check_saved_config(p.path, GOLDEN_A, "float32");
    r1_model *d = golden_open(p.path, R1_COMPUTE_AUTO, false);
    static const int32_t ids[] = {5, 90, 17, 42};
    float a[3], b[3];
    OK(r1_forward_sequence(g, ids, 4, a, err));
    OK(r1_forward_sequence(d, ids, 4, b, err));
    assert_memory_equal(a, b, sizeof a);
    expect_tokens(d);
    r1_model_close(g);
    r1_model_close(d);
    remove_tree(p.dir);
}

/* Every end-of-generation id outlives a save, not only the first. */
static void save_keeps_every_end(void **state)
{
    (void)state;
    place p = copy_model();
    edit(&p, "generation_config.json", "\"eos_token_id\": 0", "\"eos_token_id\": [0, 7]");
    r1_model *m = golden_open(p.dir, R1_COMPUTE_AUTO, false);
    assert_true(r1_tokenizer_is_eos(m->tok, 0) && r1_tokenizer_is_eos(m->tok, 7));
    OK(r1_model_save(m, at(&p, "saved"), R1_F32, err));
    r1_model *r = golden_open(p.path, R1_COMPUTE_AUTO, false);
    for (int i = 0; i < m->cfg.vocab; i++)
        assert_int_equal(r1_tokenizer_is_eos(r->tok, i), i == 0 || i == 7);
    r1_model_close(m);
    r1_model_close(r);
    remove_tree(p.dir);
}

static void save_to_nowhere(void **state)
{
    (void)state;
    place p = place_make();
    write_text(at(&p, "file"), "x", 1);
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_AUTO, false);
    r1_err err = {0};
    assert_int_equal(r1_model_save(m, at(&p, "file/saved"), R1_F32, &err), R1_EIO);
    assert_non_null(strstr(err.msg, "file"));
    r1_model_close(m);
    remove_tree(p.dir);
}

/* ---- Creating, training form, cloning ---------------------------------------------------- */

static r1_model *create(const r1_config *cfg, uint64_t seed)
{
    const r1_model_options o = {.threads = 2, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_tokenizer *tok;
    r1_model *m = NULL;
    OK(r1_tokenizer_open_dir(cfg->tied ? GOLDEN_A : GOLDEN_B, &tok, err));
    OK(r1_model_create(cfg, tok, 0.02f, seed, &o, &m, err));
    return m;
}

static double std_of(r1_tensor t)
{
    const float *x = t.data;
    const int64_t n = r1_tensor_count(t);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    return sqrt(squares / (double)n - sum * sum / (double)n / (double)n);
}

/* 1536 numbers and more: the sample's deviation is within 8 % (more than four of its own). */
static void expect_std(r1_tensor t, double std)
{
    if (!(fabs(std_of(t) / std - 1) < 0.08))
        fail_msg("standard deviation %g, not %g", std_of(t), std);
}

static void create_random(void **state)
{
    (void)state;
    r1_model *m = create(&config_b, 7), *same = create(&config_b, 7),
             *other = create(&config_b, 8);
    assert_true(m->trainable);
    check_config(&m->cfg, &config_b);
    expect_std(m->embed, 0.02);
    expect_std(m->layers[0].wq.rows, 1 / sqrt(48));
    expect_std(m->layers[0].wo.rows, 1 / sqrt(96) / 2);
    expect_std(m->layers[1].up.rows, 1 / sqrt(48));
    expect_std(m->layers[1].down.rows, 1 / sqrt(64) / 2);
    expect_std(m->head.rows, 1 / sqrt(48));
    for (int i = 0; i < 48; i++)
        assert_true(((const float *)m->out_norm.data)[i] == 1);
    for (int i = 0; i < m->n_params; i++) {
        const r1_param *p = &m->params[i];
        const size_t bytes = (size_t)r1_tensor_count(*p->rows) * sizeof(float);
        assert_memory_equal(p->rows->data, same->params[i].rows->data, bytes);
        if (p->decay)
            assert_memory_not_equal(p->rows->data, other->params[i].rows->data, bytes);
    }
    /* Layers differ from each other, too. */
    assert_memory_not_equal(m->layers[0].wq.rows.data, m->layers[1].wq.rows.data, 4096);
    r1_model_close(m);
    r1_model_close(same);
    r1_model_close(other);
}

/* Half of a matrix's numbers are below 0, and none is out of bounds. */
static void create_is_normal(void **state)
{
    (void)state;
    r1_model *m = create(&config_a, 3);
    const float *x = m->layers[0].gate.rows.data;
    const int64_t n = r1_tensor_count(m->layers[0].gate.rows);
    int64_t negative = 0, within = 0;
    for (int64_t i = 0; i < n; i++) {
        negative += x[i] < 0;
        within += fabs((double)x[i]) < 1 / sqrt(32);
        assert_true(fabs((double)x[i]) < 6 / sqrt(32));
    }
    assert_true(fabs((double)negative / (double)n - 0.5) < 0.06);
    assert_true(fabs((double)within / (double)n - 0.6827) < 0.05);
    r1_model_close(m);
}

static void create_refuses(void **state)
{
    (void)state;
    const r1_model_options o = {.threads = 1, .trainable = true};
    r1_config cfg = config_a;
    cfg.n_kv_heads = 3;
    r1_tokenizer *tok;
    r1_model *m = NULL;
    r1_err err = {0};
    assert_int_equal(r1_tokenizer_open_dir(GOLDEN_A, &tok, &err), R1_OK);
    assert_int_equal(r1_model_create(&cfg, tok, 0.02f, 1, &o, &m, &err), R1_EFORMAT);
    assert_null(m);
    assert_non_null(strstr(err.msg, "3"));
}

static void refresh(void **state)
{
    (void)state;
    static const int32_t ids[] = {5, 9, 17, 42, 3, 3, 60, 8};
    for (int i = 0; i < 2 * GOLDEN_DIRS; i++) {
        float before[7], after[7];
        r1_model *m =
            golden_open(golden_dirs[i / 2], i % 2 ? R1_COMPUTE_BF16 : R1_COMPUTE_F32, true);
        OK(r1_forward_sequence(m, ids, 8, before, err));
        for (int p = 0; p < m->n_params; p++) {
            float *x = m->params[p].rows->data;
            for (int64_t k = 0; k < r1_tensor_count(*m->params[p].rows); k++)
                x[k] *= 1.25f;
        }
        r1_model_refresh(m);
        OK(r1_forward_sequence(m, ids, 8, after, err));
        assert_memory_not_equal(after, before, sizeof before);

        /* The refreshed packs are those of a model opened with the new weights. */
        place p = place_make();
        OK(r1_model_save(m, at(&p, "saved"), R1_F32, err));
        r1_model *r = golden_open(p.path, m->compute, true);
        OK(r1_forward_sequence(r, ids, 8, before, err));
        assert_memory_equal(after, before, sizeof before);
        r1_model_close(r);
        remove_tree(p.dir);
        r1_model_close(m);
    }
}

/* ---- Names ------------------------------------------------------------------------------- */

static void checkpoints_are_known_by_name(void **state)
{
    (void)state;
    static const char *const others[] = {"step-",
                                         "step",
                                         "step-12x",
                                         "step-00000012.tmp-1",
                                         "step--1",
                                         "best",
                                         "step-1234567890123456789"};
    int64_t step = 0;
    assert_true(r1_model_checkpoint("step-00000012", &step));
    assert_int_equal(step, 12);
    assert_true(r1_model_checkpoint("step-123456789", NULL));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(r1_model_checkpoint(others[i], &step));
    assert_int_equal(step, 12);
}

static void resolve(void **state)
{
    (void)state;
    place p = place_make();
    char path[512], expected[600];
    r1_err why = {0};
    setenv("R1_HOME", p.dir, 1);
    OK(r1_model_resolve(GOLDEN_A, path, sizeof path, err));
    assert_string_equal(path, GOLDEN_A);
    assert_int_equal(r1_model_resolve("none", path, sizeof path, &why), R1_EIO);
    assert_non_null(strstr(why.msg, "'none'"));

    OK(r1_os_mkdirs(at(&p, "models/tiny"), err));
    write_text(at(&p, "models/small.gguf"), "x", 1);
    OK(r1_model_resolve("tiny", path, sizeof path, err));
    assert_string_equal(path, at(&p, "models/tiny"));
    OK(r1_model_resolve("small", path, sizeof path, err));
    snprintf(expected, sizeof expected, "%s/models/small.gguf", p.dir);
    assert_string_equal(path, expected);
    OK(r1_model_resolve("small.gguf", path, sizeof path, err));
    assert_string_equal(path, expected);
    assert_int_equal(r1_model_resolve("none", path, sizeof path, &why), R1_EIO);
    assert_non_null(strstr(why.msg, "(small)")); /* tiny is no model yet */
    write_text(at(&p, "models/tiny/config.json"), "{}", 2);
    assert_int_equal(r1_model_resolve("none", path, sizeof path, &why), R1_EIO);
    assert_non_null(strstr(why.msg, "(small, tiny)"));
    assert_int_equal(r1_model_resolve("../models/tiny", path, sizeof path, &why), R1_EIO);
    remove_tree(p.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_directory),
        cmocka_unit_test(open_trainable),
        cmocka_unit_test(open_gguf),
        cmocka_unit_test(open_biases),
        cmocka_unit_test(open_experts),
        cmocka_unit_test(open_fp8),
        cmocka_unit_test(older_rope_keys),
        cmocka_unit_test(refused_configurations),
        cmocka_unit_test(refused_weights),
        cmocka_unit_test(refused_bias),
        cmocka_unit_test(refused_places),
        cmocka_unit_test(opens_without_tokenizer),
        cmocka_unit_test(save_and_reopen),
        cmocka_unit_test(save_gguf_as_directory),
        cmocka_unit_test(save_keeps_every_end),
        cmocka_unit_test(save_to_nowhere),
        cmocka_unit_test(create_random),
        cmocka_unit_test(create_is_normal),
        cmocka_unit_test(create_refuses),
        cmocka_unit_test(refresh),
        cmocka_unit_test(checkpoints_are_known_by_name),
        cmocka_unit_test(resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
