# Shared by the scripts: `expect CODE PATTERN command...` runs a command, checks its exit code and
# that its output (stdout and stderr together) matches an extended regular expression.
set -u
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
export R1_HOME=$TMP/home
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

expect() {
    local code=$1 pattern=$2 got
    shift 2
    timeout 120 "$@" > "$TMP/out" 2>&1 < /dev/null
    got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*: $(head -c 300 "$TMP/out")"
    grep -qE -- "$pattern" "$TMP/out" || fail "no match for /$pattern/: $*: $(head -c 300 "$TMP/out")"
}

# The error of a command is one line on stderr and nothing else.
expect_error() {
    expect 1 "$@"
    [ "$(wc -l < "$TMP/out")" = 1 ] || fail "not one line: ${*:2}: $(head -c 600 "$TMP/out")"
}

# wait_for PID command...: until the command is true; 1 when the process has ended or never.
wait_for() {
    local pid=$1 i
    shift
    for ((i = 0; i < 3000; i++)); do
        "$@" 2> /dev/null && return
        kill -0 "$pid" 2> /dev/null || return 1
        sleep 0.02
    done
    return 1
}

finish() {
    [ $failures = 0 ] && echo "all as expected"
    exit $((failures != 0))
}
