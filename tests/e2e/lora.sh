#!/bin/bash
# Adapters: trained beside plain and quantised bases, resumed bit for bit, used by every command that
# opens a model, and merged; GRPO's reference is their base.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
base=tests/golden/model-a
for i in {1..20}; do
    echo '{"prompt": "the quick ", "completion": "brown fox"}'
    echo '{"prompt": "the lazy ", "completion": "dog"}'
done > "$TMP/pairs.jsonl"
sft="$R1 sft data=$TMP/pairs.jsonl learning_rate=3e-2 schedule=constant max_length=32
    batch_tokens=256 compute=f32"

expect 0 'lora.target.modules' "$R1" sft --help
expect 0 '^step 40/40' $sft model=$base output="$TMP/a" steps=40 lora_r=4 lora_alpha=8
[ "$(ls "$TMP/a" | tr '\n' ' ')" = "adapter_config.json adapter_model.safetensors " ] ||
    fail "an adapter has $(ls "$TMP/a")"
expect 0 '"target_modules": \[' cat "$TMP/a/adapter_config.json"

# The directory stands for base and adapter; --lora puts it on a base that is named.
expect 0 '^brown fox$' "$R1" run "$TMP/a" --raw --greedy -n 12 -p 'the quick '
expect 0 '^dog$' "$R1" run $base --lora "$TMP/a" --raw --greedy -n 12 -p 'the lazy '
expect 0 'ids|[0-9]' "$R1" tokenize "$TMP/a" 'the fox'
ids=1,2,3,4,5,6,7,8,9
expect 0 'logprobs' "$R1" logprob $base --ids $ids --json --compute f32
cp "$TMP/out" "$TMP/of-base"
expect 0 'logprobs' "$R1" logprob "$TMP/a" --ids $ids --json --compute f32
cp "$TMP/out" "$TMP/of-adapter"
cmp -s "$TMP/of-base" "$TMP/of-adapter" && fail "the adapter changes nothing"
expect 0 'logprobs' "$R1" logprob $base --lora "$TMP/a" --ids $ids --json --compute f32
cmp "$TMP/out" "$TMP/of-adapter" || fail "--lora differs from the directory"

# What it is, with its base and without.
expect 0 'LoRA adapter, llama' "$R1" inspect "$TMP/a"
expect 0 "^base +.*$base\$" "$R1" inspect "$TMP/a"
expect 0 'lora_A.weight +F32 ' "$R1" inspect "$TMP/a"
expect 0 '"runnable": true.*"lora_alpha": 8' "$R1" inspect "$TMP/a" --json
cp -r "$TMP/a" "$TMP/lost"
sed -i 's|"base_model_name_or_path": "[^"]*"|"base_model_name_or_path": "gone"|' \
    "$TMP/lost/adapter_config.json"
expect 0 "cannot be run here: .*base model 'gone' is not here" "$R1" inspect "$TMP/lost"

# Merged, the numbers are the same to rounding.
near() { # FILE FILE
    "$PYTHON" -c 'import json, sys
a, b = (json.load(open(p))["logprobs"] for p in sys.argv[1:])
assert len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < 1e-4, (a, b)' "$1" "$2" ||
        fail "other log-probabilities: $1 $2"
}
expect 0 'tensors' "$R1" convert "$TMP/a" "$TMP/merged"
expect 0 'tensors' "$R1" convert tests/golden/model-a.gguf "$TMP/merged.gguf" --lora "$TMP/a"
for m in "$TMP/merged" "$TMP/merged.gguf"; do
    expect 0 'logprobs' "$R1" logprob "$m" --ids $ids --json --compute f32
    cp "$TMP/out" "$TMP/of-merged"
    near "$TMP/of-merged" "$TMP/of-adapter"
done
expect 0 'tensors' "$R1" quantize $base "$TMP/q.gguf" --type Q8_0 --lora "$TMP/a"
expect 0 '^brown fox$' "$R1" run "$TMP/q.gguf" --raw --greedy -n 12 -p 'the quick '

# A quantised base; a run that went on has the bits of one that ran through.
expect 0 '' "$R1" quantize $base "$TMP/base.gguf" --type Q4_0
expect 0 '^step 12/12' $sft model="$TMP/base.gguf" output="$TMP/through" steps=12 lora_r=4
expect 0 '^step 6/6' $sft model="$TMP/base.gguf" output="$TMP/twice" steps=6 save_steps=6 lora_r=4
expect 1 'was made with lora_r 4, not 0' $sft model="$TMP/base.gguf" output="$TMP/twice" steps=12 \
    --resume
expect 0 '^step 12/12' $sft model="$TMP/base.gguf" output="$TMP/twice" steps=12 lora_r=4 --resume
cmp "$TMP/through/adapter_model.safetensors" "$TMP/twice/adapter_model.safetensors" ||
    fail "resumed, another adapter"
# An adapter is trained further when lora_r is left out; a second one on top there is none.
expect 0 '^step 2/2' $sft model="$TMP/twice" output="$TMP/more" steps=2
expect 0 '"r": 4' cat "$TMP/more/adapter_config.json"
expect 1 'is an adapter; without lora_r it is trained further' $sft model="$TMP/twice" \
    output="$TMP/no" steps=2 lora_r=2

# GRPO: the first step's KL to the base is nothing, later ones' is something.
expect 0 '' "$R1" pretrain recipes/modsum-base.json steps=100 output="$TMP/modsum"
expect 0 '"kl"' "$R1" grpo recipes/modsum-grpo.json model="$TMP/modsum" steps=6 beta=0.01 \
    lora_r=4 learning_rate=1e-2 output="$TMP/rl" compute=f32 --json
"$PYTHON" - "$TMP/out" << 'PY' || fail "the KL: $(cut -c 1-400 "$TMP/out")"
import json, sys
kl = [json.loads(line)["kl"] for line in open(sys.argv[1]) if line.startswith('{"step"')]
assert abs(kl[0]) < 1e-6 and kl[-1] > 1e-5, kl
PY
expect 0 'pass@1' "$R1" eval "$TMP/rl" --task modsum --samples 2 --limit 4 --json

# What is refused.
expect 1 "'nose_proj' is no part of this model" $sft model=$base output="$TMP/no" steps=1 \
    lora_r=2 lora_target_modules=nose_proj
expect_error 'adapter_config.json' "$R1" run $base --lora "$TMP/none" -p x
expect_error 'is it of another model' "$R1" run tests/golden/model-b --lora "$TMP/a" -p x
expect 2 'lora belongs to one MODEL' "$R1" serve $base $base --lora "$TMP/a"
expect 2 'lora belongs to a model' "$R1" eval $base --lora "$TMP/a" --recorded x
finish
