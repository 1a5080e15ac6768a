#!/bin/bash
# The web page in a real Chromium: tests/web/browser.mjs, where node, the page and Chromium are there.
. tests/cli/lib.bash
PYTHON=${PYTHON:-python3}
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$CHROMIUM" ] || { echo "skipped: there is no Chromium to show the page in"; exit 77; }
command -v node > /dev/null || { echo "skipped: there is no node to drive Chromium with"; exit 77; }
[ -f "${WEB:-}/index.html" ] || { echo "skipped: the page was not built (make web)"; exit 77; }
[ -d web/node_modules/playwright-core ] || { echo "skipped: playwright-core is missing (make web)"; exit 77; }
export CHROMIUM

# The program itself, with a model that thinks and a short run in its store.
mkdir -p "$TMP/model" "$TMP/shots"
cp tests/golden/model-a/*.json tests/golden/model-a/model.safetensors "$TMP/model/"
"$PYTHON" tests/cli/think_template.py "$TMP/model/tokenizer_config.json" || exit 1
expect 0 '' "$R1" pretrain recipes/modsum-base.json steps=3 output="$TMP/trained"
"$R1" serve "$TMP/model" --port 0 > "$TMP/served" 2>&1 &
server=$!
until R1_URL=$(grep -oE -m 1 'http://127.0.0.1:[0-9]+' "$TMP/served"); do
    kill -0 $server 2> /dev/null || { fail "r1 serve: $(cat "$TMP/served")"; break; }
done
export R1_URL
timeout 600 node tests/web/browser.mjs "$WEB" "$TMP/shots" || fail "see above"
kill -TERM $server
wait $server || fail "r1 serve ended with $?"
finish
