#!/bin/bash
# Procedural tasks: what `r1 task make` writes agrees with solvers of another making, is the same
# each time, and wrong use is refused.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}

expect 0 'sudoku9 .* 1-5' "$R1" task
expect 0 '^countdown +3381' "$R1" task list
for task in $("$R1" task | awk '$5 == "1-5" { print $1 }'); do
    for level in 1 2 3 4 5; do
        # Five houses with five properties take Python's plain search minutes.
        [ $task$level = zebra5 ] && continue
        "$R1" task make $task -n 6 -d $level --split test --seed 3 > "$TMP/$task.jsonl" ||
            fail "r1 task make $task -d $level"
        timeout 100 "$PYTHON" tools/check_tasks.py < "$TMP/$task.jsonl" > "$TMP/checked" ||
            fail "$task $level: $(head -c 300 "$TMP/checked")"
        grep -q '^6 problems, 6 different, 0 wrong' "$TMP/checked" ||
            fail "$task $level: $(head -c 300 "$TMP/checked")"
    done
done
for level in 1 2 3 4 5 6 7; do # so few numbers that problems come again
    "$R1" task make sums -n 40 -d $level --split test > "$TMP/sums" || fail "r1 task make sums"
    "$PYTHON" tools/check_tasks.py < "$TMP/sums" > "$TMP/checked" ||
        fail "sums $level: $(head -c 300 "$TMP/checked")"
done
expect 0 '"id": "zebra-1-train-0-0", "task": "zebra", "difficulty": 1}' "$R1" task make zebra -n 1
"$R1" task make knights -n 20 --seed 5 > "$TMP/a"
"$R1" task make knights -n 20 --seed 5 > "$TMP/b"
"$R1" task make knights -n 20 --seed 6 > "$TMP/c"
cmp -s "$TMP/a" "$TMP/b" || fail "not the same for the same seed"
cmp -s "$TMP/a" "$TMP/c" && fail "the same for another seed"

expect 2 'difficulty 6: sudoku4 has 1 to 5' "$R1" task make sudoku4 -d 6
expect 2 'modsum has only one' "$R1" task make modsum -d 1
expect 2 'sudoku4 has no corpus' "$R1" task make sudoku4 --documents
expect 2 "'chess' is unknown" "$R1" task make chess
expect 2 "NAME is missing" "$R1" task make

# Any verifier from the command line.
expect 0 '^sudoku ' "$R1" verify list
expect 0 '^right, reward 1, answer C$' "$R1" verify choice --gold C --answer '<think>B?</think> Answer: **(C)**'
expect 0 '^no answer, reward 0$' "$R1" verify choice --gold C --answer 'A or C'
expect 0 '^wrong, reward 0, answer 13$' "$R1" verify number --gold 12 --answer '#### 13'
expect 0 '^no answer, reward 0$' "$R1" verify boxed --gold 12 --answer 'The answer is 12'
expect 0 '^right, reward 1, answer 12$' "$R1" verify boxed --gold 12 --answer 'so \boxed{12}'
expect 0 '"reward": 0.5, "correct": false, "formatted": true' \
    "$R1" verify language --gold en --answer '<think>it 所</think>' --json
expect 0 '^right' "$R1" verify format --gold '{}' --answer '<think>a</think>b'
expect_error "choice: the answer 'c' is not a capital" "$R1" verify choice --gold c --answer C
expect 2 "did you mean 'zebra'" "$R1" verify zebre --gold 1 --answer 1
expect 2 'needs --gold and --answer' "$R1" verify zebra --gold 1

# A run is paid by rules and by a program; each reward is recorded by its name.
printf '{"prompt":"2+2=","answer":4,"verifier":"number"}\n' > "$TMP/data.jsonl"
cat > "$TMP/run.json" <<END
{"model": "tests/golden/model-qwen2", "data": "$TMP/data.jsonl", "steps": 2, "prompts": 2,
 "num_generations": 4, "max_completion_length": 12, "output": "$TMP/trained",
 "rewards": [{"name": "accuracy"}, {"name": "language", "weight": 0.5},
             {"name": "command", "as": "half", "command": "while read -r x; do echo 0.5; done"}]}
END
expect 0 'step 2/2' "$R1" grpo "$TMP/run.json"
expect 0 'rewards/half/mean +0\.5 +0\.5' "$R1" runs show 1
expect 0 'rewards/language/std' "$R1" runs show 1
expect_error "reward 'command': 'exit 5' ended with exit code 5" \
    "$R1" grpo --json "$TMP/run.json" 'rewards=[{"name": "command", "command": "exit 5"}]'
expect 1 "'format' is unknown|'fromat' is unknown, did you mean 'format'" \
    "$R1" grpo "$TMP/run.json" rewards=fromat
expect 1 'has no corpus' "$R1" pretrain task=sudoku4 output="$TMP/none"
finish
