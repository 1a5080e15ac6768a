/* regression_driver.c: runs a fuzz target without a fuzzer.  Every file of the directories given
 * as arguments goes through it once; a sanitizer ends the program at the first fault. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SEED ((size_t)16 << 20)

static r1_status replay(const char *path, r1_err *err)
{
    char *text;
    size_t len;
    R1_TRY(r1_os_read_file(path, MAX_SEED, &text, &len, err));
    /* A block of exactly the file's size, so that a read past its end is a fault. */
    uint8_t *data = len ? r1_mem_alloc(len) : NULL;
    if (len)
        memcpy(data, text, len);
    r1_mem_free(text);
    LLVMFuzzerTestOneInput(data, len);
    r1_mem_free(data);
    return R1_OK;
}

static r1_status replay_directory(const char *dir, int *count, r1_err *err)
{
    char **names;
    size_t n;
    R1_TRY(r1_os_list_dir(dir, &names, &n, err));
    r1_status status = R1_OK;
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (status == R1_OK && !r1_os_is_dir(path)) {
            status = replay(path, err);
            *count += status == R1_OK;
        }
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    return status;
}

int main(int argc, char **argv)
{
    int count = 0;
    r1_err err = {0};
    for (int i = 1; i < argc; i++) {
        if (replay_directory(argv[i], &count, &err) != R1_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
    }
    printf("%d inputs replayed\n", count);
    return count == 0; /* no seeds: the path is wrong */
}
