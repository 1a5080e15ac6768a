#!/bin/bash
# Wrong use: exit code 2 and a hint; help: exit code 0.
. tests/cli/lib.bash

expect 0 'r1 0\.' "$R1" version
expect 0 'grpo' "$R1" help
expect 0 'grpo' "$R1" --help
expect 2 'r1' "$R1"
expect 2 "unknown command 'runn'.*run" "$R1" runn
for c in run tokenize logprob bench inspect pretrain sft grpo eval demo task runs; do
    expect 0 "r1 $c" "$R1" $c --help
    expect 2 'no-such-option' "$R1" $c --no-such-option
done
expect 2 'top-p|top_p' "$R1" run m -p x --topp 0.5
expect 2 'temperature' "$R1" run m -p x --temperature abc
expect 2 'temperature' "$R1" run m -p x --temperature -1
expect 2 'top' "$R1" run m -p x --top-p 1.5
expect 2 'compute' "$R1" run m -p x --compute f99
expect 2 '' "$R1" tokenize
expect 2 'ids' "$R1" logprob m
finish
