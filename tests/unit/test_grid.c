/* test_grid.c: sudoku, colourings and paths judged by their rules; the sudoku solver. */
#include "verdict.h"

#include <stdio.h>

#include "verify/grid.h"

static const char small[] = "{\"size\": 4, \"grid\": [\"1..4\", \"4.31\", \"21.3\", \"341.\"]}";

static void test_sudoku(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"<answer>1324\n4231\n2143\n3412</answer>", "1324423121433412"},
        {"<answer>\n1 3 2 4\n4 2 3 1\n2 1 4 3\n3 4 1 2\n</answer>", "1324423121433412"},
        {"<answer>1324423121433412</answer>", "1324423121433412"},
        {"<answer>[[1,3,2,4],[4,2,3,1],\n[2,1,4,3],[3,4,1,2]]</answer>", ""},
        {"<answer>[[1,3,2,4],[4,2,3,1],[2,1,4,3],[3,4,1,2]]</answer>", "1324423121433412"},
        {"<answer>1 3 | 2 4\n4 2 | 3 1\n----+----\n2 1 | 4 3\n3 4 | 1 2</answer>",
         "1324423121433412"},
        /* A given digit changed; a digit twice; a right grid of another sudoku. */
        {"<answer>2314\n4231\n1423\n3142</answer>", "2314423114233142"},
        {"<answer>1324\n4231\n2143\n3413</answer>", "1324423121433413"},
        {"<answer>1234\n3412\n2143\n4321</answer>", "1234341221434321"},
        {"<answer>1324\n4231\n2143</answer>", ""},
        {"<answer>1324\n4231\n2143\n341</answer>", ""},
        {"<answer>1324\n4231\n2143\n34122</answer>", ""},
        {"<answer>1324\n4231\n2143\n3412\n1324</answer>", ""},
        {"<answer>13244\n231\n2143\n3412</answer>", ""},
        {"<answer>1324\n4231\n2143\n341.</answer>", ""},
        {"<answer>1324\n4231\n2143\n3415</answer>", ""},
        {"<answer>1324\n4231\n2143\n3412 or so</answer>", ""},
        {"<answer>1324\n4231\n2143\n3412</answer><answer>1</answer>", ""},
        {"1324\n4231\n2143\n3412", ""},
    };
    verdict_expect("sudoku", small, "1324423121433412", cases, COUNT(cases));
    static const char nul[] = "<answer>1324\0"
                              "4231 2143 3412</answer>";
    json_t *spec = verdict_spec(small);
    assert_false(verdict_verifier("sudoku")->judge(spec, nul, sizeof nul - 1, true).formatted);
    json_decref(spec);
    /* Without a digit given, every right grid counts. */
    static const char empty[] =
        "{\"size\": 4, \"grid\": [\"....\", \"....\", \"....\", \"....\"]}";
    assert_true(verdict_of("sudoku", empty, cases[0].text).correct);
    assert_true(verdict_of("sudoku", empty, cases[8].text).correct);
    assert_false(verdict_of("sudoku", empty, cases[7].text).correct);
    verdict_bad_spec("sudoku", "{\"size\": 5}", "sudoku: 'size' is 5, 4 and 9 are known");
    verdict_bad_spec("sudoku", "{\"size\": 4, \"grid\": [\"1..4\"]}",
                     "sudoku: 'grid' is not a list of 4 rows");
    verdict_bad_spec("sudoku",
                     "{\"size\": 4, \"grid\": [\"1..4\", \"4.31\", \"21.3\", \"5...\"]}",
                     "sudoku: row 4 is not 4 digits from 1 to 4 and dots");
}

static void test_solver(void **state)
{
    (void)state;
    uint8_t cells[81] = {0}, solution[81];
    assert_int_equal(r1_grid_sudoku_solve(4, cells, 1000, 1 << 20, NULL), 288);
    assert_int_equal(r1_grid_sudoku_solve(9, cells, 5, 1 << 20, solution), 5);
    for (int i = 0; i < 81; i++)
        assert_in_range(solution[i], 1, 9);
    assert_int_equal(r1_grid_sudoku_solve(9, cells, 1000000, 1000, NULL), -1);
    /* A known one with 17 digits and one solution. */
    static const char hard[] = "000000010400000000020000000000050407008000300001090000300400200"
                               "050100000000806000";
    for (int i = 0; i < 81; i++)
        cells[i] = (uint8_t)(hard[i] - '0');
    assert_int_equal(r1_grid_sudoku_solve(9, cells, 2, 1 << 24, solution), 1);
    static const char first[] = "693784512";
    for (int i = 0; i < 9; i++)
        assert_int_equal(solution[i], first[i] - '0');
    cells[8] = 1; /* twice in the row */
    assert_int_equal(r1_grid_sudoku_solve(9, cells, 2, 1 << 24, NULL), 0);
}

static void test_coloring(void **state)
{
    (void)state;
    static const char spec[] =
        "{\"vertices\": [\"A\", \"B\", \"C\"], \"edges\": [[\"A\", \"B\"], [\"B\", \"C\"]], "
        "\"colors\": [\"red\", \"green\", \"blue\"]}";
    static const verdict_case cases[] = {
        {"<answer>A: red, B: blue, C: red</answer>", "aca"},
        {"<answer>C is red, A is red, B is blue</answer>", "aca"},
        {"<answer>A = Red\nB = Blue\nC = Red</answer>", "aca"},
        {"<answer>A: red, B: red, C: blue</answer>", "aac"},
        {"<answer>A: red, B: blue</answer>", ""},
        {"<answer>A: red, B: blue, C: red, D: red</answer>", ""},
        {"<answer>A: red, B: blue, C: yellow</answer>", ""},
        {"<answer>A: red, B: blue, C: red or blue</answer>", ""},
        {"<answer>A: red, B: blue, C: red, C: green</answer>", ""},
    };
    verdict_expect("coloring", spec, "aca", cases, COUNT(cases));
    assert_true(
        verdict_of("coloring", spec, "<answer>A: red, B: blue, C: green</answer>").correct);
    verdict_bad_spec("coloring", "{\"vertices\": [\"A\"], \"edges\": [[\"A\", \"B\"]]}",
                     "coloring: edge 1 does not join two vertices");
    verdict_bad_spec("coloring", "{\"vertices\": [\"A\", \"A\"], \"edges\": []}",
                     "coloring: the vertex 'A' comes twice");
    verdict_bad_spec("coloring", "{\"vertices\": [\"A\"], \"edges\": []}",
                     "coloring: 'colors' is not a list of 1 to 16 names");
}

static void test_path(void **state)
{
    (void)state;
    static const char roads[] =
        "{\"vertices\": [\"A\", \"B\", \"C\", \"D\"], \"from\": \"A\", \"to\": \"D\", "
        "\"directed\": %s, \"edges\": [[\"A\", \"B\", 2], [\"B\", \"D\", 3], [\"C\", \"A\", 1], "
        "[\"C\", \"D\", 4], [\"A\", \"D\", 6]]}";
    char both[400], one_way[400];
    snprintf(both, sizeof both, roads, "false");
    snprintf(one_way, sizeof one_way, roads, "true");
    static const struct {
        const char *answer;
        bool both, one_way;
    } cases[] = {
        {"A -> B -> D", true, true},
        {"A, B, D", true, true},
        {"A-B-D", true, true},
        {"$A \\to B \\to D$", true, true},
        {"A \xE2\x86\x92 B \xE2\x86\x92 D.", true, true},
        {"a b d", true, true},
        {"A -> C -> D", true, false}, /* the same length, against a one-way road */
        {"A -> D", false, false},
        {"A -> B -> C -> D", false, false},
        {"A -> B", false, false},
        {"B -> D", false, false},
        {"D -> B -> A", false, false},
        {"A -> B -> D -> D", false, false},
        {"A -> B -> D or A -> C -> D", false, false},
        {"A -> X -> D", false, false},
        {"5", false, false},
        {"", false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        snprintf(text, sizeof text, "<think>?</think><answer>%s</answer>", cases[i].answer);
        if (verdict_of("path", both, text).correct != cases[i].both ||
            verdict_of("path", one_way, text).correct != cases[i].one_way)
            fail_msg("'%s'", cases[i].answer);
    }
    verdict_bad_spec("path",
                     "{\"vertices\": [\"A\", \"B\"], \"edges\": [], \"from\": \"A\", \"to\": "
                     "\"B\"}",
                     "path: there is none from 'A' to 'B'");
    verdict_bad_spec("path",
                     "{\"vertices\": [\"A\", \"B\"], \"edges\": [[\"A\", \"B\", 0]], \"from\": "
                     "\"A\", \"to\": \"B\"}",
                     "path: edge 1 does not join two vertices with a length of 1 to 2^30");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sudoku),
        cmocka_unit_test(test_solver),
        cmocka_unit_test(test_coloring),
        cmocka_unit_test(test_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
