#!/bin/bash
# Supervised fine-tuning: twenty lines teach a base model a fixed answer; conversations go through
# the chat template and only what the assistant says is learnt; continued pre-training on a file.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
base=$TMP/models/base
expect 0 '^step 300/300' "$R1" pretrain recipes/modsum-base.json steps=300 output="$base"

ids_of() { # MODEL TEXT: 1,2,3
    "$R1" tokenize "$1" "$2" --json | "$PYTHON" -c 'import json, sys
o = json.load(sys.stdin)
print(*(o["ids"] if isinstance(o, dict) else o), sep=",")'
}

# Prompt and completion.
for i in {0..19}; do
    echo "{\"prompt\": \"<bos>$((i % 7))+$((i % 9))=\", \"completion\": \"123\"}"
done > "$TMP/pairs.jsonl"
expect 0 '^step 40/40' "$R1" sft model="$base" data="$TMP/pairs.jsonl" output="$TMP/models/123" \
    steps=40 learning_rate=3e-3 compute=f32 max_length=32 batch_tokens=128
for prompt in '3+3=' '8+9='; do # the second was not among them
    expect 0 '^123$' "$R1" run "$TMP/models/123" --raw --greedy -n 8 -p "<bos>$prompt"
done
expect 0 '^[^1][0-9]*$|^1$' "$R1" run "$base" --raw --greedy -n 8 -p '<bos>3+4='
expect 0 '"kind": "sft".*"status": "done".*"steps": 40' "$R1" runs show 2 --json
expect 0 '"loss": \{"n": 40,' "$R1" runs show 2 --json

# The loss is the mean over the completions' tokens and their end alone: what the model makes of
# the four tokens 1 2 3 <eos>, computed from its log-probabilities.
head -n 1 "$TMP/pairs.jsonl" > "$TMP/one.jsonl" # <bos>0+0=123<eos>
expect 0 '"loss": ' "$R1" sft model="$base" data="$TMP/one.jsonl" output="$TMP/models/one" steps=1 \
    compute=f32 max_length=32 batch_tokens=16 --json
cp "$TMP/out" "$TMP/step"
ids=$(ids_of "$base" '<bos>0+0=123<eos>')
expect 0 '' "$R1" logprob "$base" --ids "$ids" --json
"$PYTHON" -c 'import json, sys
step = json.loads(next(line for line in open(sys.argv[1]) if line[0] == "{"))
lp = json.load(open(sys.argv[2]))["logprobs"]
assert len(lp) == 8, lp
assert abs(step["loss"] + sum(lp[4:]) / 4) < 1e-4, (step["loss"], lp)' "$TMP/step" "$TMP/out" ||
    fail "the loss is not that of the completion: ids $ids"

# Conversations: a model with a template of its own.
cp -r tests/golden/model-a "$TMP/chat"
"$PYTHON" - "$TMP/chat/tokenizer_config.json" << 'EOF'
import json, sys
config = json.load(open(sys.argv[1]))
config["chat_template"] = (
    "{% for m in messages %}{% if m.role == 'user' %}how {{ m.content }} is {% else %}"
    "{{ m.content }}<|endoftext|>{% endif %}{% endfor %}")
json.dump(config, open(sys.argv[1], "w"))
EOF
for animal in fox dog cow; do
    for i in {1..7}; do
        echo "{\"messages\": [{\"role\": \"user\", \"content\": \"$animal\"},
            {\"role\": \"assistant\", \"content\": \"the lazy $animal\"},
            {\"role\": \"user\", \"content\": \"it\"},
            {\"role\": \"assistant\", \"content\": \"brown\"}]}" | tr -d '\n'
        echo
    done
done > "$TMP/messages.jsonl"
expect 0 '^step 60/60' "$R1" sft model="$TMP/chat" data="$TMP/messages.jsonl" \
    output="$TMP/models/chat" steps=60 learning_rate=1e-2 compute=f32 max_length=64 batch_tokens=256
expect 0 '^the lazy cow$' "$R1" run "$TMP/models/chat" --greedy -n 20 -p cow
expect 0 '^the lazy fox$' "$R1" run "$TMP/models/chat" --greedy -n 20 -p fox

# What is learnt of them: both answers with their ends, and nothing of the questions.
head -n 1 "$TMP/messages.jsonl" > "$TMP/one.jsonl"
expect 0 '"loss": ' "$R1" sft model="$TMP/chat" data="$TMP/one.jsonl" output="$TMP/models/one" \
    steps=1 compute=f32 max_length=64 batch_tokens=64 micro_tokens=64 --json
cp "$TMP/out" "$TMP/step"
turns=("how fox is " "the lazy fox<|endoftext|>" "how it is " "brown<|endoftext|>")
for i in 0 1 2 3; do turns[i]=$(ids_of "$TMP/chat" "${turns[i]}"); done
all=$(IFS=,; echo "${turns[*]}")
expect 0 '' "$R1" logprob "$TMP/chat" --ids "$all" --json
"$PYTHON" -c 'import json, sys
step = json.loads(next(line for line in open(sys.argv[1]) if line[0] == "{"))
lp = json.load(open(sys.argv[2]))["logprobs"]
learnt = [i % 2 == 1 for i, turn in enumerate(sys.argv[3:]) for _ in turn.split(",")]
chosen = [x for x, yes in zip(lp, learnt[1:]) if yes]
assert abs(step["loss"] + sum(chosen) / len(chosen)) < 1e-4, (step["loss"], chosen)' \
    "$TMP/step" "$TMP/out" "${turns[@]}" || fail "the loss is not that of the answers"

# A template that rewrites earlier turns cannot be learnt turn by turn.
sed -i "s/{% for m in messages %}/{{ messages|length }} &/" "$TMP/chat/tokenizer_config.json"
expect 1 "messages.jsonl:1: the chat template rewrites earlier turns" "$R1" sft model="$TMP/chat" \
    data="$TMP/messages.jsonl" output="$TMP/models/no" max_length=64
# Nor can conversations without a template.
expect 1 'chat template' "$R1" sft model="$base" data="$TMP/messages.jsonl" \
    output="$TMP/models/no" max_length=32

# Pre-training goes on from a model, on texts; long ones are cut into pieces.
for i in {1..20}; do echo '{"text": "1+1=2*1+1=2*1+1=2*1+1=2*1+1=2*1+1=2*1+1=2*1+1=2*"}'; done \
    > "$TMP/texts.jsonl"
expect 0 '^step 40/40' "$R1" pretrain model="$base" data="$TMP/texts.jsonl" compute=f32 steps=40 \
    output="$TMP/models/more" learning_rate=3e-3 max_length=20 batch_tokens=256
expect 0 '^1\+1=2\*1\+1=$' "$R1" run "$TMP/models/more" --raw --greedy -n 10 -p '1+1=2*'
finish
