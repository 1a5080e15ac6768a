#!/bin/bash
# verify math: pairs on the command line, files of pairs, wrong use.
. tests/cli/lib.bash

expect 0 '^equal$' "$R1" verify math --gold '\frac{1}{2}' --answer '0.5'
expect 0 '^equal$' "$R1" verify math --gold 12 --answer 'So the answer is $\boxed{12}$.'
expect 0 '^different$' "$R1" verify math --gold 12 --answer '\boxed{12} or \boxed{13}'
expect 0 '^gold-unparsed$' "$R1" verify math --gold '\frac{1}{' --answer 1
expect 0 '^answer-unparsed$' "$R1" verify math --gold 1 --answer '\frac{1}{'
expect 0 '^answer-unparsed$' "$R1" verify math --mode training --gold 1 --answer 'The answer is 1'
expect 0 '^different$' "$R1" verify math --gold 0.33 --answer '\frac13'
expect 0 '^equal$' "$R1" verify math --approx --gold 0.33 --answer '\frac13'
expect 0 '^\{"result": "equal", "gold": "5", "answer": "x=5"\}$' \
    "$R1" verify math --json --gold 5 --answer '\boxed{x=5}'

expect 2 'which verifier' "$R1" verify
expect 2 "unknown verifier 'chess'" "$R1" verify chess
expect 2 'needs --gold and --answer' "$R1" verify math --gold 1
expect 2 'own references' "$R1" verify math --gold 1 --tsv x
expect_error 'no-such-file' "$R1" verify math --tsv "$TMP/no-such-file"

printf 'gold\tprediction_text\tnote\n1/2\tThink.␤\\boxed{0.50}\tx\n3\t\\boxed{4}\tx\n' > "$TMP/a.tsv"
expect 0 '^equal$' "$R1" verify math --tsv "$TMP/a.tsv"
[ "$(tr '\n' ' ' < "$TMP/out")" = 'equal different ' ] || fail "not in order: $(cat "$TMP/out")"
# Without a header the first two columns count; one thread says what many say.
tail -n +2 "$TMP/a.tsv" > "$TMP/b.tsv"
expect 0 '^different$' "$R1" verify math --tsv "$TMP/b.tsv" --threads 1
[ "$(tr '\n' ' ' < "$TMP/out")" = 'equal different ' ] || fail "without header: $(cat "$TMP/out")"
printf '1\t1\n2\n' > "$TMP/c.tsv"
expect_error 'line 2 has no column 2' "$R1" verify math --tsv "$TMP/c.tsv"
: > "$TMP/empty.tsv"
"$R1" verify math --tsv "$TMP/empty.tsv" > "$TMP/out" && [ ! -s "$TMP/out" ] || fail "empty file"
expect 1 'No space left|cannot write' bash -c "'$R1' verify math --gold 1 --answer 1 > /dev/full"
finish
