/* calls.h: grammars of replies that call tools: the format is the model's (model/tools.h), the
 * arguments follow each tool's JSON schema. */
#ifndef R1_CALLS_H
#define R1_CALLS_H

#include "engine/schema.h"
#include "model/tools.h"

typedef enum {
    R1_CALLS_AUTO,    /* text, in which calls may occur */
    R1_CALLS_REQUIRED /* nothing but calls, one at least */
} r1_calls_choice;

/* tools: the request's array.  name: NULL, or the one tool that may be called.  parallel: more than
 * one call.  A tool whose `parameters` schema is not understood is refused: R1_EUNSUPPORTED.  The
 * request needs `special`, so that r1_tools_feed sees what the grammar writes. */
r1_status r1_calls_grammar(const r1_tokenizer *t, r1_tools_format format, const json_t *tools,
                           r1_calls_choice choice, const char *name, bool parallel,
                           r1_grammar **out, r1_err *err);

#endif
