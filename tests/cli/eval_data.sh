#!/bin/bash
# r1 eval on public data sets, where a folder beside the repository has them: recorded samples give
# exactly the recorded accuracy and majority, and every set is read whole.
. tests/cli/lib.bash
DATA=
for d in "${R1_TEST_DATA:-}" ../shared/data/benchmarks; do
    [ -n "$d" ] && [ -f "$d/math_samples_50x8.jsonl" ] && DATA=$d && break
done
[ -n "$DATA" ] || { echo "skipped: no data sets in \$R1_TEST_DATA or ../shared/data/benchmarks"; exit 77; }

"$PYTHON" - "$DATA/math_samples_50x8.jsonl" > "$TMP/wanted" <<'END'
import collections, json, sys
rows = [json.loads(x) for x in open(sys.argv[1])]
votes = 0
for r in rows:  # the majority of the recorded answers, the first seen on a tie
    count = collections.Counter(r["pred"])
    best = next(p for p in r["pred"] if count[p] == max(count.values()))
    votes += r["score"][r["pred"].index(best)]
print("%.2f %.2f" % (100 * sum(sum(r["score"]) for r in rows) / sum(len(r["score"]) for r in rows),
                     100 * votes / len(rows)))
END
"$R1" eval recorded --recorded "$DATA/math_samples_50x8.jsonl" --json > "$TMP/got" 2> "$TMP/err" || fail "$(cat "$TMP/err")"
read -r accuracy majority < "$TMP/wanted"
grep -q "pass@1 $accuracy %, cons@8 $majority % by" "$TMP/err" || fail "not $accuracy and $majority: $(cat "$TMP/err")"
# One problem, 8 samples: the record takes "4:30 \text{ p.m.}" for wrong, as its parser dropped the
# "p.m." of the answers but not of the reference.  They are right.
grep -q ' 0 right there and wrong here, 8 wrong there and right here' "$TMP/err" || fail "verdicts differ: $(cat "$TMP/err")"
"$PYTHON" - "$TMP/got" <<'END' || fail "not the recorded figures and the one problem"
import json, sys
e = json.load(open(sys.argv[1]))["evaluations"][0]
assert (e["pass@1"], e["cons@k"]) == (0.9375 + 8 / 400, 0.96 + 1 / 50), e
END

for set in aime24 amc23 math500 gsm8k mmlu-stem; do
    expect 0 "^$set .*, found$" "$R1" eval benchmarks --data "$DATA"
done
finish
