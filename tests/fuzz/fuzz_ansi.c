/* fuzz_ansi.c: replies for a terminal: the only escapes are styles, and pieces make no difference.
 * The first byte chooses the options and the size of the pieces. */
#include <string.h>

#include "base/ansi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(const uint8_t *data, size_t size, size_t step, uint8_t options, r1_buf *out)
{
    r1_ansi a;
    r1_buf_init(out, 0);
    r1_ansi_init(&a, options & 1, options & 2, options & 4);
    for (size_t i = 0; i < size; i += step)
        r1_ansi_put(&a, (const char *)data + i, step < size - i ? step : size - i, out);
    r1_ansi_end(&a, out);
    r1_ansi_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    r1_buf whole, pieces;
    show(data + 1, size - 1, size, data[0], &whole);
    show(data + 1, size - 1, 1 + (data[0] >> 3), data[0], &pieces);
    r1_assert(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
    for (size_t i = 0; i < whole.len; i++) {
        unsigned char c = (unsigned char)whole.data[i];
        bool style = c == 0x1B && strchr("0123", whole.data[i + 2]) && whole.data[i + 1] == '[';
        r1_assert(c >= 0x20 || c == '\n' || c == '\t' || style);
        r1_assert(c != 0x7F);
    }
    r1_buf_release(&whole);
    r1_buf_release(&pieces);
    return 0;
}
