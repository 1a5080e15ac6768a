"""hub.py: a stand-in for the Hugging Face hub, well-behaved and not, for tests/cli/pull.sh.

Usage: hub.py FOLDER.  Serves the repositories below from FOLDER's files, writes "hub PORT" and
"cdn PORT" on stdout when it listens, and logs requests to FOLDER/log: one JSON object a line.
"""
import hashlib
import json
import re
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
HF = FOLDER / "hf"
GGUF = (FOLDER / "model.gguf").read_bytes()
BIG = b"GGUF" + bytes(range(256)) * 4000  # about a megabyte
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"


def hf_files():
    return {p.name: p.read_bytes() for p in sorted(HF.iterdir())}


# name: files.  What departs from a hub that works stands in the code below, by the name.
REPOS = {
    "u/hf": hf_files(),
    "u/tree": hf_files(),
    "u/tiny": {"README.md": b"#", "tiny-Q8_0.gguf": GGUF, "tiny-Q4_K_M.gguf": GGUF + b"x",
               "mmproj-tiny.gguf": b"GGUF"},
    "u/split": {"Q8_0/s-Q8_0-%05d-of-00003.gguf" % i: b"GGUF" + b"%d" % i * 1000
                for i in (1, 2, 3)},
    "u/cut": {"cut.gguf": BIG},
    "u/norange": {"norange.gguf": BIG},
    "u/stuck": {"stuck.gguf": BIG},
    "u/wrong": {"wrong.gguf": BIG},
    "u/damaged": {"damaged.gguf": BIG},
    "u/long": {"long.gguf": BIG},
    "u/huge": {"huge.gguf": BIG},
    "u/html": {"html.gguf": b"<html>not here</html>"},
    "u/nolist": {"nolist.gguf": BIG},
    "u/private": {"private.gguf": BIG},
    "u/limited": {"limited.gguf": BIG},
    "u/busy": {"busy.gguf": BIG},
    "u/loop": {"loop.gguf": BIG},
    "u/file": {"file.gguf": BIG},
    "u/up": {"../../up.gguf": BIG},
    "u/abs": {"/tmp/abs.gguf": BIG},
    "u/dots": {"sub/../dots.gguf": BIG},
    "u/hidden": {".hidden.gguf": BIG},
    "u/control": {"a\x1b[2Jb.gguf": BIG},
    "u/twice": {"a/x-00001-of-00002.gguf": BIG, "a/x-00002-of-00002.gguf": BIG,
                "a/X-00001-of-00002.gguf": BIG},
    "u/nothing": {"README.md": b"#"},
    "u/junk": {"junk.gguf": BIG},
    "u/deep": {"deep.gguf": BIG},
    "u/plain": {"x.gguf": BIG},
}
PORTS = {}
counts = {}
lock = threading.Lock()


def count(key):
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key]


def sums(repo, name, data):
    sha = hashlib.sha256(data).hexdigest()
    if repo == "u/wrong":
        sha = "0" * 64
    return sha, hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(name):
    return name.endswith((".gguf", ".safetensors"))


def listing(repo, tree):
    entries = []
    for name, data in REPOS[repo].items():
        sha, blob = sums(repo, name, data)
        size = 10 ** 15 if repo == "u/huge" else len(data)
        entry = {"size": size, "path" if tree else "rfilename": name}
        if tree:
            entry |= {"type": "file", "oid": blob}
            if is_lfs(name):
                entry["lfs"] = {"oid": sha, "size": size, "pointerSize": 130}
        else:
            entry["blobId"] = blob
            if is_lfs(name):
                entry["lfs"] = {"sha256": sha, "size": size}
        entries.append(entry)
    if tree:
        return [{"type": "directory", "path": "sub", "oid": "1" * 40}] + entries
    return {"id": repo, "sha": COMMIT, "siblings": entries}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def record(self):
        with lock, open(FOLDER / "log", "a") as f:
            f.write(json.dumps({"at": self.server.name, "method": self.command, "path": self.path,
                                "token": self.headers.get("Authorization"),
                                "range": self.headers.get("Range")}) + "\n")

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, repo, name, data):
        """The bytes, or the range that is asked for, in the repository's own manner."""
        n = count(repo + self.command)
        start = 0
        m = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if m and repo != "u/norange":
            start = int(m[1])
        if start >= len(data) > 0:
            return self.answer(416, headers=[("Content-Range", "bytes */%d" % len(data))])
        body = data[start:]
        if repo == "u/damaged":
            body = b"GGUF" + b"?" * (len(body) - 4)
        if repo == "u/long":
            body += b"more"
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if repo == "u/stuck":
            body = b""  # promises, and gives nothing
        elif (repo == "u/cut" and n < 4) or (repo == "u/norange" and n < 3):
            body = body[:300000]
        self.wfile.write(body)
        self.close_connection = True
        return None

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.record()
        path = urllib.parse.unquote(self.path.split("?")[0])
        if self.server.name == "cdn":
            _, user, repo, name = path.split("/", 3)
            return self.send_file(f"{user}/{repo}", name, REPOS[f"{user}/{repo}"][name])
        m = re.fullmatch(r"/api/models/(\w+/\w+)(?:/(revision|tree)/([\w./-]+))?", path)
        if m:
            return self.send_listing(m[1], m[2])
        m = re.fullmatch(r"/(\w+/\w+)/resolve/([\w.-]+)/(.+)", path)
        if m and m[3] in REPOS.get(m[1], {}):
            return self.resolve(m[1], m[3])
        return self.answer(404, b'{"error":"Repository not found"}')

    def send_listing(self, repo, kind):
        if repo == "u/private" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            why = [("X-Error-Message", "Access to this model is restricted")]
            return self.answer(401, b"{}", why)
        if repo == "u/limited" and count("list") < 3:
            return self.answer(429, headers=[("Retry-After", "0")])
        if repo == "u/busy":
            return self.answer(429, headers=[("Retry-After", "3600")])
        if repo not in REPOS or repo == "u/nolist" or (repo == "u/tree") != (kind == "tree"):
            return self.answer(404, b'{"error":"Repository not found"}')
        body = json.dumps(listing(repo, kind == "tree")).encode()
        if repo == "u/junk":
            body = body[:40]
        if repo == "u/deep":
            body = b"[" * 100000
        return self.answer(200, body, [("Content-Type", "application/json")])

    def resolve(self, repo, name):
        data = REPOS[repo][name]
        sha, blob = sums(repo, name, data)
        if repo == "u/private" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401)
        if not is_lfs(name):
            return self.answer(200, data, [("ETag", f'"{blob}"')])
        if repo == "u/loop":
            return self.answer(302, headers=[("Location", self.path)])
        if repo == "u/file":
            return self.answer(302, headers=[("Location", f"file://{FOLDER}/model.gguf")])
        to = f"http://127.0.0.1:{PORTS['cdn']}/{repo}/" + urllib.parse.quote(name)
        return self.answer(302, headers=[("Location", to), ("X-Linked-Etag", f'"{sha}"'),
                                         ("X-Linked-Size", str(len(data)))])


def main():
    servers = []
    for name in ("hub", "cdn"):
        s = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        s.name = name
        s.daemon_threads = True
        PORTS[name] = s.server_port
        servers.append(s)
        threading.Thread(target=s.serve_forever, daemon=True).start()
    for name, port in PORTS.items():
        print(name, port, flush=True)
    sys.stdin.read()  # until whoever started this is gone


if __name__ == "__main__":
    main()
