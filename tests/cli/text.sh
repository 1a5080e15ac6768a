#!/bin/bash
# tokenize and chat-template: a tokenizer without weights, its template, and wrong use.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}

# json EXPRESSION: holds for `o`, the object that the last command printed.
json() {
    "$PYTHON" -c 'import json, sys
o = json.load(open(sys.argv[1]))
assert eval(sys.argv[2]), o' "$TMP/out" "$1" 2> "$TMP/why" ||
        fail "not so: $1: $(tail -n 1 "$TMP/why" | head -c 300)"
}

expect 2 'MODEL is missing' "$R1" chat-template -m x
expect 2 'needs --messages' "$R1" chat-template m
expect 2 'one of TEXT' "$R1" tokenize m

# A directory with nothing but a tokenizer is enough.
m=$TMP/model
mkdir "$m"
cp tests/golden/tokenizer/*.json "$m"
rm -f "$m/cases.json"
cat > "$m/chat_template.jinja" << 'END'
{%- if tools %}{% for t in tools %}{{ t | tojson }}
{% endfor %}{% endif %}
{%- for m in messages %}
{%- if m.role not in ['system', 'user', 'assistant'] %}{{ raise_exception('unknown role ' ~ m.role) }}{% endif %}
{{- bos_token }}{{ m.role }}
{{ m.content }}{{ eos_token }}
{% endfor %}
{%- if style %}[{{ style }}]{% endif %}
{%- if add_generation_prompt %}{{ bos_token }}{{ strftime_now('%d %b %Y, %a %j') }}{% endif %}
END
printf '[{"role":"user","content":"h\u00e9 <think>"}]' > "$TMP/m.json"
date=(--date 2025-03-01)
user='<|im_start|>user
hé <think><|im_end|>
'
check() { # TEXT ARGUMENTS...: the prompt is exactly that
    local want=$1
    shift
    "$R1" chat-template "$m" "$@" > "$TMP/got" 2> "$TMP/out" || fail "$*: $(head -c 300 "$TMP/out")"
    printf '%s' "$want" | cmp -s - "$TMP/got" || fail "$*: $(head -c 300 "$TMP/got")"
}
check "$user<|im_start|>01 Mar 2025, Sat 060" -m "$TMP/m.json" "${date[@]}"
check "$user<|im_start|>$(LC_ALL=C date +'%d %b %Y, %a %j')" --messages "$TMP/m.json"
check "$user" -m "$TMP/m.json" --no-generation-prompt
printf '{"messages": %s, "style": "terse"}' "$(cat "$TMP/m.json")" > "$TMP/o.json"
check "$user[terse]" -m "$TMP/o.json" --no-generation-prompt
printf '[{"name": "f"}, {"b": 1, "a": [2.0, null]}]' > "$TMP/t.json"
check "{\"name\": \"f\"}
{\"b\": 1, \"a\": [2.0, null]}
$user" -m "$TMP/m.json" --no-generation-prompt --tools "$TMP/t.json"
"$R1" chat-template "$m" -m - --no-generation-prompt < "$TMP/m.json" > "$TMP/got"
printf '%s' "$user" | cmp -s - "$TMP/got" || fail "standard input: $(head -c 300 "$TMP/got")"

# The ids are those of the text with added tokens recognised and no second BOS.
expect 0 '' "$R1" chat-template "$m" -m "$TMP/m.json" "${date[@]}" --json
cp "$TMP/out" "$TMP/first"
"$PYTHON" -c 'import json, sys
sys.stdout.write(json.load(open(sys.argv[1]))["text"])' "$TMP/first" > "$TMP/text"
expect 0 '' "$R1" tokenize "$m" --file "$TMP/text" --json
ids=$("$PYTHON" -c 'import json, sys
print(json.load(open(sys.argv[1]))["ids"])' "$TMP/out")
cp "$TMP/first" "$TMP/out"
json "o['ids'] == $ids and o['text'].startswith('<|im_start|>user') and o['ids'].count(o['ids'][0]) == 2"
"$R1" tokenize "$m" --file - < "$TMP/text" | tr ' ' , > "$TMP/out"
grep -qxF "$(echo "$ids" | tr -d '[] ')" "$TMP/out" || fail "tokenize --file -: $(head -c 300 "$TMP/out")"

for bad in '{}' '1' '{"messages": {}}' '[]' '[1]' '[{}]' '[{"role":"user"' '[{"role":"u\xffer"}]'; do
    printf "$bad" > "$TMP/bad.json"
    expect_error '^r1: ' "$R1" chat-template "$m" -m "$TMP/bad.json"
done
echo '[{"role":"wizard","content":"x"}]' > "$TMP/bad.json"
expect_error 'unknown role wizard' "$R1" chat-template "$m" -m "$TMP/bad.json"
expect_error 'none.json' "$R1" chat-template "$m" -m "$TMP/none.json"
expect_error 'not a list of tools' "$R1" chat-template "$m" -m "$TMP/m.json" --tools "$TMP/o.json"
for day in 2025-02-30 2025-1-1 today 2025-01-01x ''; do
    expect_error 'is not a day' "$R1" chat-template "$m" -m "$TMP/m.json" --date "$day"
done
rm "$m/chat_template.jinja" "$m/tokenizer_config.json"
expect 0 '^<\|im_start\|>user$' "$R1" chat-template "$m" -m "$TMP/m.json"
finish
