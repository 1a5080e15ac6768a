/* mem.h: memory.  Three lifetimes exist: process, object, and step or request; the last is an
 * arena that is reset.  Small host allocations abort on exhaustion; sizes that come from a file,
 * a request or an option go through r1_mem_large, which reports R1_ENOMEM. */
#ifndef R1_MEM_H
#define R1_MEM_H

#include "base/err.h"

/* ---- Plain blocks: zeroed, never NULL (abort with a message when exhausted) -------------- */
void *r1_mem_alloc(size_t bytes);
void *r1_mem_realloc(void *p, size_t bytes); /* new bytes are not zeroed */
char *r1_mem_strdup(const char *s);
char *r1_mem_strndup(const char *s, size_t n);
void r1_mem_free(void *p);
#define R1_NEW(type)      ((type *)r1_mem_alloc(sizeof(type)))
#define R1_NEW_N(type, n) ((type *)r1_mem_alloc_n((n), sizeof(type)))
void *r1_mem_alloc_n(size_t n, size_t size); /* aborts on overflow too */

/* Large blocks: 64-byte aligned, zeroed, huge pages where the system has them.  A child of fork
 * may not touch them. */
r1_status r1_mem_large(size_t bytes, void **out, r1_err *err);
void r1_mem_large_free(void *p, size_t bytes);

/* Size arithmetic that cannot overflow: false on overflow. */
bool r1_mem_mul(size_t a, size_t b, size_t *out);
bool r1_mem_add(size_t a, size_t b, size_t *out);

/* ---- Arena: many small blocks, freed whole or back to a mark.  One thread. --------------- */
typedef struct r1_arena_block r1_arena_block;
typedef struct {
    r1_arena_block *head;
    size_t used; /* bytes handed out */
} r1_arena;
typedef struct {
    r1_arena_block *head;
    size_t head_used;
    size_t used;
} r1_arena_mark;

void r1_arena_init(r1_arena *a);
void r1_arena_release(r1_arena *a);
/* Zeroed, 16-byte aligned; aborts when memory is exhausted. */
void *r1_arena_alloc(r1_arena *a, size_t bytes);
char *r1_arena_strndup(r1_arena *a, const char *s, size_t n);
char *r1_arena_printf(r1_arena *a, const char *fmt, ...) R1_PRINTF(2, 3);
r1_arena_mark r1_arena_save(const r1_arena *a);
void r1_arena_restore(r1_arena *a, r1_arena_mark m);

/* ---- Growable bytes with a hard cap.  data is always NUL-terminated. --------------------- */
typedef struct {
    char *data; /* "" before the first append: never NULL */
    size_t len;
    size_t room;
    size_t cap; /* an append beyond it fails; 0 = 1 GiB */
    bool full;  /* set by the first append that failed; later appends fail too */
} r1_buf;

void r1_buf_init(r1_buf *b, size_t cap);
void r1_buf_release(r1_buf *b);
void r1_buf_reset(r1_buf *b); /* len = 0, memory kept */
bool r1_buf_append(r1_buf *b, const void *p, size_t n);
bool r1_buf_puts(r1_buf *b, const char *s);
bool r1_buf_putc(r1_buf *b, char c);
bool r1_buf_printf(r1_buf *b, const char *fmt, ...) R1_PRINTF(2, 3);
char *
r1_buf_take(r1_buf *b); /* hands the bytes to the caller (r1_mem_free), b is empty again */

#endif
