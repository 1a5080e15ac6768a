#!/bin/bash
# r1 runs: wrong use, an empty store, and a run of two steps seen in every form.
. tests/cli/lib.bash

expect 0 'no runs yet' "$R1" runs
expect 0 '^\[\]$' "$R1" runs --json
expect_error 'no run 7' "$R1" runs show 7
expect_error 'no run 7' "$R1" runs export 7 --csv
expect_error 'none.db' "$R1" runs --store "$TMP/none.db"
[ ! -e "$TMP/none.db" ] || fail "a missing store was made"
echo 'not a database, but long enough to be looked at as one' > "$TMP/text.db"
expect_error 'text.db' "$R1" runs --store "$TMP/text.db"
expect 2 "'shwo'.*show" "$R1" runs shwo 1
expect 2 'ID is missing' "$R1" runs show
expect 2 "'1x'" "$R1" runs show 1x
expect 2 'csv' "$R1" runs export 1
expect 2 'csv' "$R1" runs export 1 --csv --jsonl
expect 2 'json' "$R1" runs report 1 --json
expect 2 'output' "$R1" runs show 1 -o x
expect 2 'two runs or more' "$R1" runs compare 1
expect 2 "unexpected argument '9'" "$R1" runs compare 1 2 3 4 5 6 7 8 9
expect 2 "'x'" "$R1" runs compare 1 x
expect 2 'metrics belongs' "$R1" runs show 1 --metrics reward
expect 2 'at most 1 run' "$R1" runs show 1 2

if [ -f recipes/modsum-base.json ]; then
    expect 0 '' "$R1" pretrain recipes/modsum-base.json steps=2 output="$TMP/m"
    expect 0 'pretrain.*done' "$R1" runs
    expect 0 '^loss +[0-9.]+ +[0-9.]+ +[0-9.]+ +[^ ]+' "$R1" runs show 1
    expect 0 '"loss": \{"n": 2' "$R1" runs show 1 --json
    expect 0 '^step,.*loss' "$R1" runs export 1 --csv
    [ "$(wc -l < "$TMP/out")" = 3 ] || fail "not a header and two steps: $(head -c 300 "$TMP/out")"
    expect 0 '^\{"step": 2, .*"loss": [0-9.]+' "$R1" runs export 1 --jsonl
    expect 0 'page.html' "$R1" runs report 1 -o "$TMP/page.html"
    grep -q '</html>' "$TMP/page.html" || fail "no page"
    expect 1 'report|page|dev' "$R1" runs report 1 -o /dev/null/page.html
    expect 0 '' "$R1" pretrain recipes/modsum-base.json steps=3 learning_rate=1e-3 output="$TMP/m"
    expect 0 '^learning_rate +0.003 +0.001' "$R1" runs compare 1 2
    grep -qE '^steps +2, done +3, done' "$TMP/out" || fail "no steps: $(head -c 300 "$TMP/out")"
    grep -qE '^loss +[0-9.]+ .*[0-9.]+' "$TMP/out" || fail "no loss: $(head -c 600 "$TMP/out")"
    expect 0 '"steps": \[2, 3\]' "$R1" runs compare 1 2 --json
    expect 0 '' "$R1" runs compare 2 1 -o "$TMP/both.html"
    grep -q '</html>' "$TMP/both.html" || fail "no page"
    expect 0 '^loss ' "$R1" runs compare 2 1 --metrics loss -o "$TMP/both.svg"
    grep -q '^</svg>' "$TMP/both.svg" || fail "no picture"
    ! grep -q '^grad_norm ' "$TMP/out" || fail "more than was chosen"
    expect_error "no run has a metric 'rewrad'" "$R1" runs compare 1 2 --metrics rewrad
    expect_error 'named twice' "$R1" runs compare 1 1
    expect_error 'no run 9' "$R1" runs compare 1 9
    expect 1 'both|dev' "$R1" runs compare 1 2 -o /dev/null/both.html
fi
# A full disk is a failure.
if [ -c /dev/full ]; then
    "$R1" help > /dev/full 2> "$TMP/out"
    [ $? = 1 ] && grep -q 'standard output' "$TMP/out" || fail "a full disk went unnoticed"
fi
finish
