#!/bin/bash
# Measure r1 beside llama.cpp: install the peer into build-bench/venv (once; it is compiled here, for
# this machine), then tools/bench_peers.py.  Run from the root, after `make` and `make model`.
set -eu
venv=build-bench/venv
if ! "$venv/bin/python" -c 'import llama_cpp, numpy' 2> /dev/null; then
    echo "bench: building llama.cpp in $venv; this takes some minutes"
    python3 -m venv "$venv"
    CMAKE_ARGS=-DGGML_NATIVE=ON CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) \
        "$venv/bin/pip" install -q numpy llama-cpp-python
fi
cmake -S . -B build-test > build-test.log 2>&1 || { cat build-test.log; exit 1; }
cmake --build build-test -j "$(nproc)" --target limits > /dev/null
exec "$venv/bin/python" tools/bench_peers.py table smollm2 --folder build-bench/models "$@"
