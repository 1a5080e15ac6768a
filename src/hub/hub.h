/* hub.h: models from the Hugging Face hub, a mirror of it, or any https address, into the cache.
 *
 * What can be pulled:
 *   USER/REPO              a Hugging Face directory (config.json, *.safetensors, tokenizer), or of
 *                          a repository of GGUF files the one that loses little (see r1_cache_best)
 *   USER/REPO:FILE.gguf    one file; of a split one, all parts
 *   USER/REPO:Q4_K_M       the GGUF file of that quantisation
 *   USER/REPO@REVISION     a branch, tag or commit, with any of the above behind it
 *   https://HOST/X.gguf    any file; an address of the hub's own pages means the repository
 * "hf.co/" and "huggingface.co/" may stand in front.  It lands as models/USER/REPO/..., or
 * models/X.gguf, where r1_cache_find finds it; nothing a server says makes a path outside of that.
 *
 * HF_ENDPOINT names another hub; HF_TOKEN (or HUGGING_FACE_HUB_TOKEN) is shown to the hub only. */
#ifndef R1_HUB_H
#define R1_HUB_H

#include "base/json.h"
#include "hub/fetch.h"

enum { R1_HUB_NAME = 256 };

/* A word taken apart.  url: a plain address, and then name is the file's; else the hub. */
typedef struct {
    char user[R1_HUB_NAME], repo[R1_HUB_NAME];
    char revision[R1_HUB_NAME]; /* "main" unless given */
    char which[R1_HUB_NAME];    /* behind the colon, or "" */
    char name[R1_HUB_NAME];
    const char *url; /* the word itself, or NULL */
} r1_hub_word;

/* R1_EARG: the word is nothing that can be pulled, and why. */
r1_status r1_hub_parse(const char *word, r1_hub_word *out, r1_err *err);

typedef struct {
    char *name;                 /* in the repository, with folders */
    int64_t size;               /* -1 unknown */
    char sum[R1_FETCH_SUM + 1]; /* SHA-256 of large files, git's SHA-1 of others, "" unknown */
} r1_hub_file;

typedef struct {
    r1_hub_file *files; /* [n] */
    int n;
    char commit[R1_FETCH_SUM + 1]; /* that the revision is now, or "" */
} r1_hub_listing;

/* The hub's answer about a repository: {"sha", "siblings": [{"rfilename", "size", "blobId", "lfs":
 * {"sha256"}}]}, or its tree: [{"type", "path", "size", "oid", "lfs": {"oid"}}]. */
r1_status r1_hub_read_listing(const json_t *answer, r1_hub_listing *out, r1_err *err);
void r1_hub_listing_release(r1_hub_listing *l);

/* Which files `which` means: marks[i] for files[i].  Names that could not be files of the cache are
 * an error if they are among them. */
r1_status r1_hub_choose(const r1_hub_listing *l, const char *which, bool *marks, r1_err *err);

typedef struct {
    int parallel; /* files at once, 0: 4 */
    /* Called once, when it is known what there is to fetch; false: do not. */
    bool (*agree)(void *ud, int files, int64_t bytes);
    bool (*progress)(void *ud, const r1_fetch_progress *p);
    void *ud;
} r1_hub_options;

/* Pull what the word says; path: where it is now.  What is there already and right is not fetched
 * again.  Two pulls of one model do not run at once. */
r1_status r1_hub_pull(const char *word, const r1_hub_options *o, char *path, size_t size,
                      r1_err *err);

#endif
