/* test_guide.c: completions under a grammar and with a bound on their thinking, in the engine: they
 * are what they must be, the same with drafts, in a batch and after they gave their pages back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bytes.h"
#include "tiny_config.h"

#include "engine/engine.h"
#include "engine/schema.h"

enum { CONTEXT = 400, THINK = BYTES_EOS + 9, THINK_END = BYTES_EOS + 10 };

static r1_model *shared;

static int open_all(void **state)
{
    (void)state;
    r1_config cfg = tiny_config(BYTES_EOS + 24, CONTEXT);
    cfg.n_layers = 1;
    const r1_model_options o = {.threads = 2, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_err err = {0};
    if (r1_model_create(&cfg, bytes_tokenizer(NULL), 0.3f, 11, &o, &shared, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    r1_model_close(shared);
    return 0;
}

static r1_grammar *compile(const char *text)
{
    r1_err err = {0};
    r1_grammar *g = NULL;
    json_t *schema = json_loads(text, 0, NULL);
    if (r1_schema_grammar(schema, "schema", &g, &err) != R1_OK)
        fail_msg("%s", err.msg);
    json_decref(schema);
    return g;
}

static const int32_t prompt[] = {'a', 'b', '{', '"', 'a', '"', ':', '1', '}', 'a'};

static r1_request request(r1_grammar *g, int samples, r1_completion *out)
{
    return (r1_request){.prompt = prompt,
                        .n_prompt = 10,
                        .samples = samples,
                        .sampling = {.temperature = 1,
                                     .top_p = 1,
                                     .repeat_penalty = 1,
                                     .max_tokens = 120,
                                     .seed = 3},
                        .speculate = R1_SPECULATE_OFF,
                        .grammar = g,
                        .out = out};
}

static void run(const r1_engine_options *o, r1_request *q)
{
    r1_engine *e;
    r1_err err = {0};
    if (r1_engine_open(shared, o, &e, &err) != R1_OK ||
        r1_engine_run(e, q, 1, NULL, &err) != R1_OK)
        fail_msg("%s", err.msg);
    r1_engine_close(e);
}

static char *text_of(const r1_completion *c, int from)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    for (int i = from; i < c->n; i++) {
        const char *s;
        size_t n;
        if (!r1_tokenizer_is_eos(shared->tok, c->ids[i]) &&
            r1_tokenizer_bytes(shared->tok, c->ids[i], &s, &n))
            r1_buf_append(&b, s, n);
    }
    return r1_buf_take(&b);
}

#define SCHEMA                                                                             \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":4}," \
    "\"n\":{\"type\":\"integer\",\"minimum\":-5,\"maximum\":120},\"tags\":{\"type\":"      \
    "\"array\",\"items\":{\"enum\":[\"a\",\"b\"]},\"maxItems\":3}},\"required\":"          \
    "[\"name\",\"n\",\"tags\"]}"

static void assert_valid(const char *text)
{
    json_t *v = json_loads(text, 0, NULL), *tags;
    json_int_t n = json_integer_value(json_object_get(v, "n"));
    if (v == NULL)
        fail_msg("no JSON: %s", text);
    assert_true(json_is_string(json_object_get(v, "name")));
    assert_true(n >= -5 && n <= 120 && json_is_integer(json_object_get(v, "n")));
    tags = json_object_get(v, "tags");
    assert_true(json_is_array(tags) && json_array_size(tags) <= 3);
    json_decref(v);
}

static void texts_are_whole_and_valid(void **state)
{
    (void)state;
    enum { SAMPLES = 24 };
    r1_grammar *g = compile(SCHEMA);
    r1_completion out[SAMPLES] = {0};
    for (int greedy = 0; greedy < 2; greedy++) {
        r1_request q = request(g, SAMPLES, out);
        q.sampling.temperature = greedy ? 0 : 1;
        q.sampling.max_tokens = 300;
        run(&(r1_engine_options){.max_batch = 8, .chunk = 16}, &q);
        int whole = 0;
        for (int i = 0; i < SAMPLES; i++) {
            char *text = text_of(&out[i], 0);
            if (out[i].finish == R1_FINISH_STOP)
                assert_valid(text);
            whole += out[i].finish == R1_FINISH_STOP;
            r1_mem_free(text);
            for (int k = 0; k < out[i].n; k++)
                assert_true(out[i].lp[k] <= 0);
        }
        assert_true(whole > SAMPLES / 2);
        r1_engine_free_completions(out, SAMPLES);
    }
    r1_grammar_close(g);
}

static void nothing_changes_what_is_chosen(void **state)
{
    (void)state;
    enum { SAMPLES = 6 };
    r1_grammar *g = compile(SCHEMA);
    r1_completion want[SAMPLES] = {0}, out[SAMPLES] = {0};
    r1_request q = request(g, SAMPLES, want);
    q.think = (r1_think){.on = true,
                         .inside = true,
                         .bounded = true,
                         .budget = 12,
                         .close = (const int32_t[]){'\n', THINK_END, '\n'},
                         .n_close = 3};
    run(&(r1_engine_options){.max_batch = 1, .chunk = 16}, &q);
    static const r1_engine_options ways[] = {{.max_batch = 6, .chunk = 3},
                                             {.max_batch = 6, .chunk = 16, .kv_rows = 420}};
    for (int w = 0; w < 4; w++) {
        q.out = out;
        q.speculate = w % 2 ? R1_SPECULATE_ON : R1_SPECULATE_OFF;
        run(&ways[w / 2], &q);
        for (int i = 0; i < SAMPLES; i++) {
            assert_int_equal(out[i].n, want[i].n);
            assert_memory_equal(out[i].ids, want[i].ids, (size_t)want[i].n * sizeof(int32_t));
            assert_int_equal(out[i].finish, want[i].finish);
            assert_int_equal(out[i].usage.thinking, want[i].usage.thinking);
        }
        r1_engine_free_completions(out, SAMPLES);
    }
    r1_engine_free_completions(want, SAMPLES);
    r1_grammar_close(g);
}

/* The place of the end of thinking in a completion, or -1. */
static int end_of_thinking(const r1_completion *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->ids[i] == THINK_END)
            return i;
    return -1;
}

static void thinking_is_closed_in_time(void **state)
{
    (void)state;
    enum { SAMPLES = 12 };
    const int32_t close[] = {'.', '\n', THINK_END, '\n', '\n'};
    r1_completion out[SAMPLES] = {0};
    for (int budget = 0; budget < 60; budget += 29) {
        r1_request q = request(NULL, SAMPLES, out);
        q.ignore_eos = true;
        q.think = (r1_think){
            .inside = true, .bounded = true, .budget = budget, .close = close, .n_close = 5};
        run(&(r1_engine_options){.max_batch = 8, .chunk = 16}, &q);
        for (int i = 0; i < SAMPLES; i++) {
            int end = end_of_thinking(&out[i]);
            assert_true(end >= 0 && end <= budget + 5);
            assert_int_equal(out[i].usage.thinking, end + 1);
            assert_int_equal(out[i].n, 120); /* the answer goes on */
            if (end >= 2 && out[i].ids[end - 1] == '\n' && out[i].ids[end - 2] == '.') {
                assert_int_equal(out[i].ids[end + 1], '\n');
                assert_int_equal(out[i].ids[end + 2], '\n');
            }
        }
        r1_engine_free_completions(out, SAMPLES);
    }
}

static void an_answer_with_a_grammar_follows_thinking(void **state)
{
    (void)state;
    enum { SAMPLES = 12 };
    r1_grammar *g = compile("{\"enum\":[\"yes\",\"no\"]}");
    r1_completion out[SAMPLES] = {0};
    r1_request q = request(g, SAMPLES, out);
    q.think = (r1_think){.inside = true,
                         .bounded = true,
                         .budget = 20,
                         .close = (const int32_t[]){THINK_END, '\n', '\n'},
                         .n_close = 3};
    run(&(r1_engine_options){.max_batch = 8, .chunk = 16}, &q);
    for (int i = 0; i < SAMPLES; i++) {
        int end = end_of_thinking(&out[i]);
        char *text = text_of(&out[i], end + 1);
        const char *s = text + strspn(text, "\n");
        assert_int_equal(out[i].finish, R1_FINISH_STOP);
        assert_true(strcmp(s, "\"yes\"") == 0 || strcmp(s, "\"no\"") == 0);
        r1_mem_free(text);
    }
    r1_engine_free_completions(out, SAMPLES);
    r1_grammar_close(g);
}

static void thinking_that_the_reply_opens_is_found(void **state)
{
    (void)state;
    r1_guide g;
    const r1_think t = {.on = true,
                        .bounded = true,
                        .budget = 2,
                        .close = (const int32_t[]){THINK_END},
                        .n_close = 1};
    r1_guide_init(&g, &t, NULL, NULL, shared->tok);
    const int32_t ids[] = {'\n', THINK, 'a', 'b', THINK_END, 'c'}, plain[] = {'a', THINK, 'b'};
    r1_guide_at at = {0};
    assert_true(r1_guide_read(&g, &at, ids, 4));
    assert_int_equal(at.phase, R1_GUIDE_THINKING);
    assert_int_equal(at.spent, 2);
    assert_int_equal(r1_guide_forced(&g, &at), THINK_END);
    assert_false(
        r1_guide_read(&g, &(r1_guide_at){0}, (const int32_t[]){THINK, 'a', 'b', 'c'}, 4));
    assert_true(r1_guide_read(&g, &at, ids, 6));
    assert_int_equal(at.phase, R1_GUIDE_ANSWER);
    assert_int_equal(at.thinking, 5);
    at = (r1_guide_at){0};
    assert_true(r1_guide_read(&g, &at, plain, 3)); /* not at the beginning: no thinking */
    assert_int_equal(at.phase, R1_GUIDE_ANSWER);
    assert_int_equal(at.thinking, 0);
    r1_guide_release(&g);
}

static void bad_bounds_are_refused(void **state)
{
    (void)state;
    const int32_t close[] = {THINK_END}, wrong[] = {'x'}, end[] = {BYTES_EOS};
    const r1_think bad[] = {{.bounded = true, .budget = -1, .close = close, .n_close = 1},
                            {.bounded = true, .close = close},
                            {.bounded = true, .close = wrong, .n_close = 1},
                            {.bounded = true, .close = end, .n_close = 1},
                            {.on = true, .end = ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r1_err err = {0};
        assert_int_equal(r1_guide_check(&bad[i], shared->tok, &err), R1_EARG);
        assert_non_null(strstr(err.msg, "thinking"));
    }
    assert_int_equal(r1_guide_check(&(r1_think){0}, shared->tok, NULL), R1_OK);
}

static void biases_and_likeliest_tokens(void **state)
{
    (void)state;
    r1_completion out[1] = {0};
    const r1_bias bias[] = {{'q', 100}, {'z', -100}};
    r1_request q = request(NULL, 1, out);
    q.sampling.bias = bias;
    q.sampling.n_bias = 2;
    q.sampling.top_logprobs = 4;
    q.sampling.max_tokens = 5;
    run(&(r1_engine_options){.max_batch = 1, .chunk = 16}, &q);
    assert_int_equal(out[0].n, 5);
    for (int i = 0; i < 5; i++) {
        const r1_top *top = &out[0].top[i * 4];
        assert_int_equal(out[0].ids[i], 'q');
        for (int k = 1; k < 4; k++)
            assert_true(top[k].lp <= top[k - 1].lp && top[k].id != top[k - 1].id);
        for (int k = 0; k < 4; k++) /* biases do not count in log-probabilities */
            if (top[k].id == 'q')
                assert_true(fabsf(top[k].lp - out[0].lp[i]) < 1e-5f);
    }
    r1_engine_free_completions(out, 1);
    r1_engine *e;
    r1_err err = {0};
    assert_int_equal(r1_engine_open(shared, NULL, &e, &err), R1_OK);
    q.sampling.bias = &(const r1_bias){-1, 0};
    q.sampling.n_bias = 1;
    assert_int_equal(r1_engine_submit(e, &q, NULL, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "bias"));
    r1_engine_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_whole_and_valid),
        cmocka_unit_test(nothing_changes_what_is_chosen),
        cmocka_unit_test(thinking_is_closed_in_time),
        cmocka_unit_test(an_answer_with_a_grammar_follows_thinking),
        cmocka_unit_test(thinking_that_the_reply_opens_is_found),
        cmocka_unit_test(bad_bounds_are_refused),
        cmocka_unit_test(biases_and_likeliest_tokens),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
