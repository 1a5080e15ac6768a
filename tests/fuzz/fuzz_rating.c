/* fuzz_rating.c: arbitrary bytes as a file of contests, in which each problem is then answered. */
#include <math.h>
#include <string.h>

#include "recipe/rating.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root;
    r1_rating *r;
    r1_err err = {0};
    if (r1_json_parse(data ? (const char *)data : "", size, "fuzz", &root, &err) != R1_OK)
        return 0;
    r1_status status = r1_rating_read(root, "fuzz", &r, &err);
    json_decref(root);
    if (status != R1_OK) {
        r1_assert(!r && strncmp(err.msg, "fuzz", 4) == 0);
        return 0;
    }
    r1_rating_result out;
    r1_rating_contest rows[4];
    int n;
    r1_rating_add(r, "1/A", (const bool[]){false, true}, 2);
    r1_rating_add(r, "1B", (const bool[]){true, false}, 2);
    if (r1_rating_compute(r, 1, &out, rows, 4, &n, &err) == R1_OK)
        r1_assert(isfinite(out.rating) && out.rating >= R1_RATING_MIN &&
                  out.rating <= R1_RATING_MAX && n >= 1);
    r1_rating_close(r);
    return 0;
}
