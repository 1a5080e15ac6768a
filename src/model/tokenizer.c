/* tokenizer.c: see tokenizer.h.  The file formats of byte-level BPE tokenizers: Hugging Face's
 * tokenizer.json with the files beside it, and GGUF metadata; both fill an r1_bpe (bpe.h).
 *
 * What a file asks for that we would do differently is refused by name, never approximated. */
#include "model/tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "model/bpe.h"

#define MAX_EOS 16

struct r1_tokenizer {
    r1_bpe bpe;
    int32_t bos, pad; /* -1 = none */
    bool add_bos;
    int32_t eos[MAX_EOS];
    int n_eos;
    char *chat_template;
    bool ids_only; /* no token has text */
};

static r1_tokenizer *new_tokenizer(void)
{
    r1_tokenizer *t = R1_NEW(r1_tokenizer);
    r1_bpe_init(&t->bpe);
    t->bos = t->pad = -1;
    return t;
}

void r1_tokenizer_close(r1_tokenizer *t)
{
    if (!t)
        return;
    r1_bpe_release(&t->bpe);
    r1_mem_free(t->chat_template);
    r1_mem_free(t);
}

/* Ids that no text can be of (a config made for another vocabulary) are left out. */
static void add_eos(r1_tokenizer *t, int64_t id)
{
    if (id < 0 || id >= t->bpe.n_token || t->n_eos == MAX_EOS ||
        r1_tokenizer_is_eos(t, (int32_t)id))
        return;
    t->eos[t->n_eos++] = (int32_t)id;
}

/* ---- tokenizer.json: model --------------------------------------------------------------- */

static r1_status unsupported(r1_err *err, const char *subject, const char *what,
                             const char *type)
{
    return r1_fail(err, R1_EUNSUPPORTED,
                   "%s: the %s '%.80s' is not supported; only byte-level BPE tokenizers are",
                   subject, what, type);
}

/* The "type" of a component; "" when it has none. */
static const char *type_of(const json_t *component)
{
    const char *s = json_string_value(json_object_get(component, "type"));
    return s ? s : "";
}

static r1_status read_vocab(r1_bpe *b, const json_t *model, const char *subject, r1_err *err)
{
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab))
        return r1_fail(err, R1_EFORMAT, "%s: model.vocab is not an object", subject);
    const char *key;
    json_t *id;
    json_object_foreach(vocab, key, id)
    {
        if (!json_is_integer(id))
            return r1_fail(err, R1_EFORMAT, "%s: model.vocab['%.80s'] is not an integer",
                           subject, key);
        R1_TRY(r1_bpe_add_token(b, json_integer_value(id), key, strlen(key), subject, err));
    }
    r1_bpe_index_tokens(b);
    return R1_OK;
}

static r1_status read_added(r1_bpe *b, const json_t *root, const char *subject, r1_err *err)
{
    json_t *list = json_object_get(root, "added_tokens");
    if (list && !json_is_null(list) && !json_is_array(list))
        return r1_fail(err, R1_EFORMAT, "%s: added_tokens is not an array", subject);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        int64_t id;
        r1_bpe_added a = {0};
        R1_TRY(r1_json_int(o, subject, "id", 0, R1_BPE_MAX_IDS - 1, &id, err));
        R1_TRY(r1_json_str(o, subject, "content", &a.s, err));
        a.id = (int32_t)id;
        size_t n = strlen(a.s);
        if (n == 0)
            continue; /* never matches */
        a.n = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
        a.normalized = true;
        R1_TRY(r1_json_bool_opt(o, subject, "special", &a.special, err));
        a.normalized = !a.special;
        R1_TRY(r1_json_bool_opt(o, subject, "normalized", &a.normalized, err));
        R1_TRY(r1_json_bool_opt(o, subject, "lstrip", &a.lstrip, err));
        R1_TRY(r1_json_bool_opt(o, subject, "rstrip", &a.rstrip, err));
        R1_TRY(r1_json_bool_opt(o, subject, "single_word", &a.single_word, err));
        R1_TRY(r1_bpe_add_added(b, &a, subject, err));
    }
    return R1_OK;
}

/* "a b": the space at which it is cut, or NULL unless there is exactly one with text around it. */
static const char *merge_space(const char *s, size_t n)
{
    const char *space = n > 2 ? memchr(s + 1, ' ', n - 2) : NULL;
    if (!space || s[0] == ' ' || memchr(space + 1, ' ', (size_t)(s + n - space - 1)))
        return NULL;
    return space;
}

/* One merge written "a b". */
static r1_status add_merge_line(r1_bpe *b, const char *s, size_t n, const char *subject,
                                r1_err *err)
{
    const char *space = merge_space(s, n);
    if (!space)
        return r1_fail(err, R1_EFORMAT, "%s: merge %zu, '%.*s', is not two parts and a space",
                       subject, b->n_merge, (int)(n < 80 ? n : 80), s);
    return r1_bpe_add_merge(b, s, (size_t)(space - s), space + 1, (size_t)(s + n - space - 1),
                            subject, err);
}

static r1_status read_merges(r1_bpe *b, const json_t *model, const char *subject, r1_err *err)
{
    json_t *list = json_object_get(model, "merges");
    if (!json_is_array(list))
        return r1_fail(err, R1_EFORMAT, "%s: model.merges is not an array", subject);
    r1_bpe_expect(b, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const json_t *left = json_array_get(m, 0), *right = json_array_get(m, 1);
        if (json_is_string(m))
            R1_TRY(
                add_merge_line(b, json_string_value(m), json_string_length(m), subject, err));
        else if (json_array_size(m) == 2 && json_is_string(left) && json_is_string(right))
            R1_TRY(r1_bpe_add_merge(b, json_string_value(left), json_string_length(left),
                                    json_string_value(right), json_string_length(right),
                                    subject, err));
        else
            return r1_fail(err, R1_EFORMAT,
                           "%s: model.merges[%zu] is neither \"a b\" nor "
                           "[\"a\", \"b\"]",
                           subject, i);
    }
    return R1_OK;
}

static r1_status read_model(r1_bpe *b, const json_t *root, const char *subject, r1_err *err)
{
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model))
        return r1_fail(err, R1_EFORMAT, "%s: has no object 'model'", subject);
    /* Old files have no type; the merges tell. */
    if (strcmp(type_of(model), "BPE") != 0 &&
        (type_of(model)[0] || !json_object_get(model, "merges")))
        return unsupported(err, subject, "model", type_of(model));
    R1_TRY(read_vocab(b, model, subject, err));
    R1_TRY(read_added(b, root, subject, err));
    R1_TRY(read_merges(b, model, subject, err));

    double dropout = 0;
    bool byte_fallback = false;
    const char *unk = NULL, *prefix = "", *suffix = "";
    R1_TRY(r1_json_num_opt(model, subject, "dropout", 0, 1, &dropout, err));
    R1_TRY(r1_json_bool_opt(model, subject, "byte_fallback", &byte_fallback, err));
    R1_TRY(r1_json_bool_opt(model, subject, "fuse_unk", &b->fuse_unk, err));
    R1_TRY(r1_json_bool_opt(model, subject, "ignore_merges", &b->ignore_merges, err));
    R1_TRY(r1_json_str_opt(model, subject, "unk_token", &unk, err));
    R1_TRY(r1_json_str_opt(model, subject, "continuing_subword_prefix", &prefix, err));
    R1_TRY(r1_json_str_opt(model, subject, "end_of_word_suffix", &suffix, err));
    if (dropout > 0)
        return unsupported(err, subject, "model option", "dropout");
    if (prefix[0])
        return unsupported(err, subject, "model option", "continuing_subword_prefix");
    if (suffix[0])
        return unsupported(err, subject, "model option", "end_of_word_suffix");
    for (int i = 0; byte_fallback && i < 256; i++)
        if (b->byte_id[i] < 0)
            return unsupported(err, subject, "model option", "byte_fallback");
    if (unk) {
        b->unk = r1_bpe_find(b, unk, strlen(unk));
        if (b->unk < 0)
            return r1_fail(err, R1_EFORMAT,
                           "%s: model.unk_token '%.80s' is not in the vocabulary", subject,
                           unk);
    }
    return R1_OK;
}

/* ---- tokenizer.json: the other components ------------------------------------------------ */

/* The parts of a component: a Sequence's, or the component itself. */
static size_t part_count(const json_t *component, const char *list)
{
    if (!component || json_is_null(component))
        return 0;
    return strcmp(type_of(component), "Sequence") == 0
               ? json_array_size(json_object_get(component, list))
               : 1;
}

static const json_t *part_at(const json_t *component, const char *list, size_t i)
{
    return strcmp(type_of(component), "Sequence") == 0
               ? json_array_get(json_object_get(component, list), i)
               : component;
}

static r1_status read_normalizer(r1_bpe *b, const json_t *root, const char *subject,
                                 r1_err *err)
{
    const json_t *c = json_object_get(root, "normalizer");
    for (size_t i = 0; i < part_count(c, "normalizers"); i++) {
        const char *type = type_of(part_at(c, "normalizers", i));
        if (strcmp(type, "NFC") != 0)
            return unsupported(err, subject, "normalizer", type);
        b->nfc = true;
    }
    return R1_OK;
}

/* A text as a pattern. */
static void put_literal(const char *text, r1_buf *out)
{
    for (; *text; text++) {
        if (strchr("\\^$.|?*+()[]{}", *text))
            r1_buf_putc(out, '\\');
        r1_buf_putc(out, *text);
    }
}

static r1_status read_split(r1_bpe *b, const json_t *c, const char *subject, r1_err *err)
{
    const char *behavior = NULL, *pattern;
    bool invert = false;
    R1_TRY(r1_json_str(c, subject, "behavior", &behavior, err));
    R1_TRY(r1_json_bool_opt(c, subject, "invert", &invert, err));
    bool removed = strcmp(behavior, "Removed") == 0;
    if (!removed && strcmp(behavior, "Isolated") != 0)
        return unsupported(err, subject, "pre_tokenizer Split behavior", behavior);
    const json_t *kind = json_object_get(c, "pattern");
    r1_buf literal;
    r1_buf_init(&literal, 0);
    bool text = json_object_get(kind, "String") != NULL;
    r1_status status = r1_json_str(kind, subject, text ? "String" : "Regex", &pattern, err);
    if (status == R1_OK && text)
        put_literal(pattern, &literal);
    if (status == R1_OK)
        status = r1_bpe_add_split(b, R1_BPE_SPLIT, text ? literal.data : pattern, subject, err);
    r1_buf_release(&literal);
    if (status == R1_OK && removed) {
        b->split[b->n_split - 1].drops_matches = !invert;
        b->split[b->n_split - 1].drops_gaps = invert;
    }
    return status;
}

static r1_status read_pre_tokenizer(r1_bpe *b, const json_t *root, const char *subject,
                                    r1_err *err)
{
    const json_t *c = json_object_get(root, "pre_tokenizer");
    size_t n = part_count(c, "pretokenizers");
    for (size_t i = 0; i < n; i++) {
        const json_t *part = part_at(c, "pretokenizers", i);
        const char *type = type_of(part);
        if (strcmp(type, "Split") == 0) {
            R1_TRY(read_split(b, part, subject, err));
        } else if (strcmp(type, "Digits") == 0) {
            bool each = false;
            R1_TRY(r1_json_bool_opt(part, subject, "individual_digits", &each, err));
            R1_TRY(r1_bpe_add_split(b, each ? R1_BPE_DIGITS_EACH : R1_BPE_DIGITS_RUN, NULL,
                                    subject, err));
        } else if (strcmp(type, "ByteLevel") == 0) {
            bool prefix = true, use_regex = true;
            R1_TRY(r1_json_bool_opt(part, subject, "add_prefix_space", &prefix, err));
            R1_TRY(r1_json_bool_opt(part, subject, "use_regex", &use_regex, err));
            if (prefix)
                return unsupported(err, subject, "pre_tokenizer option", "add_prefix_space");
            if (i + 1 < n)
                return unsupported(err, subject, "pre_tokenizer after ByteLevel",
                                   type_of(part_at(c, "pretokenizers", i + 1)));
            if (use_regex)
                R1_TRY(r1_bpe_add_split(b, R1_BPE_GPT2, NULL, subject, err));
            return R1_OK;
        } else {
            return unsupported(err, subject, "pre_tokenizer", type);
        }
    }
    return unsupported(err, subject, "pre_tokenizer without", "ByteLevel");
}

/* A template is a BOS token and the text, or the text alone. */
static r1_status read_template(r1_tokenizer *t, const json_t *c, const char *subject,
                               r1_err *err)
{
    const json_t *single = json_object_get(c, "single");
    size_t n = json_array_size(single);
    const json_t *bos =
        n == 2 ? json_object_get(json_array_get(single, 0), "SpecialToken") : NULL;
    if (n < 1 || n > 2 || (n == 2 && !bos) ||
        !json_object_get(json_array_get(single, n - 1), "Sequence"))
        return unsupported(err, subject, "post_processor TemplateProcessing other than",
                           "[BOS] $A");
    if (!bos)
        return R1_OK;
    const char *name;
    R1_TRY(r1_json_str(bos, subject, "id", &name, err));
    t->bos = r1_bpe_find(&t->bpe, name, strlen(name));
    if (t->bos < 0)
        return r1_fail(err, R1_EFORMAT,
                       "%s: post_processor: the special token '%.80s' is not in the vocabulary",
                       subject, name);
    t->add_bos = true;
    return R1_OK;
}

static r1_status read_post_processor(r1_tokenizer *t, const json_t *root, const char *subject,
                                     r1_err *err)
{
    const json_t *c = json_object_get(root, "post_processor");
    for (size_t i = 0; i < part_count(c, "processors"); i++) {
        const json_t *part = part_at(c, "processors", i);
        if (strcmp(type_of(part), "TemplateProcessing") == 0)
            R1_TRY(read_template(t, part, subject, err));
        else if (strcmp(type_of(part), "ByteLevel") != 0) /* it only trims offsets */
            return unsupported(err, subject, "post_processor", type_of(part));
    }
    return R1_OK;
}

static r1_status read_tokenizer_json(r1_tokenizer *t, const json_t *root, const char *subject,
                                     r1_err *err)
{
    if (!json_is_object(root))
        return r1_fail(err, R1_EFORMAT, "%s: is not a JSON object", subject);
    R1_TRY(read_normalizer(&t->bpe, root, subject, err));
    R1_TRY(read_model(&t->bpe, root, subject, err));
    R1_TRY(read_pre_tokenizer(&t->bpe, root, subject, err));
    R1_TRY(read_post_processor(t, root, subject, err));
    const json_t *decoder = json_object_get(root, "decoder");
    for (size_t i = 0; i < part_count(decoder, "decoders"); i++) {
        const char *type = type_of(part_at(decoder, "decoders", i));
        if (strcmp(type, "ByteLevel") != 0)
            return unsupported(err, subject, "decoder", type);
    }
    return R1_OK;
}

/* ---- The files beside tokenizer.json ----------------------------------------------------- */

/* A special token of tokenizer_config.json: a string, or an object with "content". */
static r1_status read_special(const r1_tokenizer *t, const json_t *config, const char *subject,
                              const char *key, int32_t *id, r1_err *err)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    if (!v || json_is_null(v))
        return R1_OK;
    if (!json_is_string(v))
        return r1_fail(err, R1_EFORMAT,
                       "%s: %s is neither a string nor an object with 'content'", subject, key);
    /* A name that is no token at all cannot be met in text. */
    int32_t found = r1_bpe_find(&t->bpe, json_string_value(v), json_string_length(v));
    if (found >= 0)
        *id = found;
    return R1_OK;
}

/* One template, or a list of {"name", "template"}: the one named default, else the first. */
static r1_status read_chat_template(r1_tokenizer *t, const json_t *config, const char *subject,
                                    r1_err *err)
{
    const json_t *v = json_object_get(config, "chat_template");
    if (!v || json_is_null(v))
        return R1_OK;
    if (json_is_array(v)) {
        const json_t *chosen = json_array_get(v, 0);
        for (size_t i = 0; i < json_array_size(v); i++) {
            const json_t *item = json_array_get(v, i);
            const char *name = json_string_value(json_object_get(item, "name"));
            if (name && strcmp(name, "default") == 0)
                chosen = item;
        }
        v = json_object_get(chosen, "template");
    }
    if (!json_is_string(v))
        return r1_fail(err, R1_EFORMAT,
                       "%s: chat_template is neither a string nor a list of {name, template}",
                       subject);
    r1_mem_free(t->chat_template);
    t->chat_template = r1_mem_strdup(json_string_value(v));
    return R1_OK;
}

static r1_status read_tokenizer_config(r1_tokenizer *t, const json_t *c, const char *subject,
                                       r1_err *err)
{
    int32_t eos = -1;
    R1_TRY(read_special(t, c, subject, "bos_token", &t->bos, err));
    R1_TRY(read_special(t, c, subject, "eos_token", &eos, err));
    R1_TRY(read_special(t, c, subject, "pad_token", &t->pad, err));
    R1_TRY(r1_json_bool_opt(c, subject, "add_bos_token", &t->add_bos, err));
    R1_TRY(read_chat_template(t, c, subject, err));
    add_eos(t, eos);
    return R1_OK;
}

r1_status r1_tokenizer_open_json(const char *text, size_t len, const char *subject,
                                 r1_tokenizer **out, r1_err *err)
{
    *out = NULL;
    json_t *root;
    R1_TRY(r1_json_parse(text, len, subject, &root, err));
    r1_tokenizer *t = new_tokenizer();
    r1_status status = read_tokenizer_json(t, root, subject, err);
    if (status == R1_OK) /* a text alone may carry the members of tokenizer_config.json too */
        status = read_tokenizer_config(t, root, subject, err);
    json_decref(root);
    if (status != R1_OK) {
        r1_tokenizer_close(t);
        return status;
    }
    *out = t;
    return R1_OK;
}

/* eos_token_id of generation_config.json or config.json: an integer or a list of them. */
static r1_status read_eos_ids(r1_tokenizer *t, const json_t *c, const char *subject,
                              r1_err *err)
{
    const json_t *v = json_object_get(c, "eos_token_id");
    if (!v || json_is_null(v))
        return R1_OK;
    bool list = json_is_array(v);
    for (size_t i = 0; i < (list ? json_array_size(v) : 1); i++) {
        const json_t *id = list ? json_array_get(v, i) : v;
        if (!json_is_integer(id))
            return r1_fail(err, R1_EFORMAT,
                           "%s: eos_token_id is neither an integer nor a list of integers",
                           subject);
        add_eos(t, json_integer_value(id));
    }
    return R1_OK;
}

typedef r1_status (*read_fn)(r1_tokenizer *t, const json_t *c, const char *subject,
                             r1_err *err);

static r1_status read_file(r1_tokenizer *t, const char *dir, const char *name, bool required,
                           read_fn read, r1_err *err)
{
    r1_arena a;
    r1_arena_init(&a);
    const char *path = r1_arena_printf(&a, "%s/%s", dir, name);
    r1_status status = R1_OK;
    if (required || r1_os_exists(path)) {
        json_t *root = NULL;
        status = r1_json_load(path, R1_JSON_MAX_BYTES, &root, err);
        if (status == R1_OK)
            status = read(t, root, path, err);
        json_decref(root);
    }
    r1_arena_release(&a);
    return status;
}

/* chat_template.jinja: newer models keep the template in a file of its own, which wins. */
static r1_status read_template_file(r1_tokenizer *t, const char *dir, r1_err *err)
{
    r1_arena a;
    r1_arena_init(&a);
    const char *path = r1_arena_printf(&a, "%s/chat_template.jinja", dir);
    r1_status status = R1_OK;
    if (r1_os_exists(path)) {
        char *text;
        size_t len;
        status = r1_os_read_file(path, (size_t)16 << 20, &text, &len, err);
        if (status == R1_OK) {
            r1_mem_free(t->chat_template);
            t->chat_template = text;
        }
    }
    r1_arena_release(&a);
    return status;
}

static r1_status read_dir(r1_tokenizer *t, const char *dir, r1_err *err)
{
    R1_TRY(read_file(t, dir, "tokenizer.json", true, read_tokenizer_json, err));
    R1_TRY(read_file(t, dir, "tokenizer_config.json", false, read_tokenizer_config, err));
    R1_TRY(read_template_file(t, dir, err));
    R1_TRY(read_file(t, dir, "generation_config.json", false, read_eos_ids, err));
    return read_file(t, dir, "config.json", false, read_eos_ids, err);
}

r1_status r1_tokenizer_open_ids(int n, const char *dir, r1_tokenizer **out, r1_err *err)
{
    r1_assert(n >= 1);
    r1_tokenizer *t = new_tokenizer();
    r1_status status = R1_OK;
    t->ids_only = true;
    t->bpe.token = R1_NEW_N(r1_bpe_token, n);
    t->bpe.n_token = n;
    for (int i = 0; i < n; i++)
        t->bpe.token[i] = (r1_bpe_token){.s = "", .added = -1, .kind = R1_BPE_UNUSED};
    r1_bpe_index_tokens(&t->bpe);
    if (dir)
        status = read_file(t, dir, "generation_config.json", false, read_eos_ids, err);
    if (dir && status == R1_OK)
        status = read_file(t, dir, "config.json", false, read_eos_ids, err);
    if (status != R1_OK) {
        r1_tokenizer_close(t);
        return status;
    }
    *out = t;
    return R1_OK;
}

r1_status r1_tokenizer_open_dir(const char *dir, r1_tokenizer **out, r1_err *err)
{
    *out = NULL;
    r1_tokenizer *t = new_tokenizer();
    r1_status status = read_dir(t, dir, err);
    if (status != R1_OK) {
        r1_tokenizer_close(t);
        return status;
    }
    t->add_bos = t->add_bos && t->bos >= 0;
    *out = t;
    return R1_OK;
}

/* ---- GGUF -------------------------------------------------------------------------------- */

/* Token types of GGUF. */
enum { GGUF_NORMAL = 1, GGUF_UNKNOWN, GGUF_CONTROL, GGUF_USER, GGUF_UNUSED, GGUF_BYTE };

/* GGUF names the pre-tokenizer; the patterns, the normaliser and the options behind the name are
 * those of the tokenizer.json files that it was made from. */
typedef struct {
    r1_bpe_split_kind kind;
    const char *pattern;
} rule;

static const rule GPT2[] = {{R1_BPE_GPT2, NULL}, {0}};
static const rule DIGITS_GPT2[] = {{R1_BPE_DIGITS_EACH, NULL}, {R1_BPE_GPT2, NULL}, {0}};
#define CL100K(digits)                                                   \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const rule LLAMA3[] = {{R1_BPE_SPLIT, CL100K("\\p{N}{1,3}")}, {0}};
static const rule QWEN2[] = {{R1_BPE_SPLIT, CL100K("\\p{N}")}, {0}};
static const rule DEEPSEEK_V3[] = {
    {R1_BPE_SPLIT, "\\p{N}{1,3}"},
    {R1_BPE_SPLIT, "[一-龥぀-ゟ゠-ヿ]+"},
    {R1_BPE_SPLIT, "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                   "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
                   "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    {0}};
static const rule DEEPSEEK_CODER[] = {
    {R1_BPE_SPLIT, "[\\r\\n]"},    {R1_BPE_SPLIT, "\\s?\\p{L}+"},
    {R1_BPE_SPLIT, "\\s?\\p{P}+"}, {R1_BPE_SPLIT, "[一-龥ࠀ-一가-퟿]+"},
    {R1_BPE_DIGITS_EACH, NULL},    {0}};
/* clang-format off */
#define CASED_LETTERS \
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-" \
    "ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌ" \
    "ῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-" \
    "ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
/* clang-format on */
static const rule DEEPSEEK_LLM[] = {{R1_BPE_SPLIT, "[\\r\\n]"},
                                    {R1_BPE_SPLIT, "\\s?[" CASED_LETTERS "]+"},
                                    {R1_BPE_SPLIT, "\\s?[!-/:-~！-／：-～‘-‟　-。]+"},
                                    {R1_BPE_SPLIT, "\\s+$"},
                                    {R1_BPE_SPLIT, "[一-龥ࠀ-一가-퟿]+"},
                                    {R1_BPE_DIGITS_EACH, NULL},
                                    {0}};
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
static const rule TEKKEN[] = {
    {R1_BPE_SPLIT,
     "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
     "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    {0}};

static const struct pre {
    const char *name;
    const rule *rules; /* one with neither kind nor pattern ends them */
    bool nfc, ignore_merges, add_bos;
    bool written; /* of several alike, the one by which files are written */
} PRE[] = {
    {"deepseek-coder", DEEPSEEK_CODER, false, false, false, true},
    {"deepseek-llm", DEEPSEEK_LLM, false, false, false, true},
    {"deepseek-r1-qwen", QWEN2, true, false, false, false},
    {"deepseek-v3", DEEPSEEK_V3, false, false, false, true},
    {"default", GPT2, false, false, false, false},
    {"gpt-2", GPT2, false, false, false, true},
    {"llama-bpe", LLAMA3, false, true, true, true},
    {"llama-v3", LLAMA3, false, true, true, false},
    {"llama3", LLAMA3, false, true, true, false},
    {"qwen2", QWEN2, true, false, false, true},
    {"refact", DIGITS_GPT2, false, false, false, false},
    {"smaug-bpe", LLAMA3, false, false, false, true},
    {"smollm", DIGITS_GPT2, false, false, false, true},
    {"starcoder", DIGITS_GPT2, false, false, false, false},
    {"tekken", TEKKEN, false, true, true, true},
};

/* Control tokens that end a turn or a text in some family of models. */
static const char *const END_NAMES[] = {"<|im_end|>", "<|eot_id|>", "<|end_of_text|>",
                                        "<｜end▁of▁sentence｜>", "<|endoftext|>"};

static r1_status gguf_array(const r1_gguf *g, const char *subject, const char *key,
                            r1_gguf_type item, const r1_gguf_kv **out, r1_err *err)
{
    *out = r1_gguf_find(g, key);
    if (!*out || (*out)->type != R1_GGUF_ARR || (*out)->item != item)
        return r1_fail(err, R1_EFORMAT, "%s: %s is missing or not an array of the right type",
                       subject, key);
    return R1_OK;
}

static int gguf_token_type(const r1_gguf_kv *types, uint64_t i)
{
    int32_t type = GGUF_NORMAL;
    if (types)
        memcpy(&type, types->at + i * sizeof type, sizeof type);
    return type;
}

/* One pass over the tokens: the vocabulary's, or the added ones. */
static r1_status gguf_tokens(r1_bpe *b, const r1_gguf_kv *tokens, const r1_gguf_kv *types,
                             bool added, const char *subject, r1_err *err)
{
    const uint8_t *cursor = tokens->at;
    for (uint64_t i = 0; i < tokens->count; i++) {
        r1_gguf_str s = r1_gguf_next_str(&cursor);
        int type = gguf_token_type(types, i);
        if (type == GGUF_UNUSED || s.n == 0)
            continue;
        if (type == GGUF_NORMAL || type == GGUF_BYTE) {
            if (!added)
                R1_TRY(r1_bpe_add_token(b, (int64_t)i, s.s, s.n, subject, err));
        } else if (added) {
            r1_bpe_added a = {.s = s.s,
                              .n = s.n > UINT32_MAX ? UINT32_MAX : (uint32_t)s.n,
                              .id = (int32_t)i,
                              .special = type != GGUF_USER};
            R1_TRY(r1_bpe_add_added(b, &a, subject, err));
        }
    }
    return R1_OK;
}

static r1_status gguf_vocab(r1_bpe *b, const r1_gguf *g, const char *subject, r1_err *err)
{
    const r1_gguf_kv *tokens, *types = NULL, *merges;
    R1_TRY(gguf_array(g, subject, "tokenizer.ggml.tokens", R1_GGUF_STR, &tokens, err));
    R1_TRY(gguf_array(g, subject, "tokenizer.ggml.merges", R1_GGUF_STR, &merges, err));
    if (tokens->count > R1_BPE_MAX_IDS)
        return r1_fail(err, R1_EFORMAT,
                       "%s: tokenizer.ggml.tokens has %llu tokens, at most %d allowed", subject,
                       (unsigned long long)tokens->count, R1_BPE_MAX_IDS);
    if (r1_gguf_find(g, "tokenizer.ggml.token_type")) {
        R1_TRY(gguf_array(g, subject, "tokenizer.ggml.token_type", R1_GGUF_I32, &types, err));
        if (types->count != tokens->count)
            return r1_fail(
                err, R1_EFORMAT, "%s: tokenizer.ggml.token_type has %llu items for %llu tokens",
                subject, (unsigned long long)types->count, (unsigned long long)tokens->count);
    }
    R1_TRY(gguf_tokens(b, tokens, types, false, subject, err));
    r1_bpe_index_tokens(b);
    R1_TRY(gguf_tokens(b, tokens, types, true, subject, err));
    const uint8_t *cursor = merges->at;
    r1_bpe_expect(b, merges->count);
    for (uint64_t i = 0; i < merges->count; i++) {
        r1_gguf_str s = r1_gguf_next_str(&cursor);
        R1_TRY(add_merge_line(b, s.s, s.n, subject, err));
    }
    return R1_OK;
}

static r1_status gguf_pre(r1_tokenizer *t, const r1_gguf *g, const char *subject, r1_err *err)
{
    r1_gguf_str name = {"default", 7};
    R1_TRY(r1_gguf_string_opt(g, "tokenizer.ggml.pre", &name, err));
    for (size_t i = 0; i < sizeof PRE / sizeof *PRE; i++) {
        const struct pre *p = &PRE[i];
        if (strlen(p->name) != name.n || memcmp(p->name, name.s, name.n) != 0)
            continue;
        for (const rule *k = p->rules; k->kind != R1_BPE_SPLIT || k->pattern; k++)
            R1_TRY(r1_bpe_add_split(&t->bpe, k->kind, k->pattern, subject, err));
        t->bpe.nfc = p->nfc;
        t->bpe.ignore_merges = p->ignore_merges;
        t->add_bos = p->add_bos;
        return R1_OK;
    }
    r1_buf known;
    r1_buf_init(&known, 0);
    for (size_t i = 0; i < sizeof PRE / sizeof *PRE; i++)
        r1_buf_printf(&known, "%s%s", i ? ", " : "", PRE[i].name);
    r1_fail(err, R1_EUNSUPPORTED, "%s: tokenizer.ggml.pre '%.*s' is not one of %s", subject,
            (int)(name.n < 80 ? name.n : 80), name.s, known.data);
    r1_buf_release(&known);
    return R1_EUNSUPPORTED;
}

static r1_status gguf_id(const r1_tokenizer *t, const r1_gguf *g, const char *key, int32_t *id,
                         r1_err *err)
{
    int64_t v = -1;
    R1_TRY(r1_gguf_int_opt(g, key, 0, UINT32_MAX, &v, err));
    if (v >= 0 && v < t->bpe.n_token)
        *id = (int32_t)v;
    return R1_OK;
}

static r1_status read_gguf(r1_tokenizer *t, const r1_gguf *g, const char *subject, r1_err *err)
{
    r1_gguf_str model = {"", 0}, chat = {"", 0};
    R1_TRY(r1_gguf_string_opt(g, "tokenizer.ggml.model", &model, err));
    if (model.n != 4 || memcmp(model.s, "gpt2", 4) != 0)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: tokenizer.ggml.model is '%.*s'; only gpt2 (byte-level BPE) is "
                       "supported",
                       subject, (int)(model.n < 80 ? model.n : 80), model.s);
    R1_TRY(gguf_vocab(&t->bpe, g, subject, err));
    R1_TRY(gguf_pre(t, g, subject, err));
    int32_t eos = -1, eot = -1, eom = -1;
    R1_TRY(gguf_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, err));
    R1_TRY(gguf_id(t, g, "tokenizer.ggml.padding_token_id", &t->pad, err));
    R1_TRY(gguf_id(t, g, "tokenizer.ggml.eos_token_id", &eos, err));
    R1_TRY(gguf_id(t, g, "tokenizer.ggml.eot_token_id", &eot, err));
    add_eos(t, eos);
    R1_TRY(gguf_id(t, g, "tokenizer.ggml.eom_token_id", &eom, err));
    add_eos(t, eot);
    add_eos(t, eom);
    for (size_t i = 0; i < sizeof END_NAMES / sizeof *END_NAMES; i++) {
        int32_t id = r1_tokenizer_find(t, END_NAMES[i]);
        if (id >= 0 && r1_tokenizer_is_special(t, id))
            add_eos(t, id);
    }
    R1_TRY(r1_gguf_bool_opt(g, "tokenizer.ggml.add_bos_token", &t->add_bos, err));
    t->add_bos = t->add_bos && t->bos >= 0;
    R1_TRY(r1_gguf_string_opt(g, "tokenizer.chat_template", &chat, err));
    if (chat.n)
        t->chat_template = r1_mem_strndup(chat.s, chat.n);
    return R1_OK;
}

r1_status r1_tokenizer_open_gguf(const r1_gguf *g, r1_tokenizer **out, r1_err *err)
{
    *out = NULL;
    r1_tokenizer *t = new_tokenizer();
    r1_status status = read_gguf(t, g, g->path ? g->path : "gguf", err);
    if (status != R1_OK) {
        r1_tokenizer_close(t);
        return status;
    }
    *out = t;
    return R1_OK;
}

/* ---- Use --------------------------------------------------------------------------------- */

r1_status r1_tokenizer_encode(const r1_tokenizer *t, const char *text, size_t len,
                              bool parse_special, bool add_bos, int32_t **ids, size_t *n,
                              r1_err *err)
{
    if (t->ids_only && len > 0)
        return r1_fail(err, R1_EARG,
                       "the model has no tokenizer, so text cannot be read; only commands that "
                       "take ids can be used with it");
    if (add_bos && t->bos >= 0) {
        *ids = r1_mem_realloc(*ids, (*n + 1) * sizeof **ids);
        (*ids)[*n] = t->bos;
        size_t with_bos = *n + 1;
        R1_TRY(r1_bpe_encode(&t->bpe, text, len, parse_special, NULL, ids, &with_bos, err));
        *n = with_bos;
        return R1_OK;
    }
    return r1_bpe_encode(&t->bpe, text, len, parse_special, NULL, ids, n, err);
}

r1_status r1_tokenizer_encode_marked(const r1_tokenizer *t, const char *text, size_t len,
                                     const char *mark, int32_t **ids, size_t *n, r1_err *err)
{
    if (t->ids_only)
        return r1_tokenizer_encode(t, text, len, true, false, ids, n, err);
    return r1_bpe_encode(&t->bpe, text, len, true, mark, ids, n, err);
}

size_t r1_tokenizer_added_at(const r1_tokenizer *t, const char *s, size_t n, bool *special)
{
    size_t len = 0;
    int32_t k = t->ids_only ? -1 : r1_bpe_added_at(&t->bpe, s, n, &len);
    *special = k >= 0 && t->bpe.added[k].special;
    return len;
}

bool r1_tokenizer_bytes(const r1_tokenizer *t, int32_t id, const char **s, size_t *n)
{
    if (id < 0 || id >= t->bpe.n_token)
        return false;
    const r1_bpe_token *k = &t->bpe.token[id];
    *s = k->added >= 0 ? t->bpe.added[k->added].s : k->s;
    *n = k->added >= 0 ? t->bpe.added[k->added].n : k->n;
    return true;
}

int r1_tokenizer_size(const r1_tokenizer *t)
{
    return t->bpe.n_token;
}

int32_t r1_tokenizer_find(const r1_tokenizer *t, const char *content)
{
    return r1_bpe_find(&t->bpe, content, strlen(content));
}

int32_t r1_tokenizer_bos(const r1_tokenizer *t)
{
    return t->bos;
}

int32_t r1_tokenizer_pad(const r1_tokenizer *t)
{
    return t->pad;
}

bool r1_tokenizer_adds_bos(const r1_tokenizer *t)
{
    return t->add_bos;
}

bool r1_tokenizer_is_eos(const r1_tokenizer *t, int32_t id)
{
    for (int i = 0; i < t->n_eos; i++)
        if (t->eos[i] == id)
            return true;
    return false;
}

bool r1_tokenizer_is_special(const r1_tokenizer *t, int32_t id)
{
    if (id < 0 || id >= t->bpe.n_token)
        return false;
    int32_t added = t->bpe.token[id].added;
    return added >= 0 && t->bpe.added[added].special;
}

int32_t r1_tokenizer_eos(const r1_tokenizer *t)
{
    return t->n_eos ? t->eos[0] : -1;
}

const char *r1_tokenizer_chat_template(const r1_tokenizer *t)
{
    return t->chat_template;
}

const r1_bpe *r1_tokenizer_bpe(const r1_tokenizer *t)
{
    return t->ids_only ? NULL : &t->bpe;
}

static bool splits_as(const r1_bpe *b, const struct pre *p)
{
    int n = 0;
    for (const rule *k = p->rules; k->kind != R1_BPE_SPLIT || k->pattern; k++, n++)
        if (n == b->n_split || b->split[n].kind != k->kind ||
            (k->pattern && strcmp(b->split[n].pattern, k->pattern) != 0))
            return false;
    return n == b->n_split && b->nfc == p->nfc && b->ignore_merges == p->ignore_merges;
}

const char *r1_tokenizer_pre(const r1_tokenizer *t)
{
    for (size_t i = 0; i < sizeof PRE / sizeof *PRE; i++)
        if (PRE[i].written && splits_as(&t->bpe, &PRE[i]))
            return PRE[i].name;
    return NULL;
}

/* ---- Saving ------------------------------------------------------------------------------ */

static const char *json_bool(bool b)
{
    return b ? "true" : "false";
}

/* A token as tokenizer.json's vocabulary spells it. */
static void put_spelling(const r1_tokenizer *t, int32_t id, r1_buf *out)
{
    const r1_bpe_token *k = &t->bpe.token[id];
    if (k->kind == R1_BPE_RAW) {
        r1_json_quote(out, k->s, k->n);
        return;
    }
    r1_buf spelt;
    r1_buf_init(&spelt, 0);
    r1_bpe_to_alphabet(k->s, k->n, &spelt);
    r1_json_quote(out, spelt.data, spelt.len);
    r1_buf_release(&spelt);
}

/* A special token by its text, or null. */
static void put_text(const r1_tokenizer *t, int32_t id, r1_buf *out)
{
    const char *s;
    size_t n;
    if (r1_tokenizer_bytes(t, id, &s, &n))
        r1_json_quote(out, s, n);
    else
        r1_buf_puts(out, "null");
}

static void put_added(const r1_tokenizer *t, r1_buf *out)
{
    const char *comma = "\n";
    for (int32_t id = 0; id < t->bpe.n_token; id++) {
        if (t->bpe.token[id].added < 0)
            continue;
        const r1_bpe_added *a = &t->bpe.added[t->bpe.token[id].added];
        r1_buf_printf(out, "%s    {\"id\": %d, \"content\": ", comma, id);
        r1_json_quote(out, a->s, a->n);
        r1_buf_printf(out,
                      ", \"single_word\": %s, \"lstrip\": %s, \"rstrip\": %s, "
                      "\"normalized\": %s, \"special\": %s}",
                      json_bool(a->single_word), json_bool(a->lstrip), json_bool(a->rstrip),
                      json_bool(a->normalized), json_bool(a->special));
        comma = ",\n";
    }
}

static void put_splits(const r1_bpe *b, r1_buf *out)
{
    bool gpt2 = false;
    for (int i = 0; i < b->n_split; i++) {
        const r1_bpe_split *s = &b->split[i];
        switch (s->kind) {
        case R1_BPE_SPLIT:
            r1_buf_puts(out, "    {\"type\": \"Split\", \"pattern\": {\"Regex\": ");
            r1_json_quote(out, s->pattern, strlen(s->pattern));
            r1_buf_printf(out, "}, \"behavior\": \"%s\", \"invert\": %s},\n",
                          s->drops_matches || s->drops_gaps ? "Removed" : "Isolated",
                          json_bool(s->drops_gaps));
            break;
        case R1_BPE_DIGITS_EACH:
        case R1_BPE_DIGITS_RUN:
            r1_buf_printf(out, "    {\"type\": \"Digits\", \"individual_digits\": %s},\n",
                          json_bool(s->kind == R1_BPE_DIGITS_EACH));
            break;
        case R1_BPE_GPT2: gpt2 = true; break;
        }
    }
    r1_buf_printf(out,
                  "    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                  "\"trim_offsets\": true, \"use_regex\": %s}",
                  json_bool(gpt2));
}

static void put_post_processor(const r1_tokenizer *t, r1_buf *out)
{
    if (!t->add_bos) {
        r1_buf_puts(out, "null");
        return;
    }
    r1_buf_puts(out, "{\"type\": \"TemplateProcessing\",\n    \"single\": [{\"SpecialToken\": "
                     "{\"id\": ");
    put_text(t, t->bos, out);
    r1_buf_puts(out, ", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}],\n"
                     "    \"pair\": [{\"SpecialToken\": {\"id\": ");
    put_text(t, t->bos, out);
    r1_buf_puts(out, ", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
                     "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}],\n"
                     "    \"special_tokens\": {");
    put_text(t, t->bos, out);
    r1_buf_puts(out, ": {\"id\": ");
    put_text(t, t->bos, out);
    r1_buf_printf(out, ", \"ids\": [%d], \"tokens\": [", t->bos);
    put_text(t, t->bos, out);
    r1_buf_puts(out, "]}}}");
}

/* Added tokens are in the vocabulary too: `tokenizers` gives those that are not the ids after it,
 * which need not be theirs. */
static void put_tokenizer_json(const r1_tokenizer *t, r1_buf *out)
{
    const r1_bpe *b = &t->bpe;
    r1_buf_puts(out,
                "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n"
                "  \"added_tokens\": [");
    put_added(t, out);
    r1_buf_printf(out, "\n  ],\n  \"normalizer\": %s,\n",
                  b->nfc ? "{\"type\": \"NFC\"}" : "null");
    r1_buf_puts(out, "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n");
    put_splits(b, out);
    r1_buf_puts(out, "\n  ]},\n  \"post_processor\": ");
    put_post_processor(t, out);
    r1_buf_puts(out, ",\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                     "\"trim_offsets\": true, \"use_regex\": true},\n"
                     "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                     "    \"unk_token\": ");
    if (b->unk >= 0)
        put_spelling(t, b->unk, out);
    else
        r1_buf_puts(out, "null");
    r1_buf_printf(out,
                  ",\n    \"continuing_subword_prefix\": null,\n"
                  "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": %s,\n"
                  "    \"byte_fallback\": false,\n    \"ignore_merges\": %s,\n    \"vocab\": {",
                  json_bool(b->fuse_unk), json_bool(b->ignore_merges));
    const char *comma = "\n";
    for (int32_t id = 0; id < b->n_token; id++) {
        if (b->token[id].kind == R1_BPE_UNUSED)
            continue;
        r1_buf_printf(out, "%s      ", comma);
        put_spelling(t, id, out);
        r1_buf_printf(out, ": %d", id);
        comma = ",\n";
    }
    r1_buf_puts(out, "\n    },\n    \"merges\": [");
    for (size_t i = 0; i < b->n_merge; i++) {
        r1_buf_puts(out, i ? ",\n      [" : "\n      [");
        put_spelling(t, b->merge[i].left, out);
        r1_buf_puts(out, ", ");
        put_spelling(t, b->merge[i].right, out);
        r1_buf_putc(out, ']');
    }
    r1_buf_puts(out, "\n    ]\n  }\n}\n");
}

static void put_tokenizer_config(const r1_tokenizer *t, r1_buf *out)
{
    r1_buf_printf(out,
                  "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
                  "  \"add_bos_token\": %s,\n  \"bos_token\": ",
                  json_bool(t->add_bos));
    put_text(t, t->bos, out);
    r1_buf_puts(out, ",\n  \"eos_token\": ");
    put_text(t, r1_tokenizer_eos(t), out);
    r1_buf_puts(out, ",\n  \"pad_token\": ");
    put_text(t, t->pad, out);
    r1_buf_puts(out, ",\n  \"clean_up_tokenization_spaces\": false");
    if (t->chat_template) {
        r1_buf_puts(out, ",\n  \"chat_template\": ");
        r1_json_quote(out, t->chat_template, strlen(t->chat_template));
    }
    r1_buf_puts(out, "\n}\n");
}

static r1_status save_file(const r1_tokenizer *t, const char *dir, const char *name,
                           void (*put)(const r1_tokenizer *, r1_buf *), r1_err *err)
{
    r1_arena a;
    r1_arena_init(&a);
    r1_buf text;
    r1_buf_init(&text, 0);
    put(t, &text);
    r1_os_file *f = NULL;
    r1_status status = text.full
                           ? r1_fail(err, R1_ENOMEM, "%s: too large to write", name)
                           : r1_os_file_open(r1_arena_printf(&a, "%s/%s", dir, name), &f, err);
    if (status == R1_OK) {
        r1_os_file_write(f, text.data, text.len);
        status = r1_os_file_commit(f, err);
    }
    r1_buf_release(&text);
    r1_arena_release(&a);
    return status;
}

r1_status r1_tokenizer_save(const r1_tokenizer *t, const char *dir, r1_err *err)
{
    if (t->ids_only)
        return R1_OK;
    R1_TRY(r1_os_mkdirs(dir, err));
    R1_TRY(save_file(t, dir, "tokenizer.json", put_tokenizer_json, err));
    return save_file(t, dir, "tokenizer_config.json", put_tokenizer_config, err);
}

/* ---- Streaming decode -------------------------------------------------------------------- */

void r1_tokenizer_stream(r1_utf8_stream *s, const char *bytes, size_t n, r1_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        s->held[s->n++] = bytes[i];
        while (s->n > 0) {
            size_t len;
            r1_bpe_utf8_class what = r1_bpe_utf8(s->held, (size_t)s->n, &len);
            if (what == R1_BPE_UTF8_CUT)
                break;
            if (what == R1_BPE_UTF8_WHOLE)
                r1_buf_append(out, s->held, len);
            else
                r1_buf_puts(out, "\xEF\xBF\xBD");
            s->n -= (int)len;
            memmove(s->held, s->held + len, (size_t)s->n);
        }
    }
}

void r1_tokenizer_stream_end(r1_utf8_stream *s, r1_buf *out)
{
    if (s->n > 0)
        r1_buf_puts(out, "\xEF\xBF\xBD");
    s->n = 0;
}
