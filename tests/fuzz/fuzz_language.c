/* fuzz_language.c: arbitrary bytes as text: every language counts the same words, and no more than
 * all of them as its own. */
#include "verify/language.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "", *code;
    int64_t words = -1;
    for (int i = 0; (code = r1_language_at(i)); i++) {
        r1_language_count n;
        r1_assert(r1_language_measure(code, text, size, &n));
        r1_assert(n.wanted >= 0 && n.wanted <= n.words && n.words <= (int64_t)size);
        r1_assert(words < 0 || words == n.words);
        words = n.words;
    }
    json_t *spec = json_string("en");
    double share = r1_language_judge(spec, text, size, true).reward;
    r1_assert(share >= 0 && share <= 1);
    json_decref(spec);
    return 0;
}
