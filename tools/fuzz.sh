#!/bin/bash
# Run every libFuzzer target for SECONDS each, starting from its seeds.  A crash leaves its input
# in build-fuzz/ and ends the script with 1.
set -eu
seconds=${1:-600}
cmake --preset fuzz > build-fuzz.log && cmake --build build-fuzz -j "$(nproc)" >> build-fuzz.log
for source in tests/fuzz/fuzz_*.c; do
    name=$(basename "$source" .c)
    corpus=build-fuzz/corpus/${name#fuzz_}
    mkdir -p "$corpus"
    echo "== $name, $seconds s"
    (cd build-fuzz && ./tests/"$name" -max_total_time="$seconds" -print_final_stats=1 \
        "corpus/${name#fuzz_}" "../tests/fuzz/seeds/${name#fuzz_}")
done
