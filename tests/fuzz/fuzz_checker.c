/* fuzz_checker.c: two arbitrary outputs before every checker.  The first byte says where the input
 * is cut in two. */
#include <string.h>

#include "verify/checker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t cut = (size - 1) * data[0] / 255;
    const char *a = (const char *)data + 1, *b = a + cut;
    size_t na = cut, nb = size - 1 - cut;
    for (int k = 0; k <= R1_CHECKER_JSON; k++) {
        r1_checker c = {.kind = (r1_checker_kind)k, .eps = 1e-6};
        bool ab = r1_checker_accepts(&c, a, na, b, nb),
             ba = r1_checker_accepts(&c, b, nb, a, na);
        if (k != R1_CHECKER_FLOAT &&
            k != R1_CHECKER_UNORDERED) /* the expected one decides there */
            r1_assert(ab == ba);
        if (k != R1_CHECKER_FLOAT && k != R1_CHECKER_JSON) /* NaN, and what is no JSON */
            r1_assert(r1_checker_accepts(&c, a, na, a, na));
    }
    return 0;
}
