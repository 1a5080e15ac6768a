#!/bin/bash
# Compile every source with clang and the project's warnings.  77 = clang is missing.
# Usage: tools/check_clang.sh BUILD_DIR (its compile_commands.json gives the flags)
set -eu
command -v clang >/dev/null || { echo "SKIP: clang is not installed"; exit 77; }
python3 - "$1/compile_commands.json" <<'PY'
import json, shlex, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
seen, jobs = set(), []
for e in json.load(open(sys.argv[1])):
    words = shlex.split(e["command"])
    if any(w.startswith("-fsanitize") for w in words):
        continue  # the sanitized builds are the same sources
    words = ["clang", "-fsyntax-only"] + [w for i, w in enumerate(words[1:], 1)
             if w not in ("-c", "-o", "-Wno-maybe-uninitialized") and words[i - 1] != "-o"]
    key = " ".join(words)
    if key not in seen:
        seen.add(key)
        jobs.append((words, e["directory"]))
def run(job):
    return subprocess.run(job[0], cwd=job[1], capture_output=True, text=True)
with ThreadPoolExecutor(2) as pool:
    bad = [r for r in pool.map(run, jobs) if r.returncode]
for r in bad:
    print(r.stderr)
print(f"{len(jobs) - len(bad)} of {len(jobs)} sources clean under clang")
sys.exit(bool(bad))
PY
