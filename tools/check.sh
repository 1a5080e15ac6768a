#!/bin/bash
# Everything that reads the code without running it; `make check`.
set -u
fail=0
step() { echo "== $1"; shift; "$@" || { rc=$?; [ $rc = 77 ] || fail=1; }; }
cmake -S . -B build-check -DR1_SANITIZED_TESTS=OFF > build-check.log 2>&1 &&
    cmake --build build-check -j "$(nproc)" > build-check.log 2>&1 || { cat build-check.log; exit 1; }
step layers python3 tools/check_layers.py
step names python3 tools/check_names.py build-check/libr1.a
step style python3 tools/check_style.py
step format bash tools/check_format.sh
step clang bash tools/check_clang.sh build-check
step clang-tidy bash -c "git ls-files 'src/*.c' | grep -v _kernels.c | xargs -P 2 -n 4 clang-tidy --quiet -p build-check"
step cppcheck cppcheck --quiet --enable=warning,performance,portability --inline-suppr \
    --error-exitcode=1 --std=c11 -D_GNU_SOURCE -Iinclude -Isrc --suppress=missingIncludeSystem \
    $(git ls-files 'src/*.c' | grep -v _kernels.c)
exit $fail
