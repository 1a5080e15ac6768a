#!/bin/bash
# The official clients for Python and Node against r1 serve.  They are installed beside the build when
# that takes less than two minutes; without them the test skips.
. tests/cli/lib.bash
. tests/cli/serve_lib.bash
cache=${R1_CLIENTS:-$(dirname "$R1")/clients}
have=0

python_client() {
    [ -x "$cache/venv/bin/python" ] || "$PYTHON" -m venv "$cache/venv" || return 1
    "$cache/venv/bin/python" -c 'import openai' 2> /dev/null ||
        timeout 120 "$cache/venv/bin/pip" install -q "$(grep openai tests/clients/requirements.txt)"
}

node_client() {
    command -v node > /dev/null && command -v npm > /dev/null || return 1
    mkdir -p "$cache/node" && cp tests/clients/package.json tests/clients/client.mjs "$cache/node" || return 1
    [ -d "$cache/node/node_modules/openai" ] ||
        (cd "$cache/node" && timeout 120 npm install --no-audit --no-fund --silent)
}

python_client > "$TMP/log" 2>&1 && python=1 || python=0
node_client > "$TMP/log" 2>&1 && node=1 || node=0
[ $((python + node)) -gt 0 ] || { echo "the clients cannot be installed: $(tail -n 1 "$TMP/log")"; exit 77; }

serve_model
echo secret > "$TMP/keys"
serve_start tiny --api-key-file "$TMP/keys"
if [ $python = 1 ]; then
    expect 0 'python: all as expected' "$cache/venv/bin/python" tests/clients/client.py "$BASE" tiny
fi
if [ $node = 1 ]; then
    expect 0 'node: all as expected' node "$cache/node/client.mjs" "$BASE" tiny
fi
finish
