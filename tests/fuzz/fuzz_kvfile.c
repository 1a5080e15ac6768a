/* fuzz_kvfile.c: arbitrary bytes as pieces of a file of stored prefixes, behind a head that is
 * right and with checksums that are made right, so that all of it is read; and as they are. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/os.h"
#include "engine/kvfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 56, PIECES = 44, CHECK = 52, TOKEN = 4 + 2 * 8 * 4, MOST = 1 << 16 };

static r1_kv *memory(void)
{
    static r1_model *m;
    const r1_config cfg = {.arch = "llama",
                           .n_layers = 1,
                           .d_model = 8,
                           .n_heads = 1,
                           .n_kv_heads = 1,
                           .head_dim = 8,
                           .d_ff = 8,
                           .vocab = 8,
                           .context = 32,
                           .norm_eps = 1e-5f,
                           .rope_theta = 10000,
                           .tied = true};
    const r1_model_options o = {.threads = 1, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_kv *kv;
    if (m == NULL) {
        r1_tokenizer *tok;
        r1_assert(r1_tokenizer_open_ids(8, NULL, &tok, NULL) == R1_OK);
        r1_assert(r1_model_create(&cfg, tok, 0.1f, 1, &o, &m, NULL) == R1_OK);
    }
    r1_assert(r1_kv_open(m, 64, 8, &kv, NULL) == R1_OK);
    return kv;
}

/* The head of a file with nothing in it. */
static void make_head(uint8_t head[HEAD])
{
    char path[] = "/tmp/r1-fuzz-kvfile-XXXXXX";
    int fd = mkstemp(path);
    char *bytes;
    size_t n;
    r1_kv *kv = memory();
    r1_assert(fd >= 0 && close(fd) == 0);
    r1_assert(r1_kvfile_save(kv, path, 0, NULL) == R1_OK);
    r1_assert(r1_os_read_file(path, MOST, &bytes, &n, NULL) == R1_OK && n == HEAD);
    memcpy(head, bytes, HEAD);
    r1_mem_free(bytes);
    unlink(path);
    r1_kv_close(kv);
}

static void put_check(uint8_t *at, const uint8_t *from, size_t n)
{
    uint32_t check = (uint32_t)crc32_z(0, from, n);
    memcpy(at, &check, sizeof check);
}

static void read_file(const uint8_t *data, size_t size)
{
    r1_kv *kv = memory();
    r1_err err = {0};
    int64_t tokens;
    r1_status st = r1_kvfile_read(kv, data, size, "cache", &tokens, &err);
    r1_assert(st == R1_OK ? tokens >= 0 : err.msg[0] != '\0' && kv->free_pages == kv->pages);
    r1_kv_close(kv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t head[HEAD], copy[MOST];
    if (head[0] == 0)
        make_head(head);
    read_file(data, size);
    if (size < 1 || size > MOST - HEAD)
        return 0;
    memcpy(copy, head, HEAD);
    copy[PIECES] = data[0];
    put_check(copy + CHECK, copy, CHECK);
    memcpy(copy + HEAD, data + 1, size - 1);
    size_t end = HEAD + size - 1;
    for (size_t at = HEAD; end - at >= 12;) {
        int32_t n;
        memcpy(&n, copy + at + 4, sizeof n);
        if (n < 1 || n > 1000 || 8 + (size_t)n * TOKEN + 4 > end - at)
            break;
        at += 8 + (size_t)n * TOKEN + 4;
        put_check(copy + at - 4, copy + at - 8 - (size_t)n * TOKEN - 4, 8 + (size_t)n * TOKEN);
    }
    read_file(copy, end);
    return 0;
}
