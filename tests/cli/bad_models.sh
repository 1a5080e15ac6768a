#!/bin/bash
# Missing, truncated and lying model files: one line, exit code 1.
. tests/cli/lib.bash
base=data/countdown-base

expect_error 'no-such-model' "$R1" run no-such-model -p x
expect_error 'gguf' "$R1" run "$TMP/none.gguf" -p x
: > "$TMP/empty.gguf"
expect_error 'empty.gguf' "$R1" run "$TMP/empty.gguf" -p x
printf 'GGUF' > "$TMP/short.gguf"
expect_error 'short.gguf' "$R1" run "$TMP/short.gguf" -p x
printf 'NOPE0000000000000000000000000000' > "$TMP/magic.gguf"
expect_error 'magic.gguf.*(magic|GGUF)' "$R1" run "$TMP/magic.gguf" -p x
printf 'GGUF\3\0\0\0\377\377\377\377\377\377\377\177\0\0\0\0\0\0\0\0' > "$TMP/huge.gguf"
expect_error 'huge.gguf' "$R1" run "$TMP/huge.gguf" -p x
mkdir "$TMP/emptydir"
expect_error 'config.json' "$R1" run "$TMP/emptydir" -p x

# A copy of the shipped model with one thing broken at a time.
broken() { rm -rf "$TMP/m"; cp -r "$base" "$TMP/m"; }
if [ -f $base/config.json ]; then
    broken; expect 0 '' "$R1" run "$TMP/m" -p 7 --raw --greedy -n 4
    broken; echo '{' > "$TMP/m/config.json"
    expect_error 'config.json' "$R1" run "$TMP/m" -p x
    broken; sed -i 's/"model_type": *"llama"/"model_type": "mamba"/; s/LlamaForCausalLM/MambaForCausalLM/' "$TMP/m/config.json"
    expect_error 'mamba|Mamba' "$R1" run "$TMP/m" -p x
    broken; sed -i 's/"hidden_size": *[0-9]*/"hidden_size": "big"/' "$TMP/m/config.json"
    expect_error 'hidden_size' "$R1" run "$TMP/m" -p x
    broken; sed -i 's/"num_hidden_layers": *[0-9]*/"num_hidden_layers": 99/' "$TMP/m/config.json"
    expect_error 'layers' "$R1" run "$TMP/m" -p x
    broken; sed -i 's/"num_hidden_layers": *[0-9]*/"num_hidden_layers": 999999999/' "$TMP/m/config.json"
    expect_error 'num_hidden_layers' "$R1" run "$TMP/m" -p x
    broken; rm "$TMP/m/model.safetensors"
    expect_error 'safetensors' "$R1" run "$TMP/m" -p x
    broken; truncate -s 1000 "$TMP/m/model.safetensors"
    expect_error 'model.safetensors' "$R1" run "$TMP/m" -p x
    broken; truncate -s -7 "$TMP/m/model.safetensors"
    expect_error 'model.safetensors' "$R1" run "$TMP/m" -p x
    broken; printf '\377\377\377\377\377\377\377\177' | dd of="$TMP/m/model.safetensors" conv=notrunc status=none
    expect_error 'model.safetensors.*header' "$R1" run "$TMP/m" -p x
    broken; rm "$TMP/m/tokenizer.json"
    expect_error 'no tokenizer' "$R1" run "$TMP/m" -p x
    expect_error 'no tokenizer' "$R1" run "$TMP/m" -p x --raw
    expect 0 'sum' "$R1" logprob "$TMP/m" --ids 1,2,3 # ids need none
    broken; truncate -s 500 "$TMP/m/tokenizer.json"
    expect_error 'tokenizer.json' "$R1" run "$TMP/m" -p x
    broken; echo '{"model":{"type":"WordPiece","vocab":{}}}' > "$TMP/m/tokenizer.json"
    expect_error 'tokenizer.json.*WordPiece' "$R1" run "$TMP/m" -p x
    expect_error 'id|vocabulary' "$R1" logprob "$base" --ids 1,999999
    expect 0 'logprobs' "$R1" logprob "$base" --ids 1,5,9 --json
fi
finish
