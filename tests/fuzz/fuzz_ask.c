/* fuzz_ask.c: arbitrary bytes as completion requests of both kinds; what is accepted is within its
 * bounds. */
#include <string.h>

#include "serve/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(r1_ask_kind kind, const char *text, size_t len)
{
    static r1_ask a;
    r1_err err = {0};
    r1_status st = r1_ask_parse(&a, kind, text, len, &err);
    if (st == R1_OK && kind == R1_ASK_CHAT)
        st = r1_ask_deepseek(&a, &err);
    r1_assert(st == R1_OK || err.msg[0]);
    if (st == R1_OK) {
        r1_assert(a.n >= 1 && a.n * a.n_prompts <= R1_ASK_CHOICES);
        r1_assert(a.sampling.n_stop <= R1_ASK_STOPS && a.sampling.n_bias <= R1_ASK_BIASES);
        r1_assert(kind == R1_ASK_TEXT || json_array_size(a.messages) > 0);
        r1_assert(a.consensus == 0 || a.verifier);
    }
    r1_ask_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = data ? (const char *)data : "";
    parse(R1_ASK_CHAT, text, size);
    parse(R1_ASK_TEXT, text, size);
    return 0;
}
