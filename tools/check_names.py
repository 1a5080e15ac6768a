#!/usr/bin/env python3
"""Check the symbols of libr1.a: the name tells the file, and the library neither prints nor exits.

A global symbol of FILE.c is r1_FILE or r1_FILE_something; the tables below list what departs from
that.  Usage: tools/check_names.py LIBR1.  Prints each violation; exits 1 when there is one.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Other prefixes that a file's symbols may have, because the type has its own name.
ALIASES = {
    "err": ["r1_fail", "r1_log", "r1_assert_fail"],
    "mem": ["r1_buf", "r1_arena"],
    "opt": ["r1_opts"],
    "quant": ["r1_bf16", "r1_f16"],
    "task": ["r1_problem"],
}
# The functions of include/r1.h may be in these.
PUBLIC_FILES = {"api", "err"}

# What library code must not use: only src/cmd/ prints to stdout and exits.
FORBIDDEN = {"exit", "_exit", "printf", "__printf_chk", "vprintf", "__vprintf_chk", "puts",
             "putchar", "stdout", "system", "popen", "gets", "strcpy", "strcat", "sprintf",
             "rand", "srand", "random", "strtok", "__strcpy_chk", "__strcat_chk",
             "__sprintf_chk"}
# A second Ctrl-C ends the program at once; what the jail ends is a process of its own.
FORBIDDEN_EXCEPT = {("os", "_exit"), ("jail", "_exit")}


def public_names():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "include/r1.h").read_text(), flags=re.S)
    return set(re.findall(r"^(?!\s*#|typedef)[\w\s\*]*?\b(r1_\w+)\(", text, flags=re.M))


def symbols(library, *options):
    """(stem of the object's source, symbol) of each symbol that nm lists."""
    out = subprocess.run(["nm", "-A", *options, library], capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"check_names: nm {library}: {out.stderr.strip()}")
    for line in out.stdout.splitlines():
        where, _, rest = line[len(library) + 1:].partition(":")
        yield re.sub(r"(\.c)?\.o$", "", where), rest.split()[-1]


def main():
    if len(sys.argv) != 2:
        print(__doc__.splitlines()[0], "Usage: tools/check_names.py LIBR1", file=sys.stderr)
        return 2
    library = sys.argv[1]
    public = public_names()
    bad = []
    for stem, symbol in symbols(library, "--undefined-only"):
        if symbol in FORBIDDEN and (stem, symbol) not in FORBIDDEN_EXCEPT:
            bad.append(f"{stem}.c:1: uses {symbol}, which library code does not")
    count = 0
    seen_public = set()
    for stem, symbol in symbols(library, "--extern-only", "--defined-only"):
        count += 1
        if symbol in public:
            seen_public.add(symbol)
            if stem in PUBLIC_FILES:
                continue
        prefixes = [f"r1_{stem}"] + ALIASES.get(stem, [])
        if not any(symbol == p or symbol.startswith(p + "_") for p in prefixes):
            expected = " or ".join(p + "_*" for p in prefixes)
            bad.append(f"{stem}.c:1: {symbol} is not named {expected}")
    for symbol in sorted(public - seen_public):
        bad.append(f"include/r1.h:1: {symbol} is declared but not in {library}")
    for line in bad:
        print(line)
    print(f"names: {count} symbols, {len(bad)} violations")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
