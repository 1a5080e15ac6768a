/* Evaluation: the vote; a random model's results do not depend on batch, samples or problems and
 * agree with a second count; every sum, with a task whose verdicts and statistics are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/eval.h"

static r1_model *model(const r1_task *task)
{
    r1_err err = {0};
    r1_tokenizer *tok;
    r1_model *m;
    if (task->tokenizer(&tok, &err) != R1_OK)
        fail_msg("%s", err.msg);
    const r1_config cfg = {.arch = "llama",
                           .n_layers = 1,
                           .d_model = 16,
                           .n_heads = 2,
                           .n_kv_heads = 1,
                           .head_dim = 8,
                           .d_ff = 32,
                           .vocab = r1_tokenizer_size(tok),
                           .context = 64,
                           .norm_eps = 1e-5f,
                           .rope_theta = 10000,
                           .tied = true};
    const r1_model_options o = {.threads = 2, .compute = R1_COMPUTE_F32, .trainable = true};
    if (r1_model_create(&cfg, tok, 0.3f, 3, &o, &m, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return m;
}

static r1_engine *engine(r1_model *m, int max_batch)
{
    const r1_engine_options o = {.max_batch = max_batch, .kv_rows = 0, .chunk = 32};
    r1_engine *e;
    r1_err err = {0};
    if (r1_engine_open(m, &o, &e, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return e;
}

static r1_eval_result run(r1_model *m, int max_batch, const r1_task *task,
                          const r1_eval_options *o, r1_eval_sample *kept, int keep)
{
    r1_eval_result r;
    r1_err err = {0};
    r1_engine *e = engine(m, max_batch);
    if (r1_eval_task(e, m, task, o, &r, kept, keep, &err) != R1_OK)
        fail_msg("%s", err.msg);
    r1_engine_close(e);
    return r;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12))
        fail_msg("%.17g is not %.17g", a, b);
}

/* ---- The vote ---------------------------------------------------------------------------- */

static int vote(const char *answers)
{
    r1_verdict v[16] = {0};
    int k = (int)strlen(answers);
    for (int i = 0; i < k; i++)
        if (answers[i] != '-')
            v[i].answer[0] = answers[i];
    return r1_eval_vote(v, k);
}

static void test_vote(void **state)
{
    (void)state;
    assert_int_equal(vote("a"), 0);
    assert_int_equal(vote("abb"), 1);
    assert_int_equal(vote("abba"), 0); /* a tie goes to the first seen */
    assert_int_equal(vote("cabab"), 1);
    assert_int_equal(vote("---a"), 3); /* no answer, no vote */
    assert_int_equal(vote("-abcc-"), 3);
    assert_int_equal(vote("---"), -1);
    assert_int_equal(vote(""), -1);
}

/* ---- A random model ---------------------------------------------------------------------- */

static void assert_same(const r1_eval_result *a, const r1_eval_result *b)
{
    r1_eval_result x = *a, y = *b;
    x.seconds = y.seconds = 0;
    char one[1024], two[1024];
    char *text[2] = {one, two};
    const r1_eval_result *r[2] = {&x, &y};
    for (int i = 0; i < 2; i++) /* NaN equals NaN in print */
        snprintf(
            text[i], sizeof one, "%d %d %a %a %a %a %a %a %a %a %a %a %a %a %a %a %a %a %lld",
            r[i]->problems, r[i]->samples, r[i]->pass1, r[i]->pass1_ci95, r[i]->passk,
            r[i]->consk, r[i]->format, r[i]->truncated, r[i]->length_mean, r[i]->length_right,
            r[i]->length_wrong, r[i]->thinks, r[i]->backtracks, r[i]->attempts, r[i]->checks,
            r[i]->repeats, r[i]->checks_right, r[i]->lines_right, (long long)r[i]->tokens);
    assert_string_equal(one, two);
}

static void test_determinism(void **state)
{
    (void)state;
    r1_model *m = model(&r1_countdown_task);
    r1_eval_options o = {.problems = 12,
                         .samples = 3,
                         .split = R1_SPLIT_DEV,
                         .temperature = 1,
                         .top_p = 1,
                         .max_tokens = 20,
                         .seed = 9};
    r1_eval_sample a[5], b[5];
    r1_eval_result x = run(m, 1, &r1_countdown_task, &o, a, 5);
    r1_eval_result y = run(m, 16, &r1_countdown_task, &o, b, 5);
    assert_same(&x, &y);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(a[i].prompt, b[i].prompt);
        assert_string_equal(a[i].completion, b[i].completion);
        assert_int_equal(a[i].tokens, b[i].tokens);
    }
    r1_eval_free_samples(b, 5);
    /* Fewer problems and more samples do not change the first sample of the first problems. */
    o.problems = 2;
    o.samples = 7;
    run(m, 4, &r1_countdown_task, &o, b, 5);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(a[i].prompt, b[i].prompt);
        assert_string_equal(a[i].completion, b[i].completion);
    }
    assert_null(b[2].prompt);
    r1_eval_free_samples(b, 5);
    /* Another seed: the same problems, other completions. */
    o.seed = 10;
    run(m, 4, &r1_countdown_task, &o, b, 5);
    assert_string_equal(a[0].prompt, b[0].prompt);
    assert_string_not_equal(a[0].completion, b[0].completion);
    r1_eval_free_samples(b, 5);
    r1_eval_free_samples(a, 5);
    r1_model_close(m);
}

/* What a random model says, judged here anew. */
static void test_counts(void **state)
{
    (void)state;
    enum { N = 20 };
    r1_model *m = model(&r1_modsum_task);
    r1_eval_options o = {.problems = 0,
                         .samples = 1,
                         .split = R1_SPLIT_TEST,
                         .temperature = 1,
                         .top_p = 1,
                         .seed = 2};
    assert_int_equal(r1_modsum_task.count(R1_SPLIT_TEST), N);
    r1_eval_sample s[N];
    r1_eval_result r = run(m, 8, &r1_modsum_task, &o, s, N);
    int right = 0, tokens = 0, tokens_right = 0, cut = 0, formed = 0;
    for (int i = 0; i < N; i++) {
        r1_problem p;
        r1_modsum_task.problem(0, R1_SPLIT_TEST, (uint64_t)i, &p);
        assert_string_equal(p.prompt, s[i].prompt);
        int32_t *ids = NULL;
        size_t n = 0, len = strlen(s[i].completion);
        assert_int_equal(
            r1_tokenizer_encode(m->tok, s[i].completion, len, true, false, &ids, &n, NULL),
            R1_OK);
        r1_mem_free(ids);
        bool ended = (int)n == s[i].tokens - 1; /* the EOS counts, but is not in the text */
        assert_true(ended || (int)n == r1_modsum_task.max_tokens);
        r1_verdict v = p.verifier->judge(p.answer, s[i].completion, len, ended);
        assert_true(v.reward == s[i].reward);
        right += v.correct;
        formed += v.formatted;
        cut += !ended;
        tokens += s[i].tokens;
        tokens_right += v.correct ? s[i].tokens : 0;
        r1_problem_release(&p);
    }
    assert_true(cut > 0 && cut < N); /* or this test shows little */
    assert_int_equal(r.problems, N);
    assert_int_equal(r.samples, 1);
    assert_near(r.pass1, (double)right / N);
    assert_near(r.passk, r.pass1);
    assert_near(r.consk, r.pass1);
    assert_near(r.format, (double)formed / N);
    assert_near(r.truncated, (double)cut / N);
    assert_near(r.length_mean, (double)tokens / N);
    if (right > 0)
        assert_near(r.length_right, (double)tokens_right / right);
    else
        assert_true(isnan(r.length_right));
    assert_int_equal(r.tokens, tokens);
    assert_near(r.pass1_ci95, 1.96 * sqrt(r.pass1 * (1 - r.pass1) / (N - 1)));
    r1_eval_free_samples(s, N);
    r1_model_close(m);
}

/* ---- Tasks whose verdicts are known ------------------------------------------------------ */

/* Problem i is right in the samples whose number is below i mod 4; the verifier counts them, since
 * samples are judged in order. */
static int judged;

static r1_verdict judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    (void)text;
    (void)len;
    (void)terminated;
    int problem = (int)json_integer_value(spec), sample = judged++ % 4;
    r1_verdict v = {.correct = sample < problem % 4, .formatted = sample % 2 == 0};
    v.reward = v.correct ? 0.5 : -0.5;
    strcpy(v.answer, v.correct ? "right" : "wrong");
    return v;
}

static const r1_verifier verifier = {.name = "test", .help = "", .judge = judge};

static void problem(uint64_t seed, r1_split split, uint64_t index, r1_problem *out)
{
    (void)seed;
    (void)split;
    *out = (r1_problem){.prompt = r1_mem_strdup("<bos>1+1="),
                        .answer = json_integer((json_int_t)index),
                        .verifier = &verifier};
}

static uint64_t count(r1_split split)
{
    return split == R1_SPLIT_DEV ? 4 : 8;
}

static void stats(const json_t *answer, const char *text, size_t len, r1_trace_stats *out)
{
    (void)text;
    (void)len;
    bool even = json_integer_value(answer) % 2 == 0;
    *out = (r1_trace_stats){.thinks = even,
                            .attempts = 3,
                            .checks = even ? 2 : 0,
                            .checks_right = even ? 1 : 0,
                            .backtracks = true,
                            .repeats = even ? 1 : 0,
                            .lines = even ? 4 : 8,
                            .lines_right = even ? 3 : 6};
}

static r1_task known(void)
{
    r1_task t = r1_modsum_task;
    t.problem = problem;
    t.count = count;
    t.stats = stats;
    return t;
}

static void test_sums(void **state)
{
    (void)state;
    const r1_task task = known();
    r1_model *m = model(&r1_modsum_task);
    const r1_eval_options o = {
        .problems = 100, .samples = 4, .split = R1_SPLIT_DEV, .temperature = 1, .top_p = 1};
    judged = 0;
    r1_eval_sample s[6];
    r1_eval_result r = run(m, 8, &task, &o, s, 6);
    assert_int_equal(judged, 16);
    assert_int_equal(r.problems, 4); /* there are no more */
    assert_near(r.pass1, 6.0 / 16);  /* shares 0, 1/4, 1/2, 3/4 */
    assert_near(r.passk, 3.0 / 4);
    assert_near(r.consk, 2.0 / 4); /* 2 of 4 is a tie, and the first is right */
    assert_near(r.format, 1.0 / 2);
    assert_near(r.pass1_ci95, 1.96 * sqrt(0.3125 / 3 / 4));
    assert_near(r.thinks, 0.5);
    assert_near(r.attempts, 3);
    assert_near(r.checks, 1);
    assert_near(r.checks_right, 0.5);
    assert_near(r.backtracks, 1);
    assert_near(r.repeats, 0.5);
    assert_near(r.lines_right, 0.75);
    assert_true(s[0].reward == -0.5 && s[1].reward == 0.5 && s[3].reward == 0.5);
    assert_string_equal(s[3].prompt, "<bos>1+1=");
    assert_null(s[4].prompt);
    r1_eval_free_samples(s, 6);
    r1_model_close(m);
}

/* ---- Stop strings ------------------------------------------------------------------------ */

static bool saw_terminated;

static r1_verdict judge_stop(const json_t *spec, const char *text, size_t len, bool terminated)
{
    (void)spec;
    (void)text;
    (void)len;
    saw_terminated |= terminated;
    return (r1_verdict){0};
}

static const r1_verifier stop_verifier = {.name = "stop", .help = "", .judge = judge_stop};

static void stop_problem(uint64_t seed, r1_split split, uint64_t index, r1_problem *out)
{
    problem(seed, split, index, out);
    out->verifier = &stop_verifier;
}

/* A sample that is cut at max_tokens, and the same with its first digit as the stop string. */
static void test_stop_string(void **state)
{
    (void)state;
    r1_task task = known();
    task.problem = stop_problem;
    r1_model *m = model(&r1_modsum_task);
    r1_eval_sample s;
    r1_eval_options o = {.problems = 1, .samples = 1, .temperature = 1, .top_p = 1};
    for (o.seed = 0;; o.seed++) { /* a sample without an EOS */
        assert_true(o.seed < 1000);
        saw_terminated = false;
        r1_eval_result r = run(m, 1, &task, &o, &s, 1);
        if (r.truncated == 1 && s.completion[0] >= '0' && s.completion[0] <= '9')
            break;
        r1_eval_free_samples(&s, 1);
    }
    assert_false(saw_terminated);
    assert_int_equal(s.tokens, 4);
    const char stop[2] = {s.completion[0], 0};
    r1_eval_free_samples(&s, 1);
    task.stop = stop;
    r1_eval_result r = run(m, 1, &task, &o, &s, 1);
    assert_true(saw_terminated);
    assert_true(r.truncated == 0);
    assert_int_equal(s.tokens, 1);
    assert_string_equal(s.completion, stop);
    r1_eval_free_samples(&s, 1);
    r1_model_close(m);
}

/* ---- Progress, misuse -------------------------------------------------------------------- */

typedef struct {
    int calls;
    r1_eval_progress last;
} seen;

static void on_progress(void *ud, const r1_eval_progress *p)
{
    seen *s = ud;
    assert_true(p->tokens >= s->last.tokens && p->ended <= p->samples);
    s->calls++;
    s->last = *p;
}

static void test_progress(void **state)
{
    (void)state;
    r1_model *m = model(&r1_modsum_task);
    seen s = {0};
    r1_eval_options o = {
        .problems = 6, .samples = 300, .split = R1_SPLIT_TRAIN, .temperature = 1, .top_p = 1};
    r1_eval_result quiet = run(m, 64, &r1_modsum_task, &o, NULL, 0);
    o.progress = on_progress;
    o.ud = &s;
    r1_eval_result r = run(m, 64, &r1_modsum_task, &o, NULL, 0); /* two runs of the engine */
    assert_same(&quiet, &r);
    assert_int_equal(s.calls, r.tokens + 2);
    assert_int_equal(s.last.tokens, r.tokens);
    assert_int_equal(s.last.samples, 1800);
    assert_int_equal(s.last.ended, 1800);
    assert_int_equal(s.last.problems, 6);
    assert_int_equal(s.last.problems_done, 6);
    assert_near(s.last.pass1, r.pass1);
    r1_model_close(m);
}

static void assert_refused(r1_engine *e, r1_model *m, r1_eval_options o, const char *word)
{
    r1_err err = {0};
    r1_eval_result r;
    assert_int_equal(r1_eval_task(e, m, &r1_modsum_task, &o, &r, NULL, 0, &err), R1_EARG);
    if (!strstr(err.msg, word))
        fail_msg("no '%s' in '%s'", word, err.msg);
}

static void test_misuse(void **state)
{
    (void)state;
    r1_model *m = model(&r1_modsum_task);
    r1_engine *e = engine(m, 4);
    const r1_eval_options good = {.problems = 2, .samples = 2, .temperature = 1, .top_p = 1};
    r1_eval_options o = good;
    o.samples = 0;
    assert_refused(e, m, o, "0 samples");
    o.samples = R1_EVAL_MAX_SAMPLES + 1;
    assert_refused(e, m, o, "samples");
    o = good;
    o.problems = -1;
    assert_refused(e, m, o, "-1 problems");
    o = good;
    o.temperature = -1;
    assert_refused(e, m, o, "temperature");
    o = good;
    o.top_p = 2;
    assert_refused(e, m, o, "top_p");
    o = good;
    o.max_tokens = -5;
    assert_refused(e, m, o, "max_tokens");
    r1_engine_close(e);
    r1_model_close(m);
}

/* ---- Perplexity -------------------------------------------------------------------------- */

static bool stop_at_once(void *ud, const r1_eval_text_result *so_far, int64_t total)
{
    int *calls = ud;
    assert_true(so_far->tokens > 0 && total == 50);
    return ++*calls < 2;
}

/* Against r1_forward_sequence over each window by hand. */
static void test_perplexity(void **state)
{
    (void)state;
    r1_model *m = model(&r1_countdown_task);
    int32_t ids[50], window[16];
    r1_err err = {0};
    for (int i = 0; i < 50; i++)
        ids[i] = 1 + (7 * i + i * i) % (m->cfg.vocab - 1);
    const int bos = r1_tokenizer_adds_bos(m->tok) ? 1 : 0;
    double sum = 0;
    int64_t n = 0;
    for (int at = 0; at < 50; at += 16 - bos) {
        float lp[16];
        int take = 50 - at < 16 - bos ? 50 - at : 16 - bos;
        window[0] = r1_tokenizer_bos(m->tok);
        memcpy(window + bos, ids + at, (size_t)take * sizeof *ids);
        assert_int_equal(r1_forward_sequence(m, window, take + bos, lp, &err), R1_OK);
        for (int i = 0; i + 1 < take + bos; i++, n++)
            sum -= (double)lp[i];
    }
    r1_eval_text_result r;
    assert_int_equal(r1_eval_perplexity(m, ids, 50, 16, NULL, NULL, &r, &err), R1_OK);
    assert_int_equal(r.tokens, n);
    assert_near(r.nll, sum / (double)n);
    assert_near(r.perplexity, exp(sum / (double)n));
    assert_true(r.nll_stderr > 0);
    int calls = 0;
    assert_int_equal(r1_eval_perplexity(m, ids, 50, 16, stop_at_once, &calls, &r, &err),
                     R1_ECANCELED);
    assert_int_equal(calls, 2);
    assert_int_equal(r1_eval_perplexity(m, ids, 50, 1, NULL, NULL, &r, &err), R1_EARG);
    assert_int_equal(r1_eval_perplexity(m, ids, 50, 65, NULL, NULL, &r, &err), R1_EARG);
    assert_int_equal(r1_eval_perplexity(m, ids, 1, 16, NULL, NULL, &r, &err), R1_EARG);
    r1_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vote),        cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_counts),      cmocka_unit_test(test_sums),
        cmocka_unit_test(test_stop_string), cmocka_unit_test(test_progress),
        cmocka_unit_test(test_misuse),      cmocka_unit_test(test_perplexity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
