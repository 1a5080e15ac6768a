/* fuzz_config.c: config.json: any bytes give a checked configuration or an error; what is accepted
 * is written and read back the same. */
#include <string.h>

#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    r1_err err = {0};
    json_t *obj;
    if (r1_json_parse((const char *)data, size, "config.json", &obj, &err) != R1_OK)
        return 0;
    r1_config c, again;
    if (r1_config_from_json(obj, "config.json", &c, &err) == R1_OK) {
        json_t *out = r1_config_to_json(&c, "float32", -1, -1);
        r1_assert(out);
        r1_assert(r1_config_from_json(out, "written", &again, &err) == R1_OK);
        r1_assert(c.d_model == again.d_model && c.head_dim == again.head_dim);
        r1_assert(c.rope_scaling == again.rope_scaling && c.rope_theta == again.rope_theta);
        r1_assert(c.vocab == again.vocab && c.tied == again.tied);
        json_decref(out);
        float inv_freq[128];
        r1_config_inv_freq(&c, inv_freq);
    }
    json_decref(obj);
    return 0;
}
