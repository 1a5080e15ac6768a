/* fuzz_choice.c: arbitrary bytes as a completion of a multiple choice and of a number, and as their
 * specifications.  A verdict is whole, and the same each time. */
#include <string.h>

#include "verify/choice.h"
#include "verify/number.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const char *name, const json_t *spec, const char *text, size_t len)
{
    const r1_verifier *v = r1_verify_find(name, NULL);
    r1_verdict a = v->judge(spec, text, len, true), b = v->judge(spec, text, len, true);
    r1_assert(memcmp(&a, &b, sizeof a) == 0);
    r1_assert(a.correct == (a.reward == 1) && (a.formatted || !a.correct));
    r1_assert(a.formatted == (a.answer[0] != 0));
    r1_assert(v->judge(spec, text, len, false).reward == 0);
}

static void with_spec(const char *name, const char *spec_text, const char *text, size_t len)
{
    json_t *spec;
    r1_assert(r1_json_parse(spec_text, strlen(spec_text), "spec", &spec, NULL) == R1_OK);
    judge(name, spec, text, len);
    json_decref(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "";
    with_spec("choice", "\"C\"", text, size);
    with_spec("choice", "{\"answer\": \"B\", \"options\": [\"Paris\", \"New York\", \"1/2\"]}",
              text, size);
    with_spec("number", "12", text, size);
    with_spec("base", "{\"base\": 16, \"value\": 31}", text, size);
    /* The bytes as a specification: whatever check says, judging is harmless. */
    json_t *spec;
    if (r1_json_parse(text, size, "spec", &spec, NULL) == R1_OK) {
        static const char answer[] = "<think>x</think>Answer: C \\boxed{12}";
        static const char *const names[] = {"choice", "number", "base"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            r1_verify_find(names[i], NULL)->check(spec, NULL);
            judge(names[i], spec, answer, sizeof answer - 1);
        }
        json_decref(spec);
    }
    return 0;
}
