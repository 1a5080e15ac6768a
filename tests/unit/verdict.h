/* verdict.h: judging completions in the tests of verifiers. */
#ifndef R1_VERDICT_H
#define R1_VERDICT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "verify/verify.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static inline json_t *verdict_spec(const char *text)
{
    json_t *v;
    r1_err err = {0};
    if (r1_json_parse(text, strlen(text), "spec", &v, &err) != R1_OK)
        fail_msg("%s: %s", text, err.msg);
    return v;
}

static inline const r1_verifier *verdict_verifier(const char *name)
{
    r1_err err = {0};
    const r1_verifier *v = r1_verify_find(name, &err);
    if (!v)
        fail_msg("%s", err.msg);
    return v;
}

static inline r1_verdict verdict_of(const char *name, const char *spec_text, const char *text)
{
    const r1_verifier *v = verdict_verifier(name);
    json_t *spec = verdict_spec(spec_text);
    r1_err err = {0};
    if (v->check(spec, &err) != R1_OK)
        fail_msg("%s: %s", spec_text, err.msg);
    r1_verdict r = v->judge(spec, text, strlen(text), true);
    assert_true(r.correct ? r.formatted : true);
    json_decref(spec);
    return r;
}

typedef struct {
    const char *text, *answer; /* answer "": none is found */
} verdict_case;

/* Each case's answer, and that it is right exactly when it is `right`; cut off, it is nothing. */
static inline void verdict_expect(const char *name, const char *spec_text, const char *right,
                                  const verdict_case *cases, size_t n)
{
    const r1_verifier *v = verdict_verifier(name);
    json_t *spec = verdict_spec(spec_text);
    r1_err err = {0};
    if (v->check(spec, &err) != R1_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        r1_verdict r = v->judge(spec, cases[i].text, strlen(cases[i].text), true);
        bool correct = cases[i].answer[0] && strcmp(cases[i].answer, right) == 0;
        if (strcmp(r.answer, cases[i].answer) != 0 || r.correct != correct ||
            r.reward != (correct ? 1 : 0) || r.formatted != (r.answer[0] != 0))
            fail_msg("%s: '%s': answer '%s' instead of '%s', reward %g", name, cases[i].text,
                     r.answer, cases[i].answer, r.reward);
        r = v->judge(spec, cases[i].text, strlen(cases[i].text), false);
        assert_true(r.reward == 0 && !r.correct && !r.formatted && !r.answer[0]);
    }
    json_decref(spec);
}

static inline void verdict_bad_spec(const char *name, const char *spec_text,
                                    const char *message)
{
    const r1_verifier *v = verdict_verifier(name);
    json_t *spec = verdict_spec(spec_text);
    r1_err err = {0};
    assert_int_equal(v->check(spec, &err), R1_EFORMAT);
    assert_string_equal(err.msg, message);
    assert_true(v->judge(spec, "<answer>1</answer>", 18, true).reward == 0);
    json_decref(spec);
}

#endif
