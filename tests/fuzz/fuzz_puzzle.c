/* fuzz_puzzle.c: arbitrary bytes as the answer to a puzzle (the first byte chooses which), and as
 * the specification of every kind of puzzle. */
#include <string.h>

#include "verify/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *name, *spec;
} puzzles[] = {
    {"equations", "{\"unknowns\": [\"x\", \"y\"], \"equations\": [[2, -1, 5], [1, 1, 4]]}"},
    {"quantity", "{\"value\": 12.3412, \"unit\": \"m/s\", \"digits\": 3}"},
    {"balance", "{\"left\": [\"Al(OH)3\", \"H2SO4\"], \"right\": [\"Al2(SO4)3\", \"H2O\"]}"},
    {"boolean", "{\"names\": [\"p\", \"q\"], \"formula\": \"p & !q\"}"},
    {"knights", "{\"names\": [\"Ann\", \"Ben\"], \"statements\": [\"!Ben\", \"!Ann | !Ben\"]}"},
    {"zebra", "{\"attributes\": [{\"name\": \"colour\", \"values\": [\"red\", \"blue\"]}, "
              "{\"name\": \"drink\", \"values\": [\"tea\", \"milk\"]}], \"clues\": [[\"left\", "
              "\"red\", \"blue\"], [\"same\", \"blue\", \"tea\"]]}"},
    {"sudoku", "{\"size\": 4, \"grid\": [\"1..4\", \"4.31\", \"21.3\", \"341.\"]}"},
    {"coloring", "{\"vertices\": [\"A\", \"B\", \"C\"], \"edges\": [[\"A\", \"B\"], [\"B\", "
                 "\"C\"]], \"colors\": [\"red\", \"green\", \"blue\"]}"},
    {"path", "{\"vertices\": [\"A\", \"B\", \"C\", \"D\"], \"from\": \"A\", \"to\": \"D\", "
             "\"edges\": [[\"A\", \"B\", 2], [\"B\", \"D\", 3], [\"C\", \"D\", 4]]}"},
    {"countdown", "{\"numbers\": [12, 6, 7], \"target\": 42}"},
};
enum { N_PUZZLES = sizeof puzzles / sizeof *puzzles };

static void judge(const r1_verifier *v, const json_t *spec, const char *text, size_t len)
{
    r1_verdict a = v->judge(spec, text, len, true), b = v->judge(spec, text, len, true);
    r1_assert(memcmp(&a, &b, sizeof a) == 0);
    r1_assert(a.correct == (a.reward == 1) && (a.formatted || !a.correct));
    r1_assert(!a.correct || a.answer[0]);
    r1_assert(v->judge(spec, text, len, false).reward == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *spec;
    r1_buf b;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1, *of = puzzles[data[0] % N_PUZZLES].spec;
    const r1_verifier *v = r1_verify_find(puzzles[data[0] % N_PUZZLES].name, NULL);
    r1_assert(r1_json_parse(of, strlen(of), "spec", &spec, NULL) == R1_OK);
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "<answer>");
    r1_buf_append(&b, text, size - 1);
    r1_buf_puts(&b, "</answer>");
    judge(v, spec, b.data, b.len);
    judge(v, spec, text, size - 1);
    json_decref(spec);
    r1_buf_release(&b);
    if (r1_json_parse(text, size - 1, "spec", &spec, NULL) == R1_OK) {
        static const char answer[] = "<answer>A: red, x = 1, 1234</answer>";
        for (int i = 0; i < N_PUZZLES; i++) {
            v = r1_verify_find(puzzles[i].name, NULL);
            v->check(spec, NULL);
            judge(v, spec, answer, sizeof answer - 1);
        }
        json_decref(spec);
    }
    return 0;
}
