#!/bin/bash
# SmolLM2 against transformers with the same dequantised weights, and its native kernels against
# F32.  Runs where R1_PEER_PYTHON names a Python with torch, transformers and gguf; the model is
# R1_PEER_MODEL, or `smollm2` in the cache.
model=${R1_PEER_MODEL:-${R1_HOME:-${XDG_DATA_HOME:-${HOME:-}/.local/share}/r1}/models/smollm2.gguf}
if [ -z "${R1_PEER_PYTHON:-}" ]; then
    echo "skipped: R1_PEER_PYTHON names no Python with torch, transformers and gguf"
    exit 77
fi
if [ ! -f "$model" ]; then
    echo "skipped: no model $model (make model)"
    exit 77
fi
. tests/cli/lib.bash
libraries=$(pkg-config --libs jansson libpcre2-8 libutf8proc sqlite3 zlib)
# shellcheck disable=SC2086 # several words
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -Iinclude -Isrc tests/e2e/kl.c "$LIBR1" $libraries \
    -lpthread -lm -o "$TMP/kl" || fail "tests/e2e/kl.c does not build"
"$R1_PEER_PYTHON" tools/compare_transformers.py --r1 "$R1" --kl "$TMP/kl" --model "$model" \
    --tokens 512 --text ARCHITECTURE.md --max-difference 2e-3 --max-kl 1e-3 ||
    fail "too far from transformers, or from F32"
finish
