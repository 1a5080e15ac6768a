#!/usr/bin/env python3
"""Check what clang-format does not: opening comments, tabs, lengths, guards, leftovers.

Reads the files that git tracks, or everything but build folders where there is no git.  Prints
file:line of each violation; exits 1 when there is one.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 1200
MAX_COLUMNS = 100

# Which names count as which kind; the rules below say what holds for a kind.
C = (".c", ".h")
SCRIPT = (".py", ".sh", ".bash")
# Data and recorded outputs are as their makers wrote them.
DATA = ("data/", "tests/golden/", "tests/fuzz/seeds/")

LEFTOVER = re.compile(r"\b(" + "TO" "DO|FIX" "ME|XX" r"X)\b")
# Places that exist on one machine only, and registries that a user may have replaced.
HOME = re.compile(r"(?<![\w.~$}])/(?:home/\w|ro" r"ot/|Us" r"ers/\w)")
HOSTS = re.compile("|".join(re.escape(a + b) for a, b in (
    ("py", "pi.org"), ("pythonho", "sted.org"), ("npm", "js.org"), ("npm", "js.com"),
    ("crat", "es.io"), ("ruby", "gems.org"), ("deb.deb", "ian.org"), ("conda", ".anaconda.org"))))


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if out.returncode == 0 and out.stdout:
        return sorted(n for n in out.stdout.split("\0") if n and (ROOT / n).is_file())
    names = (p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file())
    made = re.compile(r"(build|\.git/|r1$|libr1\.a$|web/node_modules)")
    return sorted(n for n in names if not made.match(n))


def check_opening(name, lines):
    if name.endswith(C):
        if not lines or not lines[0].startswith("/* "):
            yield 1, "does not open with a comment that says what the file is for"
    elif name.endswith(SCRIPT) or name.endswith("CMakeLists.txt") or name == "Makefile":
        body = lines[1:] if lines and lines[0].startswith("#!") else lines
        if not body or not body[0].startswith(("# ", '"""')):
            yield 1, "does not open with a comment that says what the file is for"


def check_guard(name, text):
    guard = "R1_" + re.sub(r"\W", "_", Path(name).name).upper()
    guard = guard.replace("R1_R1_", "R1_")
    if not re.search(rf"^#ifndef {guard}\n#define {guard}\n", text, re.M):
        yield 1, f"has no include guard {guard}"
    if name.startswith("include/") and 'extern "C"' not in text:
        yield 1, 'is public and has no extern "C"'


def check(name):
    raw = (ROOT / name).read_bytes()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        if name.endswith(C + SCRIPT + (".md", ".txt", ".json")) and not name.startswith(DATA):
            yield 1, "is not UTF-8"
        return
    if "\0" in text:
        return
    data = name.startswith(DATA)
    lines = text.split("\n")
    if not data:
        yield from check_opening(name, lines)
        if name.endswith(".h"):
            yield from check_guard(name, text)
        if name.endswith(C + SCRIPT) and len(lines) > MAX_LINES + 1:
            yield len(lines), f"has {len(lines) - 1} lines, at most {MAX_LINES} allowed"
        if text and not text.endswith("\n"):
            yield len(lines), "does not end with a newline"
    for number, line in enumerate(lines, 1):
        if not data:
            if "\t" in line and name != "Makefile":
                yield number, "has a tab"
            if line != line.rstrip():
                yield number, "has spaces at its end"
            if name.endswith(C + (".py",)) and len(line) > MAX_COLUMNS:
                yield number, f"has {len(line)} columns, at most {MAX_COLUMNS} allowed"
            m = LEFTOVER.search(line)
            if m:
                yield number, f"has a {m[0]}"
        m = HOME.search(line)
        if m:
            yield number, f"names a directory of one machine ({m[0]}...)"
        m = HOSTS.search(line)
        if m:
            yield number, f"names a package registry ({m[0]})"


def main():
    names = tracked()
    bad = [f"{n}:{line}: {what}" for n in names for line, what in check(n)]
    for line in bad:
        print(line)
    print(f"style: {len(names)} files, {len(bad)} violations")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
