#!/usr/bin/env python3
"""Check procedural problems with solvers of another making.

Usage: r1 task make NAME -n 100 -d 2 | tools/check_tasks.py

Reads the lines that `r1 task make` writes.  For each problem it works out the answer from the
specification alone (by search, elimination or counting), checks that there is only one where one is
promised, and that the specification's solution is right.  Prints each disagreement and a summary;
exits 1 when there is one.  Needs nothing but Python's standard library.
"""
import fractions
import itertools
import json
import math
import re
import sys


def words(solution):
    return re.findall(r"\w+", solution)


def check_number(spec):
    if "expression" in spec:
        if not re.fullmatch(r"[\d+\-*/() ]+", spec["expression"]):
            return "not an expression"
        exact = re.sub(r"(\d+)", r"F(\1)", spec["expression"])
        want = eval(exact, {"F": fractions.Fraction, "__builtins__": {}})  # digits and signs only
    else:
        want = next_term(spec["terms"], spec["rule"])
    return None if want == spec["answer"] == int(spec["solution"]) else f"expected {want}"


def check_boxed(spec):
    a, *rest = spec["operands"]
    for b in rest:
        a = {"+": a + b, "-": a - b, "*": a * b}[spec["sign"]]
    return None if a == spec["answer"] == int(spec["solution"]) else f"expected {a}"


def progression(terms):
    """The next terms under "plus a fixed number" and "times a fixed number" that fit."""
    fits = set()
    if len({b - a for a, b in zip(terms, terms[1:])}) == 1:
        fits.add(2 * terms[-1] - terms[-2])
    if all(terms) and len({fractions.Fraction(b, a) for a, b in zip(terms, terms[1:])}) == 1:
        fits.add(fractions.Fraction(terms[-1] ** 2, terms[-2]))
    return fits


def next_term(t, rule):
    if rule == 1:
        fits = progression(t)
    elif rule == 5:
        fits = progression(t[len(t) % 2::2])
    elif rule == 2:
        first = [b - a for a, b in zip(t, t[1:])]
        second = {b - a for a, b in zip(first, first[1:])}
        fits = {t[-1] + first[-1] + d for d in second}
    else:  # t(n) = p t(n-1) + q (or + q t(n-2)): all p, q within reach
        fits = set()
        for p, q in itertools.product(range(-60, 61), repeat=2):
            if rule == 3 and all(b == p * a + q for a, b in zip(t, t[1:])):
                fits.add(p * t[-1] + q)
            if rule == 4 and all(c == p * b + q * a for a, b, c in zip(t, t[1:], t[2:])):
                fits.add(p * t[-1] + q * t[-2])
    return fits.pop() if len(fits) == 1 else f"one of {fits}"


def check_base(spec):
    if int(spec["given"], spec["from"]) != spec["value"]:
        return "the given number has another value"
    return None if int(spec["solution"], spec["base"]) == spec["value"] else "another value"


def check_equations(spec):
    rows = [[fractions.Fraction(v) for v in row] for row in spec["equations"]]
    n = len(spec["unknowns"])
    for c in range(n):  # Gauss and Jordan
        pivot = next((r for r in range(c, len(rows)) if rows[r][c]), None)
        if pivot is None:
            return "no single solution"
        rows[c], rows[pivot] = rows[pivot], rows[c]
        rows[c] = [v / rows[c][c] for v in rows[c]]
        for r in range(len(rows)):
            if r != c:
                rows[r] = [a - rows[r][c] * b for a, b in zip(rows[r], rows[c])]
    want = ", ".join(f"{x} = {rows[i][n]}" for i, x in enumerate(spec["unknowns"]))
    return None if want == spec["solution"] else f"expected {want}"


def formula(text, world):
    """Truth of a formula, by Python's own operators in an order that parentheses settle."""
    tokens = re.findall(r"<->|->|[!&|^()]|\w+", text)
    levels = ["<->", "->", "|", "^", "&"]

    def parse(level):
        if level == len(levels):
            token = tokens.pop(0)
            if token == "!":
                return not parse(level)
            if token == "(":
                value = parse(0)
                assert tokens.pop(0) == ")"
                return value
            return world[token]
        values = [parse(level + 1)]
        while tokens and tokens[0] == levels[level]:
            tokens.pop(0)
            values.append(parse(level + 1))
        while len(values) > 1:
            if levels[level] == "->":
                b, a = values.pop(), values.pop()
                values.append(not a or b)
            else:
                a, b = values.pop(0), values.pop(0)
                values.insert(0, {"<->": a == b, "|": a or b, "^": a != b, "&": a and b}
                              [levels[level]])
        return values[0]

    value = parse(0)
    assert not tokens
    return value


def worlds(names):
    for values in itertools.product([False, True], repeat=len(names)):
        yield dict(zip(names, values))


def check_boolean(spec):
    w = words(spec["solution"])
    said = {name: value == "true" for name, value in zip(w[::2], w[1::2])}
    right = [x for x in worlds(spec["names"]) if formula(spec["formula"], x)]
    share = len(right) / 2 ** len(spec["names"])
    return None if said in right and share <= 0.3 else f"{len(right)} assignments satisfy"


def check_knights(spec):
    said = {n: k == "knight" for n, k in re.findall(r"(\w+) is a (\w+)", spec["solution"])}
    right = [x for x in worlds(spec["names"])
             if all(formula(s, x) == x[n] for n, s in zip(spec["names"], spec["statements"]))]
    return None if right == [said] else f"{len(right)} worlds"


CLUES = {"same": lambda a, b: a == b, "apart": lambda a, b: a != b,
         "left": lambda a, b: a + 1 == b, "next": lambda a, b: abs(a - b) == 1,
         "before": lambda a, b: a < b, "at": lambda a, b: a == b, "not_at": lambda a, b: a != b}


def zebra_solutions(spec):
    """All arrangements, attribute after attribute; clues cut as soon as they can be judged."""
    attributes = [a["values"] for a in spec["attributes"]]
    found = []

    def extend(level, at):
        if len(found) > 1:
            return
        if level == len(attributes):
            found.append(dict(at))
            return
        for order in itertools.permutations(range(1, len(attributes[level]) + 1)):
            now = dict(at, **dict(zip(attributes[level], order)))
            if all(CLUES[kind](now[a], b if isinstance(b, int) else now[b])
                   for kind, a, b in spec["clues"]
                   if a in now and (isinstance(b, int) or b in now)):
                extend(level + 1, now)

    extend(0, {})
    return found


def check_zebra(spec):
    said = {}
    for line in spec["solution"].split("\n"):
        w = words(line)
        said.update({value: int(w[1]) for value in w[2:]})
    right = zebra_solutions(spec)
    return None if right == [said] else f"{len(right)} arrangements"


def sudoku_solutions(grid, size, limit=2):
    """Cells with the fewest candidates first."""
    block = int(size ** 0.5)
    peers = {}
    for r, c in itertools.product(range(size), repeat=2):
        peers[r, c] = {(r, k) for k in range(size)} | {(k, c) for k in range(size)} | {
            (r // block * block + i, c // block * block + j)
            for i in range(block) for j in range(block)} - {(r, c)}
    found = []

    def solve(grid):
        if len(found) >= limit:
            return
        empty = [(len(options(grid, p)), p) for p in peers if not grid[p]]
        if not empty:
            found.append(dict(grid))
            return
        p = min(empty)[1]
        for digit in options(grid, p):
            solve({**grid, p: digit})

    def options(grid, p):
        return sorted(set(range(1, size + 1)) - {grid[q] for q in peers[p]})

    solve(grid)
    return found


def check_sudoku(spec):
    size = spec["size"]
    grid = {(r, c): 0 if ch == "." else int(ch)
            for r, row in enumerate(spec["grid"]) for c, ch in enumerate(row)}
    said = {(r, c): int(d) for r, row in enumerate(spec["solution"].split("\n"))
            for c, d in enumerate(row.split())}
    right = sudoku_solutions(grid, size)
    return None if right == [said] else f"{len(right)} grids"


def check_coloring(spec):
    w = words(spec["solution"])
    said = dict(zip(w[::2], w[1::2]))
    if sorted(said) != sorted(spec["vertices"]) or not set(said.values()) <= set(spec["colors"]):
        return "not a colouring"
    bad = [e for e in spec["edges"] if said[e[0]] == said[e[1]]]
    return f"{bad} join one colour" if bad else None


def check_path(spec):
    length = {}
    for a, b, n in spec["edges"]:
        length[a, b] = min(n, length.get((a, b), n))
        if not spec["directed"]:
            length[b, a] = length[a, b]
    best = {v: 0 if v == spec["from"] else float("inf") for v in spec["vertices"]}
    for _ in spec["vertices"]:
        for (a, b), n in length.items():
            best[b] = min(best[b], best[a] + n)
    said = words(spec["solution"])
    if said[0] != spec["from"] or said[-1] != spec["to"]:
        return "not from there to there"
    total = sum(length.get(e, float("inf")) for e in zip(said, said[1:]))
    return None if total == best[spec["to"]] else f"{total} instead of {best[spec['to']]}"


def check_quantity(spec):
    number, unit = spec["solution"].split(" ", 1)
    if unit != spec["unit"]:
        return "another unit"
    want = spec["value"]
    if "digits" in spec:
        want = float(f"{want:.{spec['digits'] - 1}e}")
    return None if abs(float(number) - want) <= 1e-9 * abs(want) else f"expected {want}"


def atoms(text):
    count = {}
    stack = [count]
    for symbol, n, opens, closes in re.findall(r"([A-Z][a-z]?)(\d*)|(\()|\)(\d*)", text):
        if symbol:
            stack[-1][symbol] = stack[-1].get(symbol, 0) + int(n or 1)
        elif opens:
            stack.append({})
        else:
            for s, k in stack.pop().items():
                stack[-1][s] = stack[-1].get(s, 0) + k * int(closes or 1)
    return count


def check_balance(spec):
    sides = [side.split(" + ") for side in spec["solution"].split(" -> ")]
    total, times = {}, []
    for sign, side, names in zip((1, -1), sides, (spec["left"], spec["right"])):
        for term, name in zip(side, names):
            n, _, formula_text = term.rpartition(" ")
            if formula_text != name:
                return f"{formula_text} instead of {name}"
            times.append(int(n or 1))
            for symbol, k in atoms(name).items():
                total[symbol] = total.get(symbol, 0) + sign * times[-1] * k
    divisor = math.gcd(*times)
    return None if not any(total.values()) and divisor == 1 else f"{total}, divisor {divisor}"


def check_countdown(spec):
    text = spec["solution"]
    if not re.fullmatch(r"[\d+\-*() ]+", text):
        return "not an expression"
    if sorted(map(int, re.findall(r"\d+", text))) != sorted(spec["numbers"]):
        return "other numbers"
    value = eval(text, {"__builtins__": {}})  # digits and signs only
    return None if value == spec["target"] else f"it is {value}"


CHECKS = {name[6:]: f for name, f in globals().items() if name.startswith("check_")}


def main():
    if len(sys.argv) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    bad, prompts = 0, set()
    for number, line in enumerate(sys.stdin, 1):
        problem = json.loads(line)
        why = CHECKS[problem["verifier"]](problem["answer"])
        if why:
            print(f"{problem['id']}: {why}")
            bad += 1
        prompts.add(problem["prompt"])
    print(f"{number} problems, {len(prompts)} different, {bad} wrong")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
