/* test_schema.c: JSON schemas as grammars: which texts they allow, what they refuse to understand,
 * and the verdicts of Python's jsonschema over random schemas and texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "bytes.h"

#include "base/rng.h"
#include "engine/schema.h"

static r1_tokenizer *tok;
static r1_vocab *vocab;

static int open_all(void **state)
{
    (void)state;
    tok = bytes_tokenizer(NULL);
    vocab = r1_vocab_open(tok, r1_tokenizer_size(tok));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    r1_vocab_close(vocab);
    r1_tokenizer_close(tok);
    return 0;
}

static bool allows(r1_grammar *g, const char *text)
{
    int n = (int)strlen(text);
    int32_t *ids = r1_mem_alloc((size_t)(n + 1) * sizeof *ids);
    r1_grammar_at at = {0};
    for (int i = 0; i < n; i++)
        ids[i] = (unsigned char)text[i];
    bool yes = r1_grammar_read(g, vocab, &at, ids, n) &&
               r1_grammar_ends(g, vocab, &at, ids, n) != R1_GRAMMAR_GOES_ON;
    r1_mem_free(ids);
    return yes;
}

static r1_grammar *compile(const char *text)
{
    r1_err err = {0};
    json_t *schema = json_loads(text, JSON_DECODE_ANY, NULL);
    r1_grammar *g = NULL;
    if (schema == NULL)
        fail_msg("no JSON: %s", text);
    if (r1_schema_grammar(schema, "schema", &g, &err) != R1_OK)
        fail_msg("%s: %s", text, err.msg);
    json_decref(schema);
    return g;
}

#define NODE                                                                       \
    "{'$ref':'#/$defs/n','$defs':{'n':{'type':'object','properties':{'v':{'type':" \
    "'integer'},'next':{'anyOf':[{'$ref':'#/$defs/n'},{'type':'null'}]}},"         \
    "'required':['v','next'],'additionalProperties':false}}}"

/* In texts and schemas ' stands for ". */
static const struct {
    const char *schema, *yes[8], *no[8];
} cases[] = {
    {"true", {"1", "'a'", "[]", "{}", "null", "[1, {'a': false}]"}, {"", "[", "01", "tru"}},
    {"{'type':'object'}", {"{}", "{'a':1}", "{ 'a': [1],\n  'b': {}\n}"}, {"[]", "1", "{a:1}"}},
    {"{'type':'string'}",
     {"''", "'a\\u00e9\xC3\xA9'", "'\\ud83d\\ude00'", "'\\\\\\n'"},
     {"'\\ud83d'", "'\\u0000'", "'\xC3'", "'\n'", "'", "'\\x'", "'\xED\xA0\x80'"}},
    {"{'type':'string','minLength':2,'maxLength':3}",
     {"'ab'", "'\xC3\xA9\xC3\xA9\xC3\xA9'", "'\\n\\n'"},
     {"'a'", "'abcd'", "'\xC3\xA9'"}},
    {"{'type':'string','pattern':'^[a-c]+$'}", {"'abc'", "'a'"}, {"''", "'d'", "'abd'"}},
    {"{'type':'string','pattern':'b','maxLength':3}", {"'b'", "'abc'"}, {"'ac'", "'abcd'"}},
    {"{'type':'string','format':'date'}",
     {"'2024-02-29'", "'2023-12-31'"},
     {"'2023-02-29'", "'2024-13-01'", "'2024-04-31'", "'1900-02-29'"}},
    {"{'type':'string','format':'date-time'}",
     {"'2024-02-29T23:59:59Z'", "'2024-02-28T00:00:00.5+01:00'"},
     {"'2024-02-29 23:59:59Z'", "'2024-02-29T24:00:00Z'"}},
    {"{'type':'string','format':'uuid'}",
     {"'00000000-0000-0000-0000-00000000000f'"},
     {"'00000000-0000-0000-0000-00000000000g'"}},
    {"{'type':'string','format':'email'}",
     {"'a.b+c@d-e.org'"},
     {"'a@b'", "'@b.org'", "'a b@c.org'"}},
    {"{'type':'string','format':'ipv4'}", {"'127.0.0.1'"}, {"'256.0.0.1'", "'1.2.3'"}},
    {"{'type':'integer'}", {"0", "-1", "12"}, {"1.0", "01", "+1", "1e2", "-"}},
    {"{'type':'number'}", {"0", "-1.5", "2e9", "1.25E-3"}, {"1.", ".5", "1e", "1e999"}},
    {"{'type':'integer','minimum':-3,'maximum':120}",
     {"-3", "0", "99", "100", "120"},
     {"-4", "121", "1000", "-12"}},
    {"{'type':'integer','exclusiveMinimum':9,'maximum':10}", {"10"}, {"9", "11", "1"}},
    {"{'type':'number','minimum':0.5,'exclusiveMaximum':1.25}",
     {"0.5", "1", "1.2", "1.24", "0.50"},
     {"0.4", "1.25", "1.3", "-0.5", "0"}},
    {"{'type':'number','exclusiveMaximum':-0.5}",
     {"-0.6", "-1", "-100"},
     {"-0.5", "0", "-0.4"}},
    {"{'type':'integer','multipleOf':7,'minimum':-14}",
     {"-14", "0", "7", "7007"},
     {"-21", "8"}},
    {"{'enum':['a','ab',3,null,{'x':[1,2.5]}]}",
     {"'a'", "'ab'", "3", "null", "{'x': [1, 2.5]}"},
     {"'b'", "4", "'abc'"}},
    {"{'const':'x\\ny'}", {"'x\\ny'"}, {"'x'"}},
    {"{'type':'string','enum':['a',1],'minLength':1}", {"'a'"}, {"1"}},
    {"{'type':['string','null']}", {"'a'", "null"}, {"1"}},
    {"{'type':'boolean','nullable':true}", {"true", "false", "null"}, {"0"}},
    {"{'type':'array','items':{'type':'integer'},'minItems':1,'maxItems':3}",
     {"[1]", "[1,2,3]", "[ 1, 2\n]"},
     {"[]", "[1,2,3,4]", "[1,]", "['a']"}},
    {"{'type':'array','items':{'type':'boolean'},'minItems':40,'maxItems':41}", {NULL}, {"[]"}},
    {"{'type':'array','prefixItems':[{'type':'integer'},{'type':'string'}],'items':false}",
     {"[]", "[1]", "[1, 'a']"},
     {"['a']", "[1, 2]", "[1, 'a', 1]"}},
    {"{'type':'array','items':[{'const':1}],'additionalItems':{'const':2},'minItems':2}",
     {"[1, 2]", "[1, 2, 2]"},
     {"[1]", "[2, 2]"}},
    {"{'type':'object','properties':{'a':{'type':'integer'},'b':{'type':'string'}},"
     "'required':['b']}",
     {"{'a': 1, 'b': ''}", "{'b': ''}"},
     {"{'a': 1}", "{'b': 1}", "{'b': '', 'a': 1}", "{'b': '', 'c': 1}", "{'b': '',}"}},
    {"{'type':'object','properties':{'ab':{}},'additionalProperties':{'type':'integer'}}",
     {"{}", "{'ab': 'x', 'a': 1, 'abc': 2}", "{'b': 1}", "{'': 1}", "{'\xC3\xA9': 1}"},
     {"{'b': 'x'}", "{'b': 1, 'ab': 2}", "{'\\u0061b': 1}"}},
    {"{'type':'object','minProperties':1,'maxProperties':2,'additionalProperties':true}",
     {"{'a': 1}", "{'a': 1, 'b': 2}"},
     {"{}", "{'a': 1, 'b': 2, 'c': 3}"}},
    {"{'type':'object','properties':{'a':{},'b':{},'c':{}},'minProperties':2}",
     {"{'a': 1, 'c': 1}", "{'a': 1, 'b': 1, 'c': 1}"},
     {"{'a': 1}", "{}"}},
    {"{'allOf':[{'type':'object','properties':{'a':{'type':'integer'}},'required':['a']},"
     "{'properties':{'a':{'minimum':5}}}]}",
     {"{'a': 5}"},
     {"{'a': 4}", "{}"}},
    {"{'anyOf':[{'type':'integer'},{'type':'string','maxLength':1}]}", {"12", "'a'"}, {"'ab'"}},
    {"{'oneOf':[{'type':'object','properties':{'k':{'const':'a'},'x':{'type':'integer'}},"
     "'required':['k','x']},{'type':'object','properties':{'k':{'const':'b'}},'required':['k']}"
     "]}",
     {"{'k': 'a', 'x': 1}", "{'k': 'b'}"},
     {"{'k': 'a'}", "{'k': 'c'}"}},
    {NODE, {"{'v': 1, 'next': {'v': 2, 'next': null}}"}, {"{'v': 1}", "{'v': 1, 'next': 2}"}},
    {"{'type':'object','properties':{'p':{'$ref':'#/definitions/a~1b'}},'definitions':"
     "{'a/b':{'type':'null'}}}",
     {"{'p': null}"},
     {"{'p': 1}"}},
};

static char *quoted(const char *s)
{
    char *copy = r1_mem_strdup(s);
    for (char *c = copy; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    return copy;
}

static void schemas_allow_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *schema = quoted(cases[i].schema);
        r1_grammar *g = compile(schema);
        for (int side = 0; side < 2; side++)
            for (int k = 0; k < 8; k++) {
                const char *s = side == 0 ? cases[i].yes[k] : cases[i].no[k];
                if (s == NULL)
                    break;
                char *text = quoted(s);
                if (allows(g, text) != (side == 0))
                    fail_msg("%s %s %s", schema, side == 0 ? "refuses" : "allows", text);
                r1_mem_free(text);
            }
        r1_grammar_close(g);
        r1_mem_free(schema);
    }
}

static const struct {
    const char *schema;
    r1_status status;
    const char *word; /* in the message */
} refused[] = {
    {"{'not':{}}", R1_EUNSUPPORTED, "'not'"},
    {"{'type':'object','properties':{'a':{'if':true}}}", R1_EUNSUPPORTED, "/properties/a"},
    {"{'type':'object','patternProperties':{}}", R1_EUNSUPPORTED, "patternProperties"},
    {"{'type':'array','uniqueItems':true}", R1_EUNSUPPORTED, "uniqueItems"},
    {"{'type':'string','format':'regex'}", R1_EUNSUPPORTED, "'regex'"},
    {"{'type':'string','pattern':'(?=a)'}", R1_EUNSUPPORTED, "look-around"},
    {"{'type':'string','pattern':'(a'}", R1_EFORMAT, "without its )"},
    {"{'type':'string','pattern':'(a{1000}){1000}'}", R1_EUNSUPPORTED, "too large"},
    {"{'type':'string','pattern':'a','format':'date'}", R1_EUNSUPPORTED, "more than one"},
    {"{'type':'number','multipleOf':0.01}", R1_EUNSUPPORTED, "multipleOf"},
    {"{'type':'integer','minimum':3,'maximum':2}", R1_EARG, "no text"},
    {"{'type':'strin'}", R1_EARG, "type"},
    {"{'type':5}", R1_EARG, "type"},
    {"{'minLength':-1}", R1_EARG, "minLength"},
    {"{'enum':3}", R1_EARG, "enum"},
    {"{'enum':[]}", R1_EARG, "no text"},
    {"{'anyOf':[]}", R1_EARG, "anyOf"},
    {"{'required':'a'}", R1_EARG, "required"},
    {"{'$ref':'#/nowhere'}", R1_EARG, "leads nowhere"},
    {"{'$ref':'http://a/b'}", R1_EUNSUPPORTED, "http://a/b"},
    {"{'$ref':'#'}", R1_EARG, "itself"},
    {"{'anyOf':[{'$ref':'#'},{'type':'null'}]}", R1_EARG, "itself"},
    {"{'allOf':[{'$ref':'#'}]}", R1_EARG, "itself"},
    {"{'type':'object','properties':{'a':{'$ref':'#'}},'required':['a']}", R1_EARG, "no text"},
    {"{'oneOf':[{'type':'integer'},{'type':'number'}]}", R1_EUNSUPPORTED, "0 and 1"},
    {"{'type':'object','minProperties':2}", R1_EUNSUPPORTED, "minProperties"},
    {"false", R1_EARG, "no text"},
    {"3", R1_EARG, "object"},
};

static void what_is_not_understood_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        r1_err err = {0};
        r1_grammar *g = NULL;
        char *text = quoted(refused[i].schema);
        json_t *schema = json_loads(text, JSON_DECODE_ANY, NULL);
        r1_status st = r1_schema_grammar(schema, "schema", &g, &err);
        if (st != refused[i].status || strstr(err.msg, refused[i].word) == NULL)
            fail_msg("%s: status %d, message '%s'", text, st, err.msg);
        json_decref(schema);
        r1_mem_free(text);
    }
}

/* Schemas that are made to take long end soon, one way or the other. */
static void hostile_schemas_end(void **state)
{
    (void)state;
    clock_t start = clock();
    r1_buf b;
    r1_buf_init(&b, 0);
    /* Two of two of two ...: 2^30 alternatives. */
    r1_buf_puts(&b, "{\"allOf\":[");
    for (int i = 0; i < 30; i++)
        r1_buf_printf(&b, "%s{\"anyOf\":[{\"minLength\":%d},{\"maxLength\":%d}]}",
                      i > 0 ? "," : "", i, 100 + i);
    r1_buf_puts(&b, "]}");
    json_t *schema = json_loads(b.data, 0, NULL);
    r1_grammar *g = NULL;
    r1_err err = {0};
    assert_int_equal(r1_schema_grammar(schema, "s", &g, &err), R1_EUNSUPPORTED);
    json_decref(schema);
    /* A million values. */
    schema = json_pack("{s:[]}", "enum");
    for (int i = 0; i < 200000; i++)
        json_array_append_new(json_object_get(schema, "enum"),
                              json_sprintf("%08x", (unsigned)i * 2654435761u));
    if (r1_schema_grammar(schema, "s", &g, NULL) == R1_OK)
        r1_grammar_close(g);
    json_decref(schema);
    /* Ways that cannot be told apart, doubling with each level. */
    g = compile("{\"$defs\":{\"a\":{\"anyOf\":[{\"type\":\"array\",\"items\":{\"$ref\":"
                "\"#/$defs/a\"}},{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/a\"},"
                "\"maxItems\":9}]}},\"$ref\":\"#/$defs/a\"}");
    int32_t ids[60];
    r1_grammar_at at = {0};
    for (int i = 0; i < 60; i++)
        ids[i] = i < 30 ? '[' : ']';
    assert_true(r1_grammar_read(g, vocab, &at, ids, 60));
    r1_grammar_close(g);
    /* Very many places at once: sets of tokens take long, but not for ever. */
    g = compile("{\"type\":\"string\",\"pattern\":\"^(a?b?c?){3000}$\"}");
    uint64_t *bits = r1_mem_alloc((size_t)vocab->words * sizeof *bits);
    at = (r1_grammar_at){0};
    for (int i = 0; i < 30; i++) {
        ids[i] = i == 0 ? '"' : 'a' + i % 3;
        assert_true(r1_grammar_mask(g, vocab, &at, ids, i, bits) > 0);
        assert_true(r1_grammar_read(g, vocab, &at, ids, i + 1));
    }
    r1_mem_free(bits);
    r1_grammar_close(g);
    r1_buf_reset(&b);
    r1_buf_puts(&b, "{\"type\":\"object\",\"additionalProperties\":true,\"properties\":{\"");
    for (int i = 0; i < 100000; i++)
        r1_buf_putc(&b, 'x');
    r1_buf_puts(&b, "\":{}}}");
    schema = json_loads(b.data, 0, NULL);
    assert_int_equal(r1_schema_grammar(schema, "s", &g, &err), R1_EUNSUPPORTED);
    json_decref(schema);
    r1_buf_release(&b);
    assert_true(clock() - start < 10 * CLOCKS_PER_SEC); /* of this process, not of the day */
}

/* tests/golden/schema.json: {"schema", "texts": [[text, valid], ...]}.  What a grammar allows is
 * valid; and most of what is valid and tidy is allowed. */
static void jsonschema_agrees(void **state)
{
    (void)state;
    r1_err err = {0};
    json_t *all, *one, *pair;
    size_t i, k;
    int valid = 0, allowed = 0, understood = 0;
    if (r1_json_load(R1_SOURCE_DIR "/tests/golden/schema.json", 1 << 24, &all, &err) != R1_OK)
        fail_msg("%s", err.msg);
    json_array_foreach(all, i, one)
    {
        r1_grammar *g;
        r1_status st = r1_schema_grammar(json_object_get(one, "schema"), "s", &g, &err);
        if (st != R1_OK) {
            assert_true(st == R1_EUNSUPPORTED || st == R1_EARG);
            continue;
        }
        understood++;
        json_array_foreach(json_object_get(one, "texts"), k, pair)
        {
            const char *text = json_string_value(json_array_get(pair, 0));
            bool is_valid = json_is_true(json_array_get(pair, 1)), mine = allows(g, text);
            if (mine && !is_valid)
                fail_msg("schema %zu allows %s", i, text);
            valid += is_valid;
            allowed += mine;
        }
        r1_grammar_close(g);
    }
    assert_true(understood > (int)json_array_size(all) * 3 / 4);
    assert_true(valid > 200 && allowed > valid / 2);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemas_allow_what_they_say),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(hostile_schemas_end),
        cmocka_unit_test(jsonschema_agrees),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
