/* fuzz_hub.c: what the hub answers, and the words that ask for it: whatever is chosen has names
 * that stay in the cache.  The first byte says how many bytes after it are the word. */
#include <string.h>

#include "hub/hub.h"
#include "model/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_word(const char *word)
{
    r1_hub_word w;
    if (r1_hub_parse(word, &w, NULL) != R1_OK)
        return;
    if (w.url)
        r1_assert(r1_cache_is_safe(w.name, strlen(w.name)));
    else
        r1_assert(r1_cache_is_safe(w.user, strlen(w.user)) &&
                  r1_cache_is_safe(w.repo, strlen(w.repo)));
    r1_assert(!strstr(w.which, "..") || !strchr(w.which, '/') || !strstr(w.which, "/../"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = size > 0 && data[0] < size - 1 ? data[0] : 0;
    char *word = r1_mem_strndup(size > 0 ? (const char *)data + 1 : "", n);
    check_word(word);
    json_t *answer = NULL;
    r1_hub_listing l;
    if (size > n + 1 &&
        r1_json_parse((const char *)data + 1 + n, size - n - 1, "answer", &answer, NULL) ==
            R1_OK &&
        r1_hub_read_listing(answer, &l, NULL) == R1_OK) {
        bool *marks = R1_NEW_N(bool, (size_t)l.n + 1);
        if (r1_hub_choose(&l, word, marks, NULL) == R1_OK)
            for (int i = 0; i < l.n; i++) {
                const char *slash = strrchr(l.files[i].name, '/');
                const char *base = slash ? slash + 1 : l.files[i].name;
                r1_assert(!marks[i] || r1_cache_is_safe(base, strlen(base)));
            }
        r1_mem_free(marks);
        r1_hub_listing_release(&l);
    }
    json_decref(answer);
    r1_mem_free(word);
    return 0;
}
