/* math_word.c: words in answers: units, texts that mean the same, numbers in words. */
#include <flint/fmpq.h>
#include <stdio.h>
#include <string.h>

#include "verify/math_tree.h"

#define MAX_WORD 32

/* ---- Units -------------------------------------------------------------------------------- */

/* length, mass, time, dollar, euro, pound, other money, current, temperature */
#define M \
    {     \
        1 \
    }
#define M2 \
    {      \
        2  \
    }
#define M3 \
    {      \
        3  \
    }
#define KG   \
    {        \
        0, 1 \
    }
#define SEC     \
    {           \
        0, 0, 1 \
    }
#define USD        \
    {              \
        0, 0, 0, 1 \
    }
#define EUR           \
    {                 \
        0, 0, 0, 0, 1 \
    }
#define GBP              \
    {                    \
        0, 0, 0, 0, 0, 1 \
    }
#define ETC                 \
    {                       \
        0, 0, 0, 0, 0, 0, 1 \
    }
#define AMP                    \
    {                          \
        0, 0, 0, 0, 0, 0, 0, 1 \
    }
#define KEL                       \
    {                             \
        0, 0, 0, 0, 0, 0, 0, 0, 1 \
    }
#define MPS      \
    {            \
        1, 0, -1 \
    }
#define NEW      \
    {            \
        1, 1, -2 \
    }
#define JOU      \
    {            \
        2, 1, -2 \
    }
#define WAT      \
    {            \
        2, 1, -3 \
    }
#define PAS       \
    {             \
        -1, 1, -2 \
    }
#define HER      \
    {            \
        0, 0, -1 \
    }
#define VOL                      \
    {                            \
        2, 1, -3, 0, 0, 0, 0, -1 \
    }
#define ONE \
    {       \
        0   \
    }

typedef struct {
    const char *word;
    int8_t power[R1_MATH_DIMS];
    double scale;
} row;

/* Abbreviations, case counts. */
static const row short_units[] = {
    {"m", M, 1},
    {"cm", M, 1e-2},
    {"mm", M, 1e-3},
    {"km", M, 1e3},
    {"nm", M, 1e-9},
    {"in", M, 0.0254},
    {"ft", M, 0.3048},
    {"yd", M, 0.9144},
    {"mi", M, 1609.344},
    {"g", KG, 1e-3},
    {"kg", KG, 1},
    {"mg", KG, 1e-6},
    {"lb", KG, 0.45359237},
    {"lbs", KG, 0.45359237},
    {"oz", KG, 0.028349523125},
    {"s", SEC, 1},
    {"sec", SEC, 1},
    {"secs", SEC, 1},
    {"ms", SEC, 1e-3},
    {"min", SEC, 60},
    {"mins", SEC, 60},
    {"h", SEC, 3600},
    {"hr", SEC, 3600},
    {"hrs", SEC, 3600},
    {"L", M3, 1e-3},
    {"l", M3, 1e-3},
    {"mL", M3, 1e-6},
    {"ml", M3, 1e-6},
    {"mph", MPS, 0.44704},
    {"kph", MPS, 1 / 3.6},
    {"kmh", MPS, 1 / 3.6},
    {"N", NEW, 1},
    {"J", JOU, 1},
    {"kJ", JOU, 1e3},
    {"W", WAT, 1},
    {"kW", WAT, 1e3},
    {"Pa", PAS, 1},
    {"kPa", PAS, 1e3},
    {"Hz", HER, 1},
    {"V", VOL, 1},
    {"A", AMP, 1},
    {"K", KEL, 1},
    {"USD", USD, 1},
    {"EUR", EUR, 1},
    {"GBP", GBP, 1},
    {"Rs", ETC, 1},
    {"ha", M2, 1e4},
};

/* Names, in lower case and without a plural s. */
static const row long_units[] = {
    {"meter", M, 1},
    {"metre", M, 1},
    {"centimeter", M, 1e-2},
    {"centimetre", M, 1e-2},
    {"millimeter", M, 1e-3},
    {"millimetre", M, 1e-3},
    {"kilometer", M, 1e3},
    {"kilometre", M, 1e3},
    {"inch", M, 0.0254},
    {"inche", M, 0.0254},
    {"foot", M, 0.3048},
    {"feet", M, 0.3048},
    {"yard", M, 0.9144},
    {"mile", M, 1609.344},
    {"gram", KG, 1e-3},
    {"kilogram", KG, 1},
    {"milligram", KG, 1e-6},
    {"kilo", KG, 1},
    {"pound", KG, 0.45359237},
    {"ounce", KG, 0.028349523125},
    {"ton", KG, 907.18474},
    {"tonne", KG, 1000},
    {"second", SEC, 1},
    {"minute", SEC, 60},
    {"hour", SEC, 3600},
    {"day", SEC, 86400},
    {"week", SEC, 604800},
    {"year", SEC, 31557600},
    {"liter", M3, 1e-3},
    {"litre", M3, 1e-3},
    {"milliliter", M3, 1e-6},
    {"millilitre", M3, 1e-6},
    {"gallon", M3, 0.003785411784},
    {"newton", NEW, 1},
    {"joule", JOU, 1},
    {"watt", WAT, 1},
    {"pascal", PAS, 1},
    {"hertz", HER, 1},
    {"volt", VOL, 1},
    {"ampere", AMP, 1},
    {"amp", AMP, 1},
    {"kelvin", KEL, 1},
    {"dollar", USD, 1},
    {"usd", USD, 1},
    {"buck", USD, 1},
    {"cent", USD, 0.01},
    {"euro", EUR, 1},
    {"rupee", ETC, 1},
    {"acre", M2, 4046.8564224},
    {"hectare", M2, 1e4},
    {"unit", ONE, 1},
};

static void fold(const char *word, char *out)
{
    size_t n = 0;
    for (; word[n] && n < MAX_WORD - 1; n++)
        out[n] = word[n] >= 'A' && word[n] <= 'Z' ? (char)(word[n] - 'A' + 'a') : word[n];
    out[n] = 0;
}

static void singular(char *word)
{
    size_t n = strlen(word);
    if (n > 3 && word[n - 1] == 's' && word[n - 2] != 's')
        word[n - 1] = 0;
}

static bool look_up(const row *rows, size_t n, const char *word, r1_math_unit *out)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].word[0] != word[0] || strcmp(rows[i].word, word) != 0)
            continue;
        memcpy(out->power, rows[i].power, sizeof out->power);
        out->scale = rows[i].scale;
        out->noun = NULL;
        return true;
    }
    return false;
}

bool r1_math_word_unit(const char *word, r1_math_unit *out)
{
    char w[MAX_WORD];
    if (look_up(short_units, sizeof short_units / sizeof short_units[0], word, out))
        return true;
    if (strlen(word) < 3)
        return false;
    fold(word, w);
    singular(w);
    return look_up(long_units, sizeof long_units / sizeof long_units[0], w, out);
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

bool r1_math_word_is_stop(const char *word)
{
    static const char *const stops[] = {
        "or",      "and",       "not",     "more",  "less",      "than",    "if",
        "when",    "for",       "is",      "no",    "maybe",     "perhaps", "possibly",
        "minus",   "plus",      "times",   "mod",   "modulo",    "over",    "divided",
        "by",      "but",       "either",  "at",    "least",     "most",    "about",
        "between", "from",      "to",      "with",  "where",     "because", "since",
        "wrong",   "incorrect", "false",   "true",  "unknown",   "any",     "none",
        "except",  "without",   "squared", "cubed", "million",   "billion", "thousand",
        "hundred", "trillion",  "dozen",   "half",  "percent",   "unless",  "depending",
        "drop",    "table",     "base",    "are",   "was",       "be",      "such",
        "that",    "which",     "as",      "else",  "otherwise", "other",   "others",
        "answer",  "negative",  NULL};
    return is_one_of(word, stops);
}

/* ---- Texts -------------------------------------------------------------------------------- */

/* Words that add nothing to what is said. */
static bool is_filler(const char *word)
{
    static const char *const fillers[] = {"the",    "a",      "an",     "is", "are", "it",
                                          "option", "choice", "answer", "on", "at",  NULL};
    return is_one_of(word, fillers);
}

/* What kind of thing it is, after the word that says which: isosceles triangle. */
static bool is_kind(const char *word)
{
    static const char *const kinds[] = {
        "triangle", "quadrilateral", "angle", "function", "number", "direction", "curve",
        "series",   "matrix",        "line",  "circle",   "shape",  "graph",     NULL};
    return is_one_of(word, kinds);
}

#define MAX_WORDS 64

typedef struct {
    const char *v[MAX_WORDS];
    int n;
} list;

/* Words without fillers, singular; "," separates items. */
static bool clean(const r1_math_node *x, char store[][MAX_WORD], list *out)
{
    out->n = 0;
    for (int i = 0; i < x->n; i++) {
        bool last = i + 1 == x->n, article = !x->words[i][1];
        /* "a square", but not the A of "A, B" */
        bool drop = is_filler(x->words[i]) && x->n > 1 &&
                    !(article && (last || !x->words[i + 1][0] || !x->words[i + 1][1]));
        if (drop || (is_kind(x->words[i]) && out->n > 0))
            continue;
        if (out->n == MAX_WORDS || strlen(x->words[i]) >= MAX_WORD)
            return false;
        fold(x->words[i], store[out->n]);
        singular(store[out->n]);
        out->v[out->n] = store[out->n];
        out->n++;
    }
    return out->n > 0;
}

static bool is_comma(const char *word)
{
    return word[0] == ',' && !word[1];
}

/* The letters of all words in a row, when one side is made of single letters: ABC and A, B, C. */
static bool same_letters(const list *a, const list *b)
{
    char x[MAX_WORD * 4], y[MAX_WORD * 4];
    size_t nx = 0, ny = 0;
    bool single_a = true, single_b = true;
    for (int side = 0; side < 2; side++) {
        const list *l = side ? b : a;
        for (int i = 0; i < l->n; i++) {
            if (is_comma(l->v[i]))
                continue;
            size_t n = strlen(l->v[i]);
            *(side ? &single_b : &single_a) &= n == 1;
            char *to = side ? y : x;
            size_t *used = side ? &ny : &nx;
            if (*used + n >= sizeof x)
                return false;
            memcpy(to + *used, l->v[i], n);
            *used += n;
        }
    }
    return (single_a || single_b) && nx == ny && nx > 0 && memcmp(x, y, nx) == 0;
}

/* Does some item of l equal the words of item i of a? */
static bool has_item(const list *l, const list *a, int from, int to)
{
    for (int i = 0; i < l->n;) {
        int end = i;
        while (end < l->n && !is_comma(l->v[end]))
            end++;
        bool same = end - i == to - from;
        for (int k = 0; same && k < to - from; k++)
            same = strcmp(l->v[i + k], a->v[from + k]) == 0;
        if (same)
            return true;
        i = end + 1;
    }
    return false;
}

static bool items_within(const list *a, const list *b)
{
    for (int i = 0; i < a->n;) {
        int end = i;
        while (end < a->n && !is_comma(a->v[end]))
            end++;
        if (end > i && !has_item(b, a, i, end))
            return false;
        i = end + 1;
    }
    return true;
}

bool r1_math_word_same(const r1_math_node *a, const r1_math_node *b)
{
    char sa[MAX_WORDS][MAX_WORD], sb[MAX_WORDS][MAX_WORD];
    list x, y;
    if (!clean(a, sa, &x) || !clean(b, sb, &y))
        return false;
    return (items_within(&x, &y) && items_within(&y, &x)) || same_letters(&x, &y);
}

/* ---- Numbers in words --------------------------------------------------------------------- */

static bool unit_number(const char *word, int64_t *out)
{
    static const char *const names[] = {
        "zero",     "one",     "two",     "three",     "four",     "five",     "six",
        "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};
    static const char *const tens[] = {"twenty", "thirty",  "forty",  "fifty",
                                       "sixty",  "seventy", "eighty", "ninety"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcmp(names[i], word) == 0)
            return *out = i, true;
    for (int i = 0; i < (int)(sizeof tens / sizeof tens[0]); i++)
        if (strcmp(tens[i], word) == 0)
            return *out = 10 * (i + 2), true;
    return false;
}

static int64_t denominator(const char *word)
{
    static const struct {
        const char *word;
        int64_t value;
    } names[] = {{"half", 2},    {"halves", 2},   {"third", 3},  {"thirds", 3},
                 {"quarter", 4}, {"quarters", 4}, {"fourth", 4}, {"fourths", 4},
                 {"fifth", 5},   {"fifths", 5},   {"sixth", 6},  {"sixths", 6},
                 {"eighth", 8},  {"eighths", 8},  {"tenth", 10}, {"tenths", 10}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].word, word) == 0)
            return names[i].value;
    return 0;
}

bool r1_math_word_number(const r1_math_node *text, fmpq_t out)
{
    int64_t total = 0, part = 0, v;
    bool any = false;
    if (text->kind != R1_NODE_TEXT || text->n > 12)
        return false;
    for (int i = 0; i < text->n; i++) {
        const char *word = text->words[i];
        int64_t below = denominator(word);
        if (unit_number(word, &v)) {
            /* twenty one, but not one two */
            if (any && !(part % 100 == 0 || (part % 10 == 0 && v < 10)))
                return false;
            part += v;
        } else if (strcmp(word, "hundred") == 0 && any && part < 100) {
            part *= 100;
        } else if ((strcmp(word, "thousand") == 0 || strcmp(word, "million") == 0) && any &&
                   part && part < 1000 && total == 0) {
            total = part * (word[0] == 't' ? 1000 : 1000000);
            part = 0;
        } else if (below && any && i == text->n - 1) {
            fmpq_set_si(out, total + part, (ulong)below);
            return true;
        } else if (strcmp(word, "negative") == 0 || strcmp(word, "minus") == 0 ||
                   !(is_comma(word) && any)) {
            return false;
        }
        any = true;
    }
    fmpq_set_si(out, total + part, 1);
    return any;
}
