#!/bin/bash
# `r1 demo` cut short: two steps instead of forty, few problems.  What it says, what it leaves.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}

small="--steps 2 --problems 6 --samples 4"
expect 0 'held-out numbers +before +after' "$R1" demo $small
grep -q 'What to type next' "$TMP/out" || fail "no next step: $(tail -c 300 "$TMP/out")"
grep -q 'right answers (pass@1)' "$TMP/out" || fail "no pass@1"
report=$R1_HOME/demo.html
grep -q '<svg' "$report" || fail "no curves in $report"
! grep -qiE '<script|https?://[^w]|<link' "$report" || fail "the report is not self-contained"
[ -f "$R1_HOME/models/countdown-r1-zero/model.safetensors" ] || fail "no trained model"
expect 0 '</answer>|<think>' "$R1" run countdown-r1-zero --raw -p '<bos>3 7 12:57' -n 200 --seed 1
expect 0 'demo .*done' "$R1" runs
expect 0 'reward' "$R1" runs show 1

"$R1" demo $small --seed 2 --json -o "$TMP/r.html" > "$TMP/json" 2> "$TMP/words" ||
    fail "--json: $(tail -n 1 "$TMP/words")"
"$PYTHON" -c 'import json, sys
o = json.load(open(sys.argv[1]))
assert 0 < o["before"]["pass@1"] < 0.5 and o["after"]["problems"] == 6, o' "$TMP/json" ||
    fail "JSON: $(head -c 300 "$TMP/json")"
[ -s "$TMP/r.html" ] || fail "no report at -o"

# The same seed gives the same result, whatever the threads.
"$R1" demo $small --seed 2 --json -t 1 -o "$TMP/r.html" > "$TMP/again" 2> /dev/null
"$PYTHON" -c 'import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
assert a["before"] == b["before"] and a["after"] == b["after"]' "$TMP/json" "$TMP/again" ||
    fail "not the same on one thread"

expect 1 'interrupted|cancel' timeout --preserve-status -s INT 3 "$R1" demo --problems 6 --samples 4 --seed 3
expect_error 'nowhere' "$R1" demo $small --store "$TMP/nowhere/at/all/runs.db"
finish
