/* fuzz_math.c: arbitrary bytes as a reference and a completion, apart at the first line break.
 * The verdict does not depend on what else was compared, equality is symmetric, and the pieces of
 * an answer lie inside the text. */
#include <string.h>

#include "verify/math.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void extraction(const char *text, size_t len)
{
    r1_math_answer strict, any;
    bool boxed = r1_math_extract(text, len, R1_MATH_TRAINING, &strict);
    bool found = r1_math_extract(text, len, R1_MATH_EVALUATION, &any);
    r1_assert(!boxed || (found && strict.boxed && any.n == strict.n));
    for (int i = 0; i < any.n; i++)
        r1_assert(any.part[i].text >= text && any.part[i].text + any.part[i].len <= text + len);
    char small[8];
    size_t n = r1_math_extract_text(&any, small, sizeof small);
    r1_assert(strlen(small) <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *gold = (const char *)data;
    const char *line = size ? memchr(data, '\n', size) : NULL;
    size_t gold_len = line ? (size_t)(line - gold) : size;
    const char *text = line ? line + 1 : gold;
    size_t len = line ? size - gold_len - 1 : size;
    extraction(text, len);
    r1_math_result first = r1_math_compare(gold, gold_len, text, len, NULL);
    r1_assert(r1_math_equal(gold, gold_len, text, len) ==
              r1_math_equal(text, len, gold, gold_len));
    r1_math_options o = {.approx = true};
    r1_math_result loose = r1_math_compare(gold, gold_len, text, len, &o);
    r1_assert(first != R1_MATH_EQUAL || loose == R1_MATH_EQUAL);
    r1_assert((first == R1_MATH_GOLD_UNPARSED) == !r1_math_parses(gold, gold_len) ||
              first == R1_MATH_BUDGET);
    r1_math_verify(gold, gold_len, text, len, R1_MATH_EVALUATION, NULL);
    r1_assert(r1_math_compare(gold, gold_len, text, len, NULL) == first);
    return 0;
}
