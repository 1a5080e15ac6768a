#!/bin/bash
# convert, quantize, create: right use, wrong use, and what must not be left behind.
. tests/cli/lib.bash
model=tests/golden/model-qwen2
file=tests/golden/model-qwen2.gguf

expect 2 'MODEL is missing' "$R1" convert
expect 2 'destination is missing' "$R1" convert m
expect 2 'MODEL is missing' "$R1" quantize
expect 2 'CONFIG.json is missing' "$R1" create
expect 2 "type 'Q3' is not one of F32, F16, BF16$" "$R1" convert m "$TMP/x" --type Q3
expect 2 "type 'F32' is not one of Q8_0, .*IQ4_NL$" "$R1" quantize m "$TMP/x.gguf" --type F32
expect 2 "type 'q' is not one of F32, .*IQ4_NL$" "$R1" create m "$TMP/x.gguf" --type q
expect 2 'shard' "$R1" convert m "$TMP/x" --shard 0
expect 0 'SOURCE|MODEL DESTINATION' "$R1" convert --help

# There and back; the same text is predicted with the same numbers.
expect 0 '^.*m.gguf: [0-9]+ tensors, .* MB in ' "$R1" convert $model "$TMP/m.gguf"
expect 0 '' "$R1" convert "$TMP/m.gguf" "$TMP/m"
for m in $model "$TMP/m.gguf" "$TMP/m"; do
    expect 0 'logprobs' "$R1" logprob "$m" --ids 1,2,3,4,5,6,7 --json --compute f32
    [ ! -f "$TMP/first" ] || cmp -s "$TMP/out" "$TMP/first" || fail "$m: other numbers"
    cp "$TMP/out" "$TMP/first"
done
cmp -s "$TMP/m/model.safetensors" <("$R1" convert $file "$TMP/n" > "$TMP/out" && cat "$TMP/n/model.safetensors") ||
    fail "from our GGUF and from gguf-py's: other weights"
expect 0 '' "$R1" convert $model "$TMP/narrow" --type BF16
expect 0 '"torch_dtype": "bfloat16"' cat "$TMP/narrow/config.json"
expect 0 '' "$R1" convert tests/golden/split/model-a-00002-of-00003.gguf "$TMP/whole.gguf"
expect 0 '' "$R1" run "$TMP/whole.gguf" -p "12 34" --raw --greedy -n 4
expect 0 '' "$R1" quantize $model "$TMP/q.gguf" --type Q8_0
expect 0 'logprobs' "$R1" logprob "$TMP/q.gguf" --ids 1,2,3,4 --json
expect 0 '' "$R1" quantize $model "$TMP/q1.gguf" --type Q8_0 -t 1
cmp -s "$TMP/q.gguf" "$TMP/q1.gguf" || fail "the number of threads shows in a file"

# Random weights: a function of the seed.
config=recipes/shapes/llama-100m.json
small="$TMP/small.json"
sed 's/"hidden_size": [0-9]*/"hidden_size": 64/; s/"intermediate_size": [0-9]*/"intermediate_size": 96/
     s/"num_hidden_layers": [0-9]*/"num_hidden_layers": 2/; s/"vocab_size": [0-9]*/"vocab_size": 100/
     s/"num_attention_heads": [0-9]*/"num_attention_heads": 4/
     s/"num_key_value_heads": [0-9]*/"num_key_value_heads": 2/' $config > "$small"
expect 0 '' "$R1" create "$small" "$TMP/r1.gguf" --type Q8_0 --seed 1
expect 0 '' "$R1" create "$small" "$TMP/r2.gguf" --type Q8_0 --seed 1 -t 1
cmp -s "$TMP/r1.gguf" "$TMP/r2.gguf" || fail "a seed is not enough"
expect 0 '' "$R1" create "$small" "$TMP/r2.gguf" --type Q8_0 --seed 2
cmp -s "$TMP/r1.gguf" "$TMP/r2.gguf" && fail "two seeds, one model"
expect 0 'logprobs' "$R1" logprob "$TMP/r1.gguf" --ids 1,2,3 --json
expect 0 '' "$R1" create "$small" "$TMP/r3.gguf" --type F32 --tokenizer $file
expect 0 '' "$R1" run "$TMP/r3.gguf" -p "12 34" --raw -n 4
expect_error 'r3.gguf|no such file' "$R1" create "$small" "$TMP/x.gguf" --tokenizer "$TMP/none.gguf"
expect_error 'none.json' "$R1" create "$TMP/none.json" "$TMP/x.gguf"
echo '{"model_type": "mamba"}' > "$TMP/bad.json"
expect_error 'mamba' "$R1" create "$TMP/bad.json" "$TMP/x.gguf"
for shape in recipes/shapes/*.json; do
    expect_error "must end in .gguf" "$R1" create "$shape" "$TMP/x"
done

# Bad input leaves nothing behind.
mkdir "$TMP/d"
expect_error 'none.gguf' "$R1" convert "$TMP/none.gguf" "$TMP/d/x.gguf"
expect_error 'is the source' "$R1" convert "$TMP/m.gguf" "$TMP/m.gguf"
expect_error 'is the source' "$R1" quantize "$TMP/m.gguf" "$TMP/m/../m.gguf" --type Q8_0
expect_error 'not empty' "$R1" convert $file "$TMP/m"
expect_error 'cannot create' "$R1" quantize $file "$TMP/none/x.gguf" --type Q8_0
expect_error 'ends in .gguf' "$R1" quantize $file "$TMP/d/x" --type Q8_0
head -c 20000 $file > "$TMP/cut.gguf"
expect_error 'cut.gguf' "$R1" convert "$TMP/cut.gguf" "$TMP/d/x.gguf"
expect_error 'cut.gguf' "$R1" convert "$TMP/cut.gguf" "$TMP/d/x"
expect_error 'cut.gguf' "$R1" quantize "$TMP/cut.gguf" "$TMP/d/x.gguf" --type Q8_0
cp -r $model "$TMP/cut"
truncate -s 30000 "$TMP/cut/model.safetensors"
expect_error 'model.safetensors' "$R1" convert "$TMP/cut" "$TMP/d/x.gguf"
touch "$TMP/d/plain"
expect_error 'not a directory' "$R1" convert $file "$TMP/d/plain"
if [ -c /dev/full ]; then
    ln -s /dev/full "$TMP/d/full.gguf"
    expect_error 'full.gguf.*No space|/dev/full.*No space' "$R1" convert $model "$TMP/d/full.gguf"
    expect_error 'No space' "$R1" create "$small" "$TMP/d/full.gguf" --type F32
    rm "$TMP/d/full.gguf"
fi
# A limit on the size of files stands in for a full disk where the result is a directory.
(ulimit -f 8; exec "$R1" convert $file "$TMP/d/x") > "$TMP/out" 2>&1 && fail "a full disk went unnoticed"
grep -q 'cannot write' "$TMP/out" || fail "full disk: $(cat "$TMP/out")"
if [ "$(id -u)" != 0 ]; then
    mkdir "$TMP/locked"; chmod 555 "$TMP/locked"
    expect_error 'Permission denied' "$R1" convert $file "$TMP/locked/x.gguf"
fi

# An interrupt: the old file stays, nothing new.
sed 's/"num_hidden_layers": [0-9]*/"num_hidden_layers": 200/' $config > "$TMP/large.json"
echo old > "$TMP/d/keep.gguf"
"$R1" create "$TMP/large.json" "$TMP/d/keep.gguf" --type F32 > "$TMP/out" 2>&1 &
pid=$!
begun() { [ "$(ls "$TMP/d" | wc -l)" -gt 2 ]; }
wait_for $pid begun
kill -INT $pid
wait $pid
[ $? = 1 ] && grep -q 'interrupted' "$TMP/out" || fail "an interrupt: $(head -c 300 "$TMP/out")"
[ "$(cat "$TMP/d/keep.gguf")" = old ] || fail "an interrupted command replaced a file"
[ "$(ls "$TMP/d" | tr '\n' ' ')" = 'keep.gguf plain ' ] || fail "left behind: $(ls "$TMP/d")"
finish
