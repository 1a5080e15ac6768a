#!/bin/bash
# r1 eval on benchmarks: wrong use; a tiny model on problems described by a file, interrupted and
# gone on with; what is stored, shown, compared, judged again, exported and rated.
. tests/cli/lib.bash
export R1_DATA=$TMP/data
mkdir -p "$R1_DATA"

# ---- Wrong use
expect 2 'MODEL is missing' "$R1" eval
expect 2 'a BENCH is needed' "$R1" eval m --endpoint http://localhost:1
expect 2 'exclude each other' "$R1" eval m x --recorded f --endpoint http://localhost:1
expect 2 'exclude a BENCH' "$R1" eval m gsm8k --task countdown
expect 2 "'x' is not an evaluation" "$R1" eval show x
expect 2 'IDs of two evaluations' "$R1" eval compare 1
expect 2 'takes no more words' "$R1" eval list 1
expect 2 'out of range' "$R1" eval m gsm8k --samples 5000
expect_error 'no evaluation 7' "$R1" eval show 7
expect_error 'no such run store' "$R1" eval list --store "$TMP/none.db"
[ ! -e "$TMP/none.db" ] || fail "a missing store was made"
expect 0 'no evaluations yet' "$R1" eval list
expect 0 '^\[\]$' "$R1" eval list --json
expect 0 '^gpqa-diamond ' "$R1" eval benchmarks
expect 0 '"permute": true' "$R1" eval benchmarks gpqa-diamond
expect 2 "did you mean 'math500'" "$R1" eval benchmarks math50

# ---- A tiny model and a benchmark of its own
[ -f recipes/modsum-base.json ] || { echo "skipped: recipes/modsum-base.json is missing"; exit 77; }
expect 0 '' "$R1" pretrain recipes/modsum-base.json steps=40 output="$TMP/m"
for i in $(seq 0 99); do
    echo "{\"id\": \"p$i\", \"q\": \"$((i / 10))+$((i % 10))=\", \"a\": {\"answer\": $(((i / 10 + i % 10) % 10))}}"
done > "$R1_DATA/sums.jsonl"
cat > "$TMP/sums.json" <<'END'
{"name": "sums", "data": "sums.jsonl", "question": "q", "answer": "a", "id": "id", "gold": "json",
 "verifier": "modsum", "samples": 2, "max_tokens": 8}
END
expect_error "there is no gsm8k_test.jsonl" "$R1" eval "$TMP/m" gsm8k
expect_error "unknown benchmark 'sumz'|sumz" "$R1" eval "$TMP/m" sumz.json
expect 0 'sums: 100 problems, 200 samples, evaluation 1' "$R1" eval "$TMP/m" "$TMP/sums.json"
expect 0 'pass@2 ' "$R1" eval "$TMP/m" "$TMP/sums.json"
grep -q 'evaluation 1 is complete' "$TMP/out" || fail "a complete evaluation was sampled again"
expect 0 '"evaluation": 2, "benchmark": "sums"' "$R1" eval "$TMP/m" "$TMP/sums.json" -n 10 -k 4 --seed 5 --json
"$PYTHON" -c 'import json,sys; d=json.load(open(sys.argv[1])); e=d["evaluations"][0]; assert e["problems"]==10 and e["samples"]==40 and e["k"]==4, e; assert e["settings"]["temperature"]==0.6 and e["settings"]["top_p"]==0.95' "$TMP/out" ||
    fail "the JSON is not what was asked for"

# ---- Interrupted: what was sampled stays, and the end is that of an evaluation in one go
run_big() { "$R1" eval "$TMP/m" "$TMP/sums.json" -k 64 --seed 3 --json "$@"; }
run_big --store "$TMP/whole.db" > "$TMP/whole" 2>&1 || fail "$(head -c 300 "$TMP/whole")"
run_big > "$TMP/broken" 2>&1 &
pid=$!
for _ in $(seq 300); do
    "$R1" eval list --json 2> "$TMP/err" | grep -q '"id": 3,.*"stored": [1-9]' && break
done
kill -INT $pid 2> "$TMP/err"
wait $pid
code=$?
if [ $code = 1 ]; then
    grep -q 'interrupted: what was sampled is kept in evaluation 3' "$TMP/broken" ||
        fail "interrupted without a word: $(head -c 300 "$TMP/broken")"
    expect 0 'interrupted' "$R1" eval list
elif [ $code != 0 ]; then
    fail "exit code $code of an interrupted evaluation"
fi # code 0: it was over before the signal
run_big > "$TMP/rest" 2> "$TMP/err" || fail "$(head -c 300 "$TMP/err")"
"$PYTHON" - "$TMP/whole" "$TMP/rest" <<'END' || fail "an interrupted evaluation ends differently"
import json, sys
a, b = (json.load(open(f))["evaluations"][0] for f in sys.argv[1:])
for e in (a, b):
    e.pop("evaluation")
    assert e["samples"] == 6400
assert a == b, (a, b)
END

# ---- Looking at it
expect 0 '^ +1 +sums +done +200/200' "$R1" eval list
expect 0 '"id": 2, "benchmark": "sums"' "$R1" eval list --json
expect 0 'evaluation 1' "$R1" eval show 1
expect 0 '"pass@1_se_sampling": ' "$R1" eval show 1 --json
expect 0 '^---- sample 1: ' "$R1" eval show 1 --problem 99
grep -q '^9+9=$' "$TMP/out" && grep -q 'reference: {"answer":8}' "$TMP/out" || fail "no question: $(cat "$TMP/out")"
expect 1 'no problem 100' "$R1" eval show 1 --problem 100
expect 0 'B - A: .* p = ' "$R1" eval compare 1 3
expect 0 '"p": ' "$R1" eval compare 1 3 --json
expect 0 '^B - A: \+0.0 points.*p = 1$' "$R1" eval compare 1 1
expect 0 '0 verdicts changed' "$R1" eval rescore 1
expect 0 'page.html' "$R1" eval report 1 2 --report "$TMP/page.html"
grep -q '</html>' "$TMP/page.html" || fail "no page"
[ "$(grep -o '<summary>sample' "$TMP/page.html" | wc -l)" = 240 ] || fail "not every transcript is on the page"
expect_error 'page|dev' "$R1" eval report 1 --report /dev/null/page.html

# ---- Exported, and scored as recorded samples
"$R1" eval export 1 > "$TMP/samples.jsonl" || fail "export"
[ "$(wc -l < "$TMP/samples.jsonl")" = 100 ] || fail "not one line a problem"
expect 0 'recorded: .* by the scores of the record; 0 right there and wrong here, 0 wrong' \
    "$R1" eval again --recorded "$TMP/samples.jsonl" --verifier modsum
expect 0 'recorded: .*; 0 right there and wrong here, 0 wrong' \
    "$R1" eval again "$TMP/sums.json" --recorded "$TMP/samples.jsonl"
same() { "$R1" eval show "$1" --json | grep -o '"pass@1": [^,]*'; }
[ "$(same 1)" = "$(same 4)" ] && [ "$(same 1)" = "$(same 5)" ] || fail "recorded samples give other figures"

# ---- A rating, from contests with these problems
"$PYTHON" - > "$TMP/contests.json" <<'END'
import json
people = [{"handle": f"h{i}", "rating": 1500, "points": 100 * i} for i in range(20)]
print(json.dumps({"contests": [{"id": "p", "problems": [{"index": str(i), "points": 100} for i in range(4)],
                                "standings": people}]}))
END
expect 0 'rating .*mean over contests' "$R1" eval show 1 --contests "$TMP/contests.json"
expect 0 '"codeforces": \{"rating": ' "$R1" eval show 1 --contests "$TMP/contests.json" --json
expect_error 'contests' "$R1" eval show 1 --contests "$TMP/sums.json"

expect 0 '2 evaluations removed' "$R1" eval remove 2 5
expect_error 'no evaluation 2' "$R1" eval show 2
finish
