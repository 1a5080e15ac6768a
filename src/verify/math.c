/* math.c: the answer of a completion against the reference: readings, words, the verifier. */
#include "verify/math.h"

#include <stdio.h>
#include <string.h>

#include "verify/math_compare.h"

#define MAX_TEXT 8192 /* bytes of an answer; longer ones are not understood */

const char *r1_math_result_name(r1_math_result r)
{
    static const char *const names[] = {"equal", "different", "gold-unparsed",
                                        "answer-unparsed", "budget"};
    return names[r];
}

/* ---- Comparing ---------------------------------------------------------------------------- */

/* One side, as it can be read. */
typedef struct {
    const char *text;
    size_t len;
    int ambiguous; /* readings that would change something */
    r1_math_node *plain;
} side;

static r1_math_node *read_side(r1_math_work *w, const side *s, int reading)
{
    int ignored;
    return r1_math_parse_answer(w, s->text, s->len, reading, &ignored);
}

/* Letters and digits only. */
static void squeeze(const side *s, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s->len && n + 1 < size; i++) {
        char c = s->text[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
            out[n++] = c;
    }
    out[n] = 0;
}

/* Names of points, choices: two capital letters or more, nothing else. */
static bool is_capitals(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return n >= 2 && !s[n];
}

static bool is_choice(const r1_math_node *x)
{
    return x->kind == R1_NODE_SYM && x->name[0] >= 'A' && x->name[0] <= 'J' && !x->name[1];
}

/* "(B) 12", "B: 12", "b" for a reference of B. */
static bool names_choice(const r1_math_node *gold, const char *s, size_t n)
{
    static const char *const before[] = {"\\text{",   "\\textbf{", "\\mathrm{",
                                         "\\mathbf{", "(",         " "};
    for (size_t i = 0; i < sizeof before / sizeof before[0];) {
        size_t k = strlen(before[i]);
        if (n >= k && memcmp(s, before[i], k) == 0) {
            s += k;
            n -= k;
            i = 0;
        } else {
            i++;
        }
    }
    if (!n || (s[0] != gold->name[0] && s[0] != gold->name[0] - 'A' + 'a'))
        return false;
    if (n == 1)
        return true;
    return s[0] == gold->name[0] && strchr(").:", s[1]) != NULL;
}

/* Words that mean a set or infinity. */
static r1_math_node *meaning(r1_math_work *w, const r1_math_node *text)
{
    static const struct {
        const char *words[3];
        int kind, op;
    } rows[] = {{{"no", "solution"}, R1_NODE_DOMAIN, 0},
                {{"no", "solutions"}, R1_NODE_DOMAIN, 0},
                {{"empty", "set"}, R1_NODE_DOMAIN, 0},
                {{"infinitely", "many"}, R1_NODE_CONST, R1_MATH_INF},
                {{"infinite"}, R1_NODE_CONST, R1_MATH_INF},
                {{"diverges"}, R1_NODE_CONST, R1_MATH_INF},
                {{"all", "real", "numbers"}, R1_NODE_DOMAIN, 'R'},
                {{"all", "reals"}, R1_NODE_DOMAIN, 'R'}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int n = 0;
        while (n < 3 && rows[i].words[n] && n < text->n &&
               strcmp(rows[i].words[n], text->words[n]) == 0)
            n++;
        if (n == text->n && n > 0 && (n == 3 || !rows[i].words[n]))
            return r1_math_tree_new(w, (r1_math_kind)rows[i].kind, rows[i].op, 0);
    }
    fmpq_t q;
    fmpq_init(q);
    r1_math_node *x = r1_math_word_number(text, q) ? r1_math_tree_num(w, q) : NULL;
    fmpq_clear(q);
    return x;
}

/* One side at least is words. */
static r1_math_truth compare_texts(r1_math_work *w, const side *gold, const side *answer,
                                   r1_math_node *g, r1_math_node *p)
{
    r1_math_node *a = g->kind == R1_NODE_TEXT ? meaning(w, g) : g;
    r1_math_node *b = p->kind == R1_NODE_TEXT ? meaning(w, p) : p;
    if (a && b)
        return r1_math_compare_trees(w, a, b, "");
    r1_math_node *x = r1_math_parse_words(w, gold->text, gold->len);
    r1_math_node *y = r1_math_parse_words(w, answer->text, answer->len);
    return x && y && r1_math_word_same(x, y) ? R1_TRUTH_YES : R1_TRUTH_NO;
}

/* A decimal reference and a value that rounds to it. */
static bool rounds_to(r1_math_work *w, const r1_math_node *g, r1_math_node *p)
{
    if (g->kind != R1_NODE_NUM || g->decimals < 1 || p->kind > R1_NODE_FN)
        return false;
    r1_math_node *ten = r1_math_tree_int(w, 10), *half = r1_math_tree_int(w, 2);
    r1_math_node *unit =
        r1_math_tree_2(w, R1_NODE_POW, 0, ten, r1_math_tree_int(w, -(int64_t)g->decimals));
    r1_math_node *d = r1_math_tree_2(
        w, R1_NODE_ADD, 0, p, r1_math_tree_1(w, R1_NODE_NEG, 0, r1_math_tree_num(w, &g->num)));
    int order = r1_math_ball_order(w, r1_math_tree_1(w, R1_NODE_FN, R1_FN_ABS, d),
                                   r1_math_tree_2(w, R1_NODE_DIV, 0, unit, half));
    return order == -1 || order == 0;
}

/* The two sides in one reading each. */
static r1_math_truth compare_reading(r1_math_work *w, const side *gold, const side *answer,
                                     r1_math_node *g, r1_math_node *p, const r1_math_options *o)
{
    char a[64], b[64];
    squeeze(gold, a, sizeof a);
    squeeze(answer, b, sizeof b);
    if (is_capitals(a) && is_capitals(b) && g->kind == R1_NODE_MUL && p->kind == R1_NODE_MUL)
        return strcmp(a, b) == 0 ? R1_TRUTH_YES : R1_TRUTH_NO;
    if (g->kind == R1_NODE_TEXT || p->kind == R1_NODE_TEXT)
        return compare_texts(w, gold, answer, g, p);
    r1_math_truth t = r1_math_compare_trees(w, g, p, b);
    if (t != R1_TRUTH_YES && o && o->approx && rounds_to(w, g, p))
        return R1_TRUTH_YES;
    return t;
}

/* Every pair of readings until one is equal. */
static r1_math_truth compare_sides(r1_math_work *w, const side *gold, const side *answer,
                                   const r1_math_options *o)
{
    r1_math_truth t = compare_reading(w, gold, answer, gold->plain, answer->plain, o);
    bool lists = (gold->ambiguous | answer->ambiguous) & R1_READ_COMMA_LISTS;
    for (int k = 1; k < 4 && lists && t != R1_TRUTH_YES; k++) {
        r1_math_node *g = k & 1 ? read_side(w, gold, R1_READ_COMMA_LISTS) : gold->plain;
        r1_math_node *p = k & 2 ? read_side(w, answer, R1_READ_COMMA_LISTS) : answer->plain;
        if (g && p)
            t = compare_reading(w, gold, answer, g, p, o);
    }
    if (t != R1_TRUTH_YES && (answer->ambiguous & R1_READ_DECIMAL_COMMA) &&
        gold->plain->kind == R1_NODE_NUM && gold->plain->decimals > 0) {
        r1_math_node *p = read_side(w, answer, R1_READ_DECIMAL_COMMA);
        if (p)
            t = compare_reading(w, gold, answer, gold->plain, p, o);
    }
    return t;
}

static bool open_side(r1_math_work *w, const char *text, size_t len, side *out)
{
    *out = (side){.text = text, .len = len};
    if (!len || len > MAX_TEXT)
        return false;
    out->plain = r1_math_parse_answer(w, text, len, 0, &out->ambiguous);
    return out->plain != NULL;
}

r1_math_result r1_math_compare(const char *gold, size_t gold_len, const char *answer,
                               size_t answer_len, const r1_math_options *o)
{
    r1_math_work w;
    side g, p;
    r1_math_result result;
    r1_math_tree_begin(&w);
    if (!open_side(&w, gold, gold_len, &g)) {
        result = R1_MATH_GOLD_UNPARSED;
    } else if (is_choice(g.plain) && names_choice(g.plain, answer, answer_len)) {
        result = R1_MATH_EQUAL;
    } else if (!open_side(&w, answer, answer_len, &p)) {
        result = w.steps < 0 ? R1_MATH_BUDGET : R1_MATH_ANSWER_UNPARSED;
    } else {
        r1_math_truth t = compare_sides(&w, &g, &p, o);
        result = t == R1_TRUTH_YES ? R1_MATH_EQUAL
                 : w.steps < 0     ? R1_MATH_BUDGET
                                   : R1_MATH_DIFFERENT;
    }
    r1_math_tree_end(&w);
    return result;
}

bool r1_math_parses(const char *gold, size_t len)
{
    r1_math_work w;
    side g;
    r1_math_tree_begin(&w);
    bool ok = open_side(&w, gold, len, &g);
    r1_math_tree_end(&w);
    return ok;
}

r1_math_result r1_math_verify(const char *gold, size_t gold_len, const char *text, size_t len,
                              r1_math_mode mode, const r1_math_options *o)
{
    char answer[MAX_TEXT];
    r1_math_answer a;
    size_t n = 0;
    if (r1_math_extract(text, len, mode, &a))
        n = r1_math_extract_text(&a, answer, sizeof answer);
    if (n >= sizeof answer)
        n = 0;
    return r1_math_compare(gold, gold_len, answer, n, o);
}

bool r1_math_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return r1_math_compare(a, a_len, b, b_len, NULL) == R1_MATH_EQUAL ||
           r1_math_compare(b, b_len, a, a_len, NULL) == R1_MATH_EQUAL;
}

/* ---- The verifier ------------------------------------------------------------------------ */

static r1_status spec_of(const json_t *spec, const char **gold, r1_math_options *o, r1_err *err)
{
    *o = (r1_math_options){0};
    if (json_is_string(spec)) {
        *gold = json_string_value(spec);
        return R1_OK;
    }
    R1_TRY(r1_json_str(spec, "math", "gold", gold, err));
    return r1_json_bool_opt(spec, "math", "approx", &o->approx, err);
}

r1_verdict r1_math_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    r1_verdict v = {0};
    r1_math_options o;
    r1_math_answer a, strict;
    const char *gold;
    if (spec_of(spec, &gold, &o, NULL) != R1_OK ||
        !r1_math_extract(text, len, R1_MATH_EVALUATION, &a) || (!terminated && !a.boxed))
        return v;
    r1_math_extract_text(&a, v.answer, sizeof v.answer);
    v.correct =
        r1_math_verify(gold, strlen(gold), text, len, R1_MATH_EVALUATION, &o) == R1_MATH_EQUAL;
    v.formatted = r1_math_extract(text, len, R1_MATH_TRAINING, &strict);
    v.reward = v.correct && v.formatted && terminated ? 1 : 0;
    return v;
}

r1_status r1_math_check(const json_t *spec, r1_err *err)
{
    const char *gold;
    r1_math_options o;
    R1_TRY(spec_of(spec, &gold, &o, err));
    if (!r1_math_parses(gold, strlen(gold)))
        return r1_fail(err, R1_EFORMAT, "math: the reference '%.100s' is not understood", gold);
    return R1_OK;
}

bool r1_math_same(const json_t *spec, const char *a, size_t na, const char *b, size_t nb)
{
    (void)spec;
    r1_math_answer x, y;
    char tx[MAX_TEXT], ty[MAX_TEXT];
    if (!r1_math_extract(a, na, R1_MATH_EVALUATION, &x) ||
        !r1_math_extract(b, nb, R1_MATH_EVALUATION, &y))
        return false;
    size_t nx = r1_math_extract_text(&x, tx, sizeof tx);
    size_t ny = r1_math_extract_text(&y, ty, sizeof ty);
    if (nx >= sizeof tx || ny >= sizeof ty)
        return false;
    return (nx == ny && memcmp(tx, ty, nx) == 0) || r1_math_equal(tx, nx, ty, ny);
}
