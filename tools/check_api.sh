#!/bin/bash
# Let schemathesis ask a server what docs/openapi.json allows and what it does not: no reply may be a
# failure of the server, or other than described.  Usage: tools/check_api.sh [EXAMPLES]
set -eu
cd "$(dirname "$0")/.."
examples=${1:-50}
scratch=$(mktemp -d)
server=""
cleanup() {
    [ -z "$server" ] || kill "$server" 2> /dev/null || true
    rm -rf "$scratch"
}
trap cleanup EXIT
python=${SCHEMATHESIS_PYTHON:-} # one that has it
if [ -z "$python" ]; then
    python3 -m venv "$scratch/venv"
    python=$scratch/venv/bin/python
    "$python" -m pip install -q "$(grep schemathesis tests/clients/requirements.txt)"
fi
python3 tests/cli/tiny.py "$scratch/tiny"
R1_HOME=$scratch/home "$(realpath "${R1:-./r1}")" serve "$scratch/tiny" --port 0 --ctx 256 > "$scratch/out" &
server=$!
until grep -q http "$scratch/out"; do
    kill -0 $server 2> /dev/null || exit 1
    sleep 0.1
done
base=$(grep -oE 'http://[^ ]*[0-9]' "$scratch/out")
cd "$scratch" # where it leaves what it found
"$(dirname "$python")/schemathesis" run "$base/openapi.json" --url "$base" --seed 1 --max-examples "$examples" \
    --phases examples,fuzzing --checks \
    not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
curl -s "$base/health" | grep -q '"running":0' || { echo "something still runs"; exit 1; }
