/* test_gen.c: procedural problems: the same each time, each in one split, with the solution that
 * they say they have and, where that is claimed, no other. */
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>

#include "recipe/gen.h"
#include "verify/grid.h"
#include "verify/logic.h"

static const r1_split splits[] = {R1_SPLIT_TRAIN, R1_SPLIT_DEV, R1_SPLIT_TEST};

/* fn for some problems of every task and level. */
typedef void (*problem_fn)(const r1_task *t, int level, const r1_problem *p);

static void for_all(int n, problem_fn fn)
{
    int tasks = 0;
    for (int i = 0; r1_task_at(i); i++) {
        const r1_task *t = r1_task_at(i);
        tasks += t->levels > 0;
        for (int level = 1; level <= t->levels; level++)
            for (int k = 0; k < n; k++) {
                r1_problem p;
                r1_task_problem(t, 7, R1_SPLIT_TRAIN, level, (uint64_t)k, &p);
                fn(t, level, &p);
                r1_problem_release(&p);
            }
    }
    assert_int_equal(tasks, 15);
}

static const char *solution_of(const r1_problem *p)
{
    const char *s = json_string_value(json_object_get(p->answer, "solution"));
    assert_non_null(s);
    return s;
}

static bool right(const r1_problem *p, const char *text)
{
    r1_verdict v = p->verifier->judge(p->answer, text, strlen(text), true);
    assert_true(v.correct == (v.reward == 1) && (v.formatted || !v.correct));
    return v.correct;
}

/* Around an answer; [1]: where it must be boxed. */
static const char *const forms[][2] = {{"<answer>", "</answer>"}, {"\\boxed{", "}"}};

/* A printf of the solution (%s) as a completion, and whether it is right. */
static bool says(const r1_problem *p, const char *before, const char *answer, const char *after)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "%s%s%s", before, answer, after);
    bool yes = right(p, b.data);
    r1_buf_release(&b);
    return yes;
}

static void check_solution(const r1_task *t, int level, const r1_problem *p)
{
    const char *s = solution_of(p);
    r1_err err = {0};
    if (p->verifier->check(p->answer, &err) != R1_OK)
        fail_msg("%s %d: %s", t->name, level, err.msg);
    const bool boxed = strcmp(p->verifier->name, "boxed") == 0;
    const char *const *form = forms[boxed];
    char before[3][64];
    snprintf(before[0], sizeof before[0], "<think>so</think>\n%s", form[0]);
    snprintf(before[1], sizeof before[1], "so</think>%s ", form[0]);
    snprintf(before[2], sizeof before[2], "%s", form[0]);
    for (size_t i = 0; i < COUNT(before); i++)
        if (!says(p, before[i], s, form[1]))
            fail_msg("%s %d: '%s' is not accepted for\n%s", t->name, level, s, p->prompt);
    assert_int_equal(says(p, "<answer>", s, "</answer>"), !boxed);
    /* Neither the tags of the prompt nor its example give the answer away. */
    assert_false(right(p, p->prompt));
    assert_true(strstr(p->prompt, form[0]) != NULL);
}

static void test_solutions(void **state)
{
    (void)state;
    for_all(25, check_solution);
}

static void check_hostile(const r1_task *t, int level, const r1_problem *p)
{
    const char *s = solution_of(p);
    static const char *const around[][2] = {
        {"", ""},
        {"<answer>", ""},
        {"", "</answer>"},
        {"<think><answer>", "</answer>"},
        {"<think><answer>", "</answer></think>"},
        {"<think>a</think><think><answer>", "</answer>"},
        {"<answer>1</answer><answer>", "</answer>"},
        {"<answer>", "</answer><answer>1</answer>"},
        {"<answer>", "</answer> or not"},
        {"<answer>", " or 17</answer>"},
        {"<answer>not ", "</answer>"},
        {"<answer>", " 1 1</answer>"},
        {"<answer>", "\nmaybe</answer>"},
        {"<answer>one of ", " and 5</answer>"},
        {"<answer><answer>", "</answer></answer>"},
    };
    for (size_t i = 0; i < COUNT(around); i++)
        if (says(p, around[i][0], s, around[i][1]))
            fail_msg("%s %d: '%s%s%s' is accepted for\n%s", t->name, level, around[i][0], s,
                     around[i][1], p->prompt);
    r1_buf twice;
    r1_buf_init(&twice, 0);
    r1_buf_printf(&twice, "<answer>%s %s</answer>", s, s);
    assert_false(right(p, twice.data));
    while (twice.len < 200000)
        r1_buf_printf(&twice, "%s ", s);
    r1_buf_puts(&twice, "</answer>");
    assert_false(right(p, twice.data));
    r1_buf_release(&twice);
}

static void test_hostile(void **state)
{
    (void)state;
    for_all(5, check_hostile);
}

/* Where there is one solution, another digit is wrong. */
static void check_digits(const r1_task *t, int level, const r1_problem *p)
{
    static const char *const unique[] = {"number", "base",    "equations", "quantity", "sudoku",
                                         "boxed",  "balance", "knights",   "zebra"};
    bool one = false;
    for (size_t i = 0; i < COUNT(unique); i++)
        one = one || strcmp(p->verifier->name, unique[i]) == 0;
    if (!one)
        return;
    char *s = r1_mem_strdup(solution_of(p));
    int64_t most = json_integer_value(json_object_get(p->answer, "digits")); /* that count */
    int significant = 0;
    for (char *c = s; *c; c++) {
        significant += (*c >= '1' && *c <= '9') || (*c == '0' && significant);
        if (*c < '0' || *c > '9' || (most && significant > most))
            continue;
        char digit = *c;
        *c = digit == '9' ? '8' : (char)(digit + 1);
        const char *const *form = forms[strcmp(p->verifier->name, "boxed") == 0];
        if (says(p, form[0], s, form[1]))
            fail_msg("%s %d: '%s' is accepted instead of '%s'", t->name, level, s,
                     solution_of(p));
        *c = digit;
    }
    r1_mem_free(s);
}

static void test_digits(void **state)
{
    (void)state;
    for_all(20, check_digits);
}

/* ---- Draws ------------------------------------------------------------------------------- */

static void test_deterministic(void **state)
{
    (void)state;
    for (int i = 0; r1_task_at(i); i++) {
        const r1_task *t = r1_task_at(i);
        for (int level = 1; level <= t->levels; level++) {
            r1_problem a, b, c;
            r1_task_problem(t, 3, R1_SPLIT_DEV, level, 5, &a);
            r1_task_problem(t, 3, R1_SPLIT_DEV, level, 6, &b);
            r1_task_problem(t, 3, R1_SPLIT_DEV, level, 5, &c);
            assert_string_equal(a.prompt, c.prompt);
            assert_true(json_equal(a.answer, c.answer));
            int same = strcmp(a.prompt, b.prompt) == 0; /* by chance, where there are few */
            r1_problem_release(&b);
            r1_task_problem(t, 4, R1_SPLIT_DEV, level, 5, &b);
            same += strcmp(a.prompt, b.prompt) == 0;
            assert_true(same < 2);
            r1_problem_release(&a);
            r1_problem_release(&b);
            r1_problem_release(&c);
        }
    }
    assert_int_equal(r1_task_count(r1_task_find("zebra", NULL), R1_SPLIT_TEST, 0),
                     R1_TASK_SPLIT);
    assert_int_equal(r1_task_count(r1_task_find("countdown", NULL), R1_SPLIT_DEV, 0), 356);
    r1_err err = {0};
    assert_int_equal(r1_task_check_difficulty(r1_task_find("path", NULL), 6, &err), R1_EARG);
    assert_string_equal(err.msg, "difficulty 6: path has 1 to 5");
}

/* Small spaces, so that splits that overlap would meet. */
static void test_splits(void **state)
{
    (void)state;
    enum { DRAWS = 300 };
    static const char *const small[] = {"stoichiometry", "knights", "sequence", "base"};
    for (size_t k = 0; k < COUNT(small); k++) {
        const r1_task *t = r1_task_find(small[k], NULL);
        char *seen[3][DRAWS];
        for (int s = 0; s < 3; s++)
            for (int i = 0; i < DRAWS; i++) {
                r1_problem p;
                r1_task_problem(t, (uint64_t)s, splits[s], 2, (uint64_t)i, &p);
                seen[s][i] = json_dumps(p.answer, JSON_SORT_KEYS);
                r1_problem_release(&p);
            }
        for (int s = 0; s < 3; s++)
            for (int o = 0; o < s; o++)
                for (int i = 0; i < DRAWS; i++)
                    for (int j = 0; j < DRAWS; j++)
                        assert_string_not_equal(seen[s][i], seen[o][j]);
        for (int s = 0; s < 3; s++)
            for (int i = 0; i < DRAWS; i++)
                free(seen[s][i]); /* jansson's */
    }
}

/* sums: operands that stand in one split stand in no other, in whichever order, bare or told; and
 * neither do the words around them. */
static void test_sums_held_out(void **state)
{
    (void)state;
    enum { DRAWS = 2000, MIX = 7 };
    const r1_task *t = r1_task_find("sums", NULL);
    json_t *seen[3] = {json_object(), json_object(), json_object()};
    json_t *words[3] = {json_object(), json_object(), json_object()};
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < DRAWS; i++) {
            r1_problem p;
            r1_task_problem(t, 5, splits[s], MIX, (uint64_t)i, &p);
            char key[96] = "", *word = r1_mem_strdup(p.prompt), *to = word;
            const json_t *operands = json_object_get(p.answer, "operands");
            int64_t v[3] = {0};
            for (size_t k = 0; k < json_array_size(operands); k++)
                v[k] = json_integer_value(json_array_get(operands, k));
            assert_true(v[0] >= v[1] && v[1] >= v[2]);
            snprintf(key, sizeof key, "%s %lld %lld %lld",
                     json_string_value(json_object_get(p.answer, "sign")), (long long)v[0],
                     (long long)v[1], (long long)v[2]);
            json_object_set_new(seen[s], key, json_true());
            for (const char *c = p.prompt; *c && *c != ' '; c++)
                *to++ = *c;
            *to = 0; /* the first word */
            if (strcmp(word, "What") == 0 || strcmp(word, "Find") == 0 ||
                strcmp(word, "Work") == 0)
                json_object_set_new(words[s], word, json_true());
            r1_mem_free(word);
            r1_problem_release(&p);
        }
    const char *key;
    json_t *value;
    for (int s = 0; s < 3; s++)
        for (int o = 0; o < 3; o++) {
            json_object_foreach(seen[s], key, value)
                assert_true(s == o || !json_object_get(seen[o], key));
            json_object_foreach(words[s], key, value)
                assert_true(s == o || !json_object_get(words[o], key));
        }
    for (int s = 0; s < 3; s++) {
        assert_true(json_object_size(seen[s]) > 200 && json_object_size(words[s]) == 1);
        json_decref(seen[s]);
        json_decref(words[s]);
    }
}

/* ---- Uniqueness, by going through everything --------------------------------------------- */

static void check_knights(const r1_task *t, int level, const r1_problem *p)
{
    (void)level;
    if (strcmp(t->name, "knights") != 0)
        return;
    const json_t *list = json_object_get(p->answer, "names");
    size_t n = json_array_size(list);
    int accepted = 0;
    for (uint32_t world = 0; world < 1u << n; world++) {
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_buf_puts(&b, "<answer>");
        for (size_t i = 0; i < n; i++)
            r1_buf_printf(&b, "%s: %s\n", json_string_value(json_array_get(list, i)),
                          world >> i & 1 ? "knight" : "knave");
        r1_buf_puts(&b, "</answer>");
        accepted += right(p, b.data);
        r1_buf_release(&b);
    }
    assert_int_equal(accepted, 1);
}

static void test_knights(void **state)
{
    (void)state;
    for_all(40, check_knights);
}

/* All arrangements of h houses: permutation number k of the first attribute, and so on. */
static int arrangements(const json_t *spec, int attribute, r1_buf *houses, const r1_problem *p)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const json_t *all = json_object_get(spec, "attributes");
    if ((size_t)attribute == json_array_size(all)) {
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_buf_puts(&b, "<answer>");
        for (int h = 0; h < 3; h++)
            r1_buf_printf(&b, "House %d: %s\n", h + 1, houses[h].data);
        r1_buf_puts(&b, "</answer>");
        int yes = right(p, b.data);
        r1_buf_release(&b);
        return yes;
    }
    const json_t *values = json_object_get(json_array_get(all, (size_t)attribute), "values");
    int found = 0;
    for (int k = 0; k < 6; k++) {
        size_t len[3];
        for (int h = 0; h < 3; h++) {
            len[h] = houses[h].len;
            r1_buf_printf(&houses[h], " %s",
                          json_string_value(json_array_get(values, (size_t)orders[k][h])));
        }
        found += arrangements(spec, attribute + 1, houses, p);
        for (int h = 0; h < 3; h++) {
            houses[h].len = len[h];
            houses[h].data[len[h]] = 0;
        }
    }
    return found;
}

static void check_zebra(const r1_task *t, int level, const r1_problem *p)
{
    if (strcmp(t->name, "zebra") != 0)
        return;
    assert_int_equal(r1_gen_logic_count(p->answer, 2), 1);
    if (level > 2)
        return;
    r1_buf houses[3];
    for (int h = 0; h < 3; h++)
        r1_buf_init(&houses[h], 0);
    assert_int_equal(arrangements(p->answer, 0, houses, p), 1);
    for (int h = 0; h < 3; h++)
        r1_buf_release(&houses[h]);
}

static void test_zebra(void **state)
{
    (void)state;
    for_all(15, check_zebra);
}

static void check_sudoku(const r1_task *t, int level, const r1_problem *p)
{
    (void)t;
    if (strcmp(p->verifier->name, "sudoku") != 0)
        return;
    const json_t *grid = json_object_get(p->answer, "grid");
    int size = (int)json_array_size(grid), given = 0;
    uint8_t cells[81];
    for (int i = 0; i < size * size; i++) {
        char c = json_string_value(json_array_get(grid, (size_t)(i / size)))[i % size];
        cells[i] = c == '.' ? 0 : (uint8_t)(c - '0');
        given += c != '.';
    }
    assert_int_equal(r1_grid_sudoku_solve(size, cells, 2, 1 << 20, NULL), 1);
    static const int most4[] = {11, 9, 8, 6, 5}, most9[] = {53, 45, 38, 33, 27};
    assert_true(given <= (size == 4 ? most4[level - 1] : most9[level - 1]));
}

static void test_sudoku(void **state)
{
    (void)state;
    for_all(10, check_sudoku);
}

static void check_path(const r1_task *t, int level, const r1_problem *p)
{
    (void)level;
    if (strcmp(t->name, "path") != 0)
        return;
    /* The direct edge, if there is one, is longer than the way. */
    const char *from = json_string_value(json_object_get(p->answer, "from"));
    const char *to = json_string_value(json_object_get(p->answer, "to"));
    char direct[64];
    snprintf(direct, sizeof direct, "<answer>%s -> %s</answer>", from, to);
    assert_false(right(p, direct));
}

static void test_path(void **state)
{
    (void)state;
    for_all(30, check_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solutions), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_digits),    cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_splits),    cmocka_unit_test(test_knights),
        cmocka_unit_test(test_zebra),     cmocka_unit_test(test_sudoku),
        cmocka_unit_test(test_path),      cmocka_unit_test(test_sums_held_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
