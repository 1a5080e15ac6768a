#!/bin/bash
# The web page in a real Chromium: tests/web/browser.mjs, where node, the page and Chromium are there.
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$CHROMIUM" ] || { echo "skipped: there is no Chromium to show the page in"; exit 77; }
command -v node > /dev/null || { echo "skipped: there is no node to drive Chromium with"; exit 77; }
[ -f "${WEB:-}/index.html" ] || { echo "skipped: the page was not built (make web)"; exit 77; }
[ -d web/node_modules/playwright-core ] || { echo "skipped: playwright-core is missing (make web)"; exit 77; }
export CHROMIUM
SHOTS=$(mktemp -d)
trap 'rm -rf "$SHOTS"' EXIT
timeout 300 node tests/web/browser.mjs "$WEB" "$SHOTS"
