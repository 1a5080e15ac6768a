#!/bin/bash
# Training that must not go on: impossible runs, numbers that run away, a full disk.  One line
# says why, the store knows it, and nothing half-written stays.
. tests/cli/lib.bash
pretrain="$R1 pretrain recipes/modsum-base.json"
grpo="$R1 grpo recipes/modsum-grpo.json"
models=$TMP/models
base=$models/base

# The reason of a failure, whatever progress was printed before it.
stops() { # PATTERN command...
    expect 1 "^r1: .*$1" "${@:2}"
    [ "$(grep -c '^r1:' "$TMP/out")" = 1 ] || fail "not one reason: $(cat "$TMP/out")"
    clean
}

clean() {
    local left
    left=$(find "$TMP" -name '*.tmp*')
    [ -z "$left" ] || fail "left behind: $left"
}

# The last run of the store.
status() { # PATTERN
    "$R1" runs --json > "$TMP/runs" 2>&1
    tail -n 1 "$TMP/runs" | grep -qE "$1" || fail "no $1 in the store: $(tail -n 1 "$TMP/runs")"
}

expect 0 '^step 200/200' $pretrain output="$base" steps=200

# Runs that cannot be.
stops "model 'none'" $grpo model=none output="$models/new"
status '"status": "failed"'
stops 'config.json' $grpo model=tests output="$models/new"
stops 'give model' "$R1" grpo task=modsum output="$models/new"
stops 'task or data' "$R1" grpo model="$base" output="$models/new"
stops 'task or data, not both' $grpo model="$base" data=x output="$models/new"
stops "modsun.*modsum" $grpo model="$base" task=modsun output="$models/new"
stops 'minibatches: 33 is more than the 32' $grpo model="$base" minibatches=33 output="$models/new"
stops 'give data' "$R1" sft model="$base" output="$models/new"
stops 'give model' "$R1" sft data=x output="$models/new"
stops 'none.jsonl' "$R1" sft model="$base" data="$TMP/none.jsonl" output="$models/new"
stops 'max_length: 64 is more than .* context of 32' $pretrain max_length=64 output="$models/new"
stops 'needs a tokenizer' "$R1" pretrain data=README.md output="$models/new"
echo '{"text": "1+1=2"}' > "$TMP/text.jsonl"
echo '{"prompt": "1+1=", "answer": {"answer": 2}, "verifier": "modsum"}' > "$TMP/problem.jsonl"
printf '{"prompt": "<bos>1", "completion": "2"}\n\n{"prompt": "<bos>%030d", "completion": "2"}\n' 1 \
    > "$TMP/cut.jsonl"
stops 'problem.jsonl:1' "$R1" sft model="$base" data="$TMP/problem.jsonl" output="$models/new"
stops 'text.jsonl:1' "$R1" grpo model="$base" data="$TMP/text.jsonl" output="$models/new" \
    max_completion_length=4
stops 'cut.jsonl:3: nothing to learn within max_length 31' "$R1" sft model="$base" \
    data="$TMP/cut.jsonl" output="$models/new" max_length=31
[ ! -e "$models/new" ] || fail "a model was made"
[ ! -e "$models/new.logs" ] || fail "runs without a step left logs"

# Nothing but a model is replaced.
mkdir "$models/notes"
echo mine > "$models/notes/file"
stops 'notes exists and is not a model' $pretrain output="$models/notes"
stops 'file: exists and is not a directory' $pretrain output="$models/notes/file"
stops 'exists and is not a model' $pretrain output="$models"
[ "$(cat "$models/notes/file")" = mine ] || fail "a file is gone"

# Numbers that run away: the run ends, its model is not written.
stops 'step 2: the (gradient|loss) is not finite \(learning rate 1e\+09\).*learning_rate' \
    $pretrain output="$models/new" learning_rate=1e9 warmup_steps=0 schedule=constant
status '"status": "failed".*"steps": 1[,}]'
stops 'step [0-9]+: the (gradient|loss) is not finite' $grpo model="$base" output="$models/new" \
    learning_rate=1e9 beta=0.1
[ ! -e "$models/new" ] || fail "a broken model was written"
# Without a KL there is no gradient left that could be infinite: the user is told.
expect 0 'warning dead_groups: step [0-9]+: a share of 1 of the groups' $grpo model="$base" output="$models/lost" \
    learning_rate=1e9 steps=3

# A disk that is full when a checkpoint, and when the model itself, is written; the model that was
# there stays.
cp -r "$base" "$models/kept"
# Becomes a command that has too little room for a checkpoint: to be run in the background.
full() {
    trap '' XFSZ
    ulimit -Sf 500 # KiB of a file; the weights take 420
    exec "$@"
}
expect 0 '^step 1/1' $pretrain steps=1 output="$models/kept" # a model may be replaced
before=$(cksum < "$models/kept/model.safetensors")

# Without room a run waits; SIGINT ends the waiting.
paused() { # PATTERN command...
    : > "$TMP/out" # what the command before said must not be taken for its own
    "${@:2}" > "$TMP/out" 2>&1 < /dev/null &
    local pid=$! code
    wait_for $pid grep -q '^note: paused, ' "$TMP/out"
    kill -INT $pid
    wait $pid
    code=$?
    [ $code = 1 ] || fail "exit code $code: ${*:2}: $(head -c 600 "$TMP/out")"
    grep -qE "^note: paused, .*$1.*: make room" "$TMP/out" || fail "no /$1/: $(head -c 600 "$TMP/out")"
    grep -qE "^r1: .*$1.*left while waiting for room" "$TMP/out" ||
        fail "no reason: $(head -c 600 "$TMP/out")"
    clean
}
paused 'checkpoint.*File too large' full $pretrain steps=3 save_steps=2 output="$models/kept"
status '"status": "failed".*"steps": 2[,}]'
[ ! -e "$models/kept.checkpoint" ] || fail "half a checkpoint is there"
paused 'File too large' full $pretrain steps=3 hidden_size=96 output="$models/kept"
[ "$(cksum < "$models/kept/model.safetensors")" = "$before" ] || fail "the old model is gone"

# A limit on files that is raised while the run waits: it goes on by itself.
if command -v prlimit > /dev/null; then
    : > "$TMP/out"
    full $pretrain steps=6 save_steps=2 output="$models/waited" > "$TMP/out" 2>&1 < /dev/null &
    pid=$!
    wait_for $pid grep -q '^note: paused, ' "$TMP/out"
    prlimit --fsize=unlimited: --pid $pid
    wait $pid || fail "after room came: $(head -c 600 "$TMP/out")"
    grep -q '^note: there is room again' "$TMP/out" || fail "not told: $(head -c 600 "$TMP/out")"
    expect 0 '^step 6/6' $pretrain steps=6 output="$models/never"
    cmp "$models/waited/model.safetensors" "$models/never/model.safetensors" ||
        fail "the wait changed the model"
fi

# The same on a small file system, where one can be mounted.
mkdir "$TMP/small"
if mount -t tmpfs -o size=1m none "$TMP/small" 2> /dev/null; then
    paused 'checkpoint.*No space left' $pretrain steps=3 save_steps=2 output="$TMP/small/m" logs=false
    [ -z "$(ls -A "$TMP/small")" ] || fail "left on the full disk: $(ls -A "$TMP/small")"
    expect 0 '^step 3/3' $pretrain steps=3 output="$TMP/small/m" logs=false
    paused 'No space left' $pretrain steps=3 hidden_size=128 output="$TMP/small/m" logs=false
    expect 0 '' "$R1" logprob "$TMP/small/m" --ids 1,2,3

    # Room comes: the run goes on by itself to the model of one that never waited.
    rm -rf "$TMP/small/m"
    : > "$TMP/out"
    $pretrain steps=6 save_steps=2 output="$TMP/small/m" > "$TMP/out" 2>&1 < /dev/null &
    pid=$!
    wait_for $pid grep -q '^note: paused, ' "$TMP/out"
    mount -o remount,size=16m "$TMP/small"
    wait $pid || fail "after room came: $(head -c 600 "$TMP/out")"
    grep -q '^note: there is room again' "$TMP/out" || fail "not told: $(head -c 600 "$TMP/out")"
    expect 0 '^step 6/6' $pretrain steps=6 output="$models/never-waited"
    cmp "$TMP/small/m/model.safetensors" "$models/never-waited/model.safetensors" ||
        fail "the wait changed the model"
    umount "$TMP/small"
fi
finish
