/* calls.c: see calls.h.
 *
 * Marks that are tokens of the vocabulary are tokens in the grammar: the model writes them as it
 * was taught, and text cannot spell them. */
#include "engine/calls.h"

#include <stdio.h>
#include <string.h>

enum { MARK_MAX = 64, CALLS_MAX = 64 };

/* The token that text[0..] begins with, if it is one in <>; *n its bytes. */
static int32_t mark_at(const r1_tokenizer *t, const char *text, size_t *n)
{
    const char *end = *text == '<' ? strchr(text, '>') : NULL;
    if (end == NULL || end - text >= MARK_MAX)
        return -1;
    char mark[MARK_MAX + 1];
    *n = (size_t)(end - text) + 1;
    memcpy(mark, text, *n);
    mark[*n] = '\0';
    return r1_tokenizer_find(t, mark);
}

/* A text with its marks; returns where it ends. */
static int add_marked(r1_grammar *g, const r1_tokenizer *t, int from, const char *text)
{
    for (size_t n = 1; *text != '\0'; text += n) {
        int32_t id = mark_at(t, text, &n);
        if (id < 0) {
            n = 1;
            from = r1_grammar_text(g, from, text, 1);
            continue;
        }
        int to = r1_grammar_place(g);
        r1_grammar_token(g, from, id, to);
        from = to;
    }
    return from;
}

/* A rule for one call of any of the tools. */
static r1_status add_call(r1_grammar *g, const r1_tokenizer *t, const r1_tools_marks *m,
                          const json_t *tools, const char *name, int *rule, r1_err *err)
{
    bool found = false;
    *rule = r1_grammar_rule(g);
    int from = add_marked(g, t, r1_grammar_begin(g, *rule), m->begin);
    json_t *any = json_pack("{s:s}", "type", "object");
    r1_status st = R1_OK;
    for (size_t i = 0; i < json_array_size(tools) && st == R1_OK; i++) {
        const json_t *f = json_object_get(json_array_get(tools, i), "function");
        const json_t *schema = json_object_get(f, "parameters");
        const char *mine = json_string_value(json_object_get(f, "name"));
        if (name != NULL && strcmp(name, mine) != 0)
            continue;
        found = true;
        if (json_object_size(schema) == 0)
            schema = any;
        char subject[96 + MARK_MAX];
        snprintf(subject, sizeof subject, "tools[%zu].function.parameters of %.64s", i, mine);
        int arguments, at = r1_grammar_text(g, from, mine, strlen(mine));
        at = add_marked(g, t, at, m->middle);
        st = r1_schema_add(g, schema, subject, &arguments, err);
        if (st != R1_OK)
            break;
        int end = r1_grammar_place(g);
        r1_grammar_call(g, at, arguments, end);
        r1_grammar_skip(g, add_marked(g, t, end, m->end), r1_grammar_end(g, *rule));
    }
    json_decref(any);
    if (st == R1_OK && !found)
        return r1_fail(err, R1_EARG, "tool_choice: there is no tool '%.64s'",
                       name != NULL ? name : "");
    return st;
}

/* A block of calls between two places. */
static void add_block(r1_grammar *g, const r1_tokenizer *t, const r1_tools_marks *m, int call,
                      bool parallel, int from, int to)
{
    int first = r1_grammar_place(g), last = r1_grammar_place(g);
    r1_grammar_skip(g, add_marked(g, t, from, m->open), first);
    int behind = r1_grammar_place(g);
    r1_grammar_call(g, first, call, behind);
    if (parallel && m->between != NULL) {
        int more = r1_grammar_rule(g);
        int next = add_marked(g, t, r1_grammar_begin(g, more), m->between);
        r1_grammar_call(g, next, call, r1_grammar_end(g, more));
        r1_grammar_repeat(g, behind, more, 0, CALLS_MAX - 1, last);
    } else {
        r1_grammar_skip(g, behind, last);
    }
    r1_grammar_skip(g, add_marked(g, t, last, m->close), to);
}

/* Any bytes in which the mark does not occur, from a place on: a place for each beginning of the
 * mark that the text ends with.  From each of them `to` can be reached. */
static void add_text_without(r1_grammar *g, int from, const char *mark, size_t n, int to)
{
    int place[MARK_MAX];
    r1_assert(n > 0 && n <= MARK_MAX);
    for (size_t i = 0; i < n; i++) {
        place[i] = i == 0 ? from : r1_grammar_place(g);
        r1_grammar_skip(g, place[i], to);
    }
    for (size_t i = 0; i < n; i++)
        for (int byte = 0; byte < 256; byte++) {
            /* The longest beginning of the mark that the text then ends with. */
            size_t k = i + 1;
            while (k > 0 && ((uint8_t)mark[k - 1] != byte ||
                             memcmp(mark, mark + i - (k - 1), k - 1) != 0))
                k--;
            if (k < n)
                r1_grammar_byte(g, place[i], (uint8_t)byte, (uint8_t)byte, place[k]);
        }
}

/* Text, and behind it a block of calls or nothing. */
static void add_auto(r1_grammar *g, const r1_tokenizer *t, r1_tools_format f,
                     const r1_tools_marks *m, int call, bool parallel)
{
    int begin = r1_grammar_begin(g, 0), end = r1_grammar_end(g, 0);
    int text = r1_grammar_place(g), behind = r1_grammar_place(g);
    r1_grammar_skip(g, behind, end);
    if (f == R1_TOOLS_LLAMA3) { /* a call is the whole reply, and begins with its brace */
        add_block(g, t, m, call, parallel, begin, end);
        r1_grammar_byte(g, begin, 0, '{' - 1, text);
        r1_grammar_byte(g, begin, '{' + 1, 255, text);
        r1_grammar_byte(g, text, 0, 255, text);
        r1_grammar_skip(g, begin, behind);
        r1_grammar_skip(g, text, behind);
        return;
    }
    const char *mark = *m->open != '\0' ? m->open : m->begin;
    r1_grammar_skip(g, begin, text);
    add_text_without(g, text, mark, strcspn(mark, ">") + 1, behind);
    add_block(g, t, m, call, parallel, behind, end);
}

r1_status r1_calls_grammar(const r1_tokenizer *t, r1_tools_format format, const json_t *tools,
                           r1_calls_choice choice, const char *name, bool parallel,
                           r1_grammar **out, r1_err *err)
{
    R1_TRY(r1_tools_check(tools, err));
    r1_grammar *g = r1_grammar_open();
    const r1_tools_marks m = r1_tools_marks_of(t, format);
    int call;
    r1_status st = add_call(g, t, &m, tools, name, &call, err);
    if (st == R1_OK && choice == R1_CALLS_AUTO)
        add_auto(g, t, format, &m, call, parallel);
    else if (st == R1_OK)
        add_block(g, t, &m, call, parallel, r1_grammar_begin(g, 0), r1_grammar_end(g, 0));
    if (st == R1_OK)
        st = r1_grammar_finish(g, "tools", err);
    if (st != R1_OK) {
        r1_grammar_close(g);
        return st;
    }
    *out = g;
    return R1_OK;
}
