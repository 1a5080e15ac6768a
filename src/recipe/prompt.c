/* prompt.c: see prompt.h. */
#include "recipe/prompt.h"

#include "model/chat.h"

const char *const r1_prompt_names[] = {"auto", "none", "chat", "r1-zero", NULL};

static void zero(const char *question, r1_buf *out)
{
    r1_buf_printf(
        out,
        "A conversation between User and Assistant. The user asks a question, and the Assistant "
        "solves it. The assistant first thinks about the reasoning process in the mind and then "
        "provides the user with the answer. The reasoning process and answer are enclosed within "
        "<think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning "
        "process here </think> <answer> answer here </answer>. User: %s. Assistant:",
        question);
}

static r1_status chat(const r1_tokenizer *tok, const char *question, r1_buf *out, r1_err *err)
{
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", question);
    if (!messages)
        return r1_fail(err, R1_EFORMAT, "a prompt that is not UTF-8");
    const r1_chat c = {.messages = messages, .generation_prompt = true};
    r1_status s = r1_chat_render(tok, &c, out, err);
    json_decref(messages);
    return s;
}

r1_status r1_prompt_apply(r1_prompt_kind kind, bool in_words, const r1_tokenizer *tok,
                          r1_problem *p, r1_err *err)
{
    if (kind == R1_PROMPT_NONE || (kind == R1_PROMPT_AUTO && !in_words))
        return R1_OK;
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_status s = R1_EUNSUPPORTED;
    if (kind != R1_PROMPT_ZERO)
        s = chat(tok, p->prompt, &text, kind == R1_PROMPT_CHAT ? err : NULL);
    if (s == R1_EUNSUPPORTED && kind != R1_PROMPT_CHAT) {
        r1_buf_reset(&text);
        zero(p->prompt, &text);
        s = R1_OK;
    }
    if (s == R1_OK) {
        r1_mem_free(p->prompt);
        p->prompt = r1_buf_take(&text);
    }
    r1_buf_release(&text);
    return s;
}
