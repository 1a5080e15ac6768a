#!/bin/bash
# Programs judged from a file: verdicts, expectations, exit codes, bad files, interrupts.
. tests/cli/lib.bash

expect 2 'FILE is missing' "$R1" judge
expect 2 'unknown option' "$R1" judge x.jsonl --no-such-option
expect 0 'usage: r1 judge' "$R1" judge --help

cat > "$TMP/good.jsonl" <<'EOF'
{"id": "sum", "checker": "tokens", "tests": [{"input": "1 2", "output": "3"}, {"input": "2 2", "output": "4"}], "solutions": {"python": "print(sum(map(int, input().split())))", "c": "#include <stdio.h>\nint main(void){int a,b;scanf(\"%d%d\",&a,&b);printf(\"%d\",a+b);}"}, "wrong": [{"lang": "python", "class": "three", "expect": "WA", "src": "print(3)"}, {"lang": "c", "class": "syntax", "expect": "CE", "src": "int main("}]}

{"id": "one", "tests": [{"input": "", "output": "1"}], "code": "print(1)"}
{"id": "many", "tests": [{"input": "", "output": "1"}], "submissions": [{"language": "python", "code": "print(1)", "expect": "AC"}, "print(2)"]}
{"task_id": "HumanEval", "prompt": "def f(x):\n", "canonical_solution": "    return x + 1\n", "test": "def check(f):\n    assert f(1) == 2\n", "entry_point": "f"}
EOF
"$R1" judge "$TMP/good.jsonl" > "$TMP/out" 2>&1
if grep -q 'namespaces are not\|cannot be run safely' "$TMP/out"; then
    expect_error 'unsafe' "$R1" judge "$TMP/good.jsonl"
    echo "SKIP: no user namespaces here"
    exit 77
fi

expect 0 '4 right ones, 0 of them not accepted; 2 wrong ones, 0 of them accepted' "$R1" judge "$TMP/good.jsonl"
expect 0 'sum +python +three +WA +test 2' "$R1" judge "$TMP/good.jsonl" --jobs 1
expect 0 'walls: namespaces' "$R1" judge "$TMP/good.jsonl"
expect 0 '"right": 8, "right_lost": 0, "wrong": 4, "wrong_accepted": 0' "$R1" judge "$TMP/good.jsonl" --json --repeat 2
"$R1" judge "$TMP/good.jsonl" --json 2> "$TMP/err" |
    "${PYTHON:-python3}" -c 'import json, sys
rows = [json.loads(line) for line in sys.stdin]
assert [r["verdict"] for r in rows[:-1]] == "AC AC WA CE AC AC WA AC".split(), rows
assert rows[3]["message"] and rows[2]["output"] == "3" and rows[-1]["submissions"] == 8' ||
    fail "the JSON is not as expected"

# A right program that is lost and a wrong one that is accepted are failures.
sed 's/"output": "4"/"output": "5"/' "$TMP/good.jsonl" > "$TMP/lost.jsonl"
expect 1 '2 of them not accepted' "$R1" judge "$TMP/lost.jsonl"
sed 's/print(3)/print(sum(map(int, input().split())))/' "$TMP/good.jsonl" > "$TMP/accepted.jsonl"
expect 1 '1 of them accepted' "$R1" judge "$TMP/accepted.jsonl"

expect 1 'none.jsonl' "$R1" judge "$TMP/none.jsonl"
bad() { # PATTERN TEXT
    printf '%s\n' "$2" > "$TMP/bad.jsonl"
    expect 1 "$1" "$R1" judge "$TMP/bad.jsonl"
    [ "$(grep -c '^r1: ' "$TMP/out")" = 1 ] || fail "not one message: $2"
}
bad 'no problems' ''
bad 'line 1' '{'
bad 'line 1: not an object' '[]'
bad 'without tests' '{"tests": []}'
bad 'no programs' '{"tests": [{"input": "", "output": ""}]}'
bad 'unknown checker' '{"tests": [{"input": "", "output": ""}], "checker": "x", "code": ""}'
bad 'time_limit_s' '{"tests": [{"input": "", "output": ""}], "time_limit_s": "x", "code": ""}'
bad "element 1 of 'wrong'" '{"tests": [{"input": "", "output": ""}], "wrong": [{}]}'

# An interrupt ends it soon, and nothing is left.
cat > "$TMP/sleep.jsonl" <<'EOF'
{"id": "sleep", "time_limit_s": 60, "tests": [{"input": "", "output": "1"}], "code": "print(7, flush=True)\nimport time, os\nos.fork()\ntime.sleep(987)"}
EOF
"$R1" judge "$TMP/sleep.jsonl" > "$TMP/out" 2>&1 &
pid=$!
has_child() { pgrep -P $pid > /dev/null; }
wait_for $pid has_child
kill -INT $pid
wait $pid
[ $? = 1 ] || fail "interrupted: not exit code 1"
grep -q 'interrupted' "$TMP/out" || fail "interrupted: $(cat "$TMP/out")"

finish
