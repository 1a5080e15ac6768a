/* fuzz_jinja.c: arbitrary bytes as a template, over a fixed context.  What is rendered must be
 * valid UTF-8 and the same again; what is refused must say why and leave the output alone. */
#include <string.h>

#include "model/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char CONTEXT[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", "
    "\"content\": \" H\u00e9llo \u4f60\u597d \"}, {\"role\": \"assistant\", \"content\": null, "
    "\"tool_calls\": [{\"function\": {\"name\": \"add\", \"arguments\": "
    "{\"a\": 1, \"b\": -2.5}}}]}], "
    "\"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"tools\": null, \"i\": 7, "
    "\"f\": 2.5, \"s\": \"a,b,,c\", \"xs\": [3, 1, 2], \"d\": {\"b\": 1, \"a\": [true, {}]}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *vars;
    if (!vars)
        r1_assert(r1_json_parse(CONTEXT, strlen(CONTEXT), "context", &vars, NULL) == R1_OK);
    r1_buf one, two;
    r1_err err = {0};
    r1_buf_init(&one, 0);
    r1_buf_init(&two, 0);
    r1_status status = r1_jinja_render((const char *)data, size, vars, NULL, &one, &err);
    if (status == R1_OK) {
        r1_assert(r1_json_utf8_prefix(one.data, one.len) == one.len);
        /* Not twice when it takes long, nor when the result depends on the time. */
        if (one.len < 10000 && !memmem(data, size, "strftime", 8)) {
            r1_assert(r1_jinja_render((const char *)data, size, vars, NULL, &two, NULL) ==
                      R1_OK);
            r1_assert(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
        }
    } else {
        r1_assert(err.status == status && err.msg[0] && one.len == 0);
    }
    r1_buf_release(&one);
    r1_buf_release(&two);
    return 0;
}
