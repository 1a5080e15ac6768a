/* test_compare.c: two runs of a store beside one another. */
#include "golden.h"
#include "occurrences.h"

#include "base/os.h"
#include "recipe/compare.h"

typedef struct {
    char dir[64];
    r1_store *store;
    int64_t id[2];
} fixture;

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    char path[128];
    snprintf(f->dir, sizeof f->dir, "/tmp/test_compare.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/runs.db", f->dir);
    OK(r1_store_open(path, &f->store, err));
    static const char *const configs[] = {
        "{\"steps\": 3, \"learning_rate\": 0.001, \"task\": \"countdown\", \"seed\": 1}",
        "{\"steps\": 3, \"learning_rate\": 0.002, \"task\": \"countdown\", \"beta\": 0.1, "
        "\"seed\": 1}"};
    for (int i = 0; i < 2; i++) {
        OK(r1_store_begin(f->store, "grpo", i ? "<b>second</b>" : "first", configs[i],
                          &f->id[i], err));
        for (int step = 1; step <= 3; step++) {
            const r1_metric m[] = {{"x/own", 7},
                                   {"emergence/backtracks", 0.1 * step},
                                   {"reward", i + 0.25 * step},
                                   {"kl", (double)NAN}};
            OK(r1_store_step(f->store, f->id[i], step, m, i ? 4 : 3, NULL, 0, err));
        }
        OK(r1_store_end(f->store, f->id[i], "done", NULL, err));
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    r1_store_close(f->store);
    r1_os_dir_abort(f->dir);
    r1_mem_free(f);
    return 0;
}

static void test_figures(void **state)
{
    fixture *f = *state;
    r1_compare c;
    OK(r1_compare_read(f->store, f->id, 2, &c, err));
    /* In the order of reports; what they do not show comes last. */
    assert_int_equal(c.n_metrics, 4);
    assert_string_equal(c.metrics[0], "reward");
    assert_string_equal(c.metrics[1], "emergence/backtracks");
    assert_string_equal(c.metrics[2], "kl");
    assert_string_equal(c.metrics[3], "x/own");
    assert_int_equal(c.n_options, 2);
    assert_string_equal(c.options[0].name, "learning_rate");
    assert_string_equal(c.options[0].value[0], "0.001");
    assert_string_equal(c.options[0].value[1], "0.002");
    assert_string_equal(c.options[1].name, "beta");
    assert_string_equal(c.options[1].value[0], "–");
    r1_buf b;
    json_t *v;
    r1_buf_init(&b, 0);
    r1_compare_json(&c, &b);
    OK(r1_json_parse(b.data, b.len, "json", &v, err));
    const json_t *reward = json_object_get(json_object_get(v, "metrics"), "reward");
    assert_float_equal(json_number_value(json_object_get(json_array_get(reward, 1), "last")),
                       1.75, 1e-9);
    assert_float_equal(json_number_value(json_object_get(json_array_get(reward, 0), "best")),
                       0.75, 1e-9);
    assert_true(
        json_is_null(json_array_get(json_object_get(json_object_get(v, "metrics"), "kl"), 0)));
    assert_true(json_is_null(
        json_array_get(json_object_get(json_object_get(v, "options"), "beta"), 0)));
    json_decref(v);
    r1_buf_reset(&b);
    r1_compare_text(&c, 100, &b);
    assert_non_null(strstr(b.data, "learning_rate"));
    assert_null(strstr(b.data, "\nseed ")); /* the same in both */
    assert_non_null(strstr(b.data, "1.7500"));
    r1_buf_release(&b);
    r1_compare_release(&c);
}

/* The text of the file that is written under a name. */
static char *written(const fixture *f, const r1_compare *c, const char *name)
{
    char path[128], *text;
    size_t len;
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    OK(r1_compare_write(c, path, err));
    OK(r1_os_read_file(path, 1 << 20, &text, &len, err));
    return text;
}

static void test_page(void **state)
{
    fixture *f = *state;
    r1_compare c;
    OK(r1_compare_read(f->store, f->id, 2, &c, err));
    char *page = written(f, &c, "page.html");
    assert_non_null(strstr(page, "Reward: reward"));
    assert_non_null(strstr(page, "emergence/backtracks"));
    assert_non_null(strstr(page, "class=\"line c1")); /* two lines in a chart */
    assert_non_null(strstr(page, "&lt;b&gt;second&lt;/b&gt;"));
    assert_null(strstr(page, "<b>second"));
    assert_non_null(strstr(page, "</html>"));
    r1_mem_free(page);
    r1_err err = {0};
    assert_int_equal(r1_compare_write(&c, "/dev/null/page.html", &err), R1_EIO);
    r1_compare_release(&c);
}

/* Charts of what was chosen, each with a line a run, in colours that a legend tells. */
static void test_picture(void **state)
{
    fixture *f = *state;
    r1_compare c;
    OK(r1_compare_read(f->store, f->id, 2, &c, err));
    char *svg = written(f, &c, "curves.svg");
    assert_int_equal(occurrences(svg, "class=\"head\""),
                     3); /* not x/own: reports do not show it */
    r1_mem_free(svg);
    r1_err why = {0};
    assert_int_equal(r1_compare_choose(&c, "reward,nought", &why), R1_EARG);
    assert_non_null(strstr(why.msg, "'nought'"));
    assert_int_equal(r1_compare_choose(&c, "rewar", &why), R1_EARG);
    assert_int_equal(r1_compare_choose(&c, "", &why), R1_EARG);
    assert_int_equal(c.n_metrics, 4); /* as before */
    OK(r1_compare_choose(&c, "x/own,reward,x/own", err));
    assert_int_equal(c.n_metrics, 2);
    assert_string_equal(c.metrics[0], "x/own");
    svg = written(f, &c, "curves.svg");
    assert_memory_equal(svg, "<svg xmlns=", 11);
    assert_int_equal(occurrences(svg, "<svg"), 3); /* the picture, and a chart in it for each */
    assert_int_equal(occurrences(svg, "</svg>"), 3);
    assert_non_null(strstr(svg, ">x/own</text>"));
    assert_non_null(strstr(svg, ">Reward: reward</text>"));
    assert_int_equal(occurrences(svg, "<path class=\"line c0"),
                     3); /* two charts and the legend */
    assert_int_equal(occurrences(svg, "<path class=\"line c1"), 3);
    assert_non_null(strstr(svg, "&lt;b&gt;second&lt;/b&gt;"));
    assert_null(strstr(svg, "<b>"));
    r1_mem_free(svg);
    r1_compare_release(&c);
}

static void test_refusals(void **state)
{
    fixture *f = *state;
    r1_compare c;
    r1_err why = {0};
    const int64_t twice[] = {f->id[0], f->id[0]}, none[] = {f->id[0], 99};
    assert_int_equal(r1_compare_read(f->store, f->id, 1, &c, &why), R1_EARG);
    assert_int_equal(r1_compare_read(f->store, twice, 2, &c, &why), R1_EARG);
    assert_non_null(strstr(why.msg, "twice"));
    assert_int_not_equal(r1_compare_read(f->store, none, 2, &c, &why), R1_OK);
    assert_non_null(strstr(why.msg, "99"));
    /* The same options, and a config that is no object. */
    int64_t id[2];
    OK(r1_store_begin(f->store, "sft", "a", "[]", &id[0], err));
    OK(r1_store_begin(f->store, "sft", "b", "", &id[1], err));
    OK(r1_compare_read(f->store, id, 2, &c, err));
    assert_int_equal(c.n_options, 0);
    assert_int_equal(c.n_metrics, 0);
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_compare_text(&c, 20, &b);
    assert_non_null(strstr(b.data, "same options"));
    r1_buf_release(&b);
    r1_compare_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_picture),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
