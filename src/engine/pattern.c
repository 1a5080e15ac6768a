/* pattern.c: see pattern.h.
 *
 * A pattern is parsed into a tree, the tree is made into spots with edges that read one of a set of
 * characters (Thompson's construction), and these are multiplied by what else is to be known:
 * whether a character was read (for ^), whether the end was asserted (for $), how many characters
 * there are.  Nothing is searched backwards, so no pattern takes long; what would be too large is
 * refused. */
#include "engine/pattern.h"

#include <stdlib.h>
#include <string.h>

enum {
    CODE_MAX = 0x10FFFF,
    SURROGATES = 0xD800,
    SURROGATES_END = 0xE000,
    DEPTH_MAX = 100,       /* groups within each other */
    TIMES_MAX = 10000,     /* of {m,n} */
    SPOTS_MAX = 20000,     /* of a pattern */
    PRODUCT_MAX = 1 << 20, /* spots times what else is to be known */
    EVER = -1              /* no upper limit */
};

/* ---- Sets of characters ------------------------------------------------------------------ */

typedef struct {
    uint32_t first, last;
} range;

typedef struct {
    range *r; /* [n] sorted and apart once they are settled */
    int n, room;
} set;

static void set_add(set *s, uint32_t first, uint32_t last)
{
    if (s->n == s->room) {
        s->room = s->room > 0 ? 2 * s->room : 8;
        s->r = r1_mem_realloc(s->r, (size_t)s->room * sizeof *s->r);
    }
    s->r[s->n++] = (range){first, last};
}

static void set_add_all(set *s, const range *r, int n)
{
    for (int i = 0; i < n; i++)
        set_add(s, r[i].first, r[i].last);
}

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static void set_settle(set *s)
{
    if (s->n == 0)
        return;
    qsort(s->r, (size_t)s->n, sizeof *s->r, compare_ranges);
    int n = 0;
    for (int i = 1; i < s->n; i++)
        if (s->r[i].first <= s->r[n].last + 1)
            s->r[n].last = s->r[i].last > s->r[n].last ? s->r[i].last : s->r[n].last;
        else
            s->r[++n] = s->r[i];
    s->n = n + 1;
}

/* All characters that are not in the ranges of a settled set. */
static void set_add_others(set *s, const set *of)
{
    uint32_t next = 0;
    for (int i = 0; i < of->n; i++) {
        if (of->r[i].first > next)
            set_add(s, next, of->r[i].first - 1);
        next = of->r[i].last + 1;
    }
    if (next <= CODE_MAX)
        set_add(s, next, CODE_MAX);
}

/* ---- Bytes of characters ----------------------------------------------------------------- */

static int encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
    out[0] = (uint8_t)(lead[n] | c);
    return n;
}

static bool all_are(const uint8_t *b, int n, uint8_t value)
{
    for (int i = 0; i < n; i++)
        if (b[i] != value)
            return false;
    return true;
}

/* Between two places: the sequences of n bytes from first to last in their order. */
static void add_sequences(r1_grammar *g, int from, const uint8_t *first, const uint8_t *last,
                          int n, int to)
{
    static const uint8_t low[4] = {0x80, 0x80, 0x80, 0x80}, high[4] = {0xBF, 0xBF, 0xBF, 0xBF};
    int a = first[0], b = last[0];
    if (n == 1) {
        r1_grammar_byte(g, from, first[0], last[0], to);
        return;
    }
    if (a == b) {
        int next = r1_grammar_place(g);
        r1_grammar_byte(g, from, first[0], last[0], next);
        add_sequences(g, next, first + 1, last + 1, n - 1, to);
        return;
    }
    if (!all_are(first + 1, n - 1, 0x80)) {
        uint8_t end[4] = {first[0], 0xBF, 0xBF, 0xBF};
        add_sequences(g, from, first, end, n, to);
        a++;
    }
    if (!all_are(last + 1, n - 1, 0xBF)) {
        uint8_t begin[4] = {last[0], 0x80, 0x80, 0x80};
        add_sequences(g, from, begin, last, n, to);
        b--;
    }
    if (a > b)
        return;
    int next = r1_grammar_place(g);
    r1_grammar_byte(g, from, (uint8_t)a, (uint8_t)b, next);
    add_sequences(g, next, low, high, n - 1, to);
}

/* A character that stands in a string only by an escape. */
static void add_escape(r1_grammar *g, int from, uint32_t c, int to)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt", hex[] = "0123456789abcdef";
    char text[] = "\\u0000";
    size_t n = 6;
    for (const char *s = shorts; *s != '\0'; s += 2)
        if ((uint32_t)*s == c) {
            text[1] = s[1];
            n = 2;
        }
    if (n == 6) {
        text[4] = hex[c >> 4];
        text[5] = hex[c & 15];
    }
    /* The last byte leads to `to`. */
    int at = r1_grammar_text(g, from, text, n - 1);
    r1_grammar_byte(g, at, (uint8_t)text[n - 1], (uint8_t)text[n - 1], to);
}

static bool is_escaped(uint32_t c)
{
    return c < ' ' || c == '"' || c == '\\';
}

/* The bytes of one that stands for itself, or the escape; U+0000 has none that all readers take. */
static void add_ascii(r1_grammar *g, int from, uint32_t first, uint32_t last, int to)
{
    for (uint32_t c = first; c <= last; c++) {
        if (is_escaped(c)) {
            if (c > 0)
                add_escape(g, from, c, to);
            continue;
        }
        uint32_t end = c;
        while (end < last && !is_escaped(end + 1))
            end++;
        r1_grammar_byte(g, from, (uint8_t)c, (uint8_t)end, to);
        c = end;
    }
}

static void add_wide(r1_grammar *g, int from, uint32_t first, uint32_t last, int to)
{
    /* Lengths in bytes, and what is no character. */
    static const range spans[] = {
        {0x80, 0x7FF}, {0x800, SURROGATES - 1}, {SURROGATES_END, 0xFFFF}, {0x10000, CODE_MAX}};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        uint32_t a = first > spans[i].first ? first : spans[i].first;
        uint32_t b = last < spans[i].last ? last : spans[i].last;
        uint8_t begin[4], end[4];
        if (a > b)
            continue;
        int n = encode(a, begin);
        encode(b, end);
        add_sequences(g, from, begin, end, n, to);
    }
}

void r1_pattern_range(r1_grammar *g, int from, uint32_t first, uint32_t last, int to)
{
    if (first < 0x80)
        add_ascii(g, from, first, last < 0x7F ? last : 0x7F, to);
    add_wide(g, from, first, last, to);
}

/* ---- The tree ---------------------------------------------------------------------------- */

typedef enum { EMPTY, SET, BEGIN, END, THEN, OR, TIMES } kind;

typedef struct node node;
struct node {
    kind kind;
    int set;         /* SET */
    node *a, *b;     /* THEN, OR; a: TIMES */
    int least, most; /* TIMES */
};

typedef struct {
    const char *subject, *begin, *s, *end;
    r1_err *err;
    r1_arena arena;
    set *sets;
    int n_sets, room_sets;
    int depth;
} parser;

static r1_status bad(const parser *p, r1_status status, const char *what)
{
    return r1_fail(p->err, status, "%s: pattern at byte %zu: %s", p->subject,
                   (size_t)(p->s - p->begin), what);
}

static node *new_node(parser *p, node n)
{
    node *x = r1_arena_alloc(&p->arena, sizeof *x);
    *x = n;
    return x;
}

/* A settled set becomes the parser's. */
static node *set_node(parser *p, set s)
{
    if (p->n_sets == p->room_sets) {
        p->room_sets = p->room_sets > 0 ? 2 * p->room_sets : 8;
        p->sets = r1_mem_realloc(p->sets, (size_t)p->room_sets * sizeof *p->sets);
    }
    set_settle(&s);
    p->sets[p->n_sets] = s;
    return new_node(p, (node){.kind = SET, .set = p->n_sets++});
}

static bool accept(parser *p, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(p->end - p->s) < n || memcmp(p->s, text, n) != 0)
        return false;
    p->s += n;
    return true;
}

/* One character of the pattern, which is valid UTF-8. */
static uint32_t next_char(parser *p)
{
    uint8_t b = (uint8_t)*p->s++;
    if (b < 0x80)
        return b;
    int more = b >= 0xF0 ? 3 : b >= 0xE0 ? 2 : 1;
    uint32_t c = b & (0x3Fu >> more);
    for (; more > 0 && p->s < p->end; more--)
        c = c << 6 | ((uint8_t)*p->s++ & 0x3F);
    return c;
}

static bool read_hex(parser *p, int digits, uint32_t *c)
{
    *c = 0;
    for (int i = 0; i < digits; i++) {
        const char *all = "0123456789abcdefABCDEF";
        const char *at = p->s < p->end && *p->s != '\0' ? strchr(all, *p->s) : NULL;
        if (at == NULL)
            return false;
        p->s++;
        uint32_t digit = (uint32_t)(at - all);
        *c = *c << 4 | (digit < 16 ? digit : digit - 6);
    }
    return true;
}

/* Classes by letter: what surely is of the class, and what may be by some reading of it. */
static const range digits[] = {{'0', '9'}},
                   words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                   spaces[] = {{'\t', '\r'}, {' ', ' '}}, beyond[] = {{0x80, CODE_MAX}},
                   all_spaces[] = {{'\t', '\r'},     {0x1C, ' '},      {0x85, 0x85},
                                   {0xA0, 0xA0},     {0x1680, 0x1680}, {0x180E, 0x180E},
                                   {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                   {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
#define N(array) ((int)(sizeof(array) / sizeof *(array)))

/* Add the class of \d and the like to what surely and what perhaps belongs to a set. */
static bool add_class(set *sure, set *perhaps, char letter)
{
    set narrow = {0}, wide = {0};
    char lower = (char)(letter | 0x20);
    if (lower == 'd') {
        set_add_all(&narrow, digits, N(digits));
        set_add_all(&wide, digits, N(digits));
        set_add_all(&wide, beyond, N(beyond));
    } else if (lower == 'w') {
        set_add_all(&narrow, words, N(words));
        set_add_all(&wide, words, N(words));
        set_add_all(&wide, beyond, N(beyond));
    } else if (lower == 's') {
        set_add_all(&narrow, spaces, N(spaces));
        set_add_all(&wide, all_spaces, N(all_spaces));
    } else {
        return false;
    }
    set_settle(&narrow);
    set_settle(&wide);
    if (letter == lower) {
        set_add_all(sure, narrow.r, narrow.n);
        set_add_all(perhaps, wide.r, wide.n);
    } else {
        set_add_others(sure, &wide);
        set_add_others(perhaps, &narrow);
    }
    r1_mem_free(narrow.r);
    r1_mem_free(wide.r);
    return true;
}

/* The character of an escape, behind its backslash. */
static r1_status read_escape(parser *p, uint32_t *c)
{
    static const char letters[] = "n\nt\tr\rf\fv\v";
    if (p->s == p->end)
        return bad(p, R1_EFORMAT, "a backslash at its end");
    for (const char *l = letters; *l != '\0'; l += 2)
        if (*p->s == *l) {
            *c = (uint8_t)l[1];
            p->s++;
            return R1_OK;
        }
    bool hex = *p->s == 'x', code = *p->s == 'u';
    if (hex || code) {
        p->s++;
        if (!read_hex(p, hex ? 2 : 4, c))
            return bad(p, R1_EFORMAT, hex ? "\\x needs two digits" : "\\u needs four digits");
        uint32_t low = 0;
        bool pair = *c >= SURROGATES && *c < 0xDC00 && accept(p, "\\u") &&
                    read_hex(p, 4, &low) && low >= 0xDC00 && low < SURROGATES_END;
        if (pair)
            *c = 0x10000 + ((*c - SURROGATES) << 10) + (low - 0xDC00);
        else if (*c >= SURROGATES && *c < SURROGATES_END)
            return bad(p, R1_EFORMAT, "half of a surrogate pair");
        return R1_OK;
    }
    bool letter = (*p->s >= 'a' && *p->s <= 'z') || (*p->s >= 'A' && *p->s <= 'Z');
    if (letter || (*p->s >= '0' && *p->s <= '9'))
        return bad(p, R1_EUNSUPPORTED, "this escape is not supported");
    *c = next_char(p);
    return R1_OK;
}

/* [...], behind its bracket. */
static r1_status read_set(parser *p, node **out)
{
    set sure = {0}, perhaps = {0};
    bool negated = accept(p, "^"), first = true;
    r1_status st = R1_OK;
    for (; st == R1_OK && p->s < p->end && *p->s != ']'; first = false) {
        uint32_t a, b;
        if (*p->s == '\\' && p->s + 1 < p->end && add_class(&sure, &perhaps, p->s[1])) {
            p->s += 2;
            if (p->s + 1 < p->end && *p->s == '-' && p->s[1] != ']')
                st = bad(p, R1_EFORMAT, "a class is no end of a range");
            continue;
        }
        if (*p->s == '[' && p->s + 1 < p->end && (p->s[1] == ':' || p->s[1] == '='))
            st = bad(p, R1_EUNSUPPORTED, "named classes are not supported");
        a = *p->s == '\\' ? 0 : next_char(p);
        if (a == 0 && accept(p, "\\"))
            st = st == R1_OK ? read_escape(p, &a) : st;
        b = a;
        if (st == R1_OK && p->s + 1 < p->end && *p->s == '-' && p->s[1] != ']') {
            p->s++;
            b = *p->s == '\\' ? 0 : next_char(p);
            if (b == 0 && accept(p, "\\"))
                st = read_escape(p, &b);
        }
        if (st == R1_OK && b < a)
            st = bad(p, R1_EFORMAT, "a range whose end is before its beginning");
        set_add(&sure, a, b);
        set_add(&perhaps, a, b);
    }
    if (st == R1_OK && first)
        st = bad(p, R1_EUNSUPPORTED, "an empty set is not supported");
    if (st == R1_OK && !accept(p, "]"))
        st = bad(p, R1_EFORMAT, "a [ without its ]");
    if (st == R1_OK && negated) {
        set others = {0};
        set_settle(&perhaps);
        set_add_others(&others, &perhaps);
        r1_mem_free(sure.r);
        sure = others;
    }
    r1_mem_free(perhaps.r);
    if (st != R1_OK) {
        r1_mem_free(sure.r);
        return st;
    }
    *out = set_node(p, sure);
    return R1_OK;
}

static r1_status read_choice(parser *p, node **out);

/* ( ... ), behind its parenthesis. */
static r1_status read_group(parser *p, node **out)
{
    if (accept(p, "?:")) {
    } else if (accept(p, "?P<") || (p->end - p->s > 2 && memcmp(p->s, "?<", 2) == 0 &&
                                    p->s[2] != '=' && p->s[2] != '!' && accept(p, "?<"))) {
        while (p->s < p->end && *p->s != '>')
            p->s++;
        if (!accept(p, ">"))
            return bad(p, R1_EFORMAT, "the name of a group has no >");
    } else if (p->s < p->end && *p->s == '?') {
        return bad(p, R1_EUNSUPPORTED, "look-around and flags are not supported");
    }
    if (++p->depth > DEPTH_MAX)
        return bad(p, R1_EUNSUPPORTED, "more than 100 groups within each other");
    R1_TRY(read_choice(p, out));
    p->depth--;
    return accept(p, ")") ? R1_OK : bad(p, R1_EFORMAT, "a ( without its )");
}

static r1_status read_atom(parser *p, node **out)
{
    set s = {0}, unused = {0};
    uint32_t c = 0;
    if (accept(p, "("))
        return read_group(p, out);
    if (accept(p, "["))
        return read_set(p, out);
    if (accept(p, "^") || accept(p, "$")) {
        *out = new_node(p, (node){.kind = p->s[-1] == '^' ? BEGIN : END});
        return R1_OK;
    }
    if (accept(p, ".")) { /* no line break of either language */
        static const range lines[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
        set_add_all(&unused, lines, N(lines));
        set_settle(&unused);
        set_add_others(&s, &unused);
        r1_mem_free(unused.r);
        *out = set_node(p, s);
        return R1_OK;
    }
    if (strchr("*+?{", *p->s) != NULL)
        return bad(p, R1_EFORMAT, "nothing to repeat (a { that is meant is \\{)");
    if (accept(p, "\\")) {
        if (p->s < p->end && add_class(&s, &unused, *p->s)) {
            p->s++;
            r1_mem_free(unused.r);
            *out = set_node(p, s);
            return R1_OK;
        }
        R1_TRY(read_escape(p, &c));
    } else {
        c = next_char(p);
    }
    set_add(&s, c, c);
    *out = set_node(p, s);
    return R1_OK;
}

static bool read_number(parser *p, int *n)
{
    const char *from = p->s;
    for (*n = 0; p->s < p->end && *p->s >= '0' && *p->s <= '9'; p->s++)
        *n = *n < TIMES_MAX ? 10 * *n + (*p->s - '0') : *n;
    return p->s > from;
}

/* The repetition behind an atom, if there is one. */
static r1_status read_times(parser *p, node **atom)
{
    int least = 0, most = EVER;
    if (accept(p, "?")) {
        most = 1;
    } else if (accept(p, "+")) {
        least = 1;
    } else if (accept(p, "{")) {
        if (!read_number(p, &least))
            return bad(p, R1_EUNSUPPORTED, "{ without a number (one that is meant is \\{)");
        most = least;
        if (accept(p, ",") && !read_number(p, &most))
            most = EVER;
        if (!accept(p, "}"))
            return bad(p, R1_EFORMAT, "a { without its }");
        if (least > TIMES_MAX || most > TIMES_MAX)
            return bad(p, R1_EUNSUPPORTED, "more than 10000 times");
        if (most != EVER && most < least)
            return bad(p, R1_EFORMAT, "{m,n} with n below m");
    } else if (!accept(p, "*")) {
        return R1_OK;
    }
    if ((*atom)->kind == BEGIN || (*atom)->kind == END)
        return bad(p, R1_EFORMAT, "^ or $ repeated");
    if (accept(p, "+"))
        return bad(p, R1_EUNSUPPORTED, "possessive repetition is not supported");
    accept(p, "?"); /* lazy or not, the same texts match */
    if (p->s < p->end && strchr("*+?{", *p->s) != NULL)
        return bad(p, R1_EFORMAT, "a repetition of a repetition needs a group");
    *atom = new_node(p, (node){.kind = TIMES, .a = *atom, .least = least, .most = most});
    return R1_OK;
}

static r1_status read_choice(parser *p, node **out)
{
    node *all = NULL;
    do {
        node *one = new_node(p, (node){.kind = EMPTY});
        while (p->s < p->end && *p->s != '|' && *p->s != ')') {
            node *atom;
            R1_TRY(read_atom(p, &atom));
            R1_TRY(read_times(p, &atom));
            one = one->kind == EMPTY ? atom
                                     : new_node(p, (node){.kind = THEN, .a = one, .b = atom});
        }
        all = all == NULL ? one : new_node(p, (node){.kind = OR, .a = all, .b = one});
    } while (accept(p, "|"));
    *out = all;
    return R1_OK;
}

/* ---- Spots ------------------------------------------------------------------------------- */

typedef struct {
    kind kind; /* EMPTY, SET, BEGIN, END */
    int set, to, next;
} link;

typedef struct {
    int *first; /* [n] link */
    link *links;
    int n, room, n_links, room_links;
    bool full;
} spots;

static int new_spot(spots *a)
{
    if (a->n >= SPOTS_MAX) {
        a->full = true;
        return 0;
    }
    if (a->n == a->room) {
        a->room = a->room > 0 ? 2 * a->room : 64;
        a->first = r1_mem_realloc(a->first, (size_t)a->room * sizeof *a->first);
    }
    a->first[a->n] = -1;
    return a->n++;
}

static void connect(spots *a, int from, kind k, int s, int to)
{
    if (a->n_links == a->room_links) {
        a->room_links = a->room_links > 0 ? 2 * a->room_links : 64;
        a->links = r1_mem_realloc(a->links, (size_t)a->room_links * sizeof *a->links);
    }
    a->links[a->n_links] = (link){k, s, to, a->first[from]};
    a->first[from] = a->n_links++;
}

/* The spots of a tree from a spot on; returns where it ends.  A row of THEN is as long as the
 * pattern: its left side is walked in a loop. */
static int grow(spots *a, const node *x, int from)
{
    if (a->full)
        return from;
    if (x->kind == THEN) {
        int n = 0;
        for (const node *t = x; t->kind == THEN; t = t->a)
            n++;
        const node **row = R1_NEW_N(const node *, n + 1);
        for (int i = n; i > 0; i--, x = x->a)
            row[i] = x->b;
        row[0] = x;
        for (int i = 0; i <= n; i++)
            from = grow(a, row[i], from);
        r1_mem_free(row);
        return from;
    }
    int to = new_spot(a);
    if (x->kind == OR) {
        for (; x->kind == OR; x = x->a)
            connect(a, grow(a, x->b, from), EMPTY, 0, to);
        connect(a, grow(a, x, from), EMPTY, 0, to);
    } else if (x->kind == TIMES) {
        for (int i = 0; i < x->least && !a->full; i++)
            from = grow(a, x->a, from);
        if (x->most == EVER) {
            int home = new_spot(a);
            connect(a, from, EMPTY, 0, home);
            connect(a, grow(a, x->a, home), EMPTY, 0, home);
            from = home;
        }
        for (int i = x->least; i < x->most && !a->full; i++) {
            connect(a, from, EMPTY, 0, to);
            from = grow(a, x->a, from);
        }
        connect(a, from, EMPTY, 0, to);
    } else {
        connect(a, from, x->kind, x->kind == SET ? x->set : 0, to);
    }
    return to;
}

/* ---- The product ------------------------------------------------------------------------- */

typedef struct {
    r1_grammar *g;
    const spots *a;
    int least, most, counts; /* numbers of characters that are told apart */
    int *place;              /* [product] place of the grammar + 1 */
    int *todo, n_todo;
    int *rule; /* [sets] of the wide and escaped characters; 0: not made yet */
    const set *sets;
} product;

/* A spot, whether something was read, whether the end was asserted, and how many were read. */
static int place_of(product *x, int spot, bool begun, bool ended, int count)
{
    int key = ((count * x->a->n + spot) * 2 + begun) * 2 + ended;
    if (x->place[key] == 0) {
        x->place[key] = r1_grammar_place(x->g) + 1;
        x->todo[x->n_todo++] = key;
    }
    return x->place[key] - 1;
}

/* The end of the run of plain characters that begins with `first`; below first: it is none. */
static uint32_t plain_run(uint32_t first, uint32_t last)
{
    uint32_t end = first;
    while (end <= last && end < 0x80 && !is_escaped(end))
        end++;
    return end - 1;
}

/* The rule of a set's characters that are no single byte, which all its readers share. */
static int rule_of(product *x, int s)
{
    const set *c = &x->sets[s];
    int r = r1_grammar_rule(x->g);
    int from = r1_grammar_begin(x->g, r), to = r1_grammar_end(x->g, r);
    for (int i = 0; i < c->n; i++)
        for (uint32_t first = c->r[i].first; first <= c->r[i].last;) {
            uint32_t end = plain_run(first, c->r[i].last);
            if (end + 1 == first) {
                end = first < 0x80 ? first : c->r[i].last;
                r1_pattern_range(x->g, from, first, end, to);
            }
            first = end + 1;
        }
    return r;
}

static void add_set(product *x, int from, int s, int to)
{
    const set *c = &x->sets[s];
    bool others = false;
    for (int i = 0; i < c->n; i++)
        for (uint32_t first = c->r[i].first; first <= c->r[i].last;) {
            uint32_t end = plain_run(first, c->r[i].last);
            if (end + 1 == first) {
                others = true;
                end = first < 0x80 ? first : c->r[i].last;
            } else {
                r1_grammar_byte(x->g, from, (uint8_t)first, (uint8_t)end, to);
            }
            first = end + 1;
        }
    if (!others)
        return;
    if (x->rule[s] == 0)
        x->rule[s] = rule_of(x, s);
    r1_grammar_call(x->g, from, x->rule[s], to);
}

static void multiply(product *x, int start, int goal, int to)
{
    place_of(x, start, false, false, 0);
    while (x->n_todo > 0) {
        int key = x->todo[--x->n_todo], from = x->place[key] - 1;
        bool ended = (key & 1) != 0, begun = (key & 2) != 0;
        int spot = (key >> 2) % x->a->n, count = (key >> 2) / x->a->n;
        if (spot == goal && count >= x->least)
            r1_grammar_skip(x->g, from, to);
        for (int i = x->a->first[spot]; i >= 0; i = x->a->links[i].next) {
            const link *l = &x->a->links[i];
            bool counts = x->most != EVER || count < x->least;
            if (l->kind == EMPTY || (l->kind == BEGIN && !begun) || l->kind == END)
                r1_grammar_skip(x->g, from,
                                place_of(x, l->to, begun, ended || l->kind == END, count));
            else if (l->kind == SET && !ended && (x->most == EVER || count < x->most))
                add_set(x, from, l->set, place_of(x, l->to, true, false, count + counts));
        }
    }
}

static r1_status add_tree(r1_grammar *g, parser *p, const node *tree, int least, int most,
                          int from, int to)
{
    /* Any characters may stand around what matches. */
    set every = {0};
    set_add(&every, 0, CODE_MAX);
    int any = set_node(p, every)->set;
    spots a = {0};
    int start = new_spot(&a), end = grow(&a, tree, start), goal = new_spot(&a);
    int before = new_spot(&a);
    connect(&a, before, SET, any, before);
    connect(&a, before, EMPTY, 0, start);
    connect(&a, end, EMPTY, 0, goal);
    connect(&a, goal, SET, any, goal);
    product x = {.g = g,
                 .a = &a,
                 .least = least,
                 .most = most,
                 .counts = (most != EVER ? most : least) + 1,
                 .sets = p->sets};
    int64_t size = (int64_t)a.n * 4 * x.counts;
    r1_status st = R1_OK;
    if (a.full || size > PRODUCT_MAX) {
        st = r1_fail(p->err, R1_EUNSUPPORTED,
                     "%s: the pattern is too large (%s); use fewer or shorter repetitions",
                     p->subject, a.full ? "more than 20000 steps" : "with its lengths");
    } else {
        x.place = R1_NEW_N(int, size);
        x.todo = R1_NEW_N(int, size);
        x.rule = R1_NEW_N(int, p->n_sets);
        multiply(&x, before, goal, to);
        r1_grammar_skip(g, from, place_of(&x, before, false, false, 0));
    }
    void *const all[] = {a.first, a.links, x.place, x.todo, x.rule};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        r1_mem_free(all[i]);
    return st;
}

r1_status r1_pattern_add(r1_grammar *g, int from, const char *pattern, size_t len, int least,
                         int most, int to, const char *subject, r1_err *err)
{
    parser p = {
        .subject = subject, .begin = pattern, .s = pattern, .end = pattern + len, .err = err};
    node *tree;
    r1_arena_init(&p.arena);
    r1_status st = read_choice(&p, &tree);
    if (st == R1_OK && p.s < p.end)
        st = bad(&p, R1_EFORMAT, "a ) without its (");
    if (st == R1_OK)
        st = add_tree(g, &p, tree, least, most, from, to);
    for (int i = 0; i < p.n_sets; i++)
        r1_mem_free(p.sets[i].r);
    r1_mem_free(p.sets);
    r1_arena_release(&p.arena);
    return st;
}
