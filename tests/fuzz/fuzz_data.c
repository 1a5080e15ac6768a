/* fuzz_data.c: arbitrary bytes as a file of JSON lines, and as lengths of documents to pack. */
#include <string.h>

#include "recipe/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lines(const char *text, size_t len)
{
    r1_data *d;
    r1_err err = {0};
    if (r1_data_open_memory(text, len, "fuzz", &d, &err) != R1_OK) {
        r1_assert(!d && strncmp(err.msg, "fuzz:", 5) == 0 && !strchr(err.msg, '\n'));
        return;
    }
    int before = 0;
    bool problems = true;
    uint32_t n = r1_data_count(d);
    r1_assert(n >= 1);
    for (uint32_t i = 0; i < n; i++) {
        r1_assert(json_is_object(r1_data_item(d, i)) && r1_data_line(d, i) > before);
        before = r1_data_line(d, i);
        problems = problems && r1_data_kind_of(d, i) == R1_DATA_PROBLEM;
    }
    r1_assert((r1_data_expect_problems(d, true, &err) == R1_OK) == problems);
    r1_data_close(d);
}

static void packing(const uint8_t *data, size_t size)
{
    int length[64] = {0}, n = size < 64 ? (int)size : 64, budget = n ? data[0] + 1 : 1;
    int64_t all = 0, rows = 0;
    r1_data_packs p;
    for (int i = 0; i < n; i++) {
        length[i] = data[i];
        all += data[i];
    }
    r1_data_pack(length, n, budget, &p);
    r1_assert(p.first[0] == 0 && p.first[p.n] == n && p.rows + p.cut_tokens == all);
    for (int b = 0; b < p.n; b++) {
        int64_t in = 0;
        for (int i = p.first[b]; i < p.first[b + 1]; i++)
            in += p.length[i];
        r1_assert(p.first[b] < p.first[b + 1] && in <= budget);
        rows += in;
    }
    r1_assert(rows == p.rows);
    r1_data_packs_release(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lines(data ? (const char *)data : "", size);
    packing(data, size);
    return 0;
}
