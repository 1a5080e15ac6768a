/* math_extract.c: where in a completion the final answer stands.
 *
 * One rule for training: the last box after the last </think>.  For evaluation weaker signs
 * follow, in the order of how clearly they mean "this is my answer".  A run of boxes at the end
 * is one answer of several parts; a box that is followed by an argument is still the last box. */
#include <stdio.h>
#include <string.h>

#include "verify/math.h"

typedef struct {
    const char *p;
    size_t n;
} span;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static span trim(span s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool starts(span s, const char *word)
{
    size_t n = strlen(word);
    return s.n >= n && memcmp(s.p, word, n) == 0;
}

/* The same without regard to the case of ASCII letters; word is in lower case. */
static bool starts_folded(span s, const char *word)
{
    for (size_t i = 0; word[i]; i++) {
        if (i >= s.n)
            return false;
        char c = s.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (c != word[i])
            return false;
    }
    return true;
}

static span skip(span s, size_t n)
{
    return (span){s.p + n, s.n - n};
}

static span until(span s, const char *end)
{
    return (span){s.p, (size_t)(end - s.p)};
}

static const char *find(span s, const char *word)
{
    return s.n ? memmem(s.p, s.n, word, strlen(word)) : NULL;
}

static const char *find_last(span s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = s.n >= n ? s.n - n + 1 : 0; i-- > 0;)
        if (s.p[i] == word[0] && memcmp(s.p + i, word, n) == 0)
            return s.p + i;
    return NULL;
}

/* What follows the last </think>.  false: a thought is open to the end. */
static bool after_thought(span s, span *out)
{
    const char *end = find_last(s, "</think>");
    if (end) {
        *out = skip(s, (size_t)(end - s.p) + strlen("</think>"));
        return !find(*out, "<think>");
    }
    *out = s;
    return !find(s, "<think>");
}

/* ---- Boxes ------------------------------------------------------------------------------- */

/* Offsets in the text: of the command's backslash, of the content, of what follows the box. */
typedef struct {
    size_t begin, content, content_end, end;
    int depth; /* of braces, where it opened */
} box;

#define MAX_OPEN 16 /* boxes in boxes */
#define MAX_KEPT (R1_MATH_MAX_PARTS + 1)

typedef struct {
    box open[MAX_OPEN], kept[MAX_KEPT]; /* kept: the last closed ones, none in another */
    int n_open, n_kept;
} boxes;

/* The length of a box command at the beginning of s, 0 when there is none. */
static size_t box_command(span s)
{
    static const char *const names[] = {"\\boxed", "\\fbox", "\\framebox"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        if (starts(s, names[i]) && !(n < s.n && is_letter(s.p[n])))
            return n;
    }
    return 0;
}

static void keep(boxes *b, box x)
{
    while (b->n_kept && b->kept[b->n_kept - 1].begin > x.begin)
        b->n_kept--;
    if (b->n_kept == MAX_KEPT) {
        memmove(b->kept, b->kept + 1, sizeof b->kept - sizeof b->kept[0]);
        b->n_kept--;
    }
    b->kept[b->n_kept++] = x;
}

/* \boxed 5: to the end of the formula. */
static size_t unbraced(span s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] != '$' && s.p[i] != '\n' && !starts(skip(s, i), "\\)") &&
           !starts(skip(s, i), "\\]"))
        i++;
    return i;
}

/* One pass over s: every box that closes, the outermost ones only; those left open stay in
 * b->open.  Braces after a backslash do not count. */
static void scan_boxes(span s, boxes *b)
{
    int depth = 0;
    *b = (boxes){.n_kept = 0};
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '{') {
            depth++;
        } else if (s.p[i] == '}') {
            depth--;
            if (b->n_open && depth == b->open[b->n_open - 1].depth) {
                box x = b->open[--b->n_open];
                x.content_end = i;
                x.end = i + 1;
                keep(b, x);
            }
        } else if (s.p[i] == '\\') {
            size_t n = box_command(skip(s, i)), at = i + n;
            if (!n) {
                i++;
                continue;
            }
            while (at < s.n && is_space(s.p[at]))
                at++;
            if (at < s.n && s.p[at] == '{') {
                if (b->n_open < MAX_OPEN)
                    b->open[b->n_open++] = (box){i, at + 1, s.n, s.n, depth};
                depth++;
                i = at;
            } else {
                size_t len = unbraced(skip(s, at));
                if (len)
                    keep(b, (box){i, at, at + len, at + len, depth});
                i = at + len - 1;
            }
        }
    }
}

/* \boxed{\boxed{5}}: the content of the innermost box that holds anything. */
static span innermost(span content)
{
    for (int depth = 0; depth < MAX_OPEN; depth++) {
        span s = trim(content);
        boxes b;
        if (!box_command(s))
            break;
        scan_boxes(s, &b);
        if (b.n_kept != 1 || b.kept[0].end != s.n)
            break;
        span inner = {s.p + b.kept[0].content, b.kept[0].content_end - b.kept[0].content};
        if (!trim(inner).n)
            break;
        content = inner;
    }
    return content;
}

/* Is this all that stands between two boxes of one list? */
static bool joins(span gap)
{
    static const char *const words[] = {
        "and", "or",     "\\text{and}", "\\text{or}",    "\\(",
        "\\)", "\\[",    "\\]",         "\\,",           "\\;",
        "\\ ", "\\quad", "\\quad",      "\\text{ and }", "\\text{ or }"};
    while (gap.n) {
        if (is_space(gap.p[0]) || strchr(",;$", gap.p[0])) {
            gap = skip(gap, 1);
            continue;
        }
        size_t i = 0, n = sizeof words / sizeof words[0];
        while (i < n && !starts(gap, words[i]))
            i++;
        if (i == n)
            return false;
        gap = skip(gap, strlen(words[i]));
    }
    return true;
}

static void add_part(r1_math_answer *out, span s)
{
    s = trim(s);
    if (out->n == R1_MATH_MAX_PARTS) {
        out->overflow = true;
        return;
    }
    out->part[out->n].text = s.p;
    out->part[out->n++].len = s.n;
}

static span content_of(span s, const box *b)
{
    return innermost((span){s.p + b->content, b->content_end - b->content});
}

static void extract_boxes(span s, r1_math_mode mode, r1_math_answer *out)
{
    boxes b;
    scan_boxes(s, &b);
    int n = b.n_kept;
    if (b.n_open && (!n || b.open[b.n_open - 1].begin > b.kept[n - 1].begin)) {
        /* The last box never closes. */
        if (mode == R1_MATH_TRAINING)
            return;
        add_part(out, content_of(s, &b.open[b.n_open - 1]));
        out->boxed = true;
        return;
    }
    if (!n)
        return;
    int first = n - 1;
    while (first > 0) {
        const box *left = &b.kept[first - 1], *right = &b.kept[first];
        if (!joins((span){s.p + left->end, right->begin - left->end}))
            break;
        first--;
    }
    for (int i = first; i < n; i++)
        add_part(out, content_of(s, &b.kept[i]));
    out->boxed = true;
    /* \boxed{5}\boxed{5} says it once. */
    int k = 1;
    while (k < out->n && out->part[k].len == out->part[0].len &&
           memcmp(out->part[k].text, out->part[0].text, out->part[0].len) == 0)
        k++;
    if (k == out->n)
        out->n = 1;
}

/* ---- Fallbacks, in the last TAIL bytes only, so that a long text costs little ------------- */

#define TAIL        8192
#define MAX_FORMULA 2048

/* boxed{5}: the backslash was lost. */
static bool lost_backslash(span s, span *out)
{
    const char *at = find_last(s, "boxed{");
    if (!at)
        return false;
    *out = skip(s, (size_t)(at - s.p) + strlen("boxed{"));
    int depth = 1;
    for (size_t i = 0; i < out->n; i++) {
        depth += (out->p[i] == '{') - (out->p[i] == '}');
        if (depth == 0)
            out->n = i;
    }
    return true;
}

static bool tagged(span s, span *out)
{
    const char *at = find_last(s, "<answer>");
    if (!at)
        return false;
    span rest = skip(s, (size_t)(at - s.p) + strlen("<answer>"));
    const char *end = find(rest, "</answer>");
    *out = end ? until(rest, end) : rest;
    return true;
}

static span line_of(span s)
{
    const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;
    return end ? until(s, end) : s;
}

static bool hashes(span s, span *out)
{
    const char *at = find_last(s, "####");
    if (!at)
        return false;
    *out = trim(line_of(skip(s, (size_t)(at - s.p) + 4)));
    return out->n > 0;
}

/* Delimiters of a formula: the opening one, its closing one. */
static const struct {
    const char *open, *close;
} math_marks[] = {{"$$", "$$"}, {"\\[", "\\]"}, {"\\(", "\\)"}, {"$", "$"}};
#define N_MATH_MARKS (sizeof math_marks / sizeof math_marks[0])

static bool escaped(span s, size_t i)
{
    size_t n = 0;
    while (i > n && n < 64 && s.p[i - 1 - n] == '\\')
        n++;
    return n % 2 == 1;
}

/* The formula that begins at s.p[i]: its inside, and where it ends.  A dollar sign before a
 * number that no second one follows on the line is a price. */
static bool formula_at(span s, size_t i, span *inside, size_t *end)
{
    if (s.p[i] != '$' && s.p[i] != '\\')
        return false;
    for (size_t k = 0; k < N_MATH_MARKS; k++) {
        span rest = skip(s, i);
        if (!starts(rest, math_marks[k].open) || escaped(s, i))
            continue;
        rest = skip(rest, strlen(math_marks[k].open));
        if (rest.n > MAX_FORMULA)
            rest.n = MAX_FORMULA;
        const char *close = rest.p;
        for (;;) {
            close = find((span){close, (size_t)(rest.p + rest.n - close)}, math_marks[k].close);
            if (!close)
                return false;
            if (!escaped(s, (size_t)(close - s.p)))
                break;
            close++;
        }
        *inside = until(rest, close);
        *end = (size_t)(close - s.p) + strlen(math_marks[k].close);
        /* A single dollar pair does not span paragraphs. */
        return k != N_MATH_MARKS - 1 || !find(*inside, "\n\n");
    }
    return false;
}

/* The last formula of s, and the text from it on. */
static bool last_formula(span s, span *inside, size_t *begin, size_t *end)
{
    bool any = false;
    *begin = *end = 0;
    *inside = (span){s.p, 0};
    for (size_t i = 0; i < s.n;) {
        span in;
        size_t e;
        if (formula_at(s, i, &in, &e)) {
            if (trim(in).n) {
                *inside = in;
                *begin = i;
                *end = e;
                any = true;
            }
            i = e;
        } else {
            i++;
        }
    }
    return any;
}

/* Words that announce an answer, in lower case. */
static const char *const anchors[] = {
    "answer is",
    "answer:",
    "answer :",
    "answer**:",
    "answer =",
    "answer=",
    "answer to be",
    "result:",
    "solution is",
    "solution:",
    "ans:",
    "value is",
    "\xec\xa0\x95\xeb\x8b\xb5:",
    "\xec\xa0\x95\xeb\x8b\xb5\xec\x9d\x80",
    "\xe7\xad\x94\xe3\x81\x88\xe3\x81\xaf",
    "result is",
    "r\xc3\xa9ponse :",
    "r\xc3\xa9ponse:",
    "r\xc3\xa9ponse est",
    "antwort:",
    "antwort ist",
    "respuesta:",
    "respuesta es",
    "risposta:",
    "resposta:",
    "\xe7\xad\x94\xe6\xa1\x88\xe6\x98\xaf",
    "\xe7\xad\x94\xe6\xa1\x88\xe4\xb8\xba",
    "\xe7\xad\x94\xe6\xa1\x88\xef\xbc\x9a",
    "\xe7\xad\x94\xe6\xa1\x88:",
    "\xd0\xbe\xd1\x82\xd0\xb2\xd0\xb5\xd1\x82:",
    "\xd0\x9e\xd1\x82\xd0\xb2\xd0\xb5\xd1\x82:",
    "final answer",
    "answers are",
    "solutions are",
    "roots are",
    "values are",
    "option is",
    "choice is",
};
#define N_ANCHORS (sizeof anchors / sizeof anchors[0])

/* Behind the last anchor. */
static bool last_anchor(span s, span *out)
{
    for (size_t i = s.n; i-- > 0;) {
        span rest = skip(s, i);
        for (size_t k = 0; k < N_ANCHORS; k++) {
            if (!starts_folded(rest, anchors[k]))
                continue;
            span after = skip(rest, strlen(anchors[k]));
            if (trim(after).n == 0)
                continue;
            *out = after;
            return true;
        }
    }
    return false;
}

/* Quotes, markdown and colons around what is announced. */
static span bare(span s)
{
    for (;;) {
        s = trim(s);
        if (s.n && strchr(":*`_\"", s.p[0]))
            s = skip(s, 1);
        else if (starts(s, "\xef\xbc\x9a")) /* the wide colon */
            s = skip(s, 3);
        else if (s.n && strchr("*`\"", s.p[s.n - 1]))
            s.n--;
        else
            return s;
    }
}

/* Does a word of s say that what follows is an alternative to what came before? */
static bool hedges(span s)
{
    static const char *const words[] = {"or ", "maybe", "perhaps", "possibly"};
    for (size_t i = 0; i < s.n; i++) {
        bool begins = i == 0 || !is_letter(s.p[i - 1]);
        for (size_t k = 0; begins && k < sizeof words / sizeof words[0]; k++)
            if (starts_folded(skip(s, i), words[k]))
                return true;
    }
    return false;
}

/* Where the sentence ends: a full stop before a space or the end, or the end of the line.  The
 * stop of a number does not count, nor what is in a formula. */
static span sentence(span s)
{
    static const char *const ends[] = {" because ", " since ",     " (since ", " as ",
                                       " for all ", " for every ", " where ",  " when ",
                                       ", which ",  ", because ",  ", since ", " which is "};
    for (size_t i = 0; i < s.n; i++) {
        span inside;
        size_t end;
        if (formula_at(s, i, &inside, &end)) {
            i = end - 1;
            continue;
        }
        if (s.p[i] == '\n')
            return (span){s.p, i};
        if (s.p[i] == '.' && (i + 1 == s.n || is_space(s.p[i + 1])))
            return (span){s.p, i};
        for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++)
            if (starts_folded(skip(s, i), ends[k]))
                return (span){s.p, i};
    }
    return s;
}

static bool announced(span s, r1_math_answer *out)
{
    span after, inside;
    size_t begin, end;
    if (!last_anchor(s, &after))
        return false;
    after = bare(after);
    span said = bare(sentence(after));
    /* The announcement stands alone on its line, the formula below it. */
    if (!said.n)
        said = after;
    for (size_t i = 0; i < said.n; i++) {
        if (!formula_at(said, i, &inside, &end))
            continue;
        begin = i;
        /* $x$ and $y$, $4$ or maybe $5$: the words between formulas matter. */
        span rest = skip(said, end);
        span other;
        size_t other_begin, other_end;
        bool more = last_formula(rest, &other, &other_begin, &other_end);
        add_part(out, begin && more ? said : inside);
        if (more &&
            (hedges((span){rest.p, other_begin}) || joins((span){rest.p, other_begin})) &&
            begin == 0)
            add_part(out, other);
        return true;
    }
    add_part(out, said);
    return out->part[0].len > 0;
}

/* ---- The last thing that looks like a value ---------------------------------------------- */

static bool value_char(char c)
{
    return is_digit(c) || (c && strchr(".,/^{}\\+-*()_%", c) != NULL) || is_letter(c);
}

/* The last number of s with what is glued to it: 1,000 or -3/4 or \frac{3}{7}. */
static bool last_number(span s, span *out)
{
    size_t i = s.n;
    while (i > 0 && !is_digit(s.p[i - 1]))
        i--;
    if (i == 0)
        return false;
    size_t end = i;
    while (end < s.n && s.p[end] == '}')
        end++;
    if (end < s.n && s.p[end] == '%')
        end++;
    size_t begin = i - 1;
    /* A LaTeX command that the number is an argument of begins at the last space. */
    size_t word = begin;
    while (word > 0 && value_char(s.p[word - 1]))
        word--;
    span candidate = {s.p + word, end - word};
    if (find(candidate, "\\frac") || find(candidate, "\\dfrac") || find(candidate, "\\sqrt")) {
        *out = candidate;
        return true;
    }
    while (begin > 0 && (is_digit(s.p[begin - 1]) || (strchr(".,/", s.p[begin - 1]) &&
                                                      begin > 1 && is_digit(s.p[begin - 2]))))
        begin--;
    if (begin > 0 && s.p[begin - 1] == '.')
        begin--;
    if (begin > 0 && s.p[begin - 1] == '-' &&
        (begin == 1 || is_space(s.p[begin - 2]) || s.p[begin - 2] == '=' ||
         s.p[begin - 2] == '('))
        begin--;
    *out = (span){s.p + begin, end - begin};
    return true;
}

/* A short text without a sentence in it is the answer itself. */
static bool is_bare_answer(span s)
{
    s = trim(s);
    if (!s.n || s.n > 200 || memchr(s.p, '\n', s.n))
        return false;
    int words = 0, run = 0;
    bool digits = false, formula = false;
    for (size_t i = 0; i < s.n; i++) {
        digits |= is_digit(s.p[i]);
        formula |= s.p[i] == '$' || starts(skip(s, i), "\\(") || starts(skip(s, i), "\\[");
        if (is_letter(s.p[i]) && (run || i == 0 || s.p[i - 1] != '\\')) {
            run++;
        } else {
            words += run >= 5 || (run >= 2 && (s.p[i] == ' ' || s.p[i] == '.'));
            run = 0;
        }
    }
    words += run >= 2;
    if (words == 0)
        return true;
    /* "18.90 dollars" and "one half", but not "He earns 5". */
    return words <= 2 && !formula && (!digits || !is_letter(s.p[0]));
}

/* A formula that is one letter: what the text is about, not its value. */
static bool is_letter_only(span s)
{
    s = trim(s);
    return s.n == 1 && is_letter(s.p[0]);
}

/* "$x=2$ or $x=3$": the formulas before the one at `begin` that belong to one list with it. */
static void joined_formulas(span s, size_t begin, r1_math_answer *out)
{
    span run[R1_MATH_MAX_PARTS];
    int n = 0;
    size_t last_end = 0;
    for (size_t i = 0; i < begin;) {
        span in;
        size_t e;
        if (!formula_at(s, i, &in, &e)) {
            i++;
            continue;
        }
        if (n && !joins((span){s.p + last_end, i - last_end}))
            n = 0;
        if (n == R1_MATH_MAX_PARTS)
            out->overflow = true;
        else
            run[n++] = in;
        last_end = i = e;
    }
    if (!n || !joins((span){s.p + last_end, begin - last_end}))
        return;
    for (int i = 0; i < n; i++)
        add_part(out, run[i]);
}

/* "42 is not the answer" gives none. */
static bool is_denied(span rest)
{
    rest = sentence(rest);
    return find(rest, " not ") || find(rest, "n't ") || find(rest, " wrong");
}

/* Without any sign: the whole of a short text, else its last formula, else its last number. */
static bool last_value(span s, r1_math_answer *out)
{
    span found, number;
    size_t begin, end;
    if (is_bare_answer(s)) {
        add_part(out, bare(s));
        return true;
    }
    bool formula = last_formula(s, &found, &begin, &end);
    if (formula && !(is_letter_only(found) && last_number(skip(s, end), &number))) {
        joined_formulas(s, begin, out);
        add_part(out, found);
        return true;
    }
    if (!last_number(s, &number) || is_denied(skip(s, (size_t)(number.p + number.n - s.p))))
        return false;
    add_part(out, number);
    return true;
}

static bool fall_back(span s, r1_math_answer *out)
{
    span found;
    if (lost_backslash(s, &found) || tagged(s, &found) || hashes(s, &found)) {
        add_part(out, bare(found));
        return out->part[0].len > 0;
    }
    if (announced(s, out))
        return true;
    out->n = 0;
    return last_value(s, out);
}

bool r1_math_extract(const char *text, size_t len, r1_math_mode mode, r1_math_answer *out)
{
    *out = (r1_math_answer){0};
    span s;
    if (!len || !after_thought((span){text, len}, &s))
        return false;
    extract_boxes(s, mode, out);
    if (!out->n && mode == R1_MATH_EVALUATION) {
        if (s.n > TAIL)
            s = skip(s, s.n - TAIL);
        fall_back(s, out);
    }
    if (out->overflow || (out->n == 1 && out->part[0].len == 0))
        out->n = 0;
    return out->n > 0;
}

size_t r1_math_extract_text(const r1_math_answer *a, char *out, size_t size)
{
    size_t len = 0;
    for (int i = 0; i < a->n; i++) {
        for (int k = 0; k < 2; k++) {
            const char *p = k ? a->part[i].text : ", ";
            size_t n = k ? a->part[i].len : i ? 2 : 0;
            for (size_t j = 0; j < n; j++, len++)
                if (len + 1 < size)
                    out[len] = p[j];
        }
    }
    if (size)
        out[len < size ? len : size - 1] = 0;
    return len;
}
