/* fuzz_code.c: arbitrary bytes as a problem, as packed tests, as a pickle, as a completion. */
#include <string.h>

#include "verify/code.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void problem(const char *text, size_t len)
{
    json_t *spec;
    r1_code *c;
    r1_err err = {0};
    if (r1_json_parse(text, len, "fuzz", &spec, NULL) != R1_OK)
        return;
    if (r1_code_open(spec, "fuzz", &c, &err) == R1_OK) {
        const r1_judge_problem *p = r1_code_problem(c);
        r1_assert(p->n_tests >= 1 && r1_judge_language(r1_code_language(c, NULL)));
        r1_assert(p->form == R1_JUDGE_ASSERTS || p->tests);
        r1_code_close(c);
    } else {
        r1_assert(!c && strncmp(err.msg, "fuzz", 4) == 0);
    }
    json_decref(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = data ? (const char *)data : "", *part;
    char *unpacked, fence[16];
    size_t len;
    problem(text, size);
    if (r1_code_unpack(text, size, &unpacked, &len, NULL) == R1_OK)
        r1_mem_free(unpacked);
    if (r1_code_unpickle((const uint8_t *)text, size, &part, &len, NULL) == R1_OK)
        r1_assert(part >= text && len <= size - (size_t)(part - text));
    if (r1_code_extract(text, size, &part, &len, fence))
        r1_assert(part >= text && part + len <= text + size && strlen(fence) < sizeof fence);
    return 0;
}
