/* fuzz_format.c: arbitrary bytes as a completion: R1-Zero's form against a slow reading of its
 * definition. */
#include <string.h>

#include "verify/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(r1_span s, const char *tag)
{
    int n = 0;
    for (size_t i = 0; i + strlen(tag) <= s.n; i++)
        n += memcmp(s.p + i, tag, strlen(tag)) == 0;
    return n;
}

static void completion(const char *text, size_t size, r1_format_need opened,
                       r1_format_need tagged)
{
    r1_span all = {text, size}, thought, answer;
    if (!r1_format_holds(text, size, opened, tagged, &thought, &answer))
        return;
    r1_assert(count(all, "</think>") == 1 && count(all, "<think>") <= 1);
    r1_assert(count(all, "<answer>") == count(all, "</answer>"));
    r1_assert(opened != R1_FORMAT_YES || count(all, "<think>") == 0);
    r1_assert(opened != R1_FORMAT_NO || count(all, "<think>") == 1);
    r1_assert(tagged != R1_FORMAT_YES || count(all, "<answer>") == 1);
    r1_assert(tagged != R1_FORMAT_NO || count(all, "<answer>") == 0);
    r1_assert(thought.n && answer.n && thought.p + thought.n < answer.p);
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    for (int i = 0; i < 4; i++)
        r1_assert(count(answer, tags[i]) == 0 && count(thought, tags[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "";
    for (int opened = R1_FORMAT_EITHER; opened <= R1_FORMAT_NO; opened++)
        for (int tagged = R1_FORMAT_EITHER; tagged <= R1_FORMAT_NO; tagged++)
            completion(text, size, (r1_format_need)opened, (r1_format_need)tagged);
    r1_format_opens(text, size);
    return 0;
}
