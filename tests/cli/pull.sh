#!/bin/bash
# pull, list, rm: against a stand-in for the hub, well-behaved and not (hub.py).
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
mkdir -p "$TMP/served/hf"
cp tests/golden/model-a/*[!s].json tests/golden/model-a/model.safetensors "$TMP/served/hf/"
rm -f "$TMP/served/hf/golden.json"
cp tests/golden/model-a.gguf "$TMP/served/model.gguf"
mkfifo "$TMP/alive"
"$PYTHON" tests/cli/hub.py "$TMP/served" < "$TMP/alive" > "$TMP/ports" 2> "$TMP/hub.log" &
exec 8> "$TMP/alive"
until grep -q cdn "$TMP/ports" 2> /dev/null; do
    kill -0 $! 2> /dev/null || { echo "FAILED: the stand-in does not begin: $(cat "$TMP/hub.log")"; exit 1; }
done
cdn=http://127.0.0.1:$(sed -n 's/cdn //p' "$TMP/ports")
hub=http://127.0.0.1:$(sed -n 's/hub //p' "$TMP/ports")
export HF_ENDPOINT=$hub no_proxy=127.0.0.1
unset HF_TOKEN HUGGING_FACE_HUB_TOKEN http_proxy HTTP_PROXY ALL_PROXY
models=$R1_HOME/models

log_clear() { : > "$TMP/served/log"; }
log_has() { grep -q -- "$1" "$TMP/served/log" || fail "no request like /$1/: $(head -c 600 "$TMP/served/log")"; }
log_lacks() { ! grep -q -- "$1" "$TMP/served/log" || fail "a request like /$1/: $(grep -m 1 -- "$1" "$TMP/served/log")"; }
nothing_of() { # REPO: nothing but perhaps a hidden leftover
    [ -z "$(find "$models/$1" -type f ! -path '*/.*' 2> /dev/null)" ] || fail "$1 left $(ls -R "$models/$1")"
}

# ---- Wrong use
expect 2 'model is missing' "$R1" pull
expect 2 'USER/REPO' "$R1" pull nothing
expect 2 'USER/REPO' "$R1" pull ../../etc
expect 2 'USER/REPO' "$R1" pull u/../x
expect 2 'USER/REPO' "$R1" pull 'u/tiny:../x.gguf'
expect 2 'USER/REPO' "$R1" pull 'u/tiny@..'
expect 2 'NAME.gguf' "$R1" pull "$hub.example/x.bin"
expect 2 'NAME.gguf' "$R1" pull 'https://host.example/..%2Fx.gguf'
expect 2 'password' "$R1" pull 'https://me:secret@host.example/x.gguf'
expect 2 'parallel' "$R1" pull u/tiny --parallel 0
expect 2 'MODEL is missing' "$R1" rm
expect 0 'no models yet' "$R1" list
expect 0 '^\[\]$' "$R1" list --json

# ---- A directory, with its redirects, and what is there is not fetched again
expect 0 "$models/u/hf" "$R1" pull u/hf
diff -r "$TMP/served/hf" "$models/u/hf" -x '.*' || fail "u/hf differs"
expect 0 '' "$R1" run u/hf -p 12 --raw -n 4
expect 0 '' "$R1" run hf -p 12 --raw -n 4
log_clear
expect 0 "$models/u/hf" "$R1" pull hf.co/u/hf
log_lacks resolve
rm "$models/u/hf/tokenizer.json"
expect 0 'pulling 1 file' "$R1" pull "$hub/u/hf"
cmp "$TMP/served/hf/tokenizer.json" "$models/u/hf/tokenizer.json" || fail "tokenizer.json was not mended"
expect 0 '' "$R1" pull u/tree
diff -r "$TMP/served/hf" "$models/u/tree" -x '.*' || fail "u/tree differs"

# ---- GGUF files: the best one, by quantisation, by name, parts, an address of a page
expect 0 'tiny-Q4_K_M.gguf' "$R1" pull u/tiny
[ ! -e "$models/u/tiny/tiny-Q8_0.gguf" ] || fail "more than the one was pulled"
expect 0 'tiny-Q8_0.gguf' "$R1" pull u/tiny:q8_0
expect 0 'tiny-Q8_0.gguf' "$R1" pull "$hub/u/tiny/blob/main/tiny-Q8_0.gguf"
expect 0 '' "$R1" run u/tiny:Q8_0 -p 12 --raw -n 4
expect_error "nothing is 'Q2_K'; there are tiny-Q8_0" "$R1" pull u/tiny:Q2_K
expect_error 'more than one' "$R1" pull u/tiny:tiny
expect 0 's-Q8_0-00001-of-00003.gguf' "$R1" pull u/split -j 3
[ "$(ls "$models/u/split")" = "$(printf 's-Q8_0-%05d-of-00003.gguf\n' 1 2 3)" ] || fail "not three parts"
expect_error 'neither GGUF' "$R1" pull u/nothing
expect 0 'nolist.gguf' "$R1" pull u/nolist:nolist.gguf
expect 0 'limited.gguf' "$R1" pull u/limited@main
expect 0 'x.gguf' "$R1" pull "$cdn/u/plain/x.gguf?download=true"
[ -f "$models/x.gguf" ] || fail "x.gguf is not in the cache"

# ---- Cut connections are gone on with
log_clear
expect 0 'cut.gguf' "$R1" pull u/cut
log_has '"range": "bytes=300000-"'
log_has '"range": "bytes=900000-"'
expect 0 'norange.gguf' "$R1" pull u/norange
cmp "$models/u/norange/norange.gguf" "$models/u/cut/cut.gguf" || fail "resumed and whole files differ"
# A part that an earlier pull has left is gone on with; one with wrong bytes is found out.
rm -r "$models/u/cut"
sum=$(sha256sum < "$models/u/norange/norange.gguf")
for source in "$models/u/norange/norange.gguf" /dev/zero; do
    mkdir -p "$models/u/cut/.pull"
    head -c 500000 "$source" > "$models/u/cut/.pull/cut.gguf.${sum:0:16}"
    log_clear
    expect 0 'cut.gguf' "$R1" pull u/cut
    log_has '"range": "bytes=500000-"'
    cmp "$models/u/norange/norange.gguf" "$models/u/cut/cut.gguf" || fail "not mended after $source"
    [ ! -e "$models/u/cut/.pull" ] || fail "the staging folder is left"
    rm -r "$models/u/cut"
done

# ---- What is wrong is not kept
expect 1 'SHA-256 is [0-9a-f]+ instead of 0+' "$R1" pull u/wrong
nothing_of u/wrong
[ ! -e "$models/u/wrong" ] || fail "an empty folder is left"
expect 1 'SHA-256' "$R1" pull u/damaged
nothing_of u/damaged
expect 1 'more than the' "$R1" pull u/long
nothing_of u/long
expect_error 'needed.*free' "$R1" pull u/huge
expect 1 'not a GGUF' "$R1" pull u/html
nothing_of u/html
expect 1 'stuck.gguf|transfer|partial' "$R1" pull u/stuck
nothing_of u/stuck
for repo in up abs dots hidden control; do
    expect_error 'no name for a file' "$R1" pull u/$repo
    ! grep -q $'\x1b' "$TMP/out" || fail "u/$repo moves the cursor"
done
[ -z "$(find "$TMP" /tmp/abs.gguf -maxdepth 2 -name '*.gguf' 2> /dev/null | grep -E 'up|abs|dots')" ] ||
    fail "a file outside of the cache"
expect_error 'JSON|json|end of|unexpected' "$R1" pull u/junk
expect_error '' "$R1" pull u/deep
expect_error 'no such file or model' "$R1" pull u/missing
expect 1 'redirects' "$R1" pull u/loop
expect 1 'not https' "$R1" pull u/file
expect_error '429' "$R1" pull u/busy

# ---- Tokens: only for the hub
expect_error 'HF_TOKEN' "$R1" pull u/private
log_clear
HF_TOKEN=hf_secret expect 0 'private.gguf' "$R1" pull u/private
log_has '"at": "hub".*Bearer hf_secret'
log_has '"at": "cdn"'
log_lacks '"at": "cdn".*Bearer'
log_clear
HF_TOKEN=$'x\r\nX-Evil: 1' expect 1 'HF_TOKEN' "$R1" pull u/private:private.gguf
log_lacks 'Bearer'

# ---- A full disk
(ulimit -f 200; expect 1 'write' "$R1" pull u/cut; exit $failures) || failures=$((failures + $?))
nothing_of u/cut
expect 0 'cut.gguf' "$R1" pull u/cut

# ---- Two at once
mkdir -p "$models/u/limited/.pull"
(flock 7; expect_error 'another r1' "$R1" pull u/limited:limited.gguf; exit $failures) 7> "$models/u/limited/.lock" ||
    failures=$((failures + $?))

# ---- Ctrl-C leaves what has come, and says so
"$R1" pull u/stuck > "$TMP/out" 2>&1 &
pid=$!
until grep -q pulling "$TMP/out"; do kill -0 $pid 2> /dev/null || break; done
kill -INT $pid 2> /dev/null
wait $pid
[ $? = 1 ] && grep -q 'interrupted' "$TMP/out" || fail "not interrupted: $(cat "$TMP/out")"

# ---- At a terminal, what is missing is offered
if "$PYTHON" -c 'import pty' 2> /dev/null; then
    rm -rf "$models/u/tiny"
    for no in n '' maybe; do
        expect 1 'not in the cache.*|not pulled' "$PYTHON" tests/cli/offer.py "$no" "$R1" run u/tiny:Q8_0 -p 12 --raw -n 4
        nothing_of u/tiny
    done
    expect 0 'Pull it now \([0-9.]+ kB\)' "$PYTHON" tests/cli/offer.py y "$R1" run u/tiny:Q8_0 -p 12 --raw -n 4
    [ -f "$models/u/tiny/tiny-Q8_0.gguf" ] || fail "not pulled: $(cat "$TMP/out")"
    expect 0 '' "$R1" pull u/tiny
fi

# ---- list, rm
expect 0 ' u/tiny:tiny-Q8_0.gguf$' "$R1" list
grep -qE ' x$' "$TMP/out" && grep -qE ' u/hf$' "$TMP/out" && grep -qE ' u/cut$' "$TMP/out" || fail "list: $(cat "$TMP/out")"
expect 0 '' "$R1" list --json
"$PYTHON" -c 'import json, os, sys
for e in json.load(open(sys.argv[1])):
    assert os.path.exists(e["path"]) and e["bytes"] > 0 and e["files"] > 0, e
    if e["name"] == "u/split":
        assert e["files"] == 3, e' "$TMP/out" || fail "list --json: $(cat "$TMP/out")"
expect 0 'removed u/tiny:tiny-Q8_0.gguf' "$R1" rm u/tiny:Q8_0
[ -f "$models/u/tiny/tiny-Q4_K_M.gguf" ] || fail "rm took more"
expect 0 'removed u/tiny' "$R1" rm u/tiny
[ ! -e "$models/u/tiny" ] || fail "an empty folder is left"
expect 0 'removed u/hf' "$R1" rm u/hf x
[ ! -e "$models/x.gguf" ] && [ ! -e "$models/u/hf" ] || fail "rm left something"
expect_error 'no such file' "$R1" rm u/hf
expect_error 'no such file' "$R1" rm "$TMP/served/hf"
[ -f "$TMP/served/hf/config.json" ] || fail "rm took what is outside of the cache"
expect_error 'no such file' "$R1" run u/none -p x
exec 8>&-
wait
finish
