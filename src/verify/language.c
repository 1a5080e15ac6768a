/* language.c: see language.h.
 *
 * The text is read once.  What is no language is stepped over; words are counted by script, and
 * at the end of a sentence, when it is known what else stood in it, its counts are added. */
#include "verify/language.h"

#include <string.h>
#include <utf8proc.h>

#include "verify/answer.h"

/* ---- Scripts ----------------------------------------------------------------------------- */

typedef enum {
    LATIN,
    GREEK,
    CYRILLIC,
    HEBREW,
    ARABIC,
    DEVANAGARI,
    THAI, /* with Lao, Khmer and Burmese */
    HANGUL,
    KANA,
    HAN,
    OTHER,
    N_SCRIPTS
} script;

static const struct {
    uint32_t first, last;
    script is;
} ranges[] = {
    {0x0041, 0x024F, LATIN},    {0x0250, 0x02AF, LATIN},      {0x0370, 0x03FF, GREEK},
    {0x0400, 0x052F, CYRILLIC}, {0x0590, 0x05FF, HEBREW},     {0x0600, 0x06FF, ARABIC},
    {0x0750, 0x077F, ARABIC},   {0x0900, 0x097F, DEVANAGARI}, {0x0E00, 0x0EFF, THAI},
    {0x1000, 0x109F, THAI},     {0x1100, 0x11FF, HANGUL},     {0x1780, 0x17FF, THAI},
    {0x1E00, 0x1EFF, LATIN},    {0x1F00, 0x1FFF, GREEK},      {0x3005, 0x3007, HAN},
    {0x3040, 0x30FF, KANA},     {0x3130, 0x318F, HANGUL},     {0x31F0, 0x31FF, KANA},
    {0x3400, 0x4DBF, HAN},      {0x4E00, 0x9FFF, HAN},        {0xAC00, 0xD7A3, HANGUL},
    {0xF900, 0xFAFF, HAN},      {0xFB1D, 0xFB4F, HEBREW},     {0xFB50, 0xFDFF, ARABIC},
    {0xFE70, 0xFEFF, ARABIC},   {0xFF21, 0xFF5A, LATIN},      {0xFF66, 0xFF9F, KANA},
    {0x20000, 0x3FFFD, HAN},
};

static script script_of(utf8proc_int32_t code)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if ((uint32_t)code >= ranges[i].first && (uint32_t)code <= ranges[i].last)
            return ranges[i].is;
    return OTHER;
}

/* No blanks stand between the words of these. */
static bool by_character(script s)
{
    return s == HAN || s == KANA || s == HANGUL || s == THAI;
}

/* ---- Languages --------------------------------------------------------------------------- */

#define BIT(s) (1u << (s))

/* The commonest words tell languages of the Latin script apart; " word " is looked for. */
static const struct {
    const char *code;
    unsigned scripts;
    const char *common;
} languages[] = {
    {"en", BIT(LATIN),
     " the of and to is that it we for be are this with as have so but not which can if then "
     "from let will an was by there what so at on need find first since now "},
    {"fr", BIT(LATIN),
     " le la les des est et une nous que qui dans pour pas sur avec donc ce cette je ne du au "
     "sont mais ou si alors il elle plus comme par un en "},
    {"de", BIT(LATIN),
     " der die das und ist ein eine nicht wir mit den dem zu auf dass also es sich f\xC3\xBCr "
     "von ich wenn aber sind auch wie haben oder dann im "},
    {"es", BIT(LATIN),
     " el los las que y es en una por para con del se no lo entonces pero como si m\xC3\xA1s "
     "esto este esta son al un la ser tenemos "},
    {"it", BIT(LATIN),
     " il che e di \xC3\xA8 un una per non con del della sono si lo gli le quindi ma come "
     "questo questa anche abbiamo nel la i da "},
    {"pt", BIT(LATIN),
     " o os que e \xC3\xA9 um uma para n\xC3\xA3o com do da dos das se por mas como ent\xC3\xA3o "
     "isso este esta temos s\xC3\xA3o no na em ao "},
    {"nl", BIT(LATIN),
     " de het een en is dat van we niet met voor op te zijn dus als maar dan ook aan er om in "
     "wij hebben kan dit deze "},
    {"zh", BIT(HAN), NULL},
    {"ja", BIT(HAN) | BIT(KANA), NULL},
    {"ko", BIT(HANGUL), NULL},
    {"ru", BIT(CYRILLIC), NULL},
    {"el", BIT(GREEK), NULL},
    {"he", BIT(HEBREW), NULL},
    {"ar", BIT(ARABIC), NULL},
    {"hi", BIT(DEVANAGARI), NULL},
    {"th", BIT(THAI), NULL},
};
enum { N_LANGUAGES = sizeof languages / sizeof *languages };

const char *r1_language_at(int i)
{
    return i >= 0 && i < N_LANGUAGES ? languages[i].code : NULL;
}

static int find_language(const char *code)
{
    for (int i = 0; i < N_LANGUAGES; i++)
        if (strcmp(languages[i].code, code) == 0)
            return i;
    return -1;
}

/* ---- What is no language ----------------------------------------------------------------- */

enum { MAX_MATH = 4096, MAX_WORD = 64, SHORT_HAN = 8 };

static bool starts(r1_span s, const char *what)
{
    size_t n = strlen(what);
    return s.n >= n && memcmp(s.p, what, n) == 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes up to and with the next `close` within MAX_MATH; 0: there is none. */
static size_t upto(r1_span s, size_t open, const char *close)
{
    if (s.n < open)
        return 0;
    r1_span rest = {s.p + open, s.n - open < MAX_MATH ? s.n - open : MAX_MATH};
    size_t at = r1_answer_index(rest, close);
    return at < rest.n ? open + at + strlen(close) : 0;
}

/* $...$: the signs touch what they enclose, so that two prices are no formula. */
static size_t dollars(r1_span s)
{
    if (starts(s, "$$"))
        return upto(s, 2, "$$");
    for (size_t i = 1; i < s.n && i < MAX_MATH; i++) {
        if (s.p[i] == '\n' && i + 1 < s.n && s.p[i + 1] == '\n')
            return 0;
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '$')
            return i > 1 && s.p[1] != ' ' && s.p[i - 1] != ' ' &&
                           !(i + 1 < s.n && is_digit(s.p[i + 1]))
                       ? i + 1
                       : 0;
    }
    return 0;
}

/* A command with its arguments in braces and brackets. */
static size_t command(r1_span s)
{
    size_t n = 1;
    while (n < s.n && is_letter(s.p[n]))
        n++;
    if (starts(s, "\\begin{")) {
        size_t all = upto(s, 7, "\\end{"), name = all ? upto(s, all, "}") : 0;
        if (name)
            return name;
    }
    int depth = 0;
    for (size_t i = n; i < s.n && i < MAX_MATH; i++) {
        char c = s.p[i];
        if (c == '{' || (c == '[' && depth == 0 && i == n))
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth == 0) { /* another argument may follow */
            bool closed = c == '}' || c == ']';
            if (!closed)
                return n;
            n = i + 1;
        }
    }
    return n;
}

/* How many bytes at s are code, a formula, an address or a tag; 0: none. */
static size_t no_language(r1_span s)
{
    size_t n = 0;
    switch (s.p[0]) {
    case '`':
        if (starts(s, "```")) {
            r1_span rest = {s.p + 3, s.n - 3};
            size_t at = r1_answer_index(rest, "```");
            return at < rest.n ? at + 6 : s.n; /* a fence that does not close goes on */
        }
        n = upto(s, 1, "`");
        return n && !memchr(s.p, '\n', n) ? n : 1;
    case '$': n = dollars(s); return n ? n : 1;
    case '\\':
        n = starts(s, "\\(") ? upto(s, 2, "\\)") : starts(s, "\\[") ? upto(s, 2, "\\]") : 0;
        return n ? n : command(s);
    case '<':
        for (n = 1; n < s.n && n < 16 && (is_letter(s.p[n]) || s.p[n] == '/'); n++)
            ;
        return n > 1 && n < s.n && s.p[n] == '>' ? n + 1 : 1;
    case 'h':
    case 'w':
        if (starts(s, "http://") || starts(s, "https://") || starts(s, "www."))
            while (n < s.n && (unsigned char)s.p[n] > ' ')
                n++;
        return n;
    default: return 0;
    }
}

/* ---- Words ------------------------------------------------------------------------------- */

typedef struct {
    int wanted; /* row of languages[] */
    r1_language_count sum;
    int64_t words[N_SCRIPTS];    /* of this sentence */
    int64_t common[N_LANGUAGES]; /* of them, the commonest words of each language */
} counter;

static void end_sentence(counter *c)
{
    unsigned scripts = languages[c->wanted].scripts;
    int64_t most = 0;
    for (int i = 0; i < N_LANGUAGES; i++)
        most = c->common[i] > most ? c->common[i] : most;
    bool other_latin = most >= 2 && most > c->common[c->wanted];
    bool japanese = c->words[KANA] > 0;
    for (int s = 0; s < N_SCRIPTS; s++) {
        bool counts = scripts >> s & 1;
        if (s == LATIN)
            counts = counts && !other_latin;
        if (s == HAN && (scripts & BIT(KANA)))
            counts = counts && (japanese || c->words[HAN] <= SHORT_HAN);
        else if (s == HAN)
            counts = counts && !japanese;
        c->sum.words += c->words[s];
        c->sum.wanted += counts ? c->words[s] : 0;
    }
    memset(c->words, 0, sizeof c->words);
    memset(c->common, 0, sizeof c->common);
}

/* Names of functions and points, and variables, are not words of a language. */
static bool is_symbol(script s, const char *word, size_t n, int letters)
{
    static const char functions[] =
        " sin cos tan cot sec csc log ln exp max min lim gcd lcm mod "
        "det sqrt arcsin arccos arctan ";
    if (letters == 1)
        return (s == LATIN && !(n == 1 && strchr("aAI", word[0]))) || s == GREEK;
    if (s != LATIN)
        return false;
    bool capitals = letters <= 3;
    for (size_t i = 0; i < n; i++)
        capitals = capitals && word[i] >= 'A' && word[i] <= 'Z';
    char padded[MAX_WORD + 3];
    if (n > MAX_WORD)
        return capitals;
    padded[0] = ' ';
    memcpy(padded + 1, word, n);
    memcpy(padded + 1 + n, " ", 2);
    return capitals || strstr(functions, padded);
}

static void add_word(counter *c, script s, const char *word, size_t n, int letters)
{
    if (is_symbol(s, word, n, letters))
        return;
    c->words[s]++;
    if (s != LATIN || n > MAX_WORD)
        return;
    char padded[MAX_WORD + 3] = " ";
    for (size_t i = 0; i < n; i++)
        padded[i + 1] = word[i] >= 'A' && word[i] <= 'Z' ? (char)(word[i] + 32) : word[i];
    padded[n + 1] = ' ';
    for (int i = 0; i < N_LANGUAGES; i++)
        c->common[i] += languages[i].common && strstr(languages[i].common, padded) != NULL;
}

/* The next character; an invalid byte is a sign. */
static size_t decode(r1_span s, utf8proc_int32_t *code)
{
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p,
                                          s.n < 4 ? (utf8proc_ssize_t)s.n : 4, code);
    if (n > 0)
        return (size_t)n;
    *code = 0xFFFD;
    return 1;
}

typedef enum { SIGN, LETTER, MARK, DIGIT } kind;

static kind kind_of(utf8proc_int32_t code)
{
    if (code < 0x80)
        return is_letter((char)code) ? LETTER : is_digit((char)code) ? DIGIT : SIGN;
    utf8proc_category_t k = utf8proc_category(code);
    if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO)
        return LETTER;
    if (k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME)
        return MARK;
    return k == UTF8PROC_CATEGORY_ND ? DIGIT : SIGN;
}

/* A word or an identifier at s; returns its bytes. */
static size_t read_word(counter *c, r1_span s)
{
    script first = N_SCRIPTS;
    bool code_like = false, was_small = false;
    int letters = 0;
    size_t n = 0;
    while (n < s.n) {
        utf8proc_int32_t code;
        size_t step = decode((r1_span){s.p + n, s.n - n}, &code);
        kind k = kind_of(code);
        if (k == LETTER) {
            script is = script_of(code);
            if (first != N_SCRIPTS && is != first)
                break;
            first = is;
            letters++;
            if (by_character(is)) {
                c->words[is]++;
                return n + step;
            }
            bool small = code < 0x80 && code >= 'a';
            code_like = code_like || (was_small && code < 0x80 && !small);
            was_small = small;
        } else if (k == DIGIT || code == '_') {
            code_like = true;
        } else if (code == '\'' || code == 0x2019) {
            utf8proc_int32_t next = 0;
            if (n + step < s.n)
                decode((r1_span){s.p + n + step, s.n - n - step}, &next);
            if (!letters || kind_of(next) != LETTER)
                break;
            was_small = false;
        } else if (k != MARK) {
            break;
        }
        n += step;
    }
    code_like = code_like || (n < s.n && s.p[n] == '(');
    if (!code_like && letters)
        add_word(c, first, s.p, n, letters);
    return n ? n : 1;
}

static bool ends_sentence(utf8proc_int32_t code, r1_span rest)
{
    if (code == '.')
        return rest.n == 0 || (unsigned char)rest.p[0] <= ' ';
    return code == '\n' || code == '!' || code == '?' || code == 0x3002 || code == 0xFF01 ||
           code == 0xFF1F || code == 0xFF1B;
}

bool r1_language_measure(const char *language, const char *text, size_t len,
                         r1_language_count *out)
{
    counter c = {.wanted = find_language(language)};
    *out = c.sum;
    if (c.wanted < 0)
        return false;
    for (size_t i = 0; i < len;) {
        r1_span s = {text + i, len - i};
        size_t skip = no_language(s);
        if (skip) {
            i += skip;
            continue;
        }
        utf8proc_int32_t code;
        size_t step = decode(s, &code);
        kind k = kind_of(code);
        if (k == LETTER || k == DIGIT || code == '_') {
            i += read_word(&c, s);
            continue;
        }
        i += step;
        if (ends_sentence(code, (r1_span){text + i, len - i}))
            end_sentence(&c);
    }
    end_sentence(&c);
    *out = c.sum;
    return true;
}

/* ---- The verifier ------------------------------------------------------------------------ */

static r1_status read_spec(const json_t *spec, const char **language, r1_err *err)
{
    *language = json_string_value(spec);
    if (!*language)
        R1_TRY(r1_json_str(spec, "language", "language", language, err));
    if (find_language(*language) >= 0)
        return R1_OK;
    r1_buf all;
    r1_buf_init(&all, 0);
    for (int i = 0; i < N_LANGUAGES; i++)
        r1_buf_printf(&all, "%s%s", i ? ", " : "", languages[i].code);
    r1_status s = r1_fail(err, R1_EFORMAT, "language: '%.20s' is unknown; there are %s",
                          *language, all.data);
    r1_buf_release(&all);
    return s;
}

static r1_span thought_of(const char *text, size_t len)
{
    static const char open[] = "<think>", close[] = "</think>";
    r1_span s = {text, len};
    size_t begin = r1_answer_index(s, open);
    begin = begin < s.n ? begin + sizeof open - 1 : 0;
    s = (r1_span){s.p + begin, s.n - begin};
    size_t end = s.n, at;
    for (size_t from = 0;
         (at = r1_answer_index((r1_span){s.p + from, s.n - from}, close)) < s.n - from;) {
        end = from + at;
        from = end + sizeof close - 1;
    }
    s.n = end;
    return s;
}

/* A share needs no end: a thought that was cut off has one. */
r1_verdict r1_language_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    (void)terminated;
    r1_verdict v = {0};
    const char *language;
    r1_language_count n;
    if (read_spec(spec, &language, NULL) != R1_OK)
        return v;
    r1_span s = thought_of(text, len);
    r1_language_measure(language, s.p, s.n, &n);
    v.formatted = n.words > 0;
    v.reward = n.words ? (double)n.wanted / (double)n.words : 0;
    v.correct = v.formatted && n.wanted == n.words;
    return v;
}

r1_status r1_language_check(const json_t *spec, r1_err *err)
{
    const char *language;
    return read_spec(spec, &language, err);
}
