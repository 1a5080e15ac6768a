#!/bin/bash
# The conversation of `run` at a terminal: a Python script types and reads.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import pty' 2> /dev/null || { echo "skipped: there is no Python with pseudo terminals"; exit 77; }
mkdir -p "$R1_HOME" "$TMP/model"
cp tests/golden/model-a/*.json tests/golden/model-a/model.safetensors "$TMP/model/"
"$PYTHON" tests/cli/think_template.py "$TMP/model/tokenizer_config.json" || exit 1
timeout 600 "$PYTHON" tests/cli/chat.py "$R1" "$TMP/model" "$TMP" > "$TMP/out" 2>&1 || fail "$(tail -c 2500 "$TMP/out")"
# In a pipe there is no terminal: the bytes alone.
printf '12 34' | "$R1" run "$TMP/model" --greedy -n 8 > "$TMP/piped" 2> "$TMP/err"
! grep -q $'\x1b' "$TMP/piped" || fail "styles in a pipe"
finish
