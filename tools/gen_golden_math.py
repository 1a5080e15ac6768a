#!/usr/bin/env python3
"""Write tests/golden/math/pairs.tsv: reference, completion, 1 (the same) or 0.

Each family draws numbers and writes one value in several ways, and values near it; what is the
same is known by construction, with Python's exact fractions where there is something to compute.
With --check and math-verify installed (0.9.0), the pairs on which it disagrees are listed; they
were read one by one.  Usage: python3 tools/gen_golden_math.py [--check]
"""

import random
import sys
import time
from fractions import Fraction
from math import comb, factorial
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "tests/golden/math/pairs.tsv"
rng = random.Random(20250120)
rows = []


def same(gold, *answers):
    rows.extend((gold, f"\\boxed{{{a}}}", 1) for a in answers)


def differ(gold, *answers):
    rows.extend((gold, f"\\boxed{{{a}}}", 0) for a in answers)


def some(n, low=2, high=30):
    return rng.sample(range(low, high), n)


def signed(v):
    return f"+{v}" if v >= 0 else str(v)


def frac(f):
    sign = "-" if f < 0 else ""
    return f"{sign}\\frac{{{abs(f.numerator)}}}{{{f.denominator}}}"


def integers():
    for _ in range(12):
        n = rng.randrange(-999, 10 ** rng.randrange(3, 9))
        same(
            str(n),
            f"{n}.0",
            f"{{{n}}}",
            f"\\text{{{n}}}",
            f"+{n}" if n >= 0 else f"-\\,{-n}",
            f"00{n}" if n >= 0 else f"\\left({n}\\right)",
            f"${n}$",
        )
        differ(str(n), str(n + 1), str(-n - 1), f"{n}0", f"{n}.5")
        if n > 9999:
            grouped = f"{n:,}"
            same(
                str(n),
                grouped,
                grouped.replace(",", "{,}"),
                grouped.replace(",", ",\\!"),
                grouped.replace(",", "\\,"),
                grouped.replace(",", " "),
            )
            differ(str(n), f"{n + 1:,}", grouped[:-4])


def fractions():
    for _ in range(12):
        p, q = some(2)
        f = Fraction(rng.choice([-1, 1]) * p, q)
        if f.denominator == 1:
            continue
        p, q, k = f.numerator, f.denominator, rng.randrange(2, 9)
        same(
            frac(f),
            f"{p}/{q}",
            f"\\dfrac{{{p}}}{{{q}}}",
            f"\\frac{{{p * k}}}{{{q * k}}}",
            f"{{{p} \\over {q}}}",
            f"{p} \\div {q}",
            f"\\frac{{{-p}}}{{{-q}}}",
            f"\\left({frac(f)}\\right)",
        )
        differ(frac(f), f"{q}/{p}", frac(f + 1), frac(-f), f"\\frac{{{p}}}{{{q + 1}}}")
        if abs(f) > 1:
            w = abs(p) // q
            rest = Fraction(abs(p), q) - w
            sign = "-" if p < 0 else ""
            mixed = f"{sign}{w}\\frac{{{rest.numerator}}}{{{rest.denominator}}}"
            same(mixed, frac(f), f"{sign}{w} {rest.numerator}/{rest.denominator}")
            differ(mixed, frac(Fraction(sign + "1") * w * rest) if rest != 1 else "0")
    for _ in range(6):
        p, q = some(2, 3, 60)
        text = f"{p}.{q}"
        f = Fraction(text)
        same(text, frac(f), text + "0", f"{f.numerator}/{f.denominator}")
        differ(text, f"{p}{q}", f"{p}.{q + 1}", f"{p}.0{q}")
    for _ in range(6):
        cycle = str(rng.randrange(10, 99))
        if cycle[0] == cycle[1]:
            continue
        same(frac(Fraction(int(cycle), 99)), f"0.\\overline{{{cycle}}}", f"0.{cycle * 3}\\ldots")
        differ(frac(Fraction(int(cycle), 99)), f"0.{cycle}", f"0.\\overline{{{cycle[::-1]}}}")


def surds():
    for _ in range(10):
        a, b = some(2, 2, 12)
        if int(b**0.5) ** 2 == b:
            continue
        same(
            f"{a}\\sqrt{{{b}}}",
            f"\\sqrt{{{a * a * b}}}",
            f"{a}\\cdot\\sqrt{{{b}}}",
            f"{a}\\cdot {b}^{{1/2}}",
            f"\\frac{{{a * b}}}{{\\sqrt{{{b}}}}}",
            f"{a}√{b}",
        )
        differ(
            f"{a}\\sqrt{{{b}}}",
            f"\\sqrt{{{a * b}}}",
            f"{a + 1}\\sqrt{{{b}}}",
            f"{a}\\sqrt[3]{{{b}}}",
            f"{a * b**0.5:.6f}",
        )
        same(
            f"{a}+\\sqrt{{{b}}}",
            f"\\sqrt{{{b}}}+{a}",
            f"\\sqrt{{{a * a + b}+{2 * a}\\sqrt{{{b}}}}}",
            f"\\frac{{{a * a - b}}}{{{a}-\\sqrt{{{b}}}}}" if a * a != b else f"\\sqrt{{{b}}}+{a}",
        )
        differ(f"{a}+\\sqrt{{{b}}}", f"{a}-\\sqrt{{{b}}}", f"\\sqrt{{{a + b}}}")


def powers():
    for _ in range(8):
        b, e = rng.randrange(2, 10), rng.randrange(3, 12)
        same(f"{b}^{{{e}}}", str(b**e), f"{b}^{{{e - 1}}}\\cdot {b}", f"{b * b}^{{{e / 2}}}")
        differ(f"{b}^{{{e}}}", str(b**e + 1), f"{e}^{{{b}}}" if b**e != e**b else "0")
        n = rng.randrange(500, 3000)
        same(f"2^{{{2 * n}}}", f"4^{{{n}}}")
        differ(f"2^{{{2 * n}}}", f"2^{{{2 * n}}}+1", f"4^{{{n + 1}}}")
        m = rng.randrange(11, 99)
        same(
            f"{m / 10}\\times10^{{{e}}}",
            str(m * 10 ** (e - 1)),
            f"{m / 10}e{e}",
            f"{m}\\cdot 10^{{{e - 1}}}",
        )
        differ(f"{m / 10}\\times10^{{{-e}}}", f"{m / 10 + 0.1:.1f}\\times10^{{{-e}}}", "0")


def counting():
    for _ in range(8):
        n = rng.randrange(5, 13)
        k = rng.randrange(2, n - 1)
        c = comb(n, k)
        same(
            str(c),
            f"\\binom{{{n}}}{{{k}}}",
            f"\\frac{{{n}!}}{{{k}!{n - k}!}}",
            f"{{}}_{{{n}}}C_{{{k}}}",
            f"{{{n} \\choose {k}}}",
            f"C({n},{k})",
        )
        differ(str(c), f"\\binom{{{n + 1}}}{{{k}}}", f"P({n},{k})")
        same(f"{n}!", str(factorial(n)), f"{n}\\cdot {n - 1}!")
        differ(f"{n}!", str(factorial(n) + n), f"{n}")


def polynomials():
    for _ in range(12):
        a, b, c, d = (rng.choice([-1, 1]) * v for v in some(4, 1, 8))
        v = rng.choice("xyztn")
        product = f"({a}{v}{signed(b)})({c}{v}{signed(d)})"
        sum_ = f"{a * c}{v}^2{signed(a * d + b * c)}{v}{signed(b * d)}"
        same(
            product,
            sum_,
            f"({c}{v}{signed(d)})({a}{v}{signed(b)})",
            f"{b * d}{signed(a * d + b * c)}{v}{signed(a * c)}{v}^{{2}}",
        )
        differ(
            product,
            f"{a * c}{v}^2{signed(a * d + b * c + 1)}{v}{signed(b * d)}",
            f"{a * c}{v}^2{signed(b * d)}" if a * d + b * c else "0",
            sum_.replace(v, "w"),
        )
        if b != d:
            same(
                f"\\frac{{1}}{{{v}{signed(b)}}}-\\frac{{1}}{{{v}{signed(d)}}}",
                f"\\frac{{{d - b}}}{{({v}{signed(b)})({v}{signed(d)})}}",
            )
            differ(
                f"\\frac{{1}}{{{v}{signed(b)}}}-\\frac{{1}}{{{v}{signed(d)}}}",
                f"\\frac{{{b - d}}}{{({v}{signed(b)})({v}{signed(d)})}}",
            )


def equations():
    for _ in range(8):
        m, b = rng.choice([-4, -3, -2, 2, 3, 4]), rng.randrange(1, 9)
        line = f"y={m}x+{b}"
        same(
            line,
            f"y = {m} x + {b}",
            f"{m}x+{b}=y",
            f"y-{b}={m}x",
            f"{m}x-y+{b}=0",
            f"2y={2 * m}x+{2 * b}",
            f"{m}x+{b}",
        )
        differ(line, f"y={m}x-{b}", f"y={-m}x+{b}", f"x={m}y+{b}")
        same(str(b), f"x={b}", f"x+y={b}")
        differ(f"x={b}", f"y={b}", f"x={b + 1}")
        differ(str(b), f"{b + 1}={b}", f"x\\le {b}", f"x\\neq {b}")


def sets():
    for _ in range(8):
        v = some(4, -20, 20)
        w = v[:]
        while w == v:
            rng.shuffle(w)
        t = ", ".join(map(str, v))
        u = ",".join(map(str, w))
        same(f"\\{{{t}\\}}", f"\\{{{u}\\}}", f"\\left\\{{{u}\\right\\}}")
        same(t, u, f"\\{{{u}\\}}", f"{w[0]}, {w[1]}, {w[2]}, \\text{{and }}{w[3]}")
        same(f"({t})", f"\\left({t}\\right)")
        differ(f"({t})", f"({u})", f"({t},0)", f"\\{{{t}\\}}")
        differ(f"\\{{{t}\\}}", f"\\{{{t},{max(v) + 1}\\}}", f"\\{{{v[0]},{v[1]}\\}}")
        differ(str(v[0]), t, f"{v[0]}\\text{{ or }}{v[1]}")


def intervals():
    for _ in range(8):
        a = rng.randrange(-9, 5)
        b = a + rng.randrange(2, 9)
        same(
            f"[{a},{b})",
            f"{a}\\le x<{b}",
            f"x\\in[{a},{b})",
            f"[{a},{b}[",
            f"\\{{x\\mid {a}\\le x<{b}\\}}",
        )
        differ(f"[{a},{b})", f"[{a},{b}]", f"({a},{b})", f"[{a},{b + 1})")
        same(
            f"(-\\infty,{a})\\cup({b},\\infty)",
            f"x<{a}\\text{{ or }}x>{b}",
            f"({b},\\infty)\\cup(-\\infty,{a})",
            f"\\mathbb{{R}}\\setminus[{a},{b}]",
        )
        differ(
            f"(-\\infty,{a})\\cup({b},\\infty)", f"({a},{b})", f"(-\\infty,{a}]\\cup[{b},\\infty)"
        )
        same(f"x>{a}", f"({a},\\infty)", f"{a}<x", f"3x>{3 * a}", f"-x<{-a}")
        differ(f"x>{a}", f"x\\ge {a}", f"x<{a}", f"y>{a}")


def matrices():
    for _ in range(5):
        v = [rng.randrange(-9, 10) for _ in range(4)]
        body = "{} & {} \\\\ {} & {}".format(*v)
        m = f"\\begin{{pmatrix}}{body}\\end{{pmatrix}}"
        doubled = "{} & {} \\\\ {} & {}".format(*(2 * x for x in v))
        same(
            m,
            f"\\begin{{bmatrix}}{body}\\end{{bmatrix}}",
            f"\\frac12\\begin{{pmatrix}}{doubled}\\end{{pmatrix}}",
            f"\\left[\\begin{{array}}{{cc}}{body}\\end{{array}}\\right]",
            f"[[{v[0]},{v[1]}],[{v[2]},{v[3]}]]",
        )
        differ(
            m,
            f"\\begin{{pmatrix}}{doubled}\\end{{pmatrix}}" if any(v) else "0",
            f"\\begin{{pmatrix}}{v[0]} & {v[1]}\\end{{pmatrix}}",
        )
        same(
            str(v[0] * v[3] - v[1] * v[2]), f"\\det{m}", f"\\begin{{vmatrix}}{body}\\end{{vmatrix}}"
        )


def complex_numbers():
    for _ in range(8):
        a, b = (rng.choice([-1, 1]) * v for v in some(2, 2, 9))
        z = f"{a}{signed(b)}i"
        same(
            z, f"{signed(b)}i{signed(a)}", f"{a}{signed(b)}\\cdot i", f"{a}{signed(b)}\\mathrm{{i}}"
        )
        differ(z, f"{a}{signed(-b)}i", str(a), f"{b}{signed(a)}i")
        same(f"{a * a - b * b}{signed(2 * a * b)}i", f"({z})^2")
        same(str(a * a + b * b), f"({z})({a}{signed(-b)}i)", f"|{z}|^2")


def units():
    for unit, long, factor, small in (
        ("km", "kilometers", 1000, "m"),
        ("m", "meters", 100, "cm"),
        ("kg", "kilograms", 1000, "g"),
        ("h", "hours", 60, "min"),
        ("ft", "feet", 12, "in"),
    ):
        n = rng.randrange(2, 60)
        same(str(n), f"{n}\\text{{ {unit}}}", f"{n} {long}", f"{n}\\ \\mathrm{{{unit}}}")
        same(f"{n}\\text{{ {unit}}}", str(n), f"{n * factor}\\text{{ {small}}}")
        differ(f"{n}\\text{{ {unit}}}", f"{n}\\text{{ {small}}}", f"{n + 1}\\text{{ {unit}}}")
    for _ in range(5):
        n = rng.randrange(3, 90)
        same(f"{n}\\%", f"{n}%", f"{n}\\text{{ percent}}", frac(Fraction(n, 100)), str(n / 100))
        differ(f"{n}\\%", f"{n + 1}\\%", f"{n * 100}", f"{n * 10}\\%")
        same(f"{n}^\\circ", str(n), f"{n}°", f"{n}\\text{{ degrees}}")
        differ(f"{n}^\\circ", f"{n + 1}^\\circ")
        same(f"\\${n}.50", f"{n}.50", f"{n}.5\\text{{ dollars}}", f"{n}50\\text{{ cents}}")
        differ(f"\\${n}.50", f"\\${n + 1}.50", f"{n}.50\\text{{ cents}}")
        b = rng.randrange(7, 10)
        digits = "".join(str(rng.randrange(1, b)) for _ in range(4))
        same(f"{digits}_{b}", f"{digits}_{{{b}}}", digits)
        differ(
            f"{digits}_{b}", f"{digits}_{{{b + 1}}}", str(int(digits, b)), f"{digits[::-1]}1_{b}"
        )
        m = rng.randrange(5, 14)
        r = n % m
        same(f"x\\equiv {r}\\pmod{{{m}}}", f"x \\equiv {r + m} \\pmod {m}")
        differ(
            f"x\\equiv {r}\\pmod{{{m}}}",
            f"x\\equiv {r + 1}\\pmod{{{m}}}",
            f"x\\equiv {r}\\pmod{{{m + 1}}}",
        )


def functions():
    for a, b in (
        ("\\sin 2x", "2\\sin x\\cos x"),
        ("\\cos 2x", "1-2\\sin^2 x"),
        ("\\tan x", "\\frac{\\sin x}{\\cos x}"),
        ("\\sin^2 x", "1-\\cos^2 x"),
        ("e^{2x}", "(e^x)^2"),
        ("\\ln 8", "3\\ln 2"),
        ("\\log_2 10", "\\frac{\\ln 10}{\\ln 2}"),
        ("\\frac{\\pi}{6}", "\\arcsin\\frac12"),
        ("\\frac12", "\\sin 30^\\circ"),
        ("\\sqrt{x^2}", "|x|"),
        ("x^{1/3}", "\\sqrt[3]{x}"),
        ("e^{i\\pi}", "-1"),
        ("\\cosh x", "\\frac{e^x+e^{-x}}{2}"),
        ("4^n", "2^{2n}"),
    ):
        same(a, b)
        same(b, a)
        differ(a, b + "+1", "-(" + b + ")")


def texts():
    for a, b in (
        ("isosceles", "Isosceles triangle"),
        ("yes", "Yes"),
        ("no solution", "No solutions"),
        ("Alice and Bob", "Bob and Alice"),
        ("east", "East"),
        ("ellipse", "an ellipse"),
    ):
        same(f"\\text{{{a}}}", f"\\text{{{b}}}", a)
        differ(f"\\text{{{a}}}", f"\\text{{not {a}}}", "\\text{other}", "0")
    for letter in "ABCDE":
        same(f"\\text{{({letter})}}", letter, f"({letter})", f"\\text{{{letter}}}")
        differ(letter, chr(ord(letter) + 1), f"\\text{{not {letter}}}")


def sentences():
    """Completions, not bare answers: where the answer stands."""
    for form, right in (
        ("The answer is {}.", 1),
        ("**Answer:** {}", 1),
        ("#### {}", 1),
        ("<answer>{}</answer>", 1),
        ("So we get \\boxed{{{}}}", 1),
        ("First \\boxed{{9{}}}, wait, that is wrong: \\boxed{{{}}}", 1),
        ("\\boxed{{{}}} or \\boxed{{9{}}}", 0),
        ("<think>\\boxed{{{}}}</think> Hm.", 0),
        ("\\boxed{{\\text{{not }}{}}}", 0),
        ("$x={}$", 1),
    ):
        n = str(rng.randrange(100, 999))
        rows.append((n, form.format(n, n), right))


def check():
    from math_verify import parse, verify

    begin, wrong = time.process_time(), {0: 0, 1: 0}
    for gold, text, truth in rows:
        if int(verify(parse(f"\\boxed{{{gold}}}"), parse(text))) != truth:
            wrong[truth] += 1
            print(truth, gold, text, sep="\t")
    seconds = time.process_time() - begin
    print(
        f"{wrong[0]} different ones called the same, {wrong[1]} same ones called different, "
        f"{len(rows) / seconds:.0f} pairs/s of processor time"
    )


def main():
    for family in (
        integers,
        fractions,
        surds,
        powers,
        counting,
        polynomials,
        equations,
        sets,
        intervals,
        matrices,
        complex_numbers,
        units,
        functions,
        texts,
        sentences,
    ):
        family()
    rows[:] = [r for r in dict.fromkeys(rows)]
    if "--check" in sys.argv:
        check()
        return
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(
        "gold\tprediction_text\ttruth\n" + "".join(f"{g}\t{a}\t{t}\n" for g, a, t in rows)
    )
    print(f"{OUT}: {len(rows)} pairs")


if __name__ == "__main__":
    main()
