#!/bin/bash
# Fail when a source file is not formatted as .clang-format says.  77 = clang-format is missing.
set -eu
command -v clang-format >/dev/null || { echo "SKIP: clang-format is not installed"; exit 77; }
git rev-parse --git-dir >/dev/null 2>&1 || { echo "SKIP: not a git checkout"; exit 77; }
git ls-files -z 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' | xargs -0 clang-format --dry-run -Werror
echo "formatted"
