/* ansi.c: bytes of a reply to bytes for a terminal (ansi.h).  At each place a mark is looked for;
 * one that may be cut waits for the next piece. */
#include "base/ansi.h"

#include <ctype.h>
#include <string.h>

#define RESET "\x1b[0m"
#define BOLD  "\x1b[1m"
#define DIM   "\x1b[2m"
#define CODE  "\x1b[36m"

void r1_ansi_init(r1_ansi *a, bool inside, bool markdown, bool hide)
{
    *a = (r1_ansi){.thinking = inside, .markdown = markdown, .hide = hide, .line = true};
    a->skip = true;
    r1_buf_init(&a->held, 0);
}

void r1_ansi_release(r1_ansi *a)
{
    r1_buf_release(&a->held);
}

/* ---- Styles ------------------------------------------------------------------------------ */

static bool styled(const r1_ansi *a)
{
    return a->thinking || a->fence || a->code || a->bold || a->head || a->quiet;
}

/* The styles as they are now. */
static void put_styles(const r1_ansi *a, r1_buf *out)
{
    r1_buf_puts(out, RESET);
    if (a->thinking || a->quiet)
        r1_buf_puts(out, DIM);
    else if (a->fence || a->code)
        r1_buf_puts(out, CODE);
    if (a->bold || a->head)
        r1_buf_puts(out, BOLD);
}

/* A byte that no style is for. */
static void put_byte(r1_ansi *a, char c, r1_buf *out)
{
    if (a->thinking && a->hide)
        return;
    if (!a->shown && styled(a))
        put_styles(a, out);
    a->shown = true;
    r1_buf_putc(out, c);
}

/* ---- Marks ------------------------------------------------------------------------------- */

enum { NO = -1, WAIT = 0 }; /* else how many bytes a mark takes */

/* Whether p[left] begins with a mark, or may when more comes. */
static int match(const char *p, size_t left, const char *mark, bool final)
{
    size_t n = strlen(mark);
    if (left >= n)
        return memcmp(p, mark, n) == 0 ? (int)n : NO;
    return memcmp(p, mark, left) == 0 && !final ? WAIT : NO;
}

static int take_tag(r1_ansi *a, const char *p, size_t left, bool final, r1_buf *out)
{
    if (a->fence || a->code)
        return NO;
    int n = match(p, left, a->thinking ? "</think>" : "<think>", final);
    if (n <= 0)
        return n;
    bool visible = !a->thinking || !a->hide;
    if (a->shown && visible && a->thinking) /* reasoning and answer, a line apart */
        r1_buf_puts(out, a->before == '\n' ? "\n" : "\n\n");
    a->thinking = !a->thinking;
    a->skip = true;
    a->line = true;
    a->bold = a->head = a->quiet = false;
    if (a->shown)
        put_styles(a, out);
    return n;
}

/* Marks at a line's beginning. */
static int take_line_mark(r1_ansi *a, const char *p, size_t left, bool final, r1_buf *out)
{
    size_t hashes = 0;
    int n = match(p, left, "```", final);
    if (n > 0) { /* the fence itself is kept, dim: it shows where the code ends */
        a->fence = !a->fence;
        a->quiet = true;
        put_styles(a, out);
        r1_buf_puts(out, "```");
        a->shown = true;
        return n;
    }
    if (n == WAIT)
        return WAIT;
    if (a->fence)
        return NO;
    while (hashes < left && hashes < 7 && p[hashes] == '#')
        hashes++;
    if (hashes > 0 && hashes == left && hashes < 7 && !final)
        return WAIT;
    if (hashes > 0 && hashes < 7 && hashes < left && p[hashes] == ' ') {
        a->head = true;
        put_styles(a, out);
        a->shown = true;
        return (int)hashes + 1;
    }
    if (!strchr("-*+>", p[0]))
        return NO;
    if (left < 2)
        return final ? NO : WAIT;
    if (p[1] != ' ')
        return NO;
    if (p[0] == '>') {
        r1_buf_puts(out, DIM "\xe2\x94\x82 " RESET); /* a bar */
    } else {
        r1_buf_puts(out, "\xe2\x80\xa2 "); /* a bullet */
    }
    a->shown = true;
    return 2;
}

/* Bold begins at a word's beginning and ends at a word's end; 2**3 is neither. */
static int take_bold(r1_ansi *a, const char *p, size_t left, bool final, r1_buf *out)
{
    int n = match(p, left, "**", final);
    if (n <= 0)
        return n;
    if (!a->bold && left < 3 && !final)
        return WAIT;
    bool opens = !a->bold && left > 2 && !isspace((unsigned char)p[2]) && p[2] != '*' &&
                 !isalnum((unsigned char)a->before);
    bool closes = a->bold && !isspace((unsigned char)a->before);
    if (!opens && !closes)
        return NO;
    a->bold = opens;
    put_styles(a, out);
    a->shown = true;
    return n;
}

static int take_mark(r1_ansi *a, const char *p, size_t left, bool final, r1_buf *out)
{
    int n = *p == '<' ? take_tag(a, p, left, final, out) : NO;
    if (n != NO || !a->markdown || a->thinking)
        return n;
    if (a->line && (n = take_line_mark(a, p, left, final, out)) != NO)
        return n;
    if (a->fence || a->quiet)
        return NO;
    if (*p == '`') {
        a->code = !a->code;
        put_styles(a, out);
        a->shown = true;
        return 1;
    }
    return *p == '*' && !a->code ? take_bold(a, p, left, final, out) : NO;
}

/* ---- Text -------------------------------------------------------------------------------- */

static void put_newline(r1_ansi *a, r1_buf *out)
{
    bool change = a->code || a->bold || a->head || a->quiet;
    a->code = a->bold = a->head = a->quiet = false; /* no style goes on over a line's end */
    if (a->thinking && a->hide)
        return;
    if (change)
        r1_buf_puts(out, RESET);
    put_byte(a, '\n', out);
    if (change && styled(a))
        put_styles(a, out);
}

/* One character that is no mark; how many bytes it takes, or WAIT. */
static int take_text(r1_ansi *a, const char *p, size_t left, bool final, r1_buf *out)
{
    unsigned char c = (unsigned char)*p;
    if (c == '\n') {
        if (!a->skip)
            put_newline(a, out);
        a->line = true;
        return 1;
    }
    if (c == 0xC2 && left < 2 && !final)
        return WAIT;
    bool c1 = c == 0xC2 && left > 1 && (unsigned char)p[1] < 0xA0;
    bool control = (c < 0x20 && c != '\t') || c == 0x7F || c1;
    a->skip = false;
    a->line = a->line && c == ' ';
    put_byte(a, control ? '?' : *p, out);
    return c1 ? 2 : 1;
}

static void take(r1_ansi *a, bool final, r1_buf *out)
{
    size_t at = 0;
    while (at < a->held.len) {
        const char *p = a->held.data + at;
        size_t left = a->held.len - at;
        int n = take_mark(a, p, left, final, out);
        bool mark = n > 0;
        if (n == NO)
            n = take_text(a, p, left, final, out);
        if (n == WAIT)
            break;
        a->before = p[n - 1];
        if (mark && *p != '<') {
            a->line = false;
            a->skip = false;
        }
        at += (size_t)n;
    }
    a->held.len -= at;
    memmove(a->held.data, a->held.data + at, a->held.len + 1);
}

void r1_ansi_put(r1_ansi *a, const char *s, size_t n, r1_buf *out)
{
    r1_buf_append(&a->held, s, n);
    take(a, false, out);
}

void r1_ansi_end(r1_ansi *a, r1_buf *out)
{
    take(a, true, out);
    bool missing = a->shown && a->before != '\n';
    if (styled(a) && a->shown)
        r1_buf_puts(out, RESET);
    if (missing)
        r1_buf_putc(out, '\n');
    a->fence = a->code = a->bold = a->head = a->quiet = false;
}
