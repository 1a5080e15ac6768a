/* logic.c: see logic.h. */
#include "verify/logic.h"

#include <stdlib.h>
#include <string.h>

#include "verify/answer.h"

/* ---- Formulas: evaluated while they are read --------------------------------------------- */

enum { MAX_DEPTH = 64, MAX_FORMULA = 8192 };

typedef struct {
    r1_cursor c;
    const char *const *names;
    int n, depth;
    uint32_t values;
    bool bad;
} formula;

static bool eat(formula *f, const char *sign)
{
    size_t n = strlen(sign);
    r1_answer_blanks(&f->c);
    if ((size_t)(f->c.end - f->c.p) < n || memcmp(f->c.p, sign, n) != 0)
        return false;
    f->c.p += n;
    return true;
}

static bool iff(formula *f);

static bool atom(formula *f)
{
    bool negative = false, value = false;
    while (eat(f, "!"))
        negative = !negative;
    if (eat(f, "(")) {
        if (f->depth++ == MAX_DEPTH)
            f->bad = true;
        value = !f->bad && iff(f);
        f->depth--;
        f->bad = f->bad || !eat(f, ")");
    } else {
        r1_span w = r1_answer_word(&f->c);
        int i = 0;
        while (i < f->n && !(strlen(f->names[i]) == w.n && memcmp(f->names[i], w.p, w.n) == 0))
            i++;
        f->bad = f->bad || i == f->n;
        value = i < f->n && (f->values >> i & 1);
    }
    return value != negative;
}

static bool and (formula * f)
{
    bool v = atom(f);
    while (!f->bad && eat(f, "&")) {
        bool w = atom(f);
        v = v && w;
    }
    return v;
}

static bool xor
        (formula * f) {
            bool v = and(f);
            while (!f->bad && eat(f, "^")) {
                bool w = and(f);
                v = v != w;
            }
            return v;
        }

        static bool or
    (formula * f)
{
    bool v = xor(f);
    while (!f->bad && eat(f, "|")) {
        bool w = xor(f);
        v = v || w;
    }
    return v;
}

/* a -> b -> c is a -> (b -> c): all but the last are conditions. */
static bool implies(formula *f)
{
    bool conditions = true, last = or (f);
    while (!f->bad && eat(f, "->")) {
        conditions = conditions && last;
        last = or (f);
    }
    return !conditions || last;
}

static bool iff(formula *f)
{
    bool v = implies(f);
    while (!f->bad && eat(f, "<->")) {
        bool w = implies(f);
        v = v == w;
    }
    return v;
}

bool r1_logic_eval(const char *text, const char *const *names, int n, uint32_t values,
                   bool *out)
{
    size_t len = strlen(text);
    formula f = {.c = {text, text + len}, .names = names, .n = n, .values = values};
    if (len > MAX_FORMULA)
        return false;
    *out = iff(&f);
    return !f.bad && r1_answer_at_end(&f.c);
}

static r1_status check_formula(const char *subject, const char *text, const char *const *names,
                               int n, r1_err *err)
{
    bool value;
    if (!text || !r1_logic_eval(text, names, n, 0, &value))
        return r1_fail(err, R1_EFORMAT, "%s: '%.60s' is not a formula over the names", subject,
                       text ? text : "");
    return R1_OK;
}

static r1_status read_names(const json_t *spec, const char *subject, const char **names, int *n,
                            r1_err *err)
{
    *n = r1_answer_strings(json_object_get(spec, "names"), names, R1_LOGIC_NAMES);
    if (*n < 1)
        return r1_fail(err, R1_EFORMAT, "%s: 'names' is not a list of 1 to %d texts", subject,
                       R1_LOGIC_NAMES);
    for (int i = 0; i < *n; i++)
        for (int j = 0; j < i; j++)
            if (r1_answer_is((r1_span){names[i], strlen(names[i])}, names[j]))
                return r1_fail(err, R1_EFORMAT, "%s: the name '%.40s' comes twice", subject,
                               names[i]);
    return R1_OK;
}

/* An answer that gives each name one of two values, the odd rows of `roles` meaning true. */
static bool read_truths(const char *text, size_t len, const char *const *names, int n,
                        const char *const *roles, int n_roles, uint32_t *values, char key[64])
{
    int role[R1_LOGIC_NAMES];
    char bits[R1_LOGIC_NAMES];
    r1_buf b;
    bool ok = r1_answer_get(text, len, &b) &&
              r1_answer_pairs(r1_answer_cursor(&b), names, n, roles, n_roles, role);
    r1_buf_release(&b);
    *values = 0;
    for (int i = 0; i < n && ok; i++) {
        *values |= (uint32_t)(role[i] & 1) << i;
        bits[i] = role[i] & 1 ? '1' : '0';
    }
    if (ok)
        r1_answer_key(key, bits, (size_t)n);
    return ok;
}

/* ---- boolean ----------------------------------------------------------------------------- */

r1_verdict r1_logic_boolean_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated)
{
    static const char *const roles[] = {"false", "true", "0", "1", "f", "t", "no", "yes"};
    r1_verdict v = {0};
    const char *names[R1_LOGIC_NAMES];
    const char *formula_text = json_string_value(json_object_get(spec, "formula"));
    uint32_t values;
    int n;
    if (!terminated || !formula_text || read_names(spec, "boolean", names, &n, NULL) != R1_OK ||
        !read_truths(text, len, names, n, roles, 8, &values, v.answer))
        return v;
    v.formatted = true;
    v.correct = r1_logic_eval(formula_text, names, n, values, &v.correct) && v.correct;
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_logic_boolean_check(const json_t *spec, r1_err *err)
{
    const char *names[R1_LOGIC_NAMES], *text = NULL;
    int n;
    R1_TRY(r1_json_str(spec, "boolean", "formula", &text, err));
    R1_TRY(read_names(spec, "boolean", names, &n, err));
    return check_formula("boolean", text, names, n, err);
}

/* ---- knights: they tell the truth, knaves lie -------------------------------------------- */

r1_verdict r1_logic_knights_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated)
{
    static const char *const roles[] = {"knave", "knight"};
    r1_verdict v = {0};
    const char *names[R1_LOGIC_NAMES], *says[R1_LOGIC_NAMES];
    uint32_t values;
    int n;
    if (!terminated || read_names(spec, "knights", names, &n, NULL) != R1_OK ||
        r1_answer_strings(json_object_get(spec, "statements"), says, R1_LOGIC_NAMES) != n ||
        !read_truths(text, len, names, n, roles, 2, &values, v.answer))
        return v;
    v.formatted = v.correct = true;
    for (int i = 0; i < n && v.correct; i++) {
        bool truth;
        v.correct =
            r1_logic_eval(says[i], names, n, values, &truth) && truth == (values >> i & 1);
    }
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_logic_knights_check(const json_t *spec, r1_err *err)
{
    const char *names[R1_LOGIC_NAMES], *says[R1_LOGIC_NAMES];
    int n;
    R1_TRY(read_names(spec, "knights", names, &n, err));
    if (r1_answer_strings(json_object_get(spec, "statements"), says, R1_LOGIC_NAMES) != n)
        return r1_fail(err, R1_EFORMAT, "knights: 'statements' is not a list of %d texts", n);
    for (int i = 0; i < n; i++)
        R1_TRY(check_formula("knights", says[i], names, n, err));
    return R1_OK;
}

/* ---- zebra ------------------------------------------------------------------------------- */

const char *const r1_logic_clue_names[R1_CLUE_N] = {"same",   "apart", "left",  "next",
                                                    "before", "at",    "not_at"};

bool r1_logic_clue_holds(r1_clue_kind kind, int a, int b)
{
    switch (kind) {
    case R1_CLUE_AT:
    case R1_CLUE_SAME: return a == b;
    case R1_CLUE_NOT_AT:
    case R1_CLUE_APART: return a != b;
    case R1_CLUE_LEFT: return a + 1 == b;
    case R1_CLUE_NEXT: return abs(a - b) == 1;
    case R1_CLUE_BEFORE: return a < b;
    case R1_CLUE_N: break;
    }
    return false;
}

typedef struct {
    int houses, attributes;
    const char *attribute[R1_LOGIC_ATTRIBUTES];
    const char *value[R1_LOGIC_ATTRIBUTES * R1_LOGIC_HOUSES]; /* attribute after attribute */
} street;

static r1_status read_street(const json_t *spec, street *s, r1_err *err)
{
    const json_t *list = json_object_get(spec, "attributes");
    size_t n = json_array_size(list);
    *s = (street){.attributes = (int)n};
    if (n < 1 || n > R1_LOGIC_ATTRIBUTES)
        return r1_fail(err, R1_EFORMAT, "zebra: 'attributes' is not a list of 1 to %d",
                       R1_LOGIC_ATTRIBUTES);
    for (size_t i = 0; i < n; i++) {
        const json_t *a = json_array_get(list, i);
        R1_TRY(r1_json_str(a, "zebra", "name", &s->attribute[i], err));
        int houses = r1_answer_strings(json_object_get(a, "values"),
                                       s->value + (size_t)s->houses * i, R1_LOGIC_HOUSES);
        if (houses < 2 || (i > 0 && houses != s->houses))
            return r1_fail(err, R1_EFORMAT,
                           "zebra: '%.40s' needs a list of 2 to %d values, as many as the "
                           "others have",
                           s->attribute[i], R1_LOGIC_HOUSES);
        s->houses = houses;
    }
    for (int i = 0; i < s->attributes * s->houses; i++)
        for (int j = 0; j < i; j++)
            if (r1_answer_is((r1_span){s->value[i], strlen(s->value[i])}, s->value[j]))
                return r1_fail(err, R1_EFORMAT, "zebra: the value '%.40s' comes twice",
                               s->value[i]);
    return R1_OK;
}

static int find_value(const street *s, const char *name)
{
    for (int i = 0; name && i < s->attributes * s->houses; i++)
        if (strcmp(s->value[i], name) == 0)
            return i;
    return -1;
}

typedef struct {
    r1_clue_kind kind;
    int a, b; /* rows of value[]; AT and NOT_AT: b is the house */
} clue;

static r1_status read_clue(const street *s, const json_t *list, size_t at, clue *out,
                           r1_err *err)
{
    const json_t *c = json_array_get(list, at), *third = json_array_get(c, 2);
    const char *kind = json_string_value(json_array_get(c, 0));
    int k = 0;
    while (k < R1_CLUE_N && kind && strcmp(kind, r1_logic_clue_names[k]) != 0)
        k++;
    bool at_house = k == R1_CLUE_AT || k == R1_CLUE_NOT_AT;
    *out = (clue){(r1_clue_kind)k, find_value(s, json_string_value(json_array_get(c, 1))),
                  at_house ? (int)json_integer_value(third)
                           : find_value(s, json_string_value(third))};
    if (!kind || k == R1_CLUE_N || out->a < 0 || out->b < 0 ||
        (at_house && (out->b < 1 || out->b > s->houses)))
        return r1_fail(err, R1_EFORMAT, "zebra: clue %zu is not one over the values", at + 1);
    return R1_OK;
}

/* "House 1: red, Ann, tea" and so on: position[i] is the house of value[i]. */
static bool read_houses(r1_cursor c, const street *s, int *position)
{
    static const char *const fillers[] = {"house", "is", "has", "the",
                                          "and",   "a",  "in",  "with"};
    const int n = s->attributes * s->houses;
    bool visited[R1_LOGIC_HOUSES + 1] = {false};
    int house = 0, found = 0;
    for (int i = 0; i < n; i++)
        position[i] = 0;
    for (;;) {
        while (c.p < c.end && *c.p && strchr(" \t\r\n,;.:-*|()[]=#", *c.p))
            c.p++;
        r1_span w = r1_answer_word(&c);
        if (w.n == 0)
            return c.p == c.end && found == n;
        if (w.n == 1 && w.p[0] >= '1' && w.p[0] <= '0' + s->houses) {
            house = w.p[0] - '0';
            if (visited[house])
                return false;
            visited[house] = true;
            continue;
        }
        int i = 0;
        while (i < n && !r1_answer_is(w, s->value[i]))
            i++;
        bool known = false;
        for (size_t k = 0; k < sizeof fillers / sizeof *fillers; k++)
            known = known || r1_answer_is(w, fillers[k]);
        for (int k = 0; k < s->attributes; k++)
            known = known || r1_answer_is(w, s->attribute[k]);
        if (i == n && known)
            continue;
        if (i == n || house == 0 || position[i])
            return false;
        for (int k = i / s->houses * s->houses; k < (i / s->houses + 1) * s->houses; k++)
            if (position[k] == house)
                return false;
        position[i] = house;
        found++;
    }
}

r1_verdict r1_logic_zebra_judge(const json_t *spec, const char *text, size_t len,
                                bool terminated)
{
    r1_verdict v = {0};
    street s;
    int position[R1_LOGIC_ATTRIBUTES * R1_LOGIC_HOUSES];
    char key[R1_LOGIC_ATTRIBUTES * R1_LOGIC_HOUSES];
    if (!terminated || read_street(spec, &s, NULL) != R1_OK)
        return v;
    r1_buf b;
    v.formatted =
        r1_answer_get(text, len, &b) && read_houses(r1_answer_cursor(&b), &s, position);
    r1_buf_release(&b);
    if (!v.formatted)
        return v;
    for (int i = 0; i < s.attributes * s.houses; i++)
        key[i] = (char)('0' + position[i]);
    r1_answer_key(v.answer, key, (size_t)(s.attributes * s.houses));
    const json_t *clues = json_object_get(spec, "clues");
    v.correct = json_is_array(clues);
    for (size_t i = 0; i < json_array_size(clues) && v.correct; i++) {
        clue c;
        v.correct = read_clue(&s, clues, i, &c, NULL) == R1_OK;
        if (!v.correct)
            break;
        bool at_house = c.kind == R1_CLUE_AT || c.kind == R1_CLUE_NOT_AT;
        v.correct = r1_logic_clue_holds(c.kind, position[c.a], at_house ? c.b : position[c.b]);
    }
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_logic_zebra_check(const json_t *spec, r1_err *err)
{
    street s;
    clue c;
    const json_t *clues = json_object_get(spec, "clues");
    R1_TRY(read_street(spec, &s, err));
    if (!json_is_array(clues))
        return r1_fail(err, R1_EFORMAT, "zebra: 'clues' is not a list");
    for (size_t i = 0; i < json_array_size(clues); i++)
        R1_TRY(read_clue(&s, clues, i, &c, err));
    return R1_OK;
}
