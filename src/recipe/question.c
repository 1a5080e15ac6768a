/* question.c: see question.h. */
#include "recipe/question.h"

#include <string.h>

#include "model/chat.h"

/* What the chat template makes of messages; R1_EUNSUPPORTED without one. */
static r1_status render(const r1_tokenizer *tok, const json_t *messages, char **out,
                        r1_err *err)
{
    const r1_chat chat = {.messages = messages, .generation_prompt = true};
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_status s = r1_chat_render(tok, &chat, &text, err);
    *out = s == R1_OK ? r1_buf_take(&text) : NULL;
    r1_buf_release(&text);
    return s;
}

static json_t *one_message(const char *text)
{
    json_t *m = json_pack("[{s:s,s:s}]", "role", "user", "content", text);
    r1_assert(m); /* problems are UTF-8 */
    return m;
}

/* Of a message list for people and servers that read no template: its last content. */
static char *last_content(const json_t *messages)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *text = json_string_value(json_object_get(last, "content"));
    return r1_mem_strdup(text ? text : "");
}

r1_status r1_question_of_item(const json_t *item, const r1_tokenizer *tok, r1_problem *out,
                              r1_err *err)
{
    const json_t *prompt = json_object_get(item, "prompt");
    *out = (r1_problem){0};
    out->verifier = r1_verify_find(json_string_value(json_object_get(item, "verifier")), err);
    if (!out->verifier)
        return R1_EARG;
    if (json_is_string(prompt))
        out->prompt = r1_mem_strdup(json_string_value(prompt));
    else if (tok)
        R1_TRY(render(tok, prompt, &out->prompt, err));
    else
        out->prompt = last_content(prompt);
    out->rendered = !json_is_string(prompt);
    out->answer = json_deep_copy(json_object_get(item, "answer"));
    return R1_OK;
}

int r1_question_count(const r1_questions *q)
{
    uint64_t n =
        q->task ? r1_task_count(q->task, q->split, q->difficulty) : r1_data_count(q->data);
    return n < INT32_MAX ? (int)n : INT32_MAX;
}

/* Was the prompt made by the chat template?  Then by this rendering. */
static bool is_chat(const r1_tokenizer *tok, const json_t *messages, const char *prompt)
{
    char *text = NULL;
    bool same = render(tok, messages, &text, NULL) == R1_OK && strcmp(text, prompt) == 0;
    r1_mem_free(text);
    return same;
}

static r1_status ask(const r1_questions *q, const r1_tokenizer *tok, r1_problem *p,
                     json_t **messages, r1_err *err)
{
    json_t *asked = one_message(p->prompt);
    bool in_words = q->task && r1_task_is_procedural(q->task, q->difficulty);
    r1_status s = tok ? r1_prompt_apply(q->prompt_template, in_words, tok, p, err) : R1_OK;
    if (s == R1_OK && messages && (!tok || is_chat(tok, asked, p->prompt)))
        *messages = json_incref(asked);
    json_decref(asked);
    return s;
}

r1_status r1_question_get(const r1_questions *q, const r1_tokenizer *tok, uint64_t i,
                          r1_problem *out, json_t **messages, r1_err *err)
{
    *out = (r1_problem){0};
    if (messages)
        *messages = NULL;
    const json_t *item = NULL;
    if (q->task)
        r1_task_problem(q->task, q->seed, q->split, q->difficulty, i, out);
    else
        item = r1_data_item(q->data, (uint32_t)(i % r1_data_count(q->data)));
    r1_status s = item ? r1_question_of_item(item, tok, out, err) : R1_OK;
    if (s == R1_OK && out->rendered && messages)
        *messages = json_deep_copy(json_object_get(item, "prompt"));
    else if (s == R1_OK && !out->rendered)
        s = ask(q, tok, out, messages, err);
    if (s != R1_OK) {
        r1_problem_release(out);
        return r1_err_prefix(err, s, "question %llu", (unsigned long long)i);
    }
    return R1_OK;
}
