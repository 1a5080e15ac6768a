#!/bin/bash
# kill -9 at fifty random moments, half of them while a checkpoint is being written (each step writes
# one): the run always goes on from its last checkpoint, and ends with the very bits of one that
# nobody killed.  A second interrupt leaves at once; the first one finishes the step.
. tests/cli/lib.bash
pretrain="$R1 pretrain recipes/modsum-base.json steps=40 threads=1"
grpo="$R1 grpo recipes/modsum-grpo.json model=$TMP/base threads=1 prompts=4 num_generations=4
    minibatches=2 beta=0.01 ref_refresh_steps=3 dynamic_sampling=1 keep_checkpoints=2"
RANDOM=4711

$pretrain output="$TMP/base" > "$TMP/out" 2>&1 || fail "$(head -c 300 "$TMP/out")"

# killed KILLS COMMAND...: like the command, but killed so often on its way.
killed() {
    local kills=$1 output=$2 resume= pid code k
    shift 2
    for ((k = 0; k < kills; k++)); do
        "$@" output="$output" save_steps=1 --json $resume >> "$TMP/told" 2> "$TMP/error" < /dev/null &
        pid=$!
        sleep "0.$(printf %03d $((20 + RANDOM % 180)))"
        { kill -KILL $pid && wait $pid; } 2> /dev/null
        code=$?
        [ $code = 137 ] || [ $code = 0 ] || [ $code = 1 ] || fail "exit code $code: $(cat "$TMP/error")"
        # Before the first checkpoint there is nothing to go on with.
        ls "$output".checkpoint/step-????????/state.json > /dev/null 2>&1 && resume=--resume
        [ -d "$output" ] && break
    done
    echo "$k kills of $output"
    [ -d "$output" ] && return
    "$@" output="$output" save_steps=1 $resume > "$TMP/out" 2>&1 < /dev/null ||
        fail "the last part: $(head -c 300 "$TMP/out")"
}

clean() {
    local left
    left=$(find "$TMP" -name '*.tmp*')
    [ -z "$left" ] || fail "left behind: $left"
}

$grpo output="$TMP/rl" steps=60 > "$TMP/out" 2>&1 || fail "$(head -c 300 "$TMP/out")"
killed 35 "$TMP/rl-killed" $grpo steps=60
cmp "$TMP/rl/model.safetensors" "$TMP/rl-killed/model.safetensors" || fail "GRPO: another model"
$pretrain output="$TMP/pt" steps=60 > "$TMP/out" 2>&1 || fail "$(head -c 300 "$TMP/out")"
killed 15 "$TMP/pt-killed" $pretrain steps=60
cmp "$TMP/pt/model.safetensors" "$TMP/pt-killed/model.safetensors" || fail "pre-training: another model"
clean

# Two checkpoints are kept, and every step is once in the metrics of the run.
[ "$(ls -d "$TMP"/rl-killed.checkpoint/step-* | wc -l)" = 2 ] || fail "$(ls "$TMP"/rl-killed.checkpoint)"
log=$(ls -t "$TMP"/rl-killed.logs/*/metrics.jsonl | head -n 1)
[ "$(grep -c '"reward"' "$log")" = 30 ] || fail "$(wc -l "$log")"
[ "$(sed -E 's/^\{"step": ([0-9]+).*/\1/' "$log" | grep -c .)" -ge 30 ] || fail "lines of $log"
ls "$TMP"/rl-killed.logs/*/events.out.tfevents.* > /dev/null || fail "no event files"

# The first SIGTERM finishes the step and saves; a second one leaves at once.
: > "$TMP/told"
$grpo output="$TMP/two" steps=100000 --json > "$TMP/told" 2> "$TMP/error" < /dev/null &
pid=$!
wait_for $pid grep -q '^{"step": 2,' "$TMP/told"
kill -TERM $pid
wait $pid
code=$?
[ $code = 1 ] || fail "SIGTERM: exit code $code"
grep -q 'finishing the step' "$TMP/error" || fail "SIGTERM: $(cat "$TMP/error")"
grep -q '^r1: interrupted after step [0-9]*; go on with --resume$' "$TMP/error" ||
    fail "SIGTERM: $(cat "$TMP/error")"

$grpo output="$TMP/long" steps=100000 prompts=512 num_generations=64 > "$TMP/told" 2> "$TMP/error" < /dev/null &
pid=$!
wait_for $pid [ -d "$TMP/long.logs" ] || fail "no logs" # it listens before
kill -INT $pid
wait_for $pid grep -q 'finishing the step' "$TMP/error" || fail "the first SIGINT was not seen"
kill -INT $pid
wait $pid
code=$?
[ $code = 130 ] || fail "two SIGINT: exit code $code: $(cat "$TMP/error")"
finish
