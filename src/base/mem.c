/* mem.c: plain blocks, large blocks, the arena and the growable buffer. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- Plain blocks ------------------------------------------------------------------------ */

static _Noreturn void exhausted(size_t bytes)
{
    fprintf(stderr, "r1: out of memory: %zu bytes wanted\n", bytes);
    abort();
}

void *r1_mem_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        exhausted(bytes);
    return p;
}

void *r1_mem_alloc_n(size_t n, size_t size)
{
    size_t bytes;
    if (!r1_mem_mul(n, size, &bytes))
        exhausted(SIZE_MAX);
    return r1_mem_alloc(bytes);
}

void *r1_mem_realloc(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        exhausted(bytes);
    return q;
}

char *r1_mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = r1_mem_alloc(len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *r1_mem_strdup(const char *s)
{
    return r1_mem_strndup(s, strlen(s));
}

void r1_mem_free(void *p)
{
    free(p);
}

/* ---- Large blocks ------------------------------------------------------------------------ */

/* Below this a block comes from the heap, where the address sanitizer sees its bounds. */
#define LARGE_MAP ((size_t)2 << 20)

r1_status r1_mem_large(size_t bytes, void **out, r1_err *err)
{
    void *p = NULL;
    if (bytes < LARGE_MAP) {
        if (posix_memalign(&p, 64, bytes ? bytes : 1) != 0)
            p = NULL;
        else
            memset(p, 0, bytes);
    } else {
        /* Fresh pages are zero, and are not backed by memory before they are touched. */
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            p = NULL;
#ifdef MADV_HUGEPAGE
        else
            madvise(p, bytes, MADV_HUGEPAGE);
#endif
#ifdef MADV_DONTFORK
        /* A child runs another program or lives briefly; it must not make writes here copies. */
        if (p)
            madvise(p, bytes, MADV_DONTFORK);
#endif
    }
    *out = p;
    if (!p)
        return r1_fail(err, R1_ENOMEM, "memory: a block of %.1f MiB is not available",
                       (double)bytes / 1048576.0);
    return R1_OK;
}

void r1_mem_large_free(void *p, size_t bytes)
{
    if (bytes < LARGE_MAP)
        free(p);
    else if (p)
        munmap(p, bytes);
}

/* ---- Size arithmetic --------------------------------------------------------------------- */

bool r1_mem_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool r1_mem_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* ---- Arena ------------------------------------------------------------------------------- */

#define ARENA_ALIGN 16
#define ARENA_BLOCK ((size_t)64 << 10)

struct r1_arena_block {
    r1_arena_block *next; /* the older one */
    size_t size, used;
    _Alignas(ARENA_ALIGN) char data[];
};

void r1_arena_init(r1_arena *a)
{
    *a = (r1_arena){0};
}

void r1_arena_release(r1_arena *a)
{
    r1_arena_restore(a, (r1_arena_mark){0});
}

void *r1_arena_alloc(r1_arena *a, size_t bytes)
{
    size_t need;
    if (!r1_mem_add(bytes, ARENA_ALIGN - 1, &need))
        exhausted(bytes);
    need &= ~(size_t)(ARENA_ALIGN - 1);
    r1_arena_block *b = a->head;
    if (!b || b->size - b->used < need) {
        size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK, whole;
        if (!r1_mem_add(size, sizeof *b, &whole))
            exhausted(bytes);
        b = r1_mem_realloc(NULL, whole);
        *b = (r1_arena_block){.next = a->head, .size = size};
        a->head = b;
    }
    char *p = b->data + b->used;
    b->used += need;
    a->used += need;
    return memset(p, 0, bytes);
}

char *r1_arena_strndup(r1_arena *a, const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = r1_arena_alloc(a, len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *r1_arena_printf(r1_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    r1_assert(n >= 0);
    char *text = r1_arena_alloc(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text;
}

r1_arena_mark r1_arena_save(const r1_arena *a)
{
    return (r1_arena_mark){a->head, a->head ? a->head->used : 0, a->used};
}

void r1_arena_restore(r1_arena *a, r1_arena_mark m)
{
    while (a->head != m.head) {
        r1_arena_block *older = a->head->next;
        r1_mem_free(a->head);
        a->head = older;
    }
    if (a->head)
        a->head->used = m.head_used;
    a->used = m.used;
}

/* ---- Growable bytes ---------------------------------------------------------------------- */

#define BUF_DEFAULT_CAP ((size_t)1 << 30)

/* What data points at while nothing was appended (room == 0); never written to. */
static char empty[1];

void r1_buf_init(r1_buf *b, size_t cap)
{
    *b = (r1_buf){.data = empty, .cap = cap ? cap : BUF_DEFAULT_CAP};
}

void r1_buf_release(r1_buf *b)
{
    if (b->room)
        r1_mem_free(b->data);
    r1_buf_init(b, b->cap);
}

void r1_buf_reset(r1_buf *b)
{
    b->len = 0;
    b->full = false;
    if (b->room)
        b->data[0] = 0;
}

/* Make room for n more bytes and the NUL. */
static bool buf_reserve(r1_buf *b, size_t n)
{
    if (b->full || n > b->cap - b->len) {
        b->full = true;
        return false;
    }
    size_t need = b->len + n + 1;
    if (need <= b->room)
        return true;
    size_t room = b->room ? b->room * 2 : 64;
    if (room < need)
        room = need;
    b->data = r1_mem_realloc(b->room ? b->data : NULL, room);
    b->room = room;
    return true;
}

bool r1_buf_append(r1_buf *b, const void *p, size_t n)
{
    if (!buf_reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
    return true;
}

bool r1_buf_puts(r1_buf *b, const char *s)
{
    return r1_buf_append(b, s, strlen(s));
}

bool r1_buf_putc(r1_buf *b, char c)
{
    return r1_buf_append(b, &c, 1);
}

bool r1_buf_printf(r1_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    r1_assert(n >= 0);
    bool fits = buf_reserve(b, (size_t)n);
    if (fits) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return fits;
}

char *r1_buf_take(r1_buf *b)
{
    char *bytes = b->room ? b->data : r1_mem_alloc(1);
    r1_buf_init(b, b->cap);
    return bytes;
}
