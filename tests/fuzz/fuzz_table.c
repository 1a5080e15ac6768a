/* fuzz_table.c: arbitrary bytes as a file of rows; the first byte chooses the form. */
#include <string.h>

#include "recipe/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    r1_table *t;
    r1_err err = {0};
    if (size == 0)
        return 0;
    r1_table_form form = (r1_table_form)(data[0] % 4);
    if (r1_table_open_memory((const char *)data + 1, size - 1, "fuzz", form, &t, &err) !=
        R1_OK) {
        r1_assert(!t && strncmp(err.msg, "fuzz:", 5) == 0 && !strchr(err.msg, '\n'));
        return 0;
    }
    int n = r1_table_count(t);
    r1_assert(n >= 1);
    for (int i = 0; i < n; i++) {
        json_t *row;
        if (r1_table_row(t, i, &row, &err) == R1_OK) {
            r1_assert(json_is_object(row));
            r1_table_member(row, "question");
            json_decref(row);
        } else {
            r1_assert(!row && strncmp(err.msg, "fuzz:", 5) == 0);
        }
    }
    r1_table_close(t);
    return 0;
}
