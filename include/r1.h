/* r1.h: the public interface of libr1.
 *
 * r1 loads a language model, generates text with it, scores text, and trains it: pre-training,
 * supervised fine-tuning (SFT) and reinforcement learning from verifiable rewards (GRPO).
 * The header is in reader's order: version, status, model, text, generate, score, train.
 *
 * Conventions
 *   - Every call that can fail for a reason outside the library returns r1_status and takes an
 *     r1_err, last, which may be NULL.  It is untouched on success.
 *   - Objects are opaque; x_open makes one, x_close ends it; x_close(NULL) is allowed.
 *   - Token ids are int32_t.  Text is UTF-8.  Log-probabilities are natural logarithms.
 *   - A model may be used by one thread at a time.  Different models are independent.
 */
#ifndef R1_H
#define R1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define R1_VERSION_MAJOR 0
#define R1_VERSION_MINOR 1
#define R1_VERSION_PATCH 0

/* "0.1.0" */
const char *r1_version(void);

/* ---- Status ------------------------------------------------------------------------------ */

#define R1_STATUS_MAP(X)                             \
    X(OK, "ok")                                      \
    X(EARG, "invalid argument")                      \
    X(ENOMEM, "out of memory")                       \
    X(EIO, "input/output error")                     \
    X(EFORMAT, "malformed input")                    \
    X(EUNSUPPORTED, "valid, but not supported here") \
    X(EBUSY, "queue full")                           \
    X(ECANCELED, "cancelled")                        \
    X(ETIMEOUT, "time limit reached")                \
    X(EDEVICE, "compute device failed")              \
    X(ENUMERIC, "non-finite value in training")      \
    X(EFULL, "no room left to write")

typedef enum {
#define R1_STATUS_ENUM(name, text) R1_##name,
    R1_STATUS_MAP(R1_STATUS_ENUM)
#undef R1_STATUS_ENUM
        R1_STATUS_COUNT
} r1_status;

/* Where a failure is explained.  Lives on the caller's stack; zero it once. */
typedef struct {
    r1_status status;
    char msg[480]; /* one complete sentence, no trailing newline */
} r1_err;

/* The status's fixed text, such as "malformed input". */
const char *r1_status_text(r1_status s);

/* ---- Model ------------------------------------------------------------------------------- */

typedef struct r1_model r1_model;

/* In which arithmetic a model computes. */
typedef enum {
    R1_COMPUTE_AUTO, /* quantised weights: integer kernels; F32 weights: F32; F16/BF16: BF16 */
    R1_COMPUTE_F32,  /* everything dequantised to F32: the reference, slowest */
    R1_COMPUTE_BF16  /* weights and matmul inputs rounded to BF16, sums in F32 */
} r1_compute;

/* Open a GGUF file or a Hugging Face directory (config.json, *.safetensors, tokenizer.json).
 * threads: 0 means one per core.  The file is memory-mapped and checked before use. */
r1_status r1_model_open(const char *path, int threads, r1_compute compute, r1_model **out,
                        r1_err *err);
void r1_model_close(r1_model *m);

/* ---- Text -------------------------------------------------------------------------------- */

/* Text to ids.  special: recognise added tokens such as <think> in the text, and put the
 * model's BOS in front where the tokenizer asks for it.  *ids is owned by the caller, who
 * frees it with r1_free; *n is its length. */
r1_status r1_tokenize(const r1_model *m, const char *text, size_t len, bool special,
                      int32_t **ids, size_t *n, r1_err *err);

/* Ids to bytes; invalid ids are an error.  *text is NUL-terminated; free it with r1_free. */
r1_status r1_detokenize(const r1_model *m, const int32_t *ids, size_t n, char **text,
                        size_t *len, r1_err *err);

void r1_free(void *p);

/* ---- Generate ---------------------------------------------------------------------------- */

/* Added to the logit of a token before it is chosen; -100 and below is never chosen. */
typedef struct {
    int32_t id;
    float bias; /* -100..100 */
} r1_bias;

/* How the next token is chosen.  r1_sampling_default() fills it. */
typedef struct {
    float temperature;    /* 0 = greedy */
    int top_k;            /* 0 = off */
    float top_p;          /* 1 = off */
    float min_p;          /* 0 = off */
    float repeat_penalty; /* 1 = off; over the last repeat_last tokens */
    int repeat_last;      /* tokens */
    /* Taken off the logits of tokens that the completion has: once, and for each time.  0 = off */
    float presence_penalty, frequency_penalty;
    uint64_t seed;  /* the token at (seed, sample index, position) depends on nothing else */
    int max_tokens; /* new tokens; 0 = to the end of the context */
    const char *const *stop; /* stop strings, stop[n_stop] of them; borrowed */
    int n_stop;
    const r1_bias *bias; /* bias[n_bias], ids not twice; borrowed */
    int n_bias;
    int top_logprobs; /* most likely tokens to report at each place, 0..20; see engine.h */
} r1_sampling;

r1_sampling r1_sampling_default(void);

typedef enum { R1_FINISH_STOP, R1_FINISH_LENGTH, R1_FINISH_CANCELED } r1_finish;

/* Called for each new token with its bytes, whole UTF-8 characters only; with id -1 when the end
 * brings text that was held back, and no token.  Return false to stop this sample. */
typedef bool (*r1_token_fn)(void *ud, int sample, int32_t id, const char *text, size_t len);

/* Generate `samples` continuations of one prompt, which share the prompt's keys and values.
 * Text arrives through on_token only. */
r1_status r1_generate(r1_model *m, const int32_t *prompt, size_t n_prompt, int samples,
                      const r1_sampling *s, r1_token_fn on_token, void *ud, r1_err *err);

/* ---- Score ------------------------------------------------------------------------------- */

/* logprobs[i] = log p(ids[i+1] | ids[0..i]); n-1 values. */
r1_status r1_logprob(r1_model *m, const int32_t *ids, size_t n, float *logprobs /* (n-1) */,
                     r1_err *err);

#ifdef __cplusplus
}
#endif
#endif
