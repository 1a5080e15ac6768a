/* fuzz_tools.c: arbitrary bytes as a reply with tool calls, whole and in pieces: both must give the
 * same text and calls, whose arguments are JSON objects. */
#include <string.h>

#include "model/tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_text(void *ud, const char *s, size_t n)
{
    r1_assert(n > 0);
    r1_buf_append(ud, s, n);
}

static void on_call(void *ud, int index, const char *name, const char *arguments)
{
    json_t *v = json_loads(arguments, 0, NULL);
    r1_assert(json_is_object(v));
    json_decref(v);
    r1_buf_printf(ud, "\1%d %s %s\2", index, name, arguments);
}

static void read_reply(r1_tools_format f, const char *s, size_t n, size_t piece, r1_buf *out)
{
    r1_tools *p = r1_tools_open(f, (r1_tools_sink){on_text, on_call, out});
    for (size_t at = 0; at < n; at += piece)
        r1_tools_feed(p, s + at, n - at < piece ? n - at : piece);
    r1_tools_end(p);
    r1_tools_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    r1_tools_format f = (r1_tools_format)(data[0] % 3);
    size_t piece = 1 + data[1] % 7;
    r1_buf whole, cut;
    r1_buf_init(&whole, 0);
    r1_buf_init(&cut, 0);
    read_reply(f, (const char *)data + 2, size - 2, size, &whole);
    read_reply(f, (const char *)data + 2, size - 2, piece, &cut);
    r1_assert(whole.len == cut.len && memcmp(whole.data, cut.data, cut.len) == 0);
    r1_buf_release(&whole);
    r1_buf_release(&cut);
    return 0;
}
