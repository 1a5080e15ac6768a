#!/usr/bin/env python3
"""Check the layers of src/ by its #include lines: nothing includes upwards.

The table below is the drawing of ARCHITECTURE.md.  Prints file:line of each violation; exits 1
when there is one.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# Which folders' headers a folder's files may include.
MAY_INCLUDE = {
    "base": {"base"},
    "compute": {"base", "compute"},
    "model": {"base", "compute", "model"},
    "engine": {"base", "compute", "model", "engine"},
    "verify": {"base", "verify"},
    "store": {"base", "store"},
    "hub": {"base", "model", "hub"},
}
MAY_INCLUDE["serve"] = {"base", "compute", "model", "engine", "verify", "store", "serve"}
MAY_INCLUDE["recipe"] = {"base", "compute", "model", "engine", "verify", "store", "recipe"}
MAY_INCLUDE["cmd"] = set(MAY_INCLUDE) | {"cmd"}
# Files directly in src/.
MAY_INCLUDE_FILE = {"api.c": set(MAY_INCLUDE["engine"])}

# Libraries that belong to one folder or file, by their headers.
OWNED_SYSTEM_HEADERS = {
    "jansson.h": ["base/json.h"],
    "sqlite3.h": ["store/"],
    "microhttpd.h": ["serve/http.c"],
    "readline/readline.h": ["cmd/"],
    "readline/history.h": ["cmd/"],
    "curl/curl.h": ["hub/", "recipe/"],
    "seccomp.h": ["verify/filter.c"],
    "zlib.h": ["verify/code.c", "engine/kvfile.c"],
    "acb.h": ["verify/"],
    "flint/fmpq.h": ["verify/"],
    "pcre2.h": ["model/", "verify/"],
    "utf8proc.h": ["model/", "verify/"],
    "immintrin.h": ["compute/", "base/"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def main():
    bad = []
    names = {}
    files = sorted(p for p in SRC.rglob("*") if p.suffix in (".c", ".h"))
    for path in files:
        name = path.relative_to(SRC).as_posix()
        folder = name.split("/")[0] if "/" in name else None
        allowed = MAY_INCLUDE.get(folder) if folder else MAY_INCLUDE_FILE.get(name)
        if allowed is None:
            bad.append(f"src/{name}:1: is in no layer (tools/check_layers.py has the table)")
            continue
        if path.name in names:
            bad.append(f"src/{name}:1: has the same file name as src/{names[path.name]}")
        names[path.name] = name
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            where = f"src/{name}:{number}"
            if m[2]:
                owners = OWNED_SYSTEM_HEADERS.get(m[2])
                if owners and not name.startswith(tuple(owners)):
                    bad.append(f"{where}: <{m[2]}> belongs to {', '.join(owners)}")
                continue
            target = m[1]
            if target == "r1.h":
                continue
            if "/" not in target:
                bad.append(f'{where}: "{target}" must be written "folder/{target}"')
            elif not (SRC / target).is_file():
                bad.append(f'{where}: "{target}" does not exist in src/')
            elif target.split("/")[0] not in allowed:
                layers = ", ".join(k for k in MAY_INCLUDE if k in allowed)
                bad.append(f'{where}: {folder or name} may not include "{target}", only {layers}')
    for line in bad:
        print(line)
    print(f"layers: {len(files)} files, {len(bad)} violations")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
