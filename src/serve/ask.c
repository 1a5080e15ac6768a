/* ask.c: completion requests from JSON; see ask.h.
 *
 * Members are read in groups, one function each.  FIELD notes which member is at fault. */
#include "serve/ask.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT "request"

/* Budgets of reasoning_effort, in tokens; none is no thinking, high has no bound. */
static const struct {
    const char *name;
    int budget;
} efforts[] = {{"none", 0},  {"minimal", 128}, {"low", 512}, {"medium", 2048},
               {"high", -1}, {"max", -1},      {"xhigh", -1}};

static r1_status wrong(r1_ask *a, const char *param, r1_status st)
{
    snprintf(a->param, sizeof a->param, "%s", param);
    return st;
}

#define FIELD(name, call)                    \
    do {                                     \
        r1_status field_ = (call);           \
        if (field_ != R1_OK)                 \
            return wrong(a, (name), field_); \
    } while (0)

static const json_t *member(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_is_null(v) ? NULL : v;
}

static r1_status get_int(r1_ask *a, const json_t *o, const char *name, int least, int most,
                         int *out, r1_err *err)
{
    int64_t v = *out;
    FIELD(name, r1_json_int_opt(o, SUBJECT, name, least, most, &v, err));
    *out = (int)v;
    return R1_OK;
}

static r1_status get_float(r1_ask *a, const char *name, double least, double most, float *out,
                           r1_err *err)
{
    double v = (double)*out;
    FIELD(name, r1_json_num_opt(a->root, SUBJECT, name, least, most, &v, err));
    *out = (float)v;
    return R1_OK;
}

static r1_status get_bool(r1_ask *a, const json_t *o, const char *name, bool *out, r1_err *err)
{
    FIELD(name, r1_json_bool_opt(o, SUBJECT, name, out, err));
    return R1_OK;
}

static r1_status get_str(r1_ask *a, const json_t *o, const char *name, const char **out,
                         r1_err *err)
{
    FIELD(name, r1_json_str_opt(o, SUBJECT, name, out, err));
    return R1_OK;
}

/* ---- Sampling ---------------------------------------------------------------------------- */

static r1_status read_stop(r1_ask *a, r1_err *err)
{
    const json_t *v = member(a->root, "stop");
    size_t n = json_is_array(v) ? json_array_size(v) : v ? 1 : 0;
    if (n > R1_ASK_STOPS)
        return wrong(a, "stop",
                     r1_fail(err, R1_EARG, SUBJECT ": 'stop' has %zu texts, at most %d", n,
                             R1_ASK_STOPS));
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(s))
            return wrong(a, "stop",
                         r1_fail(err, R1_EARG,
                                 SUBJECT ": 'stop' is neither a string nor an array of them"));
        if (json_string_length(s) > 0) /* an empty one would end everything */
            a->stops[a->sampling.n_stop++] = json_string_value(s);
    }
    a->sampling.stop = a->stops;
    return R1_OK;
}

static int by_id(const void *a, const void *b)
{
    const r1_bias *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static r1_status read_bias(r1_ask *a, r1_err *err)
{
    const json_t *v = member(a->root, "logit_bias");
    if (!v)
        return R1_OK;
    if (!json_is_object(v) || json_object_size(v) > R1_ASK_BIASES)
        return wrong(a, "logit_bias",
                     r1_fail(err, R1_EARG,
                             SUBJECT ": 'logit_bias' is not an object of at most %d ids",
                             R1_ASK_BIASES));
    const char *key;
    json_t *x;
    json_object_foreach((json_t *)(uintptr_t)v, key, x)
    {
        char *end;
        long id = strtol(key, &end, 10);
        double bias = json_number_value(x);
        if (!*key || *end || id < 0 || id > INT32_MAX || !json_is_number(x) ||
            !(fabs(bias) <= 100))
            return wrong(a, "logit_bias",
                         r1_fail(err, R1_EARG,
                                 SUBJECT ": 'logit_bias' has '%.20s', which is not a token id "
                                         "with a number within -100..100",
                                 key));
        a->biases[a->sampling.n_bias++] = (r1_bias){(int32_t)id, (float)bias};
    }
    qsort(a->biases, (size_t)a->sampling.n_bias, sizeof *a->biases, by_id);
    for (int i = 1; i < a->sampling.n_bias; i++)
        if (a->biases[i].id == a->biases[i - 1].id)
            return wrong(a, "logit_bias",
                         r1_fail(err, R1_EARG, SUBJECT ": 'logit_bias' has id %d twice",
                                 (int)a->biases[i].id));
    a->sampling.bias = a->biases;
    return R1_OK;
}

/* chat: logprobs (bool) and top_logprobs; text: logprobs (a number). */
static r1_status read_logprobs(r1_ask *a, r1_err *err)
{
    int top = -1;
    if (a->kind == R1_ASK_TEXT) {
        R1_TRY(get_int(a, a->root, "logprobs", 0, 20, &top, err));
        a->logprobs = top >= 0;
    } else {
        R1_TRY(get_bool(a, a->root, "logprobs", &a->logprobs, err));
        R1_TRY(get_int(a, a->root, "top_logprobs", 0, 20, &top, err));
        if (top > 0 && !a->logprobs)
            return wrong(
                a, "top_logprobs",
                r1_fail(err, R1_EARG, SUBJECT ": 'top_logprobs' needs 'logprobs': true"));
    }
    a->sampling.top_logprobs = top > 0 ? top : 0;
    return R1_OK;
}

static r1_status read_seed(r1_ask *a, r1_err *err)
{
    const json_t *v = member(a->root, "seed");
    a->seeded = v != NULL;
    int64_t seed = 0;
    FIELD("seed", r1_json_int_opt(a->root, SUBJECT, "seed", INT64_MIN, INT64_MAX, &seed, err));
    a->sampling.seed = (uint64_t)seed;
    return R1_OK;
}

static r1_status read_sampling(r1_ask *a, r1_err *err)
{
    r1_sampling *s = &a->sampling;
    *s = r1_sampling_default();
    s->max_tokens = a->kind == R1_ASK_TEXT ? 16 : 0;
    R1_TRY(get_float(a, "temperature", 0, 100, &s->temperature, err));
    R1_TRY(get_float(a, "top_p", 0, 1, &s->top_p, err));
    if (s->top_p <= 0)
        s->top_p = 1e-6f; /* the likeliest token alone */
    R1_TRY(get_int(a, a->root, "top_k", -1, INT_MAX, &s->top_k, err));
    s->top_k = s->top_k < 0 ? 0 : s->top_k;
    R1_TRY(get_float(a, "min_p", 0, 1, &s->min_p, err));
    R1_TRY(get_float(a, "presence_penalty", -2, 2, &s->presence_penalty, err));
    R1_TRY(get_float(a, "frequency_penalty", -2, 2, &s->frequency_penalty, err));
    R1_TRY(get_float(a, "repeat_penalty", 0.1, 10, &s->repeat_penalty, err));
    R1_TRY(get_float(a, "repetition_penalty", 0.1, 10, &s->repeat_penalty, err));
    /* Of a text none may be asked for, for the log-probabilities of the prompt alone. */
    R1_TRY(get_int(a, a->root, "max_tokens", a->kind == R1_ASK_TEXT ? 0 : 1, INT_MAX,
                   &s->max_tokens, err));
    R1_TRY(get_int(a, a->root, "max_completion_tokens", 1, INT_MAX, &s->max_tokens, err));
    R1_TRY(read_seed(a, err));
    R1_TRY(read_stop(a, err));
    R1_TRY(read_bias(a, err));
    return read_logprobs(a, err);
}

/* ---- Messages ---------------------------------------------------------------------------- */

static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};

/* Contents as arrays of parts become one text. */
static r1_status flatten(r1_ask *a, json_t *message, size_t index, r1_err *err)
{
    json_t *parts = json_object_get(message, "content");
    if (!json_is_array(parts))
        return R1_OK;
    r1_buf text;
    r1_buf_init(&text, R1_ASK_BYTES);
    r1_status st = R1_OK;
    for (size_t i = 0; i < json_array_size(parts) && st == R1_OK; i++) {
        const json_t *part = json_array_get(parts, i), *s = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (type && strcmp(type, "text") != 0)
            st =
                r1_fail(err, R1_EUNSUPPORTED,
                        SUBJECT ": messages[%zu].content[%zu] is of type '%.40s'; only text is "
                                "understood",
                        index, i, type);
        else if (!json_is_string(s))
            st = r1_fail(err, R1_EARG, SUBJECT ": messages[%zu].content[%zu] has no text",
                         index, i);
        else
            r1_buf_append(&text, json_string_value(s), json_string_length(s));
    }
    if (st == R1_OK)
        json_object_set_new(message, "content", json_stringn(text.data, text.len));
    r1_buf_release(&text);
    return st == R1_OK ? R1_OK : wrong(a, "messages", st);
}

static r1_status bad_message(r1_ask *a, r1_err *err, size_t i, const char *what)
{
    return wrong(a, "messages", r1_fail(err, R1_EARG, SUBJECT ": messages[%zu]%s", i, what));
}

/* The thinking of the history is called reasoning_content; the template decides what it is for.
 */
static r1_status rename_reasoning(r1_ask *a, json_t *m, size_t i, r1_err *err)
{
    json_t *r = json_object_get(m, "reasoning_content");
    if (!r || json_is_null(r))
        r = json_object_get(m, "reasoning");
    if (r && !json_is_null(r) && !json_is_string(r))
        return bad_message(a, err, i, ".reasoning_content: not a string");
    if (json_is_string(r)) {
        json_object_set(m, "reasoning_content", r);
        a->has_reasoning = true;
    } else {
        json_object_del(m, "reasoning_content");
    }
    json_object_del(m, "reasoning");
    return R1_OK;
}

static r1_status read_message(r1_ask *a, json_t *m, size_t i, r1_err *err)
{
    if (!json_is_object(m))
        return bad_message(a, err, i, ": not an object");
    const char *role = json_string_value(json_object_get(m, "role"));
    bool known = false;
    for (size_t k = 0; role && k < sizeof roles / sizeof *roles; k++)
        known = known || strcmp(role, roles[k]) == 0;
    if (!known)
        return bad_message(a, err, i,
                           ".role: not one of system, developer, user, assistant, tool");
    R1_TRY(flatten(a, m, i, err));
    json_t *content = json_object_get(m, "content"), *calls = json_object_get(m, "tool_calls");
    if (json_is_null(calls)) {
        json_object_del(m, "tool_calls");
        calls = NULL;
    }
    bool assistant = strcmp(role, "assistant") == 0;
    if (calls && (!assistant || !json_is_array(calls) || json_array_size(calls) == 0))
        return bad_message(a, err, i, ".tool_calls: not an array of an assistant's calls");
    if (content && !json_is_null(content) && !json_is_string(content))
        return bad_message(a, err, i, ".content: neither a string nor an array of texts");
    if (!json_is_string(content) && !assistant)
        return bad_message(a, err, i, ".content: missing or null");
    if (!json_is_string(content) && !calls) /* an answer that was all thinking */
        json_object_set_new(m, "content", json_string(""));
    else if (!content)
        json_object_set_new(m, "content", json_null());
    if (strcmp(role, "developer") == 0)
        json_object_set_new(m, "role", json_string("system"));
    return rename_reasoning(a, m, i, err);
}

/* An assistant's message at the end is the beginning of the reply. */
static void take_prefix(r1_ask *a)
{
    size_t n = json_array_size(a->messages);
    json_t *last = json_array_get(a->messages, n - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    if (strcmp(role, "assistant") != 0 || json_object_get(last, "tool_calls"))
        return;
    a->last = json_incref(last);
    a->prefix = json_string_value(json_object_get(last, "content"));
    a->prefix_reasoning = json_string_value(json_object_get(last, "reasoning_content"));
    json_array_remove(a->messages, n - 1);
}

static r1_status read_messages(r1_ask *a, r1_err *err)
{
    const json_t *list = member(a->root, "messages");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return wrong(a, "messages",
                     r1_fail(err, R1_EARG, SUBJECT ": 'messages' is not an array of messages"));
    a->messages = json_deep_copy(list);
    for (size_t i = 0; i < json_array_size(a->messages); i++)
        R1_TRY(read_message(a, json_array_get(a->messages, i), i, err));
    take_prefix(a);
    if (json_array_size(a->messages) == 0)
        return bad_message(a, err, 0, ": a reply to continue, with nothing in front of it");
    return R1_OK;
}

/* ---- Tools and formats ------------------------------------------------------------------- */

static r1_status bad_choice(r1_ask *a, r1_err *err)
{
    return wrong(a, "tool_choice",
                 r1_fail(err, R1_EARG,
                         SUBJECT ": 'tool_choice' is not none, auto, required or one of the "
                                 "tools"));
}

static bool has_tool(const r1_ask *a, const char *name)
{
    for (size_t i = 0; i < json_array_size(a->tools); i++) {
        const json_t *f = json_object_get(json_array_get(a->tools, i), "function");
        const char *s = json_string_value(json_object_get(f, "name"));
        if (s && strcmp(s, name) == 0)
            return true;
    }
    return false;
}

static r1_status read_tools(r1_ask *a, r1_err *err)
{
    a->tools = member(a->root, "tools");
    if (a->tools && !json_is_array(a->tools))
        return wrong(a, "tools", r1_fail(err, R1_EARG, SUBJECT ": 'tools' is not an array"));
    if (json_array_size(a->tools) == 0)
        a->tools = NULL;
    a->parallel_calls = true;
    R1_TRY(get_bool(a, a->root, "parallel_tool_calls", &a->parallel_calls, err));
    const json_t *choice = member(a->root, "tool_choice");
    a->tool_choice = a->tools ? R1_ASK_TOOLS_AUTO : R1_ASK_TOOLS_NONE;
    if (!choice)
        return R1_OK;
    const char *word = json_string_value(choice);
    if (json_is_object(choice)) {
        word = "required";
        a->tool_name =
            json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
        if (!a->tool_name || !has_tool(a, a->tool_name))
            return bad_choice(a, err);
    }
    if (!word)
        return bad_choice(a, err);
    if (strcmp(word, "none") == 0)
        a->tool_choice = R1_ASK_TOOLS_NONE;
    else if (strcmp(word, "required") == 0 && a->tools)
        a->tool_choice = R1_ASK_TOOLS_REQUIRED;
    else if (strcmp(word, "auto") != 0)
        return bad_choice(a, err);
    return R1_OK;
}

static r1_status read_format(r1_ask *a, r1_err *err)
{
    const json_t *v = member(a->root, "response_format");
    if (!v)
        return R1_OK;
    const char *type = json_string_value(json_object_get(v, "type"));
    if (type && strcmp(type, "text") == 0)
        return R1_OK;
    if (type && strcmp(type, "json_object") == 0) {
        a->format = R1_ASK_JSON;
        return R1_OK;
    }
    if (!type || strcmp(type, "json_schema") != 0)
        return wrong(a, "response_format",
                     r1_fail(err, R1_EARG,
                             SUBJECT ": 'response_format' needs a type: text, json_object or "
                                     "json_schema"));
    a->format = R1_ASK_SCHEMA;
    a->schema = json_object_get(json_object_get(v, "json_schema"), "schema");
    if (!json_is_object(a->schema))
        return wrong(a, "response_format",
                     r1_fail(err, R1_EARG,
                             SUBJECT ": 'response_format' has no json_schema.schema object"));
    return R1_OK;
}

/* ---- Thinking ---------------------------------------------------------------------------- */

static r1_status read_effort(r1_ask *a, r1_err *err)
{
    const char *effort = NULL;
    R1_TRY(get_str(a, a->root, "reasoning_effort", &effort, err));
    if (!effort)
        return R1_OK;
    for (size_t i = 0; i < sizeof efforts / sizeof *efforts; i++) {
        if (strcmp(effort, efforts[i].name) != 0)
            continue;
        a->think_budget = efforts[i].budget;
        a->no_think = efforts[i].budget == 0;
        json_object_set_new(a->vars, "reasoning_effort", json_string(effort));
        return R1_OK;
    }
    return wrong(a, "reasoning_effort",
                 r1_fail(err, R1_EARG,
                         SUBJECT
                         ": 'reasoning_effort' is '%.40s', not one of none, minimal, low, "
                         "medium, high, xhigh, max",
                         effort));
}

/* {"thinking": {"type": "enabled" or "disabled", "budget_tokens": N}} */
static r1_status read_thinking(r1_ask *a, r1_err *err)
{
    const json_t *v = member(a->root, "thinking");
    if (!v)
        return R1_OK;
    const char *type = json_string_value(json_object_get(v, "type"));
    if (!type || (strcmp(type, "enabled") != 0 && strcmp(type, "disabled") != 0))
        return wrong(
            a, "thinking",
            r1_fail(err, R1_EARG, SUBJECT ": 'thinking' needs a type: enabled or disabled"));
    a->no_think = strcmp(type, "disabled") == 0;
    return get_int(a, v, "budget_tokens", 0, INT_MAX, &a->think_budget, err);
}

static r1_status read_reasoning(r1_ask *a, r1_err *err)
{
    bool show = true, enable = true;
    a->think_budget = -1;
    R1_TRY(read_effort(a, err));
    R1_TRY(read_thinking(a, err));
    R1_TRY(get_int(a, a->root, "thinking_budget", 0, INT_MAX, &a->think_budget, err));
    R1_TRY(get_int(a, a->root, "thinking_token_budget", 0, INT_MAX, &a->think_budget, err));
    const json_t *vars = member(a->root, "chat_template_kwargs");
    if (vars && !json_is_object(vars))
        return wrong(
            a, "chat_template_kwargs",
            r1_fail(err, R1_EARG, SUBJECT ": 'chat_template_kwargs' is not an object"));
    if (vars) {
        json_object_update(a->vars, (json_t *)(uintptr_t)vars);
        R1_TRY(get_bool(a, vars, "enable_thinking", &enable, err));
    }
    a->no_think = a->no_think || !enable || a->think_budget == 0;
    if (a->no_think)
        json_object_set_new(a->vars, "enable_thinking", json_false());
    a->hide_given = member(a->root, "hide_reasoning") || member(a->root, "include_reasoning");
    R1_TRY(get_bool(a, a->root, "hide_reasoning", &a->hide_reasoning, err));
    R1_TRY(get_bool(a, a->root, "include_reasoning", &show, err));
    a->hide_reasoning = a->hide_reasoning || !show;
    return R1_OK;
}

/* ---- Consensus and verification ---------------------------------------------------------- */

static r1_status read_verify(r1_ask *a, r1_err *err)
{
    R1_TRY(get_int(a, a->root, "consensus", 1, R1_ASK_SAMPLES, &a->consensus, err));
    const json_t *v = member(a->root, "verify");
    if (v && !json_is_object(v))
        return wrong(a, "verify", r1_fail(err, R1_EARG, SUBJECT ": 'verify' is not an object"));
    if (!v && !a->consensus)
        return R1_OK;
    const char *type = "math";
    if (v)
        FIELD("verify", r1_json_str(v, SUBJECT ".verify", "type", &type, err));
    a->verifier = r1_verify_find(type, err);
    if (!a->verifier)
        return wrong(a, "verify", R1_EARG);
    a->verify_spec = v ? member(v, "answer") : NULL;
    bool votes = a->consensus && strcmp(type, "math") == 0; /* which needs nothing else */
    if (v && !a->verify_spec && !votes)
        return wrong(a, "verify",
                     r1_fail(err, R1_EARG, SUBJECT ": 'verify' has no answer to compare with"));
    if (a->verify_spec && a->verifier->check &&
        a->verifier->check(a->verify_spec, err) != R1_OK)
        return wrong(a, "verify", r1_err_prefix(err, R1_EARG, SUBJECT ".verify.answer"));
    return R1_OK;
}

/* ---- Whole requests ---------------------------------------------------------------------- */

static bool is_ids(const json_t *v)
{
    if (!json_is_array(v) || json_array_size(v) == 0)
        return false;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_integer(json_array_get(v, i)))
            return false;
    return true;
}

static r1_status read_prompts(r1_ask *a, r1_err *err)
{
    const json_t *v = member(a->root, "prompt");
    if (json_is_string(v) || is_ids(v)) {
        a->prompts[a->n_prompts++] = v;
    } else {
        size_t n = json_array_size(v);
        if (n > R1_ASK_PROMPTS)
            return wrong(a, "prompt",
                         r1_fail(err, R1_EARG, SUBJECT ": 'prompt' has %zu prompts, at most %d",
                                 n, R1_ASK_PROMPTS));
        for (size_t i = 0; i < n; i++) {
            const json_t *p = json_array_get(v, i);
            if (!json_is_string(p) && !is_ids(p)) {
                a->n_prompts = 0;
                break;
            }
            a->prompts[a->n_prompts++] = p;
        }
    }
    if (a->n_prompts == 0)
        return wrong(a, "prompt",
                     r1_fail(err, R1_EARG,
                             SUBJECT
                             ": 'prompt' is neither a text, nor an array of token ids, nor "
                             "an array of these"));
    R1_TRY(get_bool(a, a->root, "echo", &a->echo, err));
    a->no_reply = a->sampling.max_tokens == 0;
    if (a->no_reply && !a->echo)
        return wrong(
            a, "max_tokens",
            r1_fail(err, R1_EARG, SUBJECT ": 'max_tokens' is 0, which needs 'echo': true"));
    R1_TRY(get_str(a, a->root, "suffix", &a->suffix, err));
    if (a->suffix && *a->suffix)
        return wrong(a, "suffix",
                     r1_fail(err, R1_EUNSUPPORTED,
                             SUBJECT ": 'suffix': filling in the middle is not done here"));
    return R1_OK;
}

static r1_status read_stream(r1_ask *a, r1_err *err)
{
    R1_TRY(get_bool(a, a->root, "stream", &a->stream, err));
    const json_t *o = member(a->root, "stream_options");
    if (o && !json_is_object(o))
        return wrong(a, "stream_options",
                     r1_fail(err, R1_EARG, SUBJECT ": 'stream_options' is not an object"));
    return o ? get_bool(a, o, "include_usage", &a->include_usage, err) : R1_OK;
}

static r1_status read_all(r1_ask *a, r1_err *err)
{
    if (!json_is_object(a->root))
        return r1_fail(err, R1_EARG, SUBJECT ": not a JSON object");
    R1_TRY(get_str(a, a->root, "model", &a->model, err));
    R1_TRY(read_stream(a, err));
    R1_TRY(read_sampling(a, err));
    R1_TRY(read_format(a, err));
    R1_TRY(read_reasoning(a, err));
    R1_TRY(read_verify(a, err));
    a->n = 1;
    R1_TRY(get_int(a, a->root, "n", 1, R1_ASK_SAMPLES, &a->n, err));
    if (a->consensus && a->n > 1)
        return wrong(
            a, "n",
            r1_fail(err, R1_EARG, SUBJECT ": 'consensus' gives one reply; 'n' is %d", a->n));
    if (a->kind == R1_ASK_TEXT) {
        R1_TRY(read_prompts(a, err));
    } else {
        R1_TRY(read_messages(a, err));
        R1_TRY(read_tools(a, err));
        a->n_prompts = 1;
    }
    if (a->n * a->n_prompts > R1_ASK_CHOICES)
        return wrong(a, "n",
                     r1_fail(err, R1_EARG, SUBJECT ": %d completions at once, at most %d",
                             a->n * a->n_prompts, R1_ASK_CHOICES));
    if (a->tool_choice == R1_ASK_TOOLS_REQUIRED && a->format != R1_ASK_FREE)
        return wrong(a, "response_format",
                     r1_fail(err, R1_EARG,
                             SUBJECT
                             ": 'response_format' and a required tool exclude each other"));
    return R1_OK;
}

r1_status r1_ask_parse(r1_ask *a, r1_ask_kind kind, const char *body, size_t len, r1_err *err)
{
    *a = (r1_ask){.kind = kind, .vars = json_object()};
    R1_TRY(r1_json_parse(body, len, SUBJECT, &a->root, err));
    return read_all(a, err);
}

void r1_ask_release(r1_ask *a)
{
    json_decref(a->root);
    json_decref(a->messages);
    json_decref(a->last);
    json_decref(a->vars);
    *a = (r1_ask){0};
}

/* ---- DeepSeek ---------------------------------------------------------------------------- */

r1_status r1_ask_deepseek(r1_ask *a, r1_err *err)
{
    static const char *const refused[] = {"logprobs", "top_logprobs"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (member(a->root, refused[i]))
            return wrong(a, refused[i],
                         r1_fail(err, R1_EARG,
                                 SUBJECT ": deepseek-reasoner does not support '%s'",
                                 refused[i]));
    if (a->has_reasoning && !a->prefix_reasoning)
        return wrong(a, "messages",
                     r1_fail(err, R1_EARG,
                             SUBJECT ": deepseek-reasoner takes no reasoning_content in its "
                                     "messages; send the content alone"));
    const char *before = NULL;
    for (size_t i = 0; i < json_array_size(a->messages); i++) {
        const char *role =
            json_string_value(json_object_get(json_array_get(a->messages, i), "role"));
        bool speaks = strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0;
        if (speaks && before && strcmp(before, role) == 0)
            return bad_message(
                a, err, i, ": deepseek-reasoner takes no two messages in a row of one role");
        if (strcmp(role, "system") != 0)
            before = role;
    }
    r1_sampling fixed = r1_sampling_default();
    a->sampling.temperature = fixed.temperature;
    a->sampling.top_p = fixed.top_p;
    a->sampling.presence_penalty = fixed.presence_penalty;
    a->sampling.frequency_penalty = fixed.frequency_penalty;
    return R1_OK;
}
