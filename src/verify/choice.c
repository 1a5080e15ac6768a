/* choice.c: see choice.h. */
#include "verify/choice.h"

#include <string.h>

#include "verify/answer.h"

enum {
    MAX_OPTIONS = 26,
    DEFAULT_OPTIONS = 10,
    MAX_FILLERS = 10,
    MAX_OPTION = 4096,
    MAX_ANCHORS = 64
};
#define MAX_PART ((size_t)1 << 20) /* bytes after the thought */

typedef struct {
    int n;              /* options there are */
    const json_t *text; /* NULL, or the array of their texts */
} options;

/* What a place in the text says: a letter, nothing, or things that contradict each other. */
enum { NONE = 0, CONFUSED = 1 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c) /* part of a word, of any script */
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static options read_options(const json_t *spec)
{
    const json_t *o = json_object_get(spec, "options");
    if (json_is_array(o))
        return (options){(int)json_array_size(o), o};
    if (json_is_integer(o))
        return (options){(int)json_integer_value(o), NULL};
    return (options){DEFAULT_OPTIONS, NULL};
}

/* ---- Texts of options -------------------------------------------------------------------- */

/* Without blanks, quotes, emphasis and full stops around it. */
static r1_span core(r1_span s)
{
    static const char around[] = " \t\r\n.*_\"'`";
    while (s.n && memchr(around, s.p[0], sizeof around - 1)) {
        s.p++;
        s.n--;
    }
    while (s.n && memchr(around, s.p[s.n - 1], sizeof around - 1))
        s.n--;
    return s;
}

/* Equal but for case and the number of blanks. */
static bool same_text(r1_span a, r1_span b)
{
    size_t i = 0, j = 0;
    while (i < a.n && j < b.n) {
        bool x = is_blank(a.p[i]) || a.p[i] == '\n', y = is_blank(b.p[j]) || b.p[j] == '\n';
        if (x != y || (!x && upper(a.p[i]) != upper(b.p[j])))
            return false;
        i++;
        j++;
        while (x && i < a.n && (is_blank(a.p[i]) || a.p[i] == '\n'))
            i++;
        while (x && j < b.n && (is_blank(b.p[j]) || b.p[j] == '\n'))
            j++;
    }
    return i == a.n && j == b.n;
}

/* The letter of the option whose whole text is s; CONFUSED when two options have it. */
static char option_of(const options *o, r1_span s)
{
    char found = NONE;
    s = core(s);
    if (!o->text || s.n == 0 || s.n > MAX_OPTION)
        return NONE;
    for (int i = 0; i < o->n; i++) {
        const json_t *t = json_array_get(o->text, (size_t)i);
        r1_buf b;
        r1_buf_init(&b, 2 * MAX_OPTION);
        r1_answer_plain((r1_span){json_string_value(t), json_string_length(t)}, &b);
        bool same = same_text(s, core((r1_span){b.data, b.len}));
        r1_buf_release(&b);
        if (same && found)
            return CONFUSED;
        if (same)
            found = (char)('A' + i);
    }
    return found;
}

/* ---- A letter ---------------------------------------------------------------------------- */

static bool is_option(const options *o, char c)
{
    return upper(c) >= 'A' && upper(c) < 'A' + o->n;
}

static void skip_any(r1_cursor *c, const char *set)
{
    while (c->p < c->end && *c->p && strchr(set, *c->p))
        c->p++;
}

/* After a letter: "or B", ", B", "/ B" make it two answers. */
static bool joins_another(const options *o, r1_cursor c)
{
    skip_any(&c, ")]}*_\"' \t");
    bool joined = false;
    while (c.p < c.end && strchr(",/&+|;", *c.p) && *c.p) {
        joined = true;
        c.p++;
        skip_any(&c, " \t");
    }
    r1_cursor at = c;
    r1_span w = r1_answer_word(&at);
    if (r1_answer_is(w, "or") || r1_answer_is(w, "and")) {
        joined = true;
        c = at;
    }
    if (!joined)
        return false;
    skip_any(&c, " \t*_\"'$([{");
    at = c;
    w = r1_answer_word(&at);
    if (r1_answer_is(w, "option") || r1_answer_is(w, "choice") || r1_answer_is(w, "maybe") ||
        r1_answer_is(w, "possibly")) {
        skip_any(&at, " \t*_\"'$([{");
        w = r1_answer_word(&at);
    }
    return w.n == 1 && is_option(o, w.p[0]) && w.p[0] == upper(w.p[0]);
}

/* The text behind "C)" or "C:" must not be another option's. */
static bool contradicts(const options *o, char letter, r1_cursor c)
{
    skip_any(&c, " \t)]}.:*_-,");
    const char *end = c.p;
    while (end < c.end && *end != '\n')
        end++;
    char other = option_of(o, (r1_span){c.p, (size_t)(end - c.p)});
    return other > CONFUSED && other != letter;
}

/* A letter by itself at c; wrapped: a sign such as '(' or ':' stands before it.  The article "A"
 * and the pronoun "I" need a sign after them, a small letter needs signs on both sides. */
static char letter_at(const options *o, r1_cursor c, bool wrapped)
{
    if (c.p == c.end || !is_letter(*c.p) || !is_option(o, *c.p))
        return NONE;
    char letter = *c.p++;
    bool small = letter != upper(letter);
    if (c.p < c.end && (is_word(*c.p) || (*c.p == '\'' && c.p + 1 < c.end && is_word(c.p[1]))))
        return NONE;
    r1_cursor at = c;
    skip_any(&at, " \t");
    bool alone = at.p == at.end || !is_word(*at.p); /* no word follows, or a reason does */
    r1_span next = r1_answer_word(&at);
    alone = alone || r1_answer_is(next, "because") || r1_answer_is(next, "since");
    bool article = upper(letter) == 'A' || upper(letter) == 'I';
    if ((article && !alone) || (small && !(wrapped && alone)))
        return NONE;
    if (joins_another(o, c) || contradicts(o, upper(letter), c))
        return CONFUSED;
    return upper(letter);
}

/* ---- Boxes ------------------------------------------------------------------------------- */

/* "C", "(C)", "C. text", or an option's whole text. */
static char boxed(const options *o, r1_span box)
{
    r1_buf b;
    r1_buf_init(&b, 2 * MAX_OPTION);
    r1_answer_plain(box, &b);
    char found = b.full ? NONE : option_of(o, (r1_span){b.data, b.len});
    r1_cursor c = r1_answer_cursor(&b);
    skip_any(&c, " \t\n*_\"'([{");
    if (found == NONE && !b.full) {
        found = letter_at(o, c, true);
        if (found > CONFUSED) {
            r1_cursor rest = {c.p + 1, c.end};
            skip_any(&rest, " \t\n)]}*_\"'.:");
            bool alone = rest.p == rest.end;
            r1_span text = {rest.p, (size_t)(rest.end - rest.p)};
            if (!alone && option_of(o, text) != found)
                found = NONE;
        }
    }
    r1_buf_release(&b);
    return found;
}

static char last_box(const options *o, r1_span part)
{
    r1_span box[R1_ANSWER_BOXES];
    int n = r1_answer_boxes(part, box, R1_ANSWER_BOXES);
    char found = NONE;
    for (int i = n - 1; i >= 0 && found == NONE; i--)
        if (box[i].n <= MAX_OPTION)
            found = boxed(o, box[i]);
    return found;
}

/* ---- Anchors ----------------------------------------------------------------------------- */

/* Behind an anchor; 0 when there is none at c. */
static size_t anchor(const char *p, size_t n)
{
    static const char *const names[] = {"answer", "correct option", "correct choice",
                                        "\xE7\xAD\x94\xE6\xA1\x88"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        if (n >= len && r1_answer_is((r1_span){p, len}, names[i]) &&
            !(n > len && is_letter(p[len])))
            return len;
    }
    return 0;
}

/* One of the words that may stand between "answer" and the letter. */
static bool filler(r1_cursor *c)
{
    static const char *const words[] = {
        "is",       "are",     "was",  "would",  "should",    "must",   "be",      "to",
        "the",      "this",    "that", "option", "choice",    "letter", "correct", "right",
        "final",    "best",    "most", "likely", "of",        "my",     "your",    "our",
        "question", "problem", "here", "thus",   "therefore", "hence",  "indeed",  "clearly",
    };
    static const char *const chinese[] = {"\xE6\x98\xAF", "\xE4\xB8\xBA",
                                          "\xE9\x80\x89\xE9\xA1\xB9", "\xE9\x80\x89"};
    r1_cursor at = *c;
    r1_span w = r1_answer_word(&at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (r1_answer_is(w, words[i])) {
            *c = at;
            return true;
        }
    for (size_t i = 0; i < sizeof chinese / sizeof *chinese; i++) {
        size_t n = strlen(chinese[i]);
        if ((size_t)(c->end - c->p) >= n && memcmp(c->p, chinese[i], n) == 0) {
            c->p += n;
            return true;
        }
    }
    return false;
}

/* "Answer: it is not C" takes an answer back. */
static bool denies(r1_cursor c)
{
    r1_span w = r1_answer_word(&c);
    return r1_answer_is(w, "not") || r1_answer_is(w, "isn") || r1_answer_is(w, "neither") ||
           r1_answer_is(w, "cannot") || r1_answer_is(w, "never");
}

/* What the anchor whose name ends at c gives.  *says: it gives something, or takes it back. */
static char anchored(const options *o, r1_cursor c, bool *says)
{
    bool wrapped = false, colon = false;
    for (int n = 0; n <= MAX_FILLERS; n++) {
        while (c.p < c.end &&
               (is_blank(*c.p) || strchr("*_:=\"'$([{<>,-", *c.p) || (*c.p == '\n' && colon)) &&
               *c.p) {
            wrapped = wrapped || strchr("*:=\"'([{", *c.p);
            colon = colon || *c.p == ':';
            c.p++;
        }
        char letter = letter_at(o, c, wrapped);
        *says = letter != NONE || denies(c);
        if (*says)
            return letter;
        if (!filler(&c))
            break;
        wrapped = false;
    }
    const char *end = c.p;
    while (end < c.end && *end != '\n')
        end++;
    char letter = option_of(o, (r1_span){c.p, (size_t)(end - c.p)});
    *says = letter != NONE;
    return letter;
}

/* Only the last MAX_ANCHORS are looked at, which bounds the work. */
static char last_anchor(const options *o, r1_span s, bool *any)
{
    size_t at[MAX_ANCHORS];
    int n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool inside = i > 0 && is_letter(s.p[i - 1]);
        size_t length = inside ? 0 : anchor(s.p + i, s.n - i);
        if (!length)
            continue;
        if (n == MAX_ANCHORS)
            memmove(at, at + 1, (size_t)--n * sizeof *at);
        i += length;
        at[n++] = i--;
    }
    *any = false;
    while (n-- > 0) {
        char letter = anchored(o, (r1_cursor){s.p + at[n], s.p + s.n}, any);
        if (*any)
            return letter;
    }
    return NONE;
}

/* ---- The last line ----------------------------------------------------------------------- */

/* "Paris", or "(C) Paris". */
static char last_line(const options *o, r1_span s)
{
    s = r1_answer_trim(s);
    size_t begin = s.n;
    while (begin > 0 && s.p[begin - 1] != '\n')
        begin--;
    r1_span line = {s.p + begin, s.n - begin};
    char whole = option_of(o, line);
    if (whole != NONE)
        return whole;
    r1_cursor c = {line.p, line.p + line.n};
    skip_any(&c, " \t*_([");
    char label = c.p < c.end ? *c.p : 0;
    r1_cursor rest = {c.p + 1, c.end};
    if (!label || !is_option(o, label) || rest.p >= rest.end || !strchr(").:]", *rest.p))
        return NONE;
    skip_any(&rest, ").:]* \t");
    char text = option_of(o, (r1_span){rest.p, (size_t)(rest.end - rest.p)});
    return text == upper(label) ? text : NONE;
}

/* ---- The verifier ------------------------------------------------------------------------ */

/* <answer>C</answer>: what a tag holds is given as the answer. */
static char tagged(const options *o, r1_span answer)
{
    return answer.n <= MAX_OPTION ? boxed(o, answer) : (char)NONE;
}

char r1_choice_find(const json_t *spec, const char *text, size_t len)
{
    options o = read_options(spec);
    r1_span part, answer;
    if (!r1_answer_part(text, len, &part) || part.n > MAX_PART)
        return 0;
    if (r1_answer_index(part, "answer>") < part.n) {
        if (!r1_answer_find(text, len, &answer))
            return 0;
        char letter = tagged(&o, answer);
        return letter > CONFUSED ? letter : 0;
    }
    char found = last_box(&o, part);
    if (found == NONE) {
        r1_buf b;
        bool any;
        r1_buf_init(&b, 4 * MAX_PART);
        r1_answer_plain(part, &b);
        r1_span plain = {b.data, b.len};
        found = last_anchor(&o, plain, &any);
        if (!any)
            found = last_line(&o, plain);
        r1_buf_release(&b);
    }
    return found > CONFUSED ? found : 0;
}

static r1_status read_spec(const json_t *spec, char *gold, r1_err *err)
{
    const json_t *list = json_object_get(spec, "options");
    const char *letter = json_string_value(spec);
    if (json_is_object(spec))
        R1_TRY(r1_json_str(spec, "choice", "answer", &letter, err));
    options o = read_options(spec);
    if (o.n < 2 || o.n > MAX_OPTIONS)
        return r1_fail(err, R1_EFORMAT, "choice: %d options, 2 to %d are possible", o.n,
                       MAX_OPTIONS);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return r1_fail(err, R1_EFORMAT, "choice: option %zu is not a text", i + 1);
    if (!letter || strlen(letter) != 1 || letter[0] != upper(letter[0]) ||
        !is_option(&o, letter[0]))
        return r1_fail(err, R1_EFORMAT,
                       "choice: the answer '%.20s' is not a capital letter from A to %c",
                       letter ? letter : "", 'A' + o.n - 1);
    *gold = letter[0];
    return R1_OK;
}

r1_verdict r1_choice_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    r1_verdict v = {0};
    char gold;
    if (!terminated || read_spec(spec, &gold, NULL) != R1_OK)
        return v;
    v.answer[0] = r1_choice_find(spec, text, len);
    v.formatted = v.answer[0] != 0;
    v.correct = v.answer[0] == gold;
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_choice_check(const json_t *spec, r1_err *err)
{
    char gold;
    return read_spec(spec, &gold, err);
}
