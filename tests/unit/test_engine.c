/* Batched generation on a tiny random model: results do not depend on batch, chunk, memory or
 * threads; the recorded log-probabilities are the model's; every way to end a sample. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tiny_config.h"

#include "base/os.h"
#include "engine/engine.h"

enum { VOCAB = 40, CONTEXT = 160, EOS = 33 };

static const char tokenizer_json[] =
    "{\"added_tokens\":["
    "{\"id\":33,\"content\":\"<eos>\",\"special\":true},"
    "{\"id\":34,\"content\":\"<think>\",\"special\":false},"
    "{\"id\":35,\"content\":\"<tool>\",\"special\":true}],"
    "\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"
    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{"
    "\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"f\":5,\"g\":6,\"h\":7,\"i\":8,\"j\":9,\"k\":10,"
    "\"l\":11,\"m\":12,\"n\":13,\"o\":14,\"p\":15,\"q\":16,\"r\":17,\"s\":18,\"t\":19,\"u\":20,"
    "\"v\":21,\"w\":22,\"x\":23,\"y\":24,\"z\":25,\"\\u0120\":26,\"\\u00c3\":27,\"\\u00a9\":28,"
    "\"ab\":29,\"\\u010a\":30,\".\":31,\"\\u0120c\":32},"
    "\"merges\":[\"a b\",\"\\u0120 c\"]}}";

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static r1_tokenizer *tokenizer(void)
{
    char dir[] = "/tmp/r1-test-engine-XXXXXX", path[256];
    assert_non_null(mkdtemp(dir));
    write_file(dir, "tokenizer.json", tokenizer_json);
    write_file(dir, "tokenizer_config.json", "{\"eos_token\":\"<eos>\"}");
    r1_tokenizer *t;
    r1_err err = {0};
    if (r1_tokenizer_open_dir(dir, &t, &err) != R1_OK)
        fail_msg("%s", err.msg);
    const char *names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    return t;
}

static r1_model *model(int threads)
{
    const r1_config cfg = tiny_config(VOCAB, CONTEXT);
    const r1_model_options o = {
        .threads = threads, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_model *m;
    r1_err err = {0};
    if (r1_model_create(&cfg, tokenizer(), 0.3f, 11, &o, &m, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return m;
}

static r1_model *shared; /* by tests that do not care */

static int open_shared(void **state)
{
    (void)state;
    shared = model(2);
    return 0;
}

static int close_shared(void **state)
{
    (void)state;
    r1_model_close(shared);
    return 0;
}

static r1_engine *engine(r1_model *m, int max_batch, int kv_rows, int chunk)
{
    const r1_engine_options o = {.max_batch = max_batch, .kv_rows = kv_rows, .chunk = chunk};
    r1_engine *e;
    r1_err err = {0};
    if (r1_engine_open(m, &o, &e, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return e;
}

static void run(r1_engine *e, r1_request *q, int n, r1_engine_stats *stats)
{
    r1_err err = {0};
    if (r1_engine_run(e, q, n, stats, &err) != R1_OK)
        fail_msg("%s", err.msg);
}

static const r1_sampling plain = {.temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 5};
static const int32_t prompts[4][12] = {{0, 7, 3, 26, 11},
                                       {29, 29, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
                                       {34},
                                       {0, 7, 3, 26, 11, 32, 27, 28, 30}};
static const int prompt_len[4] = {5, 12, 1, 9};

static void assert_same(const r1_completion *a, const r1_completion *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->finish, b->finish);
    assert_memory_equal(a->ids, b->ids, (size_t)a->n * sizeof *a->ids);
    assert_memory_equal(a->lp, b->lp, (size_t)a->n * sizeof *a->lp);
}

/* Four prompts, each with its own number of samples and options. */
enum { TOTAL = 1 + 5 + 16 + 2 };

static void four_requests(r1_request q[4], r1_completion out[TOTAL])
{
    const int samples[4] = {1, 5, 16, 2};
    memset(out, 0, TOTAL * sizeof *out);
    for (int i = 0, at = 0; i < 4; at += samples[i++]) {
        q[i] = (r1_request){.prompt = prompts[i],
                            .n_prompt = prompt_len[i],
                            .samples = samples[i],
                            .sequence = 1000 * (uint64_t)i,
                            .sampling = plain,
                            .out = out + at};
        q[i].sampling.max_tokens = 20 + i;
    }
    q[1].sampling.top_p = 0.9f;
    q[1].sampling.repeat_penalty = 1.3f;
    q[1].sampling.repeat_last = 8;
    q[3].sampling.top_k = 5;
    q[3].sampling.temperature = 0.7f;
}

static void results_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    r1_request q[4];
    r1_completion expected[TOTAL], out[TOTAL];
    four_requests(q, expected);
    r1_engine *e = engine(shared, 64, 0, 256);
    run(e, q, 4, NULL);
    int stops = 0, lengths = 0;
    for (int i = 0; i < TOTAL; i++) {
        stops += expected[i].finish == R1_FINISH_STOP;
        lengths += expected[i].finish == R1_FINISH_LENGTH;
        assert_true(expected[i].n >= 1);
    }
    assert_int_equal(stops + lengths, TOTAL);
    assert_true(stops > 0 && lengths > 0);

    /* Each sample alone. */
    four_requests(q, out);
    for (int i = 0, at = 0; i < 4; i++)
        for (int k = 0; k < q[i].samples; k++, at++) {
            r1_request one = q[i];
            r1_completion c;
            one.samples = 1;
            one.sequence += (uint64_t)k;
            one.out = &c;
            r1_engine_forget(e);
            run(e, &one, 1, NULL);
            assert_same(&expected[at], &c);
            r1_engine_free_completions(&c, 1);
        }
    r1_engine_close(e);

    /* Other batches, chunks, memories and numbers of threads; the smallest memory holds just one
     * sample of the longest prompt. */
    r1_model *alone = model(1);
    const int variants[][3] = {{1, 0, 256}, {3, 0, 7},     {16, 0, 1},  {64, 33, 5},
                               {5, 60, 3},  {64, 100, 64}, {2, 33, 256}};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        e = engine(v % 2 ? alone : shared, variants[v][0], variants[v][1], variants[v][2]);
        for (int again = 0; again < 2; again++) {
            four_requests(q, out);
            run(e, q, 4, NULL);
            for (int i = 0; i < TOTAL; i++)
                assert_same(&expected[i], &out[i]);
            r1_engine_free_completions(out, TOTAL);
        }
        r1_engine_close(e);
    }
    r1_model_close(alone);
    r1_engine_free_completions(expected, TOTAL);
}

static void lp_is_the_models(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 16, 0, 8);
    for (int i = 0; i < 4; i++) {
        r1_completion out[6];
        r1_request q = {.prompt = prompts[i],
                        .n_prompt = prompt_len[i],
                        .samples = 6,
                        .sampling = plain,
                        .out = out};
        q.sampling.top_p = 0.8f; /* lp is of the whole softmax all the same */
        q.sampling.max_tokens = 30;
        run(e, &q, 1, NULL);
        for (int k = 0; k < 6; k++) {
            int32_t ids[CONTEXT];
            float lp[CONTEXT];
            int n = q.n_prompt + out[k].n;
            memcpy(ids, q.prompt, (size_t)q.n_prompt * sizeof *ids);
            memcpy(ids + q.n_prompt, out[k].ids, (size_t)out[k].n * sizeof *ids);
            assert_int_equal(r1_forward_sequence(shared, ids, n, lp, NULL), R1_OK);
            for (int t = 0; t < out[k].n; t++)
                assert_true(fabsf(out[k].lp[t] - lp[q.n_prompt + t - 1]) < 1e-4f);
        }
        r1_engine_free_completions(out, 6);
    }
    r1_engine_close(e);
}

static void greedy_is_the_argmax(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 4, 0, 256);
    r1_completion out[3];
    r1_request q = {.prompt = prompts[1],
                    .n_prompt = prompt_len[1],
                    .samples = 3,
                    .sampling = plain,
                    .out = out};
    q.sampling.temperature = 0;
    q.sampling.max_tokens = 12;
    run(e, &q, 1, NULL);
    for (int k = 1; k < 3; k++)
        assert_same(&out[0], &out[k]);
    int32_t ids[CONTEXT];
    memcpy(ids, q.prompt, (size_t)q.n_prompt * sizeof *ids);
    for (int t = 0; t < out[0].n; t++) {
        int n = q.n_prompt + t + 1, best = -1;
        float lp[CONTEXT], most = -INFINITY;
        for (int32_t id = 0; id < VOCAB; id++) {
            ids[n - 1] = id;
            assert_int_equal(r1_forward_sequence(shared, ids, n, lp, NULL), R1_OK);
            if (lp[n - 2] > most && id < 36) { /* ids of 36 and more are padding */
                most = lp[n - 2];
                best = id;
            }
        }
        assert_int_equal(out[0].ids[t], best);
        assert_true(fabsf(out[0].lp[t] - most) < 1e-4f);
        ids[n - 1] = best;
    }
    r1_engine_free_completions(out, 3);
    r1_engine_close(e);
}

static void limits(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 8, 0, 256);
    r1_completion out[8];
    r1_request q = {.prompt = prompts[0],
                    .n_prompt = prompt_len[0],
                    .samples = 8,
                    .sampling = plain,
                    .out = out};
    for (int max = 0; max <= 3; max++) {
        q.sampling.max_tokens = max;
        r1_engine_stats stats;
        run(e, &q, 1, &stats);
        assert_int_equal(stats.prefill_tokens, prompt_len[0]);
        int limit = max > 0 ? max : CONTEXT - prompt_len[0], rows = 0;
        for (int k = 0; k < 8; k++) {
            bool eos = out[k].ids[out[k].n - 1] == EOS;
            assert_int_equal(out[k].finish, eos ? R1_FINISH_STOP : R1_FINISH_LENGTH);
            if (!eos)
                assert_int_equal(out[k].n, limit);
            for (int t = 0; t < out[k].n - 1; t++)
                assert_int_not_equal(out[k].ids[t], EOS);
            rows += out[k].n - 1;
        }
        assert_int_equal(stats.decode_tokens, rows);
        assert_true(stats.prefill_s >= 0 && stats.decode_s >= 0);
        r1_engine_free_completions(out, 8);
    }
    /* A prompt that leaves room for one token. */
    int32_t full[CONTEXT];
    memset(full, 0, sizeof full);
    q.prompt = full;
    q.n_prompt = CONTEXT - 1;
    q.sampling.max_tokens = 0;
    run(e, &q, 1, NULL);
    for (int k = 0; k < 8; k++)
        assert_int_equal(out[k].n, 1);
    r1_engine_free_completions(out, 8);
    r1_engine_close(e);
}

/* ---- Text -------------------------------------------------------------------------------- */

typedef struct {
    char text[16][512];
    size_t len[16];
    int calls[16];
    int stop_sample, stop_after; /* return false there */
    bool raise;
} heard;

static bool listen(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    heard *h = ud;
    assert_in_range(sample, 0, 15);
    assert_in_range(id, 0, VOCAB - 1);
    assert_true(h->len[sample] + len < sizeof h->text[sample]);
    memcpy(h->text[sample] + h->len[sample], text, len);
    h->len[sample] += len;
    h->calls[sample]++;
    /* Whole characters: the only one of two bytes here is C3 A9; others are U+FFFD. */
    const unsigned char *t = (const unsigned char *)text;
    for (size_t i = 0; i < len; i++) {
        if (t[i] == 0xC3) {
            assert_true(i + 1 < len && t[i + 1] == 0xA9);
            i++;
        } else if (t[i] == 0xEF) {
            assert_true(i + 2 < len && t[i + 1] == 0xBF && t[i + 2] == 0xBD);
            i += 2;
        } else {
            assert_true(t[i] < 0x80);
        }
    }
    bool stop =
        h->stop_after > 0 && sample == h->stop_sample && h->calls[sample] == h->stop_after;
    if (stop && h->raise) {
        raise(SIGINT);
        return true;
    }
    return !stop;
}

/* The text of a completion by the tokenizer's own calls; special tokens have none. */
static void decode_all(const r1_completion *c, r1_buf *b)
{
    r1_utf8_stream s = {0};
    r1_buf_reset(b);
    for (int t = 0; t < c->n; t++) {
        const char *bytes;
        size_t n;
        assert_true(r1_tokenizer_bytes(shared->tok, c->ids[t], &bytes, &n));
        if (!r1_tokenizer_is_special(shared->tok, c->ids[t]))
            r1_tokenizer_stream(&s, bytes, n, b);
    }
    r1_tokenizer_stream_end(&s, b);
}

static r1_request talk(r1_completion *out, heard *h)
{
    r1_request q = {.prompt = prompts[0],
                    .n_prompt = prompt_len[0],
                    .samples = 16,
                    .sampling = plain,
                    .on_token = listen,
                    .ud = h,
                    .out = out};
    memset(h, 0, sizeof *h);
    return q;
}

static void text_arrives(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 7, 0, 256);
    r1_completion out[16];
    heard h;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_request q = talk(out, &h);
    run(e, &q, 1, NULL);
    bool accent = false, special = false;
    for (int k = 0; k < 16; k++) {
        decode_all(&out[k], &b);
        assert_int_equal(h.calls[k], out[k].n);
        assert_int_equal(h.len[k], b.len);
        assert_memory_equal(h.text[k], b.data, b.len);
        for (int t = 0; t < out[k].n; t++) {
            accent = accent || out[k].ids[t] == 27;
            special = special || out[k].ids[t] == 35;
        }
    }
    assert_true(accent && special); /* else the test shows nothing */
    r1_buf_release(&b);
    r1_engine_free_completions(out, 16);
    r1_engine_close(e);
}

static void stop_strings(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 16, 0, 256);
    r1_completion free_run[16], out[16];
    heard h;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_request q = talk(free_run, &h);
    run(e, &q, 1, NULL);
    /* Bytes from the middle of a text are a stop string that crosses tokens; "\1" never comes; the
     * third begins like the first and never comes. */
    int longest = 0;
    for (int k = 0; k < 16; k++)
        longest = free_run[k].n > free_run[longest].n ? k : longest;
    decode_all(&free_run[longest], &b);
    assert_true(b.len > 12);
    size_t from = 6;
    while ((b.data[from] & 0x80) != 0)
        from++;
    char stop[8], longer[16];
    snprintf(stop, sizeof stop, "%.3s", b.data + from);
    snprintf(longer, sizeof longer, "%s\1", stop);
    const char *stops[3] = {longer, "\1", stop};
    q = talk(out, &h);
    q.sampling.stop = stops;
    q.sampling.n_stop = 3;
    run(e, &q, 1, NULL);
    int stopped = 0;
    for (int k = 0; k < 16; k++) {
        decode_all(&free_run[k], &b);
        const char *at = strstr(b.data, stop);
        size_t shown = at != NULL ? (size_t)(at - b.data) : b.len;
        assert_int_equal(h.len[k], shown);
        assert_memory_equal(h.text[k], b.data, shown);
        assert_true(out[k].n <= free_run[k].n);
        assert_memory_equal(out[k].ids, free_run[k].ids, (size_t)out[k].n * sizeof(int32_t));
        if (at == NULL) {
            assert_same(&out[k], &free_run[k]);
            continue;
        }
        stopped++;
        assert_int_equal(out[k].finish, R1_FINISH_STOP);
        /* The last token completed the string. */
        decode_all(&out[k], &b);
        assert_non_null(strstr(b.data, stop));
        out[k].n--;
        decode_all(&out[k], &b);
        assert_null(strstr(b.data, stop));
        out[k].n++;
    }
    assert_true(stopped > 0 && stopped < 16);
    /* Without a listener the same tokens stop. */
    r1_completion quiet[16];
    q.out = quiet;
    q.on_token = NULL;
    run(e, &q, 1, NULL);
    for (int k = 0; k < 16; k++)
        assert_same(&out[k], &quiet[k]);
    r1_buf_release(&b);
    r1_engine_free_completions(free_run, 16);
    r1_engine_free_completions(out, 16);
    r1_engine_free_completions(quiet, 16);
    r1_engine_close(e);
}

static void a_listener_stops_its_sample(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 16, 0, 256);
    r1_completion free_run[16], out[16];
    heard h;
    r1_request q = talk(free_run, &h);
    run(e, &q, 1, NULL);
    int longest = 0;
    for (int k = 0; k < 16; k++)
        longest = free_run[k].n > free_run[longest].n ? k : longest;
    assert_true(free_run[longest].n > 4);
    q = talk(out, &h);
    h.stop_sample = longest;
    h.stop_after = 3;
    run(e, &q, 1, NULL);
    for (int k = 0; k < 16; k++)
        if (k != longest)
            assert_same(&out[k], &free_run[k]);
    assert_int_equal(out[longest].n, 3);
    assert_int_equal(out[longest].finish, R1_FINISH_CANCELED);
    assert_memory_equal(out[longest].ids, free_run[longest].ids, 3 * sizeof(int32_t));
    r1_engine_free_completions(free_run, 16);
    r1_engine_free_completions(out, 16);
    r1_engine_close(e);
}

static void an_interrupt_cancels_what_is_left(void **state)
{
    (void)state;
    r1_os_interrupt_catch();
    r1_engine *e = engine(shared, 4, 0, 256); /* twelve of sixteen samples wait */
    r1_completion free_run[16], out[16];
    heard h;
    r1_request q = talk(free_run, &h);
    run(e, &q, 1, NULL);
    q = talk(out, &h);
    h.stop_sample = 0;
    h.stop_after = free_run[0].n > 2 ? 2 : 1;
    h.raise = true;
    run(e, &q, 1, NULL);
    assert_true(r1_os_interrupted());
    r1_os_interrupt_clear();
    int canceled = 0, waiting = 0;
    for (int k = 0; k < 16; k++) {
        canceled += out[k].finish == R1_FINISH_CANCELED;
        waiting += out[k].n <= 1; /* first tokens come with the prompt */
        assert_true(out[k].n <= free_run[k].n);
        if (out[k].n > 0)
            assert_memory_equal(out[k].ids, free_run[k].ids,
                                (size_t)out[k].n * sizeof(int32_t));
    }
    assert_true(canceled >= 12 && waiting >= 12);
    r1_engine_free_completions(out, 16);
    /* The engine is as good as new. */
    q = talk(out, &h);
    run(e, &q, 1, NULL);
    for (int k = 0; k < 16; k++)
        assert_same(&out[k], &free_run[k]);
    r1_engine_free_completions(out, 16);
    r1_engine_free_completions(free_run, 16);
    r1_engine_close(e);
}

/* ---- Conversations ----------------------------------------------------------------------- */

static void a_conversation_is_kept(void **state)
{
    (void)state;
    r1_engine *kept = engine(shared, 4, 0, 256), *fresh = engine(shared, 4, 0, 256);
    r1_completion a, b;
    int32_t ids[CONTEXT];
    memcpy(ids, prompts[0], sizeof prompts[0]);
    r1_request q = {
        .prompt = ids, .n_prompt = prompt_len[0], .samples = 1, .sampling = plain, .out = &a};
    q.sampling.max_tokens = 6;
    q.keep = true;
    r1_engine_stats stats;
    run(kept, &q, 1, &stats);
    assert_int_equal(stats.prefill_tokens, prompt_len[0]);
    int n = prompt_len[0];
    for (int turn = 0; turn < 3; turn++) {
        /* The answer and three more tokens; the answer's last token has no keys yet. */
        memcpy(ids + n, a.ids, (size_t)a.n * sizeof *ids);
        n += a.n;
        r1_engine_free_completions(&a, 1);
        for (int i = 0; i < 3; i++)
            ids[n++] = i;
        q.n_prompt = n;
        run(kept, &q, 1, &stats);
        assert_int_equal(stats.prefill_tokens, 4);
        r1_engine_forget(fresh);
        q.out = &b;
        run(fresh, &q, 1, &stats);
        assert_int_equal(stats.prefill_tokens, n);
        q.out = &a;
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.ids, b.ids, (size_t)a.n * sizeof *a.ids);
        for (int t = 0; t < a.n; t++)
            assert_true(fabsf(a.lp[t] - b.lp[t]) < 1e-4f);
        r1_engine_free_completions(&b, 1);
    }
    r1_engine_free_completions(&a, 1);

    /* The same prompt again still needs its last token's logits; another beginning reuses what is
     * the same. */
    run(kept, &q, 1, &stats);
    assert_int_equal(stats.prefill_tokens, 1);
    r1_engine_free_completions(&a, 1);
    ids[2]++;
    run(kept, &q, 1, &stats);
    assert_int_equal(stats.prefill_tokens, n - 2);
    r1_engine_free_completions(&a, 1);
    r1_engine_forget(kept);
    run(kept, &q, 1, &stats);
    assert_int_equal(stats.prefill_tokens, n);
    r1_engine_free_completions(&a, 1);
    r1_engine_close(kept);
    r1_engine_close(fresh);
}

/* ---- Memory, prefixes, drafts ------------------------------------------------------------ */

enum { CROWD = 12, LONG = 100 };

/* Prompts that begin alike, part in the middle of pages, and repeat themselves, so that drafts
 * are found; two samples each, all of them long. */
static void crowd(r1_request q[CROWD], int32_t ids[CROWD][50], r1_completion out[2 * CROWD])
{
    memset(out, 0, 2 * CROWD * sizeof *out);
    for (int i = 0; i < CROWD; i++) {
        for (int t = 0; t < 50; t++)
            ids[i][t] = t < 40 - i % 3 ? t % 7 : (t + i) % 29;
        q[i] = (r1_request){.prompt = ids[i],
                            .n_prompt = 50 - i % 4,
                            .samples = 2,
                            .sequence = 10 * (uint64_t)i,
                            .ignore_eos = true,
                            .speculate = R1_SPECULATE_OFF,
                            .sampling = plain,
                            .out = out + (ptrdiff_t)2 * i};
        q[i].sampling.max_tokens = LONG - i;
        q[i].sampling.temperature = i % 2 ? 0.3f : 0;
    }
    q[3].sampling.repeat_penalty = 1.2f;
    q[3].sampling.repeat_last = 10;
    q[5].sampling.frequency_penalty = 0.05f;
    q[5].sampling.presence_penalty = 0.3f;
}

/* What ids of the crowd are, by a run with room for everybody. */
static void crowd_expected(r1_completion expected[2 * CROWD])
{
    r1_request q[CROWD];
    int32_t ids[CROWD][50];
    r1_engine_stats stats;
    crowd(q, ids, expected);
    r1_engine *e = engine(shared, 64, 0, 256);
    run(e, q, CROWD, &stats);
    assert_int_equal(stats.preempted, 0);
    assert_int_equal(stats.drafted, 0);
    r1_engine_close(e);
}

static void the_crowd_is_the_same(r1_engine *e, const r1_completion *expected,
                                  r1_speculate speculate, bool keep, r1_engine_stats *stats)
{
    r1_request q[CROWD];
    int32_t ids[CROWD][50];
    r1_completion out[2 * CROWD];
    crowd(q, ids, out);
    for (int i = 0; i < CROWD; i++) {
        q[i].speculate = speculate;
        q[i].keep = keep;
    }
    run(e, q, CROWD, stats);
    for (int i = 0; i < 2 * CROWD; i++)
        assert_same(&expected[i], &out[i]);
    r1_engine_free_completions(out, 2 * CROWD);
}

static void memory_may_be_small(void **state)
{
    (void)state;
    r1_completion expected[2 * CROWD];
    crowd_expected(expected);
    r1_engine_stats stats;
    /* Rows: barely one sample; some; half. */
    const int rows[] = {150, 320, 1000};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int chunk = 1; chunk <= 256; chunk = chunk == 1 ? 7 : chunk == 7 ? 256 : 257) {
            r1_engine *e = engine(shared, 64, rows[i], chunk);
            the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, false, &stats);
            if (rows[i] <= 320)
                assert_true(stats.preempted > 0);
            the_crowd_is_the_same(e, expected, R1_SPECULATE_ON, true, &stats);
            assert_true(stats.drafted > stats.accepted && stats.accepted > 0);
            r1_engine_close(e);
        }
    r1_engine_free_completions(expected, 2 * CROWD);
}

static void drafts_change_nothing_but_speed(void **state)
{
    (void)state;
    r1_completion expected[2 * CROWD];
    crowd_expected(expected);
    r1_engine_stats off, on, automatic;
    r1_engine *e = engine(shared, 2, 0, 256);
    the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, false, &off);
    r1_engine_forget(e);
    the_crowd_is_the_same(e, expected, R1_SPECULATE_ON, false, &on);
    r1_engine_forget(e);
    the_crowd_is_the_same(e, expected, R1_SPECULATE_AUTO, false, &automatic);
    assert_int_equal(off.decode_tokens, on.decode_tokens);
    assert_true(on.accepted > 0 && on.steps < off.steps);
    assert_true(automatic.accepted > 0 && automatic.steps < off.steps);
    assert_true(automatic.drafted - automatic.accepted <= on.drafted - on.accepted);
    r1_engine_close(e);
    r1_engine_free_completions(expected, 2 * CROWD);
}

static void prefixes_are_filled_once(void **state)
{
    (void)state;
    r1_completion expected[2 * CROWD];
    crowd_expected(expected);
    r1_engine_stats stats;
    r1_engine *e = engine(shared, 64, 0, 256);
    the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, true, &stats);
    /* All prompts come at once; the first is filled, the others fill what is different. */
    assert_true(stats.prefill_tokens < 50 + (CROWD - 1) * 14);
    int64_t first = stats.prefill_tokens;
    the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, true, &stats);
    assert_int_equal(stats.prefill_tokens, CROWD); /* for the logits */
    r1_engine_forget(e);
    the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, false, &stats);
    assert_int_equal(stats.prefill_tokens, first);
    /* What others shared stayed, the rest is gone. */
    the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, false, &stats);
    assert_true(stats.prefill_tokens > CROWD && stats.prefill_tokens < first);
    r1_engine_close(e);
    r1_engine_free_completions(expected, 2 * CROWD);
}

/* ---- Step by step ------------------------------------------------------------------------ */

typedef struct {
    r1_completion seen[2 * CROWD]; /* what came at the end */
    int ended[2 * CROWD];
    int base; /* of a request's samples */
    int n;
} endings;

typedef struct {
    endings *all;
    int base;
} ending;

static void on_finish(void *ud, int sample, const r1_completion *c)
{
    const ending *to = ud;
    int at = to->base + sample;
    to->all->ended[at]++;
    to->all->n++;
    r1_completion *copy = &to->all->seen[at];
    *copy = *c;
    copy->ids = malloc((size_t)c->n * sizeof *c->ids + 1);
    copy->lp = malloc((size_t)c->n * sizeof *c->lp + 1);
    assert_non_null(copy->ids);
    assert_non_null(copy->lp);
    if (c->n > 0) {
        memcpy(copy->ids, c->ids, (size_t)c->n * sizeof *c->ids);
        memcpy(copy->lp, c->lp, (size_t)c->n * sizeof *c->lp);
    }
}

/* Requests join in different steps and one is cancelled in the middle. */
static void requests_come_and_go(void **state)
{
    (void)state;
    r1_completion expected[2 * CROWD], unused[2 * CROWD];
    crowd_expected(expected);
    r1_request q[CROWD];
    int32_t ids[CROWD][50];
    crowd(q, ids, unused);
    endings all = {0};
    ending to[CROWD];
    uint64_t id[CROWD];
    r1_err err = {0};
    bool busy = true;
    r1_engine *e = engine(shared, 5, 900, 16);
    assert_int_equal(r1_engine_step(e, &busy, &err), R1_OK);
    assert_false(busy);
    int joined = 0, steps = 0, running = 0, requests = 0;
    do {
        if (steps % 17 == 0 && joined < CROWD) {
            to[joined] = (ending){&all, 2 * joined};
            q[joined].out = NULL;
            q[joined].on_finish = on_finish;
            q[joined].ud = &to[joined];
            q[joined].speculate = (r1_speculate)(joined % 3);
            char stop[] = "\1";
            const char *stops[] = {stop};
            q[joined].sampling.stop = stops;
            q[joined].sampling.n_stop = 1;
            assert_int_equal(r1_engine_submit(e, &q[joined], &id[joined], &err), R1_OK);
            stop[0] = 'a'; /* it was copied, as the prompt was */
            memset(ids[joined], 0, sizeof ids[joined]);
            joined++;
        }
        if (steps == 60)
            r1_engine_cancel(e, id[3]);
        if (steps == 90)
            r1_engine_forget(e);
        assert_int_equal(r1_engine_step(e, &busy, &err), R1_OK);
        r1_engine_load(e, &running, &requests);
        assert_true(running <= 5 && requests <= joined && busy == (requests > 0));
        steps++;
    } while (busy || joined < CROWD);
    r1_engine_cancel(e, id[0]); /* long gone */
    assert_int_equal(all.n, 2 * CROWD);
    int canceled = 0;
    for (int i = 0; i < 2 * CROWD; i++) {
        const r1_completion *c = &all.seen[i];
        assert_int_equal(all.ended[i], 1);
        assert_int_equal(c->usage.prompt, q[i / 2].n_prompt);
        assert_true(c->usage.cached < c->usage.prompt + (i % 2) && c->usage.queue_s >= 0);
        assert_true(c->n == 0 || c->usage.first_s >= c->usage.queue_s * (i % 2 == 0));
        assert_true(c->usage.total_s >= c->usage.first_s);
        assert_true(c->usage.accepted <= c->usage.drafted);
        if (i / 2 == 3 && c->finish == R1_FINISH_CANCELED) {
            canceled++;
            assert_true(c->n < expected[i].n);
            assert_memory_equal(c->ids, expected[i].ids, (size_t)c->n * sizeof *c->ids);
        } else {
            assert_same(&expected[i], c);
        }
        free(c->ids);
        free(c->lp);
    }
    assert_int_equal(canceled, 2);
    r1_engine_close(e);
    r1_engine_free_completions(expected, 2 * CROWD);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    r1_completion expected[2 * CROWD], unused[2 * CROWD];
    crowd_expected(expected);
    const r1_engine_options o = {.max_batch = 4, .chunk = 256, .queue = 3};
    r1_engine *e;
    r1_err err = {0};
    assert_int_equal(r1_engine_open(shared, &o, &e, &err), R1_OK);
    r1_request q[CROWD];
    int32_t ids[CROWD][50];
    crowd(q, ids, unused);
    endings all = {0};
    ending to = {&all, 0};
    for (int i = 0; i < 3; i++) {
        q[i].out = NULL;
        q[i].on_finish = on_finish;
        q[i].ud = &to;
        assert_int_equal(r1_engine_submit(e, &q[i], NULL, &err), R1_OK);
    }
    assert_int_equal(r1_engine_submit(e, &q[3], NULL, &err), R1_EBUSY);
    assert_non_null(strstr(err.msg, "3 requests"));
    bool busy;
    assert_int_equal(r1_engine_step(e, &busy, &err), R1_OK);
    r1_engine_close(e); /* in the middle: no callback */
    assert_int_equal(all.n, 0);
    assert_int_equal(r1_engine_open(shared, &o, &e, &err), R1_OK);
    the_crowd_is_the_same(e, expected, R1_SPECULATE_OFF, false, NULL); /* it waits */
    r1_engine_close(e);
    r1_engine_free_completions(expected, 2 * CROWD);
}

/* ---- Mistakes ---------------------------------------------------------------------------- */

static void expect_refusal(r1_engine *e, r1_request q, const char *word)
{
    r1_err err = {0};
    assert_int_equal(r1_engine_run(e, &q, 1, NULL, &err), R1_EARG);
    assert_non_null(strstr(err.msg, word));
}

static void mistakes(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 4, 0, 256), *small = engine(shared, 4, 8, 256);
    r1_completion out;
    int32_t ids[CONTEXT + 1] = {0};
    r1_request good = {
        .prompt = ids, .n_prompt = 4, .samples = 1, .sampling = plain, .out = &out};
    r1_request q = good;
    q.n_prompt = CONTEXT;
    expect_refusal(e, q, "context of 160");
    q.n_prompt = 8;
    expect_refusal(small, q, "context of 8");
    q.n_prompt = 0;
    expect_refusal(e, q, "no tokens");
    q = good;
    q.samples = 0;
    expect_refusal(e, q, "0 samples");
    q = good;
    q.sampling.top_p = 2;
    expect_refusal(e, q, "top_p");
    ids[2] = VOCAB;
    expect_refusal(e, good, "id 40");
    ids[2] = -1;
    expect_refusal(e, good, "id -1");
    ids[2] = 0;

    r1_request two[2] = {good, good};
    two[1].n_prompt = 0;
    r1_err err = {0};
    assert_int_equal(r1_engine_run(e, two, 2, NULL, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "request 1"));
    run(e, NULL, 0, NULL);

    r1_engine *none = NULL;
    q = good;
    q.samples = 65537;
    expect_refusal(e, q, "65537 samples");

    const r1_engine_options bad[] = {
        {.max_batch = 0, .chunk = 1},
        {.max_batch = 513, .chunk = 1},
        {.max_batch = 1, .chunk = 0},
        {.max_batch = 1, .chunk = 1, .kv_rows = -1},
        {.max_batch = 1, .chunk = 1, .queue = -1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(r1_engine_open(shared, &bad[i], &none, &err), R1_EARG);
    assert_null(none);
    r1_engine_close(NULL);
    r1_engine_close(e);
    r1_engine_close(small);
}

/* ---- The public calls -------------------------------------------------------------------- */

static void public_calls(void **state)
{
    (void)state;
    r1_err err = {0};
    int32_t *ids;
    size_t n, len;
    assert_int_equal(r1_tokenize(shared, "abc<eos>", 8, true, &ids, &n, &err), R1_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], 29);
    assert_int_equal(ids[2], EOS);
    char *text;
    assert_int_equal(r1_detokenize(shared, ids, 2, &text, &len, &err), R1_OK);
    assert_string_equal(text, "abc");
    assert_int_equal(len, 3);
    r1_free(text);
    assert_int_equal(r1_detokenize(shared, ids, 0, &text, &len, &err), R1_OK);
    assert_string_equal(text, "");
    r1_free(text);
    ids[0] = 99;
    assert_int_equal(r1_detokenize(shared, ids, 2, &text, &len, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "99"));
    r1_free(ids);

    r1_engine *e = engine(shared, 16, 0, 256);
    r1_completion out[16];
    heard h, again;
    r1_request q = talk(out, &h);
    run(e, &q, 1, NULL);
    memset(&again, 0, sizeof again);
    assert_int_equal(r1_generate(shared, prompts[0], (size_t)prompt_len[0], 16, &plain, listen,
                                 &again, &err),
                     R1_OK);
    assert_memory_equal(&h, &again, sizeof h);
    r1_engine_free_completions(out, 16);
    r1_engine_close(e);
    assert_int_equal(r1_generate(shared, prompts[0], CONTEXT + 1, 1, NULL, NULL, NULL, &err),
                     R1_EARG);
    assert_int_equal(r1_generate(shared, prompts[0], 1, 0, NULL, NULL, NULL, &err), R1_EARG);

    float lp[11], expected[11];
    assert_int_equal(r1_logprob(shared, prompts[1], 12, lp, &err), R1_OK);
    assert_int_equal(r1_forward_sequence(shared, prompts[1], 12, expected, &err), R1_OK);
    assert_memory_equal(lp, expected, sizeof lp);
    assert_int_equal(r1_logprob(shared, prompts[1], 1, lp, &err), R1_EARG);
    const int32_t wrong[2] = {0, VOCAB};
    assert_int_equal(r1_logprob(shared, wrong, 2, lp, &err), R1_EARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_the_batch),
        cmocka_unit_test(lp_is_the_models),
        cmocka_unit_test(greedy_is_the_argmax),
        cmocka_unit_test(limits),
        cmocka_unit_test(text_arrives),
        cmocka_unit_test(stop_strings),
        cmocka_unit_test(a_listener_stops_its_sample),
        cmocka_unit_test(an_interrupt_cancels_what_is_left),
        cmocka_unit_test(a_conversation_is_kept),
        cmocka_unit_test(memory_may_be_small),
        cmocka_unit_test(drafts_change_nothing_but_speed),
        cmocka_unit_test(prefixes_are_filled_once),
        cmocka_unit_test(requests_come_and_go),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(public_calls),
    };
    return cmocka_run_group_tests(tests, open_shared, close_shared);
}
