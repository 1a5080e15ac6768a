/* schema.h: JSON schemas to grammars, so that a text that follows the grammar parses as JSON and
 * validates against the schema.
 *
 * Understood (drafts 7 to 2020-12): type, nullable, enum, const, properties, required,
 * additionalProperties, minProperties, maxProperties, items, prefixItems, minItems, maxItems,
 * minLength, maxLength, pattern (see pattern.h), format (date, time, date-time, uuid, email, ipv4,
 * hostname, duration), minimum, maximum and their exclusive forms, multipleOf for integers, anyOf,
 * oneOf where its alternatives exclude each other, allOf, $ref within the schema, $defs.  Any other
 * keyword that restricts is refused by its name: R1_EUNSUPPORTED.
 *
 * The grammar is a part of what the schema allows, chosen so that texts are tidy and end: members
 * come in the order of `properties`; additional ones come only where additionalProperties asks for
 * them or there are no properties; white space is one space or a line break with its indentation;
 * numbers have 15 digits at most. */
#ifndef R1_SCHEMA_H
#define R1_SCHEMA_H

#include "base/json.h"
#include "engine/grammar.h"

/* The grammar of a schema (an object, or true).  subject names it in messages, which say where in
 * the schema.  *out is ready for use, with one reference: r1_grammar_close. */
r1_status r1_schema_grammar(const json_t *schema, const char *subject, r1_grammar **out,
                            r1_err *err);

/* Any JSON object: response_format json_object. */
r1_status r1_schema_object(r1_grammar **out, r1_err *err);

/* Add the schema to a grammar that is being built: returns in *rule the rule of its values. */
r1_status r1_schema_add(r1_grammar *g, const json_t *schema, const char *subject, int *rule,
                        r1_err *err);

#endif
