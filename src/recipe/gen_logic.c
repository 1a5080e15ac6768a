/* gen_logic.c: procedural tasks of logic: knights and knaves, zebra puzzles, satisfiable formulas.
 * Knights and zebra puzzles have exactly one solution, which is checked by going through all. */
#include <stdio.h>
#include <string.h>

#include "recipe/gen.h"
#include "verify/logic.h"

/* ---- Knights and knaves ------------------------------------------------------------------ */

enum { MAX_PEOPLE = 8, N_NAMES = 16, STATEMENT = 96, SAID = 160 };

static const char *const people[N_NAMES] = {"Ann",  "Ben",  "Cleo", "Dan", "Eva", "Finn",
                                            "Gina", "Hugo", "Ida",  "Jon", "Kim", "Leo",
                                            "Mia",  "Nils", "Olga", "Paul"};

typedef struct {
    char formula[STATEMENT], said[SAID];
} statement;

/* "Ann is a knight", or its opposite; the speaker says "I am". */
static void put_role(char *out, size_t room, const char *name, bool self, bool knight)
{
    snprintf(out, room, "%s %s a %s", self ? "I" : name, self ? "am" : "is",
             knight ? "knight" : "knave");
}

static void draw_statement(r1_rng *r, const char *const *names, int n, int speaker,
                           statement *out)
{
    int who[2], kind = r1_gen_between(r, 0, 6);
    r1_gen_choose(r, n, 2, who);
    if (who[0] == speaker && kind < 3) { /* "I am a knight" says nothing; "Ben and I" */
        who[0] = who[1];
        who[1] = speaker;
    }
    bool x = r1_gen_chance(r, 50), y = r1_gen_chance(r, 50);
    const char *a = names[who[0]], *b = names[who[1]];
    const char *na = x ? "" : "!", *nb = y ? "" : "!";
    char one[64], two[64];
    put_role(one, sizeof one, a, who[0] == speaker, x);
    put_role(two, sizeof two, b, who[1] == speaker, y);
    switch (kind) {
    case 0:
    case 1:
        snprintf(out->formula, STATEMENT, "%s%s", na, a);
        snprintf(out->said, SAID, "%s", one);
        break;
    case 2:
        snprintf(out->formula, STATEMENT, x ? "%s <-> %s" : "%s ^ %s", a, b);
        snprintf(out->said, SAID, "%s and %s are of %s", a, who[1] == speaker ? "I" : b,
                 x ? "the same kind" : "different kinds");
        break;
    case 3:
        snprintf(out->formula, STATEMENT, "%s%s & %s%s", na, a, nb, b);
        snprintf(out->said, SAID, "%s and %s", one, two);
        break;
    case 4:
        snprintf(out->formula, STATEMENT, "%s%s | %s%s", na, a, nb, b);
        snprintf(out->said, SAID, "%s or %s, or both", one, two);
        break;
    case 5:
        snprintf(out->formula, STATEMENT, "%s%s -> %s%s", na, a, nb, b);
        snprintf(out->said, SAID, "If %s, then %s", one, two);
        break;
    default:
        snprintf(out->formula, STATEMENT, "%s%s <-> %s%s", na, a, nb, b);
        snprintf(out->said, SAID, "%s exactly if %s", one, two);
        break;
    }
}

static int count_worlds(const char *const *names, int n, const statement *s)
{
    int worlds = 0;
    for (uint32_t w = 0; w < 1u << n; w++) {
        bool all = true, truth = false;
        for (int i = 0; i < n && all; i++)
            all = r1_logic_eval(s[i].formula, names, n, w, &truth) && truth == (w >> i & 1);
        worlds += all;
    }
    return worlds;
}

static bool make_knights(r1_rng *r, int level, r1_problem *out)
{
    static const int sizes[] = {2, 3, 4, 5, 7};
    const int n = sizes[level - 1];
    const char *names[MAX_PEOPLE];
    int who[MAX_PEOPLE];
    statement s[MAX_PEOPLE];
    r1_gen_choose(r, N_NAMES, n, who);
    for (int i = 0; i < n; i++)
        names[i] = people[who[i]];
    uint32_t world = r1_rng_below(r, 1u << n);
    for (int i = 0; i < n; i++) {
        bool truth = false;
        do {
            draw_statement(r, names, n, i, &s[i]);
            r1_assert(r1_logic_eval(s[i].formula, names, n, world, &truth));
        } while (truth != (world >> i & 1));
    }
    if (count_worlds(names, n, s) != 1)
        return false;

    json_t *list = json_array(), *says = json_array();
    r1_buf q, solution;
    int failed = 0;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_puts(&q,
                "On an island everybody is either a knight, who always tells the truth, or a "
                "knave, who always lies. You meet ");
    for (int i = 0; i < n; i++)
        r1_buf_printf(&q, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", names[i]);
    r1_buf_puts(&q, ".\n");
    for (int i = 0; i < n; i++) {
        r1_buf_printf(&q, "%s says: \"%s.\"\n", names[i], s[i].said);
        r1_buf_printf(&solution, "%s%s is a %s", i ? ", " : "", names[i],
                      world >> i & 1 ? "knight" : "knave");
        failed |= json_array_append_new(list, json_string(names[i]));
        failed |= json_array_append_new(says, json_string(s[i].formula));
    }
    r1_assert(!failed);
    r1_buf_puts(&q, "Who is what?");
    r1_gen_finish(out, &q, "what each of them is", "Zoe is a knight, Tom is a knave",
                  json_pack("{s:o,s:o}", "names", list, "statements", says), "knights",
                  solution.data);
    r1_buf_release(&solution);
    return true;
}

/* ---- Formulas ---------------------------------------------------------------------------- */

enum { MAX_VARIABLES = 8, MAX_CLAUSES = 40 };

static const char *const variables[MAX_VARIABLES] = {"p", "q", "r", "s", "t", "u", "v", "w"};

/* Two or three variables or their opposites, joined. */
static void draw_clause(r1_rng *r, int n, char *out, size_t room)
{
    static const char *const joins[] = {"|", "|", "->", "^", "<->", "&"};
    int who[3], three = r1_gen_chance(r, 60) && n >= 3;
    const char *first = joins[r1_gen_between(r, 0, 4)],
               *second = joins[r1_gen_between(r, 0, 5)];
    r1_gen_choose(r, n, three ? 3 : 2, who);
    const char *no[3];
    for (int i = 0; i < 3; i++)
        no[i] = r1_gen_chance(r, 40) ? "!" : "";
    if (three)
        snprintf(out, room, "(%s%s %s (%s%s %s %s%s))", no[0], variables[who[0]], first, no[1],
                 variables[who[1]], second, no[2], variables[who[2]]);
    else
        snprintf(out, room, "(%s%s %s %s%s)", no[0], variables[who[0]], first, no[1],
                 variables[who[1]]);
}

/* Clauses that a hidden assignment satisfies, until few others do. */
static bool make_boolean(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        int variables, most; /* satisfying assignments that may remain */
    } levels[] = {{3, 2}, {4, 3}, {5, 3}, {6, 3}, {8, 4}};
    const int n = levels[level - 1].variables;
    uint32_t hidden = r1_rng_below(r, 1u << n);
    bool left[1 << MAX_VARIABLES];
    int remain = 1 << n;
    r1_buf formula, q, solution;
    r1_buf_init(&formula, 0);
    for (int w = 0; w < 1 << n; w++)
        left[w] = true;
    for (int k = 0; k < MAX_CLAUSES && remain > levels[level - 1].most; k++) {
        char clause[64];
        bool value = false;
        int keeps = 0;
        draw_clause(r, n, clause, sizeof clause);
        r1_assert(r1_logic_eval(clause, variables, n, hidden, &value));
        if (!value)
            continue;
        for (uint32_t w = 0; w < 1u << n; w++)
            keeps += left[w] && r1_logic_eval(clause, variables, n, w, &value) && value;
        if (keeps == remain) /* it says nothing new */
            continue;
        for (uint32_t w = 0; w < 1u << n; w++)
            left[w] = left[w] && r1_logic_eval(clause, variables, n, w, &value) && value;
        remain = keeps;
        r1_buf_printf(&formula, "%s%s", formula.len ? " & " : "", clause);
    }
    if (remain > levels[level - 1].most) {
        r1_buf_release(&formula);
        return false;
    }
    json_t *names = json_array();
    int failed = 0;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_puts(&q, "Find truth values of ");
    for (int i = 0; i < n; i++) {
        r1_buf_printf(&q, "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", variables[i]);
        r1_buf_printf(&solution, "%s%s = %s", i ? ", " : "", variables[i],
                      hidden >> i & 1 ? "true" : "false");
        failed |= json_array_append_new(names, json_string(variables[i]));
    }
    r1_assert(!failed);
    r1_buf_printf(&q,
                  " that make this formula true, where ! means not, & and, | or, ^ exclusive "
                  "or, -> implies, <-> if and only if:\n%s",
                  formula.data);
    r1_gen_finish(out, &q, "the value of every variable", "p = true, q = false",
                  json_pack("{s:o,s:s}", "names", names, "formula", formula.data), "boolean",
                  solution.data);
    r1_buf_release(&formula);
    r1_buf_release(&solution);
    return true;
}

/* ---- Zebra puzzles: a solver ------------------------------------------------------------- */

enum { MAX_ITEMS = R1_LOGIC_ATTRIBUTES * R1_LOGIC_HOUSES, MAX_CLUES = 96 };

typedef struct {
    r1_clue_kind kind;
    int a, b; /* items; for AT and NOT_AT b is the house, from 1 */
} clue;

/* Item i belongs to attribute i / houses.  Bit h-1 of a domain: it may stand at house h. */
typedef struct {
    int houses, items;
    const clue *clues;
    int n_clues;
    uint8_t mate[R1_CLUE_N][2][R1_LOGIC_HOUSES]; /* where the other item may stand */
    int found, limit;
} solver;

static bool at_house(r1_clue_kind kind)
{
    return kind == R1_CLUE_AT || kind == R1_CLUE_NOT_AT;
}

static void settle(const solver *s, uint8_t *domain, int item, int house)
{
    uint8_t bit = (uint8_t)(1u << (house - 1));
    int first = item / s->houses * s->houses;
    for (int i = first; i < first + s->houses; i++)
        domain[i] = i == item ? bit : (uint8_t)(domain[i] & ~bit);
    for (int k = 0; k < s->n_clues; k++) {
        const clue *c = &s->clues[k];
        if (at_house(c->kind))
            continue;
        if (c->a == item)
            domain[c->b] &= s->mate[c->kind][0][house - 1];
        if (c->b == item)
            domain[c->a] &= s->mate[c->kind][1][house - 1];
    }
}

/* The item with the fewest houses left is placed next. */
static void search(solver *s, const uint8_t *domain, uint64_t placed)
{
    int best = -1, least = R1_LOGIC_HOUSES + 1;
    for (int i = 0; i < s->items; i++) {
        int left = __builtin_popcount(domain[i]);
        if (left == 0)
            return;
        if (!(placed >> i & 1) && left < least) {
            least = left;
            best = i;
        }
    }
    if (best < 0) {
        s->found++;
        return;
    }
    for (int h = 1; h <= s->houses && s->found < s->limit; h++) {
        if (!(domain[best] >> (h - 1) & 1))
            continue;
        uint8_t next[MAX_ITEMS];
        memcpy(next, domain, (size_t)s->items);
        settle(s, next, best, h);
        search(s, next, placed | (uint64_t)1 << best);
    }
}

static int count_arrangements(int houses, int items, const clue *clues, int n, int limit)
{
    solver s = {.houses = houses, .items = items, .clues = clues, .n_clues = n, .limit = limit};
    uint8_t domain[MAX_ITEMS];
    memset(domain, (1 << houses) - 1, (size_t)items);
    for (int k = 0; k < R1_CLUE_N; k++)
        for (int h = 1; h <= houses; h++)
            for (int o = 1; o <= houses; o++) {
                uint8_t bit = (uint8_t)(1u << (o - 1));
                s.mate[k][0][h - 1] |= r1_logic_clue_holds((r1_clue_kind)k, h, o) ? bit : 0;
                s.mate[k][1][h - 1] |= r1_logic_clue_holds((r1_clue_kind)k, o, h) ? bit : 0;
            }
    for (int i = 0; i < n; i++)
        for (int h = 1; h <= houses && at_house(clues[i].kind); h++)
            if (!r1_logic_clue_holds(clues[i].kind, h, clues[i].b))
                domain[clues[i].a] &= (uint8_t) ~(1u << (h - 1));
    search(&s, domain, 0);
    return s.found;
}

/* ---- Zebra puzzles ----------------------------------------------------------------------- */

enum { N_ATTRIBUTES = 6, N_VALUES = 7, MAX_HOUSES = 5 };

/* How a sentence speaks of the one who has a value, and says that one has it. */
static const struct {
    const char *name, *who, *has, *values[N_VALUES];
} attributes[N_ATTRIBUTES] = {
    {"name",
     "%s",
     "is called %s",
     {"Alice", "Bruno", "Carla", "David", "Elena", "Frank", "Greta"}},
    {"colour",
     "the owner of the %s house",
     "lives in the %s house",
     {"red", "green", "blue", "yellow", "white", "orange", "purple"}},
    {"drink",
     "the one who drinks %s",
     "drinks %s",
     {"tea", "coffee", "milk", "water", "juice", "cocoa", "lemonade"}},
    {"pet",
     "the keeper of the %s",
     "keeps the %s",
     {"cat", "dog", "horse", "parrot", "snail", "zebra", "rabbit"}},
    {"job",
     "the %s",
     "works as a %s",
     {"baker", "doctor", "pilot", "teacher", "painter", "farmer", "lawyer"}},
    {"sport",
     "the one who likes %s",
     "likes %s",
     {"tennis", "chess", "rowing", "golf", "hockey", "skating", "boxing"}},
};

typedef struct {
    int houses, n;
    int attribute[N_ATTRIBUTES];
    const char *value[MAX_ITEMS];
    int position[MAX_ITEMS]; /* the hidden arrangement, from 1 */
} street;

static void put_phrase(r1_buf *b, const street *s, int item, bool who)
{
    int a = s->attribute[item / s->houses];
    const char *form = who ? attributes[a].who : attributes[a].has, *at = strstr(form, "%s");
    r1_buf_append(b, form, (size_t)(at - form));
    r1_buf_puts(b, s->value[item]);
    r1_buf_puts(b, at + 2);
}

static void put_clue(r1_buf *b, const street *s, const clue *c)
{
    size_t begin = b->len;
    put_phrase(b, s, c->a, true);
    char first = b->data[begin];
    if (first >= 'a' && first <= 'z')
        b->data[begin] = (char)(first - 'a' + 'A');
    static const char *const relations[R1_CLUE_N] = {NULL,
                                                     NULL,
                                                     " lives directly to the left of ",
                                                     " lives next to ",
                                                     " lives somewhere to the left of ",
                                                     NULL,
                                                     NULL};
    if (at_house(c->kind)) {
        r1_buf_printf(b,
                      c->kind == R1_CLUE_AT ? " lives in house %d"
                                            : " does not live in "
                                              "house %d",
                      c->b);
    } else if (c->kind == R1_CLUE_SAME) {
        r1_buf_putc(b, ' ');
        put_phrase(b, s, c->b, false);
    } else if (c->kind == R1_CLUE_APART) {
        r1_buf_puts(b, " is not ");
        put_phrase(b, s, c->b, true);
    } else {
        r1_buf_puts(b, relations[c->kind]);
        put_phrase(b, s, c->b, true);
    }
    r1_buf_puts(b, ".\n");
}

/* A true clue; at higher levels fewer say a house outright. */
static clue draw_clue(r1_rng *r, const street *s, int level)
{
    const int items = s->houses * s->n;
    for (;;) {
        int roll = r1_gen_between(r, 0, 99), direct = 24 - 4 * level;
        clue c = {R1_CLUE_SAME, r1_gen_between(r, 0, items - 1), 0};
        if (roll < direct)
            c.kind = roll % 2 ? R1_CLUE_AT : R1_CLUE_NOT_AT;
        else if (roll >= 55)
            c.kind = roll < 70   ? R1_CLUE_LEFT
                     : roll < 85 ? R1_CLUE_NEXT
                     : roll < 93 ? R1_CLUE_BEFORE
                                 : R1_CLUE_APART;
        c.b = at_house(c.kind) ? r1_gen_between(r, 1, s->houses)
                               : r1_gen_between(r, 0, items - 1);
        bool same_kind = !at_house(c.kind) && c.a / s->houses == c.b / s->houses;
        bool needs_two = c.kind == R1_CLUE_SAME || c.kind == R1_CLUE_APART;
        if ((same_kind && (needs_two || c.a == c.b)) ||
            !r1_logic_clue_holds(c.kind, s->position[c.a],
                                 at_house(c.kind) ? c.b : s->position[c.b]))
            continue;
        return c;
    }
}

/* Clues until only one arrangement is left, then without those that are not needed. */
static int draw_clues(r1_rng *r, const street *s, int level, clue *out)
{
    const int items = s->houses * s->n;
    int n = 0;
    while (n < MAX_CLUES) {
        clue c = draw_clue(r, s, level);
        bool known = false;
        for (int i = 0; i < n; i++)
            known = known || (out[i].kind == c.kind && out[i].a == c.a && out[i].b == c.b);
        if (known)
            continue;
        out[n++] = c;
        if (n >= items / 2 && count_arrangements(s->houses, items, out, n, 2) == 1)
            break;
    }
    for (int i = n - 1; i >= 0; i--) {
        clue c = out[i];
        out[i] = out[n - 1];
        if (count_arrangements(s->houses, items, out, n - 1, 2) == 1)
            n--;
        else
            out[i] = c;
    }
    return count_arrangements(s->houses, items, out, n, 2) == 1 ? n : 0;
}

static void draw_street(r1_rng *r, int level, street *out)
{
    static const struct {
        int houses, attributes;
    } levels[] = {{3, 2}, {3, 3}, {4, 3}, {4, 4}, {5, 5}};
    *out = (street){.houses = levels[level - 1].houses, .n = levels[level - 1].attributes};
    r1_gen_choose(r, N_ATTRIBUTES, out->n, out->attribute);
    for (int a = 0; a < out->n; a++) {
        int value[MAX_HOUSES], house[MAX_HOUSES];
        r1_gen_choose(r, N_VALUES, out->houses, value);
        r1_gen_choose(r, out->houses, out->houses, house);
        for (int i = 0; i < out->houses; i++) {
            out->value[a * out->houses + i] = attributes[out->attribute[a]].values[value[i]];
            out->position[a * out->houses + i] = house[i] + 1;
        }
    }
}

static json_t *zebra_spec(const street *s, const clue *clues, int n)
{
    json_t *all = json_array(), *list = json_array();
    int failed = 0;
    for (int a = 0; a < s->n; a++) {
        json_t *values = json_array();
        for (int i = 0; i < s->houses; i++)
            failed |= json_array_append_new(values, json_string(s->value[a * s->houses + i]));
        failed |= json_array_append_new(
            all,
            json_pack("{s:s,s:o}", "name", attributes[s->attribute[a]].name, "values", values));
    }
    for (int i = 0; i < n; i++) {
        const clue *c = &clues[i];
        const char *kind = r1_logic_clue_names[c->kind], *a = s->value[c->a];
        failed |= json_array_append_new(
            list, at_house(c->kind) ? json_pack("[s,s,i]", kind, a, c->b)
                                    : json_pack("[s,s,s]", kind, a, s->value[c->b]));
    }
    r1_assert(!failed);
    return json_pack("{s:o,s:o}", "attributes", all, "clues", list);
}

static bool make_zebra(r1_rng *r, int level, r1_problem *out)
{
    street s;
    clue clues[MAX_CLUES];
    draw_street(r, level, &s);
    int n = draw_clues(r, &s, level, clues);
    if (n == 0)
        return false;
    r1_buf q, solution;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_printf(
        &q,
        "There are %d houses in a row, numbered 1 to %d from left to right. One person "
        "lives in each. They differ in these things:\n",
        s.houses, s.houses);
    for (int a = 0; a < s.n; a++) {
        int order[MAX_HOUSES];
        r1_gen_choose(r, s.houses, s.houses, order);
        r1_buf_printf(&q, "- %s:", attributes[s.attribute[a]].name);
        for (int i = 0; i < s.houses; i++)
            r1_buf_printf(&q, "%s %s", i ? "," : "", s.value[a * s.houses + order[i]]);
        r1_buf_puts(&q, "\n");
    }
    r1_buf_puts(&q, "What is known:\n");
    for (int i = 0; i < n; i++) {
        r1_buf_printf(&q, "%d. ", i + 1);
        put_clue(&q, &s, &clues[i]);
    }
    r1_buf_puts(&q, "Who lives where, and what belongs to whom?");
    for (int h = 1; h <= s.houses; h++) {
        r1_buf_printf(&solution, "%sHouse %d: ", h > 1 ? "\n" : "", h);
        for (int i = 0, first = 1; i < s.houses * s.n; i++)
            if (s.position[i] == h) {
                r1_buf_printf(&solution, "%s%s", first ? "" : ", ", s.value[i]);
                first = 0;
            }
    }
    r1_gen_finish(out, &q, "a line for each house with all that belongs to it",
                  "House 1: Zoe, tea\nHouse 2: Tom, milk", zebra_spec(&s, clues, n), "zebra",
                  solution.data);
    r1_buf_release(&solution);
    return true;
}

int r1_gen_logic_count(const json_t *zebra, int limit)
{
    street s = {.n = (int)json_array_size(json_object_get(zebra, "attributes"))};
    const json_t *list = json_object_get(zebra, "clues");
    clue clues[MAX_CLUES];
    int n = (int)json_array_size(list);
    r1_assert(n <= MAX_CLUES && s.n <= N_ATTRIBUTES);
    for (int a = 0; a < s.n; a++) {
        const json_t *values = json_object_get(
            json_array_get(json_object_get(zebra, "attributes"), (size_t)a), "values");
        s.houses = (int)json_array_size(values);
        for (int i = 0; i < s.houses; i++)
            s.value[a * s.houses + i] = json_string_value(json_array_get(values, (size_t)i));
    }
    const int items = s.houses * s.n;
    for (int k = 0; k < n; k++) {
        const json_t *c = json_array_get(list, (size_t)k), *b = json_array_get(c, 2);
        clues[k] = (clue){R1_CLUE_SAME, 0, (int)json_integer_value(b)};
        while (strcmp(r1_logic_clue_names[clues[k].kind],
                      json_string_value(json_array_get(c, 0))) != 0)
            clues[k].kind++;
        for (int i = 0; i < items; i++) {
            if (strcmp(s.value[i], json_string_value(json_array_get(c, 1))) == 0)
                clues[k].a = i;
            if (json_is_string(b) && strcmp(s.value[i], json_string_value(b)) == 0)
                clues[k].b = i;
        }
    }
    return count_arrangements(s.houses, items, clues, n, limit);
}

/* ---- The tasks --------------------------------------------------------------------------- */

const r1_task r1_gen_logic_knights = {
    .name = "knights",
    .help = "2 to 7 knights and knaves, of whom each says something",
    .verifier = "knights",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_knights,
};
const r1_task r1_gen_logic_zebra = {
    .name = "zebra",
    .help = "who lives where: 3 houses with 2 properties to 5 with 5",
    .verifier = "zebra",
    .max_tokens = 4096,
    .levels = R1_GEN_LEVELS,
    .make = make_zebra,
};
const r1_task r1_gen_logic_boolean = {
    .name = "boolean",
    .help = "an assignment that satisfies a formula of 3 to 8 variables",
    .verifier = "boolean",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_boolean,
};
