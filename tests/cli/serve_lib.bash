# Shared by the scripts that need a server: `serve_start ARGUMENT...` starts one on a free port, with
# its address in $BASE; it ends with the script.
serve_start() {
    "$R1" serve "$@" --port 0 > "$TMP/serve.out" 2> "$TMP/serve.err" &
    server=$!
    trap 'kill "$server" 2> /dev/null; rm -rf "$TMP"' EXIT
    BASE=""
    wait_for "$server" serve_listens && return 0
    fail "the server did not start: $(cat "$TMP/serve.err")"
    finish
}

serve_listens() { BASE=$(grep -oE 'https?://[^ ]*[0-9]' "$TMP/serve.out"); }

# A small model with a chat template, as `tiny` in the cache.
serve_model() {
    mkdir -p "$R1_HOME/models"
    "$PYTHON" tests/cli/tiny.py "$R1_HOME/models/tiny"
}
