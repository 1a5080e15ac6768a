#!/bin/bash
# r1 pipeline: recipes that are refused, and a small one run, kept, edited, changed, interrupted and
# gone on with.  Also the recipes of the tree, r1 sample, and what becomes of a stage's model.
. tests/cli/lib.bash

cat > "$TMP/small.json" <<'END'
{"name": "small", "task": "modsum", "compute": "f32", "eval_problems": 6, "eval_samples": 3,
 "stages": [
  {"name": "young", "kind": "pretrain", "label": "base", "steps": 120, "batch_tokens": 512, "max_length": 32,
   "learning_rate": 5e-3, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
   "num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 32},
  {"name": "zero", "kind": "grpo", "model": "@young", "steps": 4, "prompts": 4, "num_generations": 4,
   "learning_rate": 1e-3},
  {"name": "own", "kind": "sample", "model": "@zero", "prompts": 60, "num_generations": 4, "keep": 1},
  {"name": "mix", "kind": "blend", "parts": [{"data": "@own"}, {"corpus": "modsum", "count": 10}]},
  {"name": "tuned", "kind": "sft", "label": "SFT", "model": "@young", "data": "@mix", "steps": 3,
   "batch_tokens": 256, "max_length": 32},
  {"name": "silent", "kind": "sft", "measure": false, "model": "@tuned", "data": "@own", "steps": 1,
   "batch_tokens": 64, "max_length": 32}]}
END
small() { expect "$1" "$2" "$R1" pipeline "$TMP/small.json" output="$TMP/out1" "${@:3}"; }
has() { grep -qE -- "$1" "$TMP/out" || fail "no /$1/ in: $(head -c 1500 "$TMP/out")"; }
hasnot() { ! grep -qE -- "$1" "$TMP/out" || fail "/$1/ in: $(head -c 1500 "$TMP/out")"; }

# ---- What is refused
expect 2 'give a recipe' "$R1" pipeline
expect 2 'give a recipe' "$R1" pipeline steps=3
expect_error 'none.json' "$R1" pipeline "$TMP/none.json"
expect 2 'exclude' "$R1" pipeline "$TMP/small.json" --from zero --only zero
small 2 "'stepz'" zero.stepz=3
small 2 "no stage or kind 'nought'" nought.steps=3
small 2 "'evil_problems'.*eval_problems" evil_problems=3
small 1 "no stage 'zeor', did you mean 'zero'" --from zeor
while IFS='|' read -r says recipe; do
    echo "$recipe" > "$TMP/bad.json"
    expect_error "$says" "$R1" pipeline "$TMP/bad.json"
done <<'END'
bad.json: has no stages|{"task": "modsum"}
stages is no list|{"task": "modsum", "stages": []}
either task or data|{"stages": [{"name": "a", "kind": "sft"}]}
stage 1 is not an object|{"task": "modsum", "stages": [1]}
stage 1: 'kind' is missing|{"task": "modsum", "stages": [{"name": "a"}]}
kind 'stf' is unknown|{"task": "modsum", "stages": [{"name": "a", "kind": "stf"}]}
'../a' is no name|{"task": "modsum", "stages": [{"name": "../a", "kind": "sft"}]}
another stage 'a'|{"task": "modsum", "stages": [{"name": "a", "kind": "create"}, {"name": "a", "kind": "create"}]}
output is the pipeline's|{"task": "modsum", "stages": [{"name": "a", "kind": "sft", "output": "x"}]}
stage 'a'.*'stepz'|{"task": "modsum", "stages": [{"name": "a", "kind": "sft", "stepz": 1}]}
no stage 'b' before it|{"task": "modsum", "stages": [{"name": "a", "kind": "sft", "data": "@b"}]}
no base is given|{"task": "modsum", "stages": [{"name": "a", "kind": "sft", "model": "@base"}]}
@a is a model, not data|{"task": "modsum", "stages": [{"name": "a", "kind": "create"}, {"name": "b", "kind": "sft", "data": "@a"}]}
@base is a model, not data|{"task": "modsum", "base": "x", "stages": [{"name": "b", "kind": "sft", "data": "@base"}]}
END
[ ! -e "$TMP/out1" ] || fail "a refused recipe left something behind"

# ---- From nothing
small 0 'young +pretrain run \(not done yet\)' --dry-run
has 'own +sample +run \(an input is new: @zero\)'
[ ! -e "$TMP/out1" ] || fail "a dry run left something behind"
small 0 'tuned +sft +run'
has '^base +[0-9.]+ %'
has '^SFT +[0-9.]+ %'
has 'report.html'
hasnot '^silent +[0-9.]+ %'
grep -q '</html>' "$TMP/out1/report.html" || fail "no report"
grep -q '<i class="c1">' "$TMP/out1/report.html" || fail "no curves of two runs"
grep -q '"label": "SFT"' "$TMP/out1/table.json" || fail "no table"
grep -q '"why": "wrong"' "$TMP/out1/own/data/traces.jsonl" || fail "no reasons"
[ -e "$TMP/out1/tuned/stage.json" ] && [ -e "$TMP/out1/tuned/eval.json" ] || fail "no manifest"

# ---- Again: nothing is done, and the table is the same
cp "$TMP/out1/table.json" "$TMP/table.json"
small 0 'kept \(unchanged\)'
hasnot ' run \(|measuring'
cmp -s "$TMP/table.json" "$TMP/out1/table.json" || fail "another table"
"$R1" pipeline "$TMP/small.json" output="$TMP/out1" --json 2> "$TMP/err" > "$TMP/out" || fail "--json"
has '"rows": \['
hasnot 'kept \('

# ---- A product that was edited by hand is used, and what comes of it made anew
echo '{"text": "<bos>1+1=2"}' >> "$TMP/out1/own/data/kept.jsonl"
small 0 'own +sample +kept \(unchanged, but its product was edited\)'
has 'zero +grpo +kept \(unchanged\)'
has 'mix +blend +run \(an input is new: @own\)'
has 'tuned +sft +run \(an input is new: @mix\)'
small 0 'tuned +sft +kept \(unchanged\)' --dry-run
# ---- A recipe that has changed; where it runs and what it is called does not count
small 0 'tuned +sft +run \(its recipe has changed\)' --dry-run tuned.steps=4
has 'mix +blend +kept'
has 'silent +sft +run \(an input is new: @tuned\)'
small 0 'tuned +sft +kept' --dry-run name=other sft.threads=1
# ---- Asked for
small 0 'mix +blend +run \(asked for\)' --dry-run --from mix
has 'own +sample +kept'
small 0 'zero +grpo +kept \(left out\)' --only tuned
has 'tuned +sft +run \(asked for\)'
rm -r "$TMP/out1/young/model"
small 0 'young +pretrain run \(its product is gone\)' --dry-run
small 1 "stage 'zero'" --only zero

# ---- Interrupted: the checkpoint is gone on from
rm -r "$TMP/out1"
"$R1" pipeline "$TMP/small.json" output="$TMP/out1" zero.steps=3000 > "$TMP/log" 2>&1 &
pid=$!
wait_for $pid grep -q 'step 1/3000' "$TMP/log"
kill -INT $pid
wait $pid
[ $? = 1 ] && grep -q "stage 'zero': interrupted after step" "$TMP/log" || fail "not interrupted: $(tail -3 "$TMP/log")"
small 0 'zero +grpo +run \(did not end\)' --dry-run zero.steps=3000
small 0 'zero +grpo +run \(goes on from its checkpoint\)' --dry-run --resume zero.steps=3000
small 0 'zero +grpo +run \(its recipe has changed\)' --dry-run --resume zero.steps=5

# ---- The recipes of the tree are well formed, and the first runs from end to end
for recipe in recipes/r1*.json; do
    expect 0 'run \(not done yet\)' "$R1" pipeline $recipe base=data/countdown-base output="$TMP/none" --dry-run
done
expect 0 'student: RL alone +[0-9.]+ %' "$R1" pipeline recipes/r1.json output="$TMP/r1" eval_problems=2 \
    eval_samples=2 grpo.steps=1 grpo.prompts=4 grpo.num_generations=2 grpo.minibatches=1 sft.steps=1 \
    sft.batch_tokens=512 pretrain.steps=2 pretrain.batch_tokens=512 sample.prompts=12 cold.min_length=1 \
    cold.max_length=0 cold.prompts=16
# A stage's directory, or its model's, goes wherever a model goes.
expect 0 '<answer>|=' "$R1" run "$TMP/r1/final" --raw -p '<bos>3 7 12:57' -n 40
expect 0 'pass@1' "$R1" eval "$TMP/r1/distilled/model" --task countdown --limit 2 --samples 2
# A checkpoint too; and by `r1 convert` whatever reads GGUF files (the demonstration's tokenizer has no
# name there).
echo '{"text": "a text to learn, and then some more of it"}' > "$TMP/text.jsonl"
expect 0 'step 2/2' "$R1" sft model=tests/golden/model-a data="$TMP/text.jsonl" steps=2 max_length=16 \
    batch_tokens=16 save_steps=1 compute=f32 learning_rate=1e-2 output="$TMP/tuned"
expect 0 '' "$R1" convert "$TMP/tuned.checkpoint" "$TMP/tuned.gguf" --type F32
expect 0 'logprobs' "$R1" logprob "$TMP/tuned" --ids 5,6,7 --json
cp "$TMP/out" "$TMP/scores"
for model in "$TMP/tuned.checkpoint" "$TMP/tuned.gguf"; do
    expect 0 'logprobs' "$R1" logprob $model --ids 5,6,7 --json
    cmp -s "$TMP/out" "$TMP/scores" || fail "$model scores otherwise: $(cat "$TMP/out")"
done

# ---- r1 sample
expect 2 'give a run file' "$R1" sample
expect 1 'give model' "$R1" sample task=modsum
expect 1 'either task or data' "$R1" sample model=x
expect 1 'prompts' "$R1" sample model=x task=modsum prompts=0
expect 1 "'klingon'" "$R1" sample model=x task=modsum language=klingon
expect 1 'not in words' "$R1" sample model=x task=countdown endpoint=http://localhost:1
mkdir -p "$TMP/mine"; echo 1 > "$TMP/mine/file"
expect 1 'not a directory of samples' "$R1" sample model=data/countdown-base task=countdown output="$TMP/mine"
one() { "$R1" sample model=data/countdown-base task=countdown prompts=24 num_generations=4 output="$TMP/$1" "${@:2}" > "$TMP/out" 2>&1; }
one s1 || fail "r1 sample: $(cat "$TMP/out")"
one s2 decode_batch=3 || fail "r1 sample in small batches"
cmp -s "$TMP/s1/traces.jsonl" "$TMP/s2/traces.jsonl" || fail "samples depend on the batch"
[ "$(wc -l < "$TMP/s1/traces.jsonl")" = 96 ] || fail "not 96 traces"
[ "$(grep -c '"kept": true' "$TMP/s1/traces.jsonl")" = "$(wc -l < "$TMP/s1/kept.jsonl")" ] || fail "kept and kept"
one s3 wanted=5 decode_batch=1 && [ "$(wc -l < "$TMP/s3/kept.jsonl")" -ge 5 ] && [ "$(wc -l < "$TMP/s3/traces.jsonl")" -lt 96 ] ||
    fail "wanted: $(wc -l < "$TMP/s3/traces.jsonl") traces"
one s4 min_length=380 && fail "nothing kept is no success"
grep -q 'none of 96 samples was kept' "$TMP/out" || fail "nothing kept is not told: $(cat "$TMP/out")"
# Half of the samples are there: only the others are made, and all is as if nothing had happened.
one s5 min_length=380
head -n 50 "$TMP/s5.part.jsonl" > "$TMP/part" && mv "$TMP/part" "$TMP/s5.part.jsonl" || fail "no part file"
one s5 --resume || fail "resume: $(cat "$TMP/out")"
cmp -s "$TMP/s1/traces.jsonl" "$TMP/s5/traces.jsonl" || fail "resumed samples differ"
[ ! -e "$TMP/s5.part.jsonl" ] || fail "the part file is left"
one s6 min_length=380
one s6 temperature=0.5 --resume && fail "resumed with other settings"
grep -q 'other settings' "$TMP/out" || fail "other settings: $(cat "$TMP/out")"
# A server as the teacher: every sample is there, with its reason.
mkdir -p "$TMP/teacher"
cp tests/golden/model-a/*.json tests/golden/model-a/model.safetensors "$TMP/teacher/"
"${PYTHON:-python3}" tests/cli/think_template.py "$TMP/teacher/tokenizer_config.json" || exit 1
"$R1" serve "$TMP/teacher" --port 0 > "$TMP/served" 2>&1 &
server=$!
until url=$(grep -oE -m 1 'http://127.0.0.1:[0-9]+' "$TMP/served"); do
    kill -0 $server 2> /dev/null || { fail "r1 serve: $(cat "$TMP/served")"; break; }
done
remote() {
    "$R1" sample model=teacher endpoint=$url task=arithmetic prompts=5 num_generations=3 output="$TMP/remote" \
        max_completion_length=12 "$@" > "$TMP/out" 2>&1
}
remote && fail "a random teacher was right"
grep -q 'none of 15 samples was kept' "$TMP/out" || fail "a server's samples: $(cat "$TMP/out")"
[ "$(grep -c '"prompt": "Calculate' "$TMP/remote/traces.jsonl")" = 15 ] || fail "not 15 samples of a server"
kill -TERM $server
wait $server
remote output="$TMP/nowhere" tries=1 && fail "nobody answers"
grep -q "$url" "$TMP/out" || fail "nobody answers: $(cat "$TMP/out")"
finish
