/* fuzz_reason.c: arbitrary replies in arbitrary pieces; the pieces do not matter. */
#include <string.h>

#include "serve/reason.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of the input says how it is cut. */
static void split(const char *s, size_t n, size_t step, bool inside, r1_buf *reasoning,
                  r1_buf *answer)
{
    r1_reason r;
    r1_buf_init(reasoning, 0);
    r1_buf_init(answer, 0);
    r1_reason_init(&r, inside);
    for (size_t i = 0; i < n; i += step)
        r1_reason_feed(&r, s + i, n - i < step ? n - i : step, reasoning, answer);
    r1_reason_end(&r, reasoning, answer);
    r1_reason_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *s = (const char *)data + 1;
    bool inside = data[0] & 1;
    r1_buf a[2], b[2];
    split(s, size - 1, size, inside, &a[0], &a[1]);
    split(s, size - 1, 1u + data[0] / 2 % 16, inside, &b[0], &b[1]);
    for (int i = 0; i < 2; i++) {
        r1_assert(a[i].len == b[i].len && memcmp(a[i].data, b[i].data, a[i].len) == 0);
        r1_buf_release(&a[i]);
        r1_buf_release(&b[i]);
    }
    return 0;
}
