/* fuzz_endpoint.c: arbitrary bytes as a server's reply, and as its address. */
#include <string.h>

#include "recipe/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = data ? (const char *)data : "";
    r1_buf out;
    r1_err err = {0};
    int tokens;
    const char *finish;
    r1_buf_init(&out, 0);
    if (r1_endpoint_parse(text, size, &out, &tokens, &finish, &err) == R1_OK)
        r1_assert(tokens >= -1 &&
                  (strcmp(finish, "stop") == 0 || strcmp(finish, "length") == 0));
    else
        r1_assert(err.msg[0] && !strchr(err.msg, '\n'));
    r1_buf_reset(&out);
    char *url = r1_mem_strndup(text, size);
    if (r1_endpoint_address(url, &out, &err) == R1_OK)
        r1_assert(strncmp(out.data, "http", 4) == 0);
    r1_mem_free(url);
    r1_buf_release(&out);
    return 0;
}
