#!/bin/bash
# Every family from the command line: what inspect, tokenize, logprob and run say of a model, its
# way through GGUF and back, its quantised forms; and that a DeepSeek-V3 trains with SFT and GRPO.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
golden=tests/golden

# near A B LIMIT: two outputs of `logprob --json` differ by at most so much.
near() {
    "$PYTHON" -c 'import json, sys
a, b = (json.load(open(f))["logprobs"] for f in sys.argv[1:3])
worst = max(abs(x - y) for x, y in zip(a, b, strict=True))
assert worst <= float(sys.argv[3]), worst' "$1" "$2" "$3" 2> "$TMP/why" ||
        fail "$1, $2: $(tail -n 1 "$TMP/why" | head -c 200)"
}
ids=7,3,41,12,5,5,30,22,1,18,9,50,33,2
lp() { # NAME MODEL: into $TMP/NAME.json
    expect 0 'logprobs' "$R1" logprob "$2" --ids $ids --json
    cp "$TMP/out" "$TMP/$1.json"
}

for family in a b bias qwen2 qwen2-yarn deepseek deepseek-plain deepseek-fp8; do
    m=$golden/model-$family
    expect 0 'tensors' "$R1" inspect "$m"
    expect 0 '^[0-9 ]+$' "$R1" tokenize "$m" 'the quick brown fox'
    expect 0 . "$R1" run "$m" --raw -p 'the quick' --greedy -n 8
    lp directory "$m"
    if [ $family = deepseek-fp8 ]; then
        expect 0 '' "$R1" convert "$m" "$TMP/m.gguf" --type F32
    else
        expect 0 '' "$R1" convert "$m" "$TMP/m.gguf"
    fi
    expect 0 'tensors' "$R1" inspect "$TMP/m.gguf" --ctx 64
    lp gguf "$TMP/m.gguf"
    near "$TMP/directory.json" "$TMP/gguf.json" 1e-4
    expect 0 '' "$R1" convert "$TMP/m.gguf" "$TMP/back"
    lp back "$TMP/back"
    near "$TMP/directory.json" "$TMP/back.json" 1e-4
    # A GGUF that another program wrote, in the older layout too.
    if [ -f "$m.gguf" ]; then
        lp other "$m.gguf"
        near "$TMP/directory.json" "$TMP/other.json" 1e-4
    fi
    for type in Q8_0 Q4_K; do
        expect 0 '' "$R1" quantize "$m" "$TMP/q.gguf" --type $type
        expect 0 . "$R1" run "$TMP/q.gguf" --raw -p 'the quick' --greedy -n 8
    done
    rm -rf "$TMP/back" "$TMP"/*.gguf
done

# Latent attention, router and experts learn: a text is known better afterwards.
deepseek=$golden/model-deepseek
for i in {1..8}; do
    echo '{"prompt": "the quick", "completion": " brown fox jumps over the lazy dog"}'
done > "$TMP/sft.jsonl"
expect 0 '^step 8/8' "$R1" sft model=$deepseek data="$TMP/sft.jsonl" output="$TMP/sft" steps=8 \
    learning_rate=1e-2 compute=f32 max_length=64 batch_tokens=64
mean() { # MODEL: of the log-probabilities of the text
    expect 0 'logprobs' "$R1" logprob "$1" -p 'the quick brown fox jumps over the lazy dog' --json
    "$PYTHON" -c 'import json, sys
lp = json.load(open(sys.argv[1]))["logprobs"]
print(round(1000 * sum(lp) / len(lp)))' "$TMP/out"
}
before=$(mean $deepseek) after=$(mean "$TMP/sft")
[ "$after" -gt $((before + 500)) ] || fail "SFT: $before, then $after thousandths of a nat a token"
echo '{"prompt": "the quick", "answer": {"bytes": 10}, "verifier": "length"}' > "$TMP/grpo.jsonl"
expect 0 '^step 2/2' "$R1" grpo model="$TMP/sft" data="$TMP/grpo.jsonl" output="$TMP/grpo" steps=2 \
    prompts=2 num_generations=4 max_completion_length=12 learning_rate=1e-3 compute=f32
lp grpo "$TMP/grpo"
finish
