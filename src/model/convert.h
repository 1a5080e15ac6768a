/* convert.h: a model's files written anew: from a GGUF file or a Hugging Face directory to either,
 * with other types, or with random weights from a shape alone.
 *
 * Tensors are read, converted and written piece by piece, so memory does not grow with the model.
 * The result appears whole or not at all, and does not depend on the number of threads. */
#ifndef R1_CONVERT_H
#define R1_CONVERT_H

#include "model/model.h"

/* As what matrices are written; vectors are F32 in a GGUF.  A row that is not whole blocks of its
 * type has a nearby type of smaller blocks. */
typedef struct {
    const char *name;   /* "Q4_K" */
    r1_dtype most;      /* all but */
    r1_dtype head;      /* the output head and the embedding, and */
    r1_dtype sensitive; /* values and down-projections of half of the layers */
    int file_type;      /* general.file_type */
} r1_convert_type;

/* PLAIN: F32, F16, BF16.  BLOCKS: block formats, which only a GGUF holds.  The error of an unknown
 * name lists those of the kinds asked for. */
enum { R1_CONVERT_PLAIN = 1, R1_CONVERT_BLOCKS = 2 };
r1_status r1_convert_find(const char *name, int kinds, const r1_convert_type **out,
                          r1_err *err);

typedef struct {
    uint64_t done, total; /* bytes of the result's tensors */
    const char *tensor;   /* that is being written */
} r1_convert_progress;

typedef struct {
    const r1_convert_type *type; /* NULL: plain types stay; of blocks F16 is made, of FP8 BF16;
                                    from GGUF to GGUF all tensors stay as they are */
    int threads;
    const char *adapter; /* directory of adapters that are merged, or NULL */
    uint64_t shard;      /* bytes of tensors in one safetensors file, at most */
    /* Called often; false ends the work with R1_ECANCELED.  May be NULL. */
    bool (*progress)(void *ud, const r1_convert_progress *p);
    void *ud;
} r1_convert_options;

typedef struct {
    int tensors;
    int64_t parameters;
    uint64_t bytes; /* of the tensors */
} r1_convert_result;

/* dst: NAME.gguf is a file, which is replaced; anything else a directory, which must not be there
 * or be empty.  A GGUF source may be of a family that is unknown here if the result is a GGUF.
 * src may be the directory of adapters: the result is its base with them merged. */
r1_status r1_convert_run(const char *src, const char *dst, const r1_convert_options *o,
                         r1_convert_result *result, r1_err *err);

/* A GGUF of the shape in config.json with normal random weights, f(seed).  tokenizer: a model
 * whose tokenizer it has; NULL = none.  o->type is not NULL. */
r1_status r1_convert_create(const char *config, const char *tokenizer, const char *dst,
                            uint64_t seed, const r1_convert_options *o,
                            r1_convert_result *result, r1_err *err);

#endif
