/* json.h: bounded use of jansson.  Strict JSON, UTF-8 checked; a limit on bytes and depth;
 * errors say file, line and column.  Getters check type and range and name the key:
 *     R1_TRY(r1_json_int(cfg, "config.json", "hidden_size", 1, 1 << 20, &d, err));
 * `_opt` getters leave *out alone when the key is absent or null. */
#ifndef R1_JSON_H
#define R1_JSON_H

#include <jansson.h>

#include "base/mem.h"

#define R1_JSON_MAX_BYTES ((size_t)256 << 20)
#define R1_JSON_MAX_DEPTH 64

/* *out is a new reference (json_decref).  subject names the input in messages. */
r1_status r1_json_parse(const char *text, size_t len, const char *subject, json_t **out,
                        r1_err *err);
r1_status r1_json_load(const char *path, size_t max_bytes, json_t **out, r1_err *err);

/* Write obj to a file, atomically, indented, and give the reference back. */
r1_status r1_json_save(const char *path, json_t *obj, r1_err *err);

r1_status r1_json_int(const json_t *obj, const char *subject, const char *key, int64_t min,
                      int64_t max, int64_t *out, r1_err *err);
r1_status r1_json_int_opt(const json_t *obj, const char *subject, const char *key, int64_t min,
                          int64_t max, int64_t *out, r1_err *err);
r1_status r1_json_num(const json_t *obj, const char *subject, const char *key, double min,
                      double max, double *out, r1_err *err);
r1_status r1_json_num_opt(const json_t *obj, const char *subject, const char *key, double min,
                          double max, double *out, r1_err *err);
r1_status r1_json_bool_opt(const json_t *obj, const char *subject, const char *key, bool *out,
                           r1_err *err);
/* Borrowed from obj. */
r1_status r1_json_str(const json_t *obj, const char *subject, const char *key, const char **out,
                      r1_err *err);
r1_status r1_json_str_opt(const json_t *obj, const char *subject, const char *key,
                          const char **out, r1_err *err);

/* Append s (len bytes) as a JSON string with quotes; invalid UTF-8 becomes U+FFFD. */
void r1_json_quote(r1_buf *b, const char *s, size_t len);
/* Append the shortest decimal that reads back as the same double; null if not finite. */
void r1_json_number(r1_buf *b, double v);

/* Length in bytes of the longest prefix of s that is whole, valid UTF-8 characters.  A cut
 * character at the end is left out; an invalid byte counts as a character (it will be replaced). */
size_t r1_json_utf8_prefix(const char *s, size_t len);

#endif
