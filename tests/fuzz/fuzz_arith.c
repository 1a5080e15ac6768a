/* fuzz_arith.c: arbitrary bytes as an expression and as a completion.  A canonical form must be an
 * expression of the same value and the same numbers, and its own canonical form. */
#include <string.h>

#include "verify/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expression(const char *text, size_t len)
{
    r1_arith a, b;
    if (!r1_arith_eval(text, len, &a) || !a.canonical[0])
        return;
    r1_assert(a.n_used >= 1 && a.n_used <= 16);
    /* Another order of the operations may overflow where this one did not. */
    if (!r1_arith_eval(a.canonical, strlen(a.canonical), &b))
        return;
    r1_assert(a.value == b.value && a.n_used == b.n_used);
    r1_assert(strcmp(a.canonical, b.canonical) == 0);
}

static void completion(const char *verifier, const char *spec_text, const char *text,
                       size_t len)
{
    json_t *spec;
    r1_assert(r1_json_parse(spec_text, strlen(spec_text), "spec", &spec, NULL) == R1_OK);
    const r1_verifier *v = r1_verify_find(verifier, NULL);
    r1_verdict done = v->judge(spec, text, len, true), cut = v->judge(spec, text, len, false);
    r1_assert(done.correct == (done.reward == 1) && (!done.correct || done.formatted));
    r1_assert(!done.correct || done.answer[0]);
    r1_assert(cut.reward == 0);
    json_decref(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    expression(text, size);
    completion("countdown", "{\"numbers\": [12, 6, 7], \"target\": 42}", text, size);
    completion("modsum", "{\"answer\": 7}", text, size);
    return 0;
}
