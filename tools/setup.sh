#!/bin/bash
# Install what is missing of the packages that r1 needs.  Usage: tools/setup.sh SET...
#   build  compiler and libraries       test  what the tests need       check  linters
#   web    what bundles the web page      model  pip, which fetches the model
#   bench  what building the peer needs
# Debian and its relatives are handled; elsewhere the names are printed and nothing is done.
set -eu

packages_build="gcc make cmake pkg-config libc6-dev libjansson-dev libpcre2-dev libutf8proc-dev
                libsqlite3-dev libseccomp-dev zlib1g-dev libreadline-dev libmicrohttpd-dev
                libcurl4-openssl-dev libgnutls28-dev ca-certificates
                libflint-dev libflint-arb-dev libgmp-dev"
packages_test="libcmocka-dev python3 clang clang-format binutils"
packages_check="clang-tidy cppcheck libclang-rt-14-dev"
packages_model="python3 python3-pip"
packages_web="nodejs npm"
packages_bench="python3 python3-pip python3-venv g++"

wanted=""
for set in "$@"; do
    case $set in
        build) wanted="$wanted $packages_build" ;;
        test) wanted="$wanted $packages_test" ;;
        check) wanted="$wanted $packages_check" ;;
        model) command -v pip >/dev/null || wanted="$wanted $packages_model" ;;
        web) command -v npm >/dev/null || wanted="$wanted $packages_web" ;;
        bench) wanted="$wanted $packages_bench" ;;
        *) echo "setup: unknown set '$set' (build, test, web, check, model, bench)" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    echo "setup: not a Debian system; needed here by other names:" $wanted >&2
    exit 0
fi
missing=""
for p in $wanted; do
    dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
echo "setup: installing${missing} (${sudo:+with sudo, }apt-get)"
if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
    echo "setup: neither root nor sudo; as root run: apt-get install$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing > /dev/null ||
    { echo "setup: apt-get failed; by hand: apt-get install$missing" >&2; exit 1; }
