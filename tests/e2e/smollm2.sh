#!/bin/bash
# SmolLM2-135M-Instruct from the model cache: chat, JSON, samples, stop strings, Unicode.
model=${R1_HOME:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/r1}/models/smollm2.gguf
if [ ! -f "$model" ]; then
    echo "skipped: no smollm2 in the model cache; \`make model\` fetches it"
    exit 77
fi
. tests/cli/lib.bash # which sets another, empty $R1_HOME
PYTHON=${PYTHON:-python3}

json() { # EXPRESSION about `o`
    "$PYTHON" -c 'import json, sys
o = json.load(open(sys.argv[1]))
assert eval(sys.argv[2]), o' "$TMP/out" "$1" 2> "$TMP/why" ||
        fail "not so: $1: $(tail -n 1 "$TMP/why" | head -c 600)"
}
question="What is the capital of France?"

# A name in the cache.
mkdir -p "$R1_HOME/models"
ln -s "$model" "$R1_HOME/models/smollm2.gguf"
expect 0 'Paris' "$R1" run smollm2 -p "$question" --greedy -n 40 --compute f32

expect 0 '' "$R1" run "$model" -p "$question" --greedy -n 40 --compute f32 --json
json "'Paris' in o['text'] and o['finish_reason'] == 'stop' and o['ids'][-1] == 2"
json "o['prompt_ids'][0] == 1 and o['prefill_tok_s'] > 0 and o['decode_tok_s'] > 0"

# The integer kernels, on a text whose next word is beyond doubt.
expect 0 '' "$R1" run "$model" -p "The capital of France is" --raw --greedy -n 3 --json
json "o['prompt_ids'] == [504, 3575, 282, 4649, 314] and o['text'].startswith(' Paris')"
expect 0 '' "$R1" logprob "$model" --ids 504,3575,282,4649,314,7042 --json
json "len(o['logprobs']) == 5 and abs(o['logprobs'][4] - -0.2581) < 0.002"

# Samples share the prompt, differ, and are the same again with the seed.
expect 0 '' "$R1" run "$model" -p "Name a colour." -k 4 -n 12 --temperature 1 --seed 3 --json
json "len({tuple(s['ids']) for s in o['samples']}) > 1 and len(o['samples']) == 4"
cp "$TMP/out" "$TMP/first"
expect 0 '' "$R1" run "$model" -p "Name a colour." -k 4 -n 12 --temperature 1 --seed 3 --json -t 1
"$PYTHON" -c 'import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["samples"] == b["samples"]' "$TMP/out" "$TMP/first" || fail "a seed is not enough"

# A stop string ends the text in front of itself, also across tokens.
expect 0 '' "$R1" run "$model" -p "1, 2, 3, 4, 5, 6," --raw --greedy -n 40 --stop "8, 9" --json
json "o['finish_reason'] == 'stop' and o['text'].rstrip() == ' 7,'"

# Characters of several tokens arrive whole: what is streamed is what JSON tells, valid UTF-8.
prompt="Emoji: 😀 😃 😄 😁 😆 😅 日本語 中文 Ελληνικά"
expect 0 '' "$R1" run "$model" -p "$prompt" --raw --greedy -n 40 --json
"$PYTHON" -c 'import json, sys
print(json.load(open(sys.argv[1]))["text"])' "$TMP/out" > "$TMP/text"
"$R1" run "$model" -p "$prompt" --raw --greedy -n 40 > "$TMP/out" 2>&1
"$PYTHON" -c 'import sys
a, b = (open(p, "rb").read().decode().rstrip("\n") for p in sys.argv[1:])
assert a == b, (a, b)' "$TMP/out" "$TMP/text" || fail "streamed text and JSON differ"

# The prompt from standard input.
echo "$question" | "$R1" run "$model" --greedy -n 40 --compute f32 > "$TMP/out" 2>&1
grep -q Paris "$TMP/out" || fail "standard input: $(head -c 300 "$TMP/out")"

# Ctrl-C in the middle of an answer: the text so far is there, and the end is told.
"$R1" run "$model" -p "1, 2, 3, 4, 5, 6," --raw --greedy -n 8000 -t 1 > "$TMP/long" 2> "$TMP/told" &
pid=$!
wait_for $pid [ -s "$TMP/long" ]
kill -INT $pid
wait $pid
code=$?
[ $code = 1 ] && grep -q '^r1: interrupted$' "$TMP/told" ||
    fail "Ctrl-C: exit code $code: $(cat "$TMP/told")"
grep -q '^ 7' "$TMP/long" || fail "Ctrl-C: the text is lost: $(head -c 300 "$TMP/long")"
finish
