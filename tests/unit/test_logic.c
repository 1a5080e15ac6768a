/* test_logic.c: formulas; puzzles of logic judged by their rules. */
#include "verdict.h"

#include "verify/logic.h"

static void test_formulas(void **state)
{
    (void)state;
    static const char *const names[] = {"p", "q", "r"};
    static const struct {
        const char *text;
        int truth; /* bit w: its value in world w, where bit 0 of w is p; -1: no formula */
    } cases[] = {
        {"p", 0xAA},
        {"!p", 0x55},
        {"!!p", 0xAA},
        {"p & q", 0x88},
        {"p | q", 0xEE},
        {"p ^ q", 0x66},
        {"p -> q", 0xDD},
        {"p <-> q", 0x99},
        {"p | q & r", 0xEA},
        {"(p | q) & r", 0xE0},
        {"p ^ q & r", 0x6A},
        {"p -> q -> r", 0xF7},
        {"(p -> q) -> r", 0xF2},
        {"p <-> q <-> r", 0x96},
        {"!(p & q)", 0x77},
        {" ( ( p ) ) ", 0xAA},
        {"", -1},
        {"p q", -1},
        {"p &", -1},
        {"& p", -1},
        {"(p", -1},
        {"p)", -1},
        {"x", -1},
        {"P", -1},
        {"p - q", -1},
        {"p == q", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        for (uint32_t w = 0; w < 8; w++) {
            bool v = false, ok = r1_logic_eval(cases[i].text, names, 3, w, &v);
            if (ok != (cases[i].truth >= 0) || (ok && v != (cases[i].truth >> w & 1)))
                fail_msg("'%s' in world %u: %d %d", cases[i].text, w, ok, v);
        }
    r1_buf deep;
    r1_buf_init(&deep, 0);
    for (int i = 0; i < 3000; i++)
        r1_buf_putc(&deep, '(');
    bool v;
    assert_false(r1_logic_eval(deep.data, names, 3, 0, &v));
    for (int i = 0; i < 8000; i++)
        r1_buf_puts(&deep, "!");
    assert_false(r1_logic_eval(deep.data, names, 3, 0, &v));
    r1_buf_release(&deep);
}

static void test_boolean(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"<answer>p = true, q = false</answer>", "10"},
        {"<answer>q: false\np: true</answer>", "10"},
        {"<answer>p is true and q is false.</answer>", "10"},
        {"<answer>p=1; q=0</answer>", "10"},
        {"<answer>(p, true), (q, false)</answer>", ""},
        {"\\boxed{p = \\text{true}, q = \\text{false}}", "10"},
        {"<answer>p = T, q = F</answer>", "10"},
        {"<answer>p = true, q = true</answer>", "11"},
        {"<answer>p = true</answer>", ""},
        {"<answer>p = true, q = false, p = false</answer>", ""},
        {"<answer>p = true, q = false, r = false</answer>", ""},
        {"<answer>p = true or false, q = false</answer>", ""},
        {"<answer>p = maybe, q = false</answer>", ""},
        {"<answer>p, q</answer>", ""},
        {"<answer>true, false</answer>", ""},
        {"p = true, q = false", ""},
    };
    verdict_expect("boolean", "{\"names\": [\"p\", \"q\"], \"formula\": \"p & !q\"}", "10",
                   cases, COUNT(cases));
    /* Any assignment that satisfies counts. */
    static const char either[] = "{\"names\": [\"p\", \"q\"], \"formula\": \"p ^ q\"}";
    assert_true(verdict_of("boolean", either, "<answer>p = 1, q = 0</answer>").correct);
    assert_true(verdict_of("boolean", either, "<answer>p = 0, q = 1</answer>").correct);
    assert_false(verdict_of("boolean", either, "<answer>p = 1, q = 1</answer>").correct);
    verdict_bad_spec("boolean", "{\"names\": [\"p\"]}", "boolean: 'formula' is missing");
    verdict_bad_spec("boolean", "{\"names\": [], \"formula\": \"p\"}",
                     "boolean: 'names' is not a list of 1 to 24 texts");
    verdict_bad_spec("boolean", "{\"names\": [\"p\", \"P\"], \"formula\": \"p\"}",
                     "boolean: the name 'P' comes twice");
    verdict_bad_spec("boolean", "{\"names\": [\"p\"], \"formula\": \"p & q\"}",
                     "boolean: 'p & q' is not a formula over the names");
}

static void test_knights(void **state)
{
    (void)state;
    /* "Ben is a knave", "one of us is a knave": only with Ann a knave and Ben a knight. */
    static const char spec[] =
        "{\"names\": [\"Ann\", \"Ben\"], \"statements\": [\"!Ben\", \"!Ann | !Ben\"]}";
    static const verdict_case cases[] = {
        {"<answer>Ann is a knave, Ben is a knight</answer>", "01"},
        {"<answer>Ben: knight\nAnn: knave</answer>", "01"},
        {"<answer>ann = KNAVE; ben = KNIGHT</answer>", "01"},
        {"<answer>- **Ann** is a knave\n- **Ben** is a knight</answer>", "01"},
        {"<answer>Ann is a knave and Ben is a knight.</answer>", "01"},
        {"<answer>Ann is a knight, Ben is a knave</answer>", "10"},
        {"<answer>Ann is a knight, Ben is a knight</answer>", "11"},
        {"<answer>Ben is a knight</answer>", ""},
        {"<answer>Ann is a knave, Ben is a knight or a knave</answer>", ""},
        {"<answer>Ann is not a knight, Ben is a knight</answer>", ""},
        {"<answer>Ann is a knave, Ben is a knight, Cid is a knave</answer>", ""},
        {"<answer>Ann is a knave, Ben is a knight, Ann is a knight</answer>", ""},
        {"<answer>Ann and Ben are knights</answer>", ""},
        {"<think>Ann is a knave</think>Ben is a knight", ""},
    };
    verdict_expect("knights", spec, "01", cases, COUNT(cases));
    verdict_bad_spec("knights", "{\"names\": [\"Ann\", \"Ben\"], \"statements\": [\"Ben\"]}",
                     "knights: 'statements' is not a list of 2 texts");
    verdict_bad_spec("knights", "{\"names\": [\"Ann\"], \"statements\": [\"Ben\"]}",
                     "knights: 'Ben' is not a formula over the names");
}

static const char street[] =
    "{\"attributes\": [{\"name\": \"colour\", \"values\": [\"red\", \"blue\"]}, "
    "{\"name\": \"drink\", \"values\": [\"tea\", \"milk\"]}], "
    "\"clues\": [[\"left\", \"red\", \"blue\"], [\"same\", \"blue\", \"tea\"]]}";

static void test_zebra(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"<answer>House 1: red, milk\nHouse 2: blue, tea</answer>", "1221"},
        {"<answer>house 2: tea, blue; house 1: milk, red</answer>", "1221"},
        {"<answer>1. red milk\n2. blue tea</answer>", "1221"},
        {"<answer>| House | Colour | Drink |\n|---|---|---|\n| 1 | red | milk |\n| 2 | blue | "
         "tea |</answer>",
         "1221"},
        {"<answer>House 1: colour red, drink milk\nHouse 2: colour blue, drink tea</answer>",
         "1221"},
        {"<answer>House 1: blue, tea\nHouse 2: red, milk</answer>", "2112"},
        {"<answer>House 1: red, tea\nHouse 2: blue, milk</answer>", "1212"},
        {"<answer>House 1: red, milk</answer>", ""},
        {"<answer>House 1: red, milk\nHouse 2: blue</answer>", ""},
        {"<answer>House 1: red, milk\nHouse 2: blue, tea, red</answer>", ""},
        {"<answer>House 1: red, blue\nHouse 2: milk, tea</answer>", ""},
        {"<answer>House 1: red, milk\nHouse 1: blue, tea</answer>", ""},
        {"<answer>House 1: red, milk\nHouse 3: blue, tea</answer>", ""},
        {"<answer>House 1: red, milk or tea\nHouse 2: blue, tea</answer>", ""},
        {"<answer>red, milk, blue, tea</answer>", ""},
    };
    verdict_expect("zebra", street, "1221", cases, COUNT(cases));
    verdict_bad_spec("zebra", "{}", "zebra: 'attributes' is not a list of 1 to 8");
    verdict_bad_spec("zebra",
                     "{\"attributes\": [{\"name\": \"a\", \"values\": [\"x\", \"y\"]}], "
                     "\"clues\": [[\"at\", \"x\", 3]]}",
                     "zebra: clue 1 is not one over the values");
    verdict_bad_spec("zebra",
                     "{\"attributes\": [{\"name\": \"a\", \"values\": [\"x\", \"X\"]}]}",
                     "zebra: the value 'X' comes twice");
    verdict_bad_spec(
        "zebra",
        "{\"attributes\": [{\"name\": \"a\", \"values\": [\"x\", \"y\"]}, {\"name\": "
        "\"b\", \"values\": [\"z\"]}]}",
        "zebra: 'b' needs a list of 2 to 8 values, as many as the others have");
}

static void test_clues(void **state)
{
    (void)state;
    for (int a = 1; a <= 5; a++)
        for (int b = 1; b <= 5; b++) {
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_SAME, a, b), a == b);
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_APART, a, b), a != b);
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_LEFT, a, b), b - a == 1);
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_NEXT, a, b), b - a == 1 || a - b == 1);
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_BEFORE, a, b), a < b);
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_AT, a, b), a == b);
            assert_int_equal(r1_logic_clue_holds(R1_CLUE_NOT_AT, a, b), a != b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas), cmocka_unit_test(test_boolean),
        cmocka_unit_test(test_knights),  cmocka_unit_test(test_zebra),
        cmocka_unit_test(test_clues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
