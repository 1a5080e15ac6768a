#!/bin/bash
# A run that SIGINT has stopped, once or several times, and that went on with --resume ends with the
# very bits of one that ran through; also on another number of threads.
. tests/cli/lib.bash
pretrain="$R1 pretrain recipes/modsum-base.json steps=160 save_steps=15"
grpo="$R1 grpo recipes/modsum-grpo.json model=$TMP/base steps=60 minibatches=2 beta=0.01 save_steps=5"

# What a killed run leaves is a checkpoint that can be read, and nothing half-written.
clean() {
    local left
    left=$(find "$TMP" -name '*.tmp*')
    [ -z "$left" ] || fail "left behind: $left"
}

# interrupt OUTPUT STEP command... : start it, send SIGINT when it has told of STEP.
interrupt() {
    local output=$1 step=$2 pid code
    shift 2
    : > "$TMP/told" # the loop must not see what an earlier run told
    "$@" output="$output" --json > "$TMP/told" 2> "$TMP/error" < /dev/null &
    pid=$!
    wait_for $pid grep -q "^{\"step\": $step," "$TMP/told"
    kill -INT $pid
    wait $pid
    code=$?
    [ $code = 1 ] || fail "interrupted: exit code $code: $*: $(head -c 300 "$TMP/error")"
    grep -q '^r1: interrupted after step [0-9]*; go on with --resume$' "$TMP/error" ||
        fail "interrupted: $(head -c 300 "$TMP/error")"
    ls "$output".checkpoint/step-*/state.json > /dev/null 2>&1 || fail "interrupted: no checkpoint: $*"
    [ ! -e "$output" ] || fail "interrupted: a model is there: $*"
    clean
}

same() { # OUTPUT OUTPUT
    cmp "$1/model.safetensors" "$2/model.safetensors" || fail "$2 differs from $1"
}

$pretrain output="$TMP/base" threads=1 > "$TMP/out" 2>&1 || fail "$(head -c 300 "$TMP/out")"
interrupt "$TMP/base-twice" 20 $pretrain threads=1
interrupt "$TMP/base-twice" 50 $pretrain threads=2 --resume
expect 0 '^step 160/160' $pretrain output="$TMP/base-twice" threads=1 --resume
same "$TMP/base" "$TMP/base-twice"

# From the checkpoint of a run that was killed: what came after step 45 is done again.
: > "$TMP/told"
(
    $pretrain output="$TMP/base-killed" threads=1 --json > "$TMP/told" 2> /dev/null &
    pid=$!
    wait_for $pid grep -q '^{"step": 50,' "$TMP/told"
    kill -KILL $pid
    wait $pid
) 2> /dev/null
expect 0 '^step 160/160' $pretrain output="$TMP/base-killed" threads=2 --resume
same "$TMP/base" "$TMP/base-killed"

# GRPO: the rollouts, the reference and the second minibatch's older samples come back too.
$grpo output="$TMP/rl" threads=1 > "$TMP/out" 2>&1 || fail "$(head -c 300 "$TMP/out")"
$grpo output="$TMP/rl-2" threads=2 > "$TMP/out" 2>&1 || fail "$(head -c 300 "$TMP/out")"
same "$TMP/rl" "$TMP/rl-2"
interrupt "$TMP/rl-twice" 4 $grpo threads=1
interrupt "$TMP/rl-twice" 12 $grpo threads=2 --resume
expect 0 '^step 60/60' $grpo output="$TMP/rl-twice" threads=1 --resume
same "$TMP/rl" "$TMP/rl-twice"
cmp -s "$TMP/rl/model.safetensors" "$TMP/base/model.safetensors" && fail "nothing was learnt"

# The store has one run for all its parts, with every step once.
expect 0 '"status": "done".*"steps": 60' "$R1" runs show 6 --json
expect 0 '' "$R1" runs export 6 --jsonl
[ "$(grep -c '"reward"' "$TMP/out")" = 30 ] || fail "steps of the resumed run: $(head -c 300 "$TMP/out")"
expect 0 '^\[' "$R1" runs --json
[ "$(grep -c '"status": "done"' "$TMP/out")" = 6 ] || fail "runs: $(cat "$TMP/out")"

# What cannot be resumed.
expect_error 'no checkpoint to resume from' $pretrain output="$TMP/none" --resume
expect_error 'made with seed 1, not 2' $pretrain output="$TMP/base-twice" seed=2 --resume
expect_error 'has already done [0-9]+ of 30 steps' $pretrain output="$TMP/base-twice" steps=30 --resume
cp -r "$TMP/base-twice.checkpoint" "$TMP/spoilt.checkpoint"
for file in "$TMP"/spoilt.checkpoint/step-*/optimizer.safetensors; do
    truncate -s 1000 "$file"
done
expect 1 'optimizer.safetensors' $pretrain output="$TMP/spoilt" --resume
clean
finish
