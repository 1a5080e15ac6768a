#!/bin/bash
# r1 serve: wrong usage, keys, TLS, what curl gets, and the end.
. tests/cli/lib.bash
. tests/cli/serve_lib.bash
serve_model

expect 0 'serve \[MODEL...\]' "$R1" serve --help
expect 2 'port' "$R1" serve tiny --port 70000
expect 2 'belong together' "$R1" serve tiny --tls-cert x
expect 2 'slots' "$R1" serve tiny --slots 0
expect_error 'no-such-model' "$R1" serve no-such-model
expect_error 'nowhere' "$R1" serve tiny --api-key-file "$TMP/nowhere"
echo '# none' > "$TMP/empty"
expect_error 'there is no key' "$R1" serve tiny --api-key-file "$TMP/empty"
expect_error 'cannot listen|not known|host' "$R1" serve tiny --host no.such.host.invalid

command -v curl > /dev/null || { echo "curl is not installed"; exit 77; }
get() { curl -s --max-time 60 "$@" > "$TMP/got" 2>&1; }
has() { grep -qE -- "$1" "$TMP/got" || fail "no match for /$1/: $(head -c 300 "$TMP/got")"; }

printf 'first\nsecond\n' > "$TMP/keys"
R1_API_KEY=third serve_start tiny --api-key-file "$TMP/keys"
get "$BASE/v1/models"; has 'authentication_error'
for key in first second third; do
    get -H "Authorization: Bearer $key" "$BASE/v1/models"; has '"id":"tiny"'
done
get -H 'Authorization: Bearer first' "$BASE/v1/chat/completions" -d '{"messages":
    [{"role": "user", "content": "hello"}], "max_tokens": 4}'; has '"object":"chat.completion"'
get -N -H 'Authorization: Bearer first' "$BASE/chat/completions" -d '{"messages":
    [{"role": "user", "content": "hello"}], "max_tokens": 4, "stream": true}'; has '^data: \[DONE\]'
get "$BASE/health"; has '"status":"ok"'
get -I "$BASE/"; has '^HTTP/1.1 200'
expect_error 'in use' "$R1" serve tiny --port "${BASE##*:}"

# The end: no new connections, those that run come to theirs, exit code 0.
curl -sN -H 'Authorization: Bearer first' "$BASE/v1/completions" \
    -d '{"prompt": "abc", "max_tokens": 400, "stream": true}' > "$TMP/last" &
client=$!
wait_for $client [ -s "$TMP/last" ]
kill -INT $server
wait $client
grep -q '^data: \[DONE\]' "$TMP/last" || fail "a running request was cut off: $(tail -c 300 "$TMP/last")"
wait $server
code=$?
[ $code = 0 ] || fail "exit code $code at the end: $(cat "$TMP/serve.err")"
get "$BASE/health" && fail "it still answers"

if command -v openssl > /dev/null; then
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$TMP/key.pem" -out "$TMP/cert.pem" \
        -days 2 -subj /CN=localhost > "$TMP/log" 2>&1
    serve_start tiny --tls-cert "$TMP/cert.pem" --tls-key "$TMP/key.pem"
    get -k "$BASE/health"; has '"status":"ok"'
    get -k -N "$BASE/v1/completions" -d '{"prompt": "a", "max_tokens": 9, "stream": true}'; has 'DONE'
    get "${BASE/https/http}/health" && fail "it answers without TLS"
    kill -INT $server
    wait $server
    echo no >> "$TMP/key.pem.bad"
    expect_error 'cert.pem, .*key.pem.bad: this TLS certificate and key cannot be used: ' \
        "$R1" serve tiny --port 0 --tls-cert "$TMP/cert.pem" --tls-key "$TMP/key.pem.bad"
fi
finish
