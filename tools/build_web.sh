#!/bin/bash
# Bundle the web page into a folder, for the build to embed.  Usage: tools/build_web.sh FOLDER
# Where npm or its packages cannot be had, the reason is told, FOLDER stays empty and the exit code is 0: the
# program is then built without the page.
set -u
out=$1
here=$(cd "$(dirname "$0")/.." && pwd)
lock=$here/web/node_modules.lock
rm -rf "$out"
mkdir -p "$out"

without() {
    echo "web: the program is built without its page: $*"
    rm -rf "$out"
    mkdir -p "$out"
    exit 0
}

command -v node > /dev/null && command -v npm > /dev/null || without "npm is missing; \`make web\` installs it"
[ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ] || without "node is $(node --version), at least 18 is needed"
cd "$here/web" || exit 1
# One at a time: several build folders share the packages.
exec 9> "$lock"
! command -v flock > /dev/null || flock 9
if ! cmp -s package-lock.json node_modules/.r1-lock; then
    log=$(timeout 180 npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 \
        --fetch-timeout=30000 --fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=2000 2>&1 < /dev/null) ||
        without "npm ci failed: $(printf '%s' "$log" | grep -m 1 -E 'npm (error|ERR!)' || echo 'not done after 180 seconds')"
    cp package-lock.json node_modules/.r1-lock
fi
node build.mjs "$out"
