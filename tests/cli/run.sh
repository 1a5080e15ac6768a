#!/bin/bash
# run, tokenize, logprob, bench, inspect: wrong use, and right use of two small models.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}

# json EXPRESSION: holds for `o`, the object that the last command printed.
json() {
    "$PYTHON" -c 'import json, sys
o = json.load(open(sys.argv[1]))
assert eval(sys.argv[2]), o' "$TMP/out" "$1" 2> "$TMP/why" ||
        fail "not so: $1: $(tail -n 1 "$TMP/why" | head -c 300)"
}

expect 2 'MODEL is missing' "$R1" run -p x
expect 2 'MODEL is missing' "$R1" tokenize
expect 2 'MODEL is missing' "$R1" logprob --ids 1
expect 2 'MODEL is missing' "$R1" bench
expect 2 'MODEL is missing' "$R1" perplexity
expect 2 'FILE of text is missing' "$R1" perplexity m
expect 2 'MODEL is missing' "$R1" inspect
expect 2 'stop' "$R1" run m -p x --stop ''
expect 2 'system' "$R1" run m -p x --raw --system y
expect 2 'samples' "$R1" run m -p x -k 0
expect 2 'temperature' "$R1" run m -p x --temperature 0.00001
expect 2 'one of TEXT' "$R1" tokenize m
expect 2 'one of TEXT' "$R1" tokenize m x --file y
expect 2 'one of --ids' "$R1" logprob m --ids 1,2 -p x
expect 2 'batch' "$R1" bench m -b 1,0
expect 2 'batch' "$R1" bench m -b 1,1000
expect_error 'none.txt' "$R1" tokenize m --file "$TMP/none.txt"

check_model() { # MODEL, with the BOS that --special adds, or ""
    local m=$1 bos=$2 ids
    expect 0 '^[0-9]+( [0-9]+)*$' "$R1" tokenize "$m" "12 34"
    ids=$(tr ' ' , < "$TMP/out")
    expect 0 '' "$R1" tokenize "$m" "12 34" --json
    json "o == {'ids': [$ids]}"
    expect 0 '' "$R1" tokenize "$m" "12 34" --special --json
    json "o == {'ids': [${bos:+$bos,}$ids]}"
    printf '12 34' > "$TMP/text"
    expect 0 '' "$R1" tokenize "$m" --file "$TMP/text" --json
    json "o == {'ids': [$ids]}"
    expect 0 '^12 34$' "$R1" tokenize "$m" --decode "$ids"
    expect 0 '' "$R1" tokenize "$m" --decode "[$ids]" --json
    json "o == {'text': '12 34'}"
    expect 0 '' "$R1" tokenize "$m" "" --json
    json "o == {'ids': []}"
    expect_error "'1x'" "$R1" tokenize "$m" --decode 1x
    expect_error '999999' "$R1" tokenize "$m" --decode 999999

    expect 0 '' "$R1" logprob "$m" --ids "$ids" --json
    cp "$TMP/out" "$TMP/first"
    json "len(o['logprobs']) == len([$ids]) - 1 and all(x < 0 for x in o['logprobs'])"
    echo "$ids" | tr , '\n' > "$TMP/ids"
    expect 0 '' "$R1" logprob "$m" --ids-file "$TMP/ids" --json
    cmp -s "$TMP/out" "$TMP/first" || fail "--ids-file and --ids differ"
    expect 0 '^ +sum +-[0-9.]+$' "$R1" logprob "$m" -p "12 34"
    expect_error '' "$R1" logprob "$m" --ids 1
    expect_error "'b'" "$R1" logprob "$m" --ids 1,b
    expect_error 'none.ids' "$R1" logprob "$m" --ids-file "$TMP/none.ids"

    expect 0 '' "$R1" run "$m" -p "12 34" --raw --greedy -n 8 --json
    cp "$TMP/out" "$TMP/first"
    json "o['prompt_ids'] == [${bos:+$bos,}$ids] and 1 <= len(o['ids']) <= 8"
    json "o['finish_reason'] == ('length' if len(o['ids']) == 8 else 'stop')"
    json "o['prefill_tok_s'] > 0 and o['decode_tok_s'] >= 0 and isinstance(o['text'], str)"
    # The text alone, from standard input, with another number of threads: the same.
    "$PYTHON" -c 'import json, sys
print(json.load(open(sys.argv[1]))["text"])' "$TMP/first" > "$TMP/text"
    printf '12 34' | "$R1" run "$m" --raw --greedy -n 8 -t 1 > "$TMP/out" 2>&1
    cmp -s "$TMP/out" "$TMP/text" || fail "$m: text and JSON differ: $(head -c 200 "$TMP/out")"

    # These models know digits and little else.
    printf '{"type": "integer", "minimum": 120, "maximum": 199}' > "$TMP/schema"
    expect 0 '' "$R1" run "$m" -p "12 34" --raw -k 3 --schema "$TMP/schema" --json
    json "all(120 <= int(s['text']) <= 199 and s['finish_reason'] == 'stop' for s in o['samples'])"
    printf '{"type": "array", "uniqueItems": true}' > "$TMP/schema"
    expect_error 'uniqueItems' "$R1" run "$m" -p x --schema "$TMP/schema"
    expect_error 'none.json' "$R1" run "$m" -p x --schema "$TMP/none.json"

    expect 0 '' "$R1" run "$m" -p "12 34" --raw -k 3 --temperature 1 -n 8 --seed 7 --json
    cp "$TMP/out" "$TMP/first"
    json "len(o['samples']) == 3 and o['seed'] == 7"
    json "all(set(s) == {'ids', 'text', 'finish_reason'} for s in o['samples'])"
    expect 0 '' "$R1" run "$m" -p "12 34" --raw -k 3 --temperature 1 -n 8 --seed 7 --json -t 1
    "$PYTHON" -c 'import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["samples"] == b["samples"]' "$TMP/out" "$TMP/first" || fail "$m: a seed is not enough"
    expect 0 '^\[2\]$' "$R1" run "$m" -p "12 34" --raw -k 2 -n 4
    expect_error 'context' "$R1" run "$m" -p "12 34 56 78 90" --raw --ctx 2
    expect_error 'ctx' "$R1" run "$m" -p "12 34" --raw --ctx 10000000

    # Perplexity is the exponential of the mean of logprob's numbers.
    printf '1 + 2 = 3, 4 + 5 = 9, 6 + 7 = 13' > "$TMP/text"
    expect 0 'tokens in windows of' "$R1" perplexity "$m" "$TMP/text"
    expect 0 '' "$R1" tokenize "$m" --file "$TMP/text"
    ids=$(tr ' ' , < "$TMP/out")
    expect 0 '' "$R1" logprob "$m" --ids "${bos:+$bos,}$ids" --json
    cp "$TMP/out" "$TMP/first"
    expect 0 '' "$R1" perplexity "$m" "$TMP/text" --compute f32 --json
    "$PYTHON" -c 'import json, math, sys
p, l = (json.load(open(f)) for f in sys.argv[1:])
lp = l["logprobs"]
assert p["tokens"] == len(lp), p
assert abs(p["nll"] + sum(lp) / len(lp)) < 1e-5, p
assert abs(math.exp(p["nll"]) / p["perplexity"] - 1) < 1e-6, p' "$TMP/out" "$TMP/first" ||
        fail "$m: perplexity and logprob differ"
    expect_error 'none' "$R1" perplexity "$m" "$TMP/none"
    expect_error 'nothing to predict' "$R1" perplexity "$m" /dev/null

    expect 0 '' "$R1" bench "$m" -p 16 -n 4 -b 1,3 -t 1 -r 2 --json
    json "o['prompt_tok_s'] > 0 and o['decode_tok_s'] > 0 and o['threads'] == 1"
    json "[b['batch'] for b in o['batched']] == [1, 3] and o['repeats'] == 2 and o['isa']"
    json "all(b['decode_tok_s'] > 0 for b in o['batched'])"
    json "o['context'] == 1 and o['first_token_s'] > 0 and o['drafted'] == o['accepted'] == 0"
    expect 0 '' "$R1" bench "$m" -p 16 -n 9 -b 2 -r 2 --context 20 --kv bf16 --speculate on --json
    json "o['context'] == 20 and o['kv'] == 'BF16' and o['tokens'] == 9"
    expect_error 'behind 500000' "$R1" bench "$m" -p 16 -n 4 -b 1 --context 500000
    expect 0 '^decode 4 +x 3 +[0-9.]+ tok/s$' "$R1" bench "$m" -p 16 -n 4 -b 3 -r 1
    expect_error 'context' "$R1" bench "$m" -p 1000000 -n 4 -b 1

    expect 0 '^parameters +[0-9,]+$' "$R1" inspect "$m"
    expect 0 '' "$R1" inspect "$m" --json --ctx 10
    json "o['runnable'] and o['ctx'] == 10 and o['kv_bytes'] > 0 and o['weight_bytes'] > 0"
    json "o['config']['arch'] == 'llama' and o['tokenizer']['size'] <= o['config']['vocab']"
    json "all(t['name'] and t['shape'] and t['dtype'] for t in o['tensors'])"
    json "o['parameters'] == sum(__import__('math').prod(t['shape']) for t in o['tensors'])"
    expect_error 'ctx' "$R1" inspect "$m" --ctx 10000000

    # What cannot be written is a failure.
    if [ -c /dev/full ]; then
        "$R1" run "$m" -p "12 34" --raw -n 4 > /dev/full 2> "$TMP/out"
        [ $? = 1 ] && grep -q 'standard output' "$TMP/out" || fail "a full disk went unnoticed"
    fi
    { "$R1" run "$m" -p "12 34" --raw -n 4; echo $? > "$TMP/code"; } 2> "$TMP/out" | :
    # The reader may be gone before or after the text: done, or told; never a signal.
    grep -qE '^[01]$' "$TMP/code" || fail "a closed pipe: exit code $(cat "$TMP/code")"
}

check_model tests/golden/model-a ""
check_model tests/golden/model-a.gguf ""

# The shipped base model ends its answers itself.
base=data/countdown-base
if [ -f $base/config.json ]; then
    expect 0 '' "$R1" run $base -p $'12 7 6:42\n' --raw --greedy --json
    json "o['finish_reason'] == 'stop' and o['text']"
    expect 0 '' "$R1" inspect $base --json
    json "o['runnable']"
fi
finish
