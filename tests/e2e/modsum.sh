#!/bin/bash
# The whole recipe on the smallest task: a base model that answers about one sum in six rightly,
# RL to nearly all, the store's record of both, evaluation, and fine-tuning on given answers.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
base=$TMP/models/base zero=$TMP/models/zero

json() { # EXPRESSION about `o`, the JSON in $TMP/out
    "$PYTHON" -c 'import json, sys
o = json.load(open(sys.argv[1]))
assert eval(sys.argv[2]), o' "$TMP/out" "$1" 2> "$TMP/why" ||
        fail "not so: $1: $(tail -n 1 "$TMP/why" | head -c 600)"
}

expect 0 '^step 800/800  loss 0\.9|^step 800/800  loss 1\.0' \
    "$R1" pretrain recipes/modsum-base.json output="$base"
expect 0 '^step 40/40  reward ' "$R1" grpo recipes/modsum-grpo.json model="$base" output="$zero" \
    eval_steps=20 eval_problems=10
grep -q 'step 20/40 .*dev pass@1' "$TMP/out" || fail "no evaluation: $(head -c 300 "$TMP/out")"

# The store.
expect 0 '' "$R1" runs show 1 --json
json "o['kind'] == 'pretrain' and o['status'] == 'done' and o['steps'] == 800"
json "o['config']['hidden_size'] == 64 and o['config']['task'] == 'modsum'"
json "o['metrics']['loss']['n'] == 800 and o['metrics']['loss']['last'] < 1.1"
expect 0 '' "$R1" runs show 2 --json
json "o['kind'] == 'grpo' and o['name'] == 'modsum-grpo' and o['status'] == 'done'"
json "o['steps'] == 40 and o['ended'] >= o['started'] > 0"
json "0.05 < o['metrics']['reward']['first'] < 0.3 and o['metrics']['reward']['last'] >= 0.95"
json "o['metrics']['eval/pass@1']['n'] == 2 and 0 <= o['metrics']['eval/pass@1']['last'] <= 1"
json "o['metrics']['completions/mean_length']['last'] > 1.5"
json "o['metrics']['completions/formatted']['last'] > 0.95"
expect 0 '' "$R1" runs export 2 --jsonl
"$PYTHON" -c 'import json, sys
steps = [json.loads(line) for line in open(sys.argv[1])]
reward = [s["reward"] for s in steps]
assert len(reward) == 40 and sum(reward[-5:]) / 5 >= 0.95, reward
assert all(s["learning_rate"] > 0 and s["num_tokens"] > 0 for s in steps)
worst = max(s["sampling/sampling_logp_difference/max"] for s in steps)
assert worst <= 1e-4, worst' "$TMP/out" || fail "the steps in the store"

# RL moved the answers and nothing else: the trained model knows the sums it was asked.
expect 0 '' "$R1" eval "$zero" --task modsum --split train -n 0 -k 8 --json
json "o['pass@1'] >= 0.95 and o['problems'] == 70"
expect 0 '' "$R1" eval "$base" --task modsum --split train -n 0 -k 8 --json
json "0.05 < o['pass@1'] < 0.35"

# BF16 learns it too, in minibatches, with a KL and another loss; sampler and trainer agree.
expect 0 '^step 40/40' "$R1" grpo recipes/modsum-grpo.json model="$base" output="$TMP/models/bf16" \
    compute=bf16 minibatches=2 beta=0.001 loss_type=dapo epsilon_high=0.28
expect 0 '' "$R1" runs export 3 --jsonl
"$PYTHON" -c 'import json, sys
steps = [json.loads(line) for line in open(sys.argv[1])]
assert [s["step"] for s in steps] == list(range(2, 41, 2))
assert steps[-1]["reward"] >= 0.9 and all(s["kl"] >= 0 for s in steps), steps[-1]
worst = max(s["sampling/sampling_logp_difference/max"] for s in steps)
assert worst <= 1e-4, worst' "$TMP/out" || fail "BF16"

# Problems from a file.
for sum in '1+1=:2' '2+3=:5' '4+5=:9' '9+9=:8'; do
    echo "{\"prompt\": \"<bos>${sum%:*}\", \"answer\": {\"answer\": ${sum#*:}}, \"verifier\": \"modsum\"}"
done > "$TMP/problems.jsonl"
expect_error 'max_completion_length' "$R1" grpo model="$base" data="$TMP/problems.jsonl" \
    output="$TMP/models/file"
expect 0 '"reward": 1[,.]' "$R1" grpo model="$base" data="$TMP/problems.jsonl" compute=f32 \
    output="$TMP/models/file" max_completion_length=4 steps=12 prompts=8 learning_rate=2e-3 --json
# A question longer than a micro-batch.
expect 0 '' "$R1" pretrain recipes/modsum-base.json steps=1 max_position_embeddings=4096 \
    output="$TMP/models/long"
printf '{"prompt": "<bos>%03000d=", "answer": {"answer": 0}, "verifier": "modsum"}\n' 0 \
    > "$TMP/problems.jsonl"
expect 1 'question of 3002 tokens and its completion of 4 do not fit micro_tokens 2048' "$R1" grpo \
    model="$TMP/models/long" data="$TMP/problems.jsonl" output="$TMP/models/file" steps=1 \
    max_completion_length=4 prompts=1
expect 0 '^step 1/1' "$R1" grpo model="$TMP/models/long" data="$TMP/problems.jsonl" steps=1 \
    output="$TMP/models/file" max_completion_length=4 prompts=1 micro_tokens=3100
finish
