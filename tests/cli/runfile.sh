#!/bin/bash
# Run files: unknown keys, wrong types and impossible values are refused before any work.
. tests/cli/lib.bash
run="$R1 pretrain"

expect_error 'none.json' $run "$TMP/none.json"
echo '{"task": "modsum", "stepz": 3}' > "$TMP/a.json"
expect_error "a.json.*stepz.*steps" $run "$TMP/a.json"
echo '{"task": "modsum", "steps": "three"}' > "$TMP/a.json"
expect_error "a.json.*steps" $run "$TMP/a.json"
echo '{"task": "modsum", "steps": 3' > "$TMP/a.json"
expect_error "a.json" $run "$TMP/a.json"
echo '{"task": "modsun"}' > "$TMP/a.json"
expect_error "modsun.*modsum" $run "$TMP/a.json"
expect 1 'no-such-dir' "$R1" grpo recipes/modsum-grpo.json model=no-such-dir \
    output="$TMP/m"
expect 2 'stepz' $run recipes/modsum-base.json stepz=3
expect 2 'steps' $run recipes/modsum-base.json steps=x
expect 1 '' $run recipes/modsum-base.json steps=1 output=/dev/null/x
[ -z "$(ls -A "$TMP/home" 2>/dev/null | grep -v runs.db)" ] || fail "files left behind: $(ls "$TMP/home")"
finish
