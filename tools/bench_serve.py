#!/usr/bin/env python3
"""Measure `r1 serve` under load, and llama-server with the same slots beside it.

    tools/bench_serve.py SCENARIO... --model MODEL.gguf [--llama-server PROGRAM] [--rounds N]

Each scenario starts each server anew, in turns, --rounds times; the clients are this process.  It
prints one line a run, and a Markdown table at the end: medians of the rounds.

  throughput  32 clients, prompts of 20 to 600 tokens, 64 to 256 generated: tokens/s in all
  first       8 clients: median and 99th percentile of the time to the first token
  turn        a chat of 3,000 tokens: first token of the second turn, and of a short prompt
  idle        as `first`, with 1,000 connections beside it that send nothing or a byte now and then
  same        greedy answers under load against those given alone
  abuse       many requests, a fifth cut off by their clients, one in twenty malformed
  start       from the program's start to its first token
"""

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

WORDS = (
    "the a of to and in is it you that he was for on are with as his they be at one have this "
    "from or had by hot word but what some we can out other were all there when up use your how "
    "said an each she which do their time if will way about many then them write would like so "
    "these her long make thing see him two has look more day could go come did number sound no "
    "most people my over know water than call first who may down side been now find"
).split()
END_IDS = (0, 2)  # SmolLM2's ends, which every request excludes so that lengths are equal


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, kind, args, slots, context):
        self.kind, self.port = kind, free_port()
        self.log = tempfile.TemporaryFile()
        if kind == "r1":
            command = [
                args.r1,
                "serve",
                args.model,
                "--port",
                str(self.port),
                "--threads",
                "2",
                "--slots",
                str(slots),
            ]
        else:
            command = [
                args.llama_server,
                "-m",
                args.model,
                "--port",
                str(self.port),
                "-t",
                "2",
                "-np",
                str(slots),
                "-c",
                str(slots * context),
            ]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def wait(self):
        while True:
            if self.process.poll() is not None:
                self.log.seek(0)
                sys.exit(f"{self.kind} ended: {self.log.read()[-500:].decode(errors='replace')}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    s.sendall(
                        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                    )
                    if b" 200 " in s.recv(64):
                        return
            except OSError:
                pass
            time.sleep(0.01)

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(x.split()[1]) for x in f if x.startswith("VmRSS")) / 1024

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "killed"


def request_bytes(path, body):
    data = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    ).encode() + data


class Reply:
    def __init__(self):
        self.status, self.first, self.total, self.text = 0, None, None, ""
        self.tokens = self.prompt = self.cached = 0


async def read_head(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(x.lower().split(": ", 1) for x in lines[1:] if ": " in x)
    return int(lines[0].split()[1]), headers


async def chat(port, messages, tokens, path="/v1/chat/completions", cut=None, **more):
    """One streamed chat; cut: leave after so many pieces."""
    body = {
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logit_bias": {str(i): -100 for i in END_IDS},
        **more,
    }
    out, start = Reply(), time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    try:
        writer.write(request_bytes(path, body))
        out.status, headers = await read_head(reader)
        if headers.get("transfer-encoding") != "chunked":
            out.text = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
            return out
        rest, pieces = b"", 0
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            rest += (await reader.readexactly(size + 2))[:-2]
            if size == 0:
                break
            while b"\n\n" in rest:
                event, rest = rest.split(b"\n\n", 1)
                if not event.startswith(b"data: {"):
                    continue
                v = json.loads(event[6:])
                if v.get("usage"):
                    out.tokens = v["usage"]["completion_tokens"]
                    out.prompt = v["usage"]["prompt_tokens"]
                    details = v["usage"].get("prompt_tokens_details") or {}
                    out.cached = details.get("cached_tokens", 0)
                delta = v["choices"][0].get("delta", {}) if v.get("choices") else {}
                if delta.get("content"):
                    out.first = out.first or time.monotonic() - start
                    out.text += delta["content"]
                pieces += 1
                if cut is not None and pieces >= cut:
                    return out
        out.total = time.monotonic() - start
        return out
    finally:
        writer.close()


def prompt(rng, tokens):
    return " ".join(rng.choice(WORDS) for _ in range(tokens))


def user(text):
    return [{"role": "user", "content": text}]


async def crowd(n, jobs):
    """Run coroutines made by jobs (functions) on n clients; their results."""
    queue, results = list(reversed(jobs)), []

    async def client():
        while queue:
            results.append(await queue.pop()())

    await asyncio.gather(*(client() for _ in range(n)))
    return results


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


# ---- scenarios: each returns a dict of figures -------------------------------------------------


async def throughput(server, args):
    rng = random.Random(1)
    jobs = [
        (prompt(rng, rng.randint(20, 600) - 30), rng.randint(64, 256))
        for _ in range(args.requests or 96)
    ]
    start, cpu, own = time.monotonic(), server.cpu_s(), time.process_time()
    replies = await crowd(32, [lambda j=j: chat(server.port, user(j[0]), j[1]) for j in jobs])
    took = time.monotonic() - start
    tokens = sum(r.tokens for r in replies)
    assert all(r.status == 200 for r in replies), [r.text for r in replies if r.status != 200][:1]
    return {
        "tokens/s": tokens / took,
        "prompt tokens/s": sum(r.prompt for r in replies) / took,
        "cores of the server": (server.cpu_s() - cpu) / took,
        "cores of the clients": (time.process_time() - own) / took,
    }


async def first(server, args, turned=0):
    rng = random.Random(2)
    jobs = []
    for _ in range(args.requests or 100):
        words = prompt(rng, rng.randint(20, 600) - 30).split()
        jobs.append((" ".join(words[turned:] + words[:turned]), 64))
    replies = await crowd(8, [lambda j=j: chat(server.port, user(j[0]), j[1]) for j in jobs])
    times = [r.first for r in replies]
    return {
        "first token, median ms": 1e3 * statistics.median(times),
        "first token, p99 ms": 1e3 * quantile(times, 0.99),
    }


async def turn(server, args):
    rng, short, second = random.Random(3), [], []
    for _ in range(5):
        short.append((await chat(server.port, user(prompt(rng, 20)), 8)).first)
        messages = user(prompt(rng, 2900))
        one = await chat(server.port, messages, 32)
        messages += [
            {"role": "assistant", "content": one.text},
            *user("And what else? " + prompt(rng, 5)),
        ]
        two = await chat(server.port, messages, 8)
        second.append(two.first)
    return {
        "short prompt ms": 1e3 * statistics.median(short),
        "second turn ms": 1e3 * statistics.median(second),
        "second turn, of a short prompt's": statistics.median(second) / statistics.median(short),
        "prompt": two.prompt,
        "cached": two.cached,
    }


async def idle(server, args):
    before = await first(server, args, 1)
    writers = []
    for i in range(1000):
        _, w = await asyncio.open_connection("127.0.0.1", server.port)
        if i % 2:
            w.write(b"POST /v1/chat/completions HTTP/1.1\r\n")
        writers.append(w)

    async def dribble():
        while True:
            for w in writers[1::2]:
                if not w.is_closing():
                    w.write(b"X")
            await asyncio.sleep(1)

    task = asyncio.create_task(dribble())
    beside = await first(server, args, 2)  # equal work, nothing of it stored
    task.cancel()
    for w in writers:
        w.close()
    key = "first token, p99 ms"
    return {
        "p99 alone ms": before[key],
        "p99 beside 1,000 ms": beside[key],
        "ratio": beside[key] / before[key],
    }


async def same(server, args):
    rng = random.Random(5)
    jobs = [
        (prompt(rng, rng.randint(5, 200)), rng.randint(8, 64)) for _ in range(args.requests or 64)
    ]
    alone = [await chat(server.port, user(p), n) for p, n in jobs]
    loaded = {}

    async def one(i):
        loaded[i] = await chat(server.port, user(jobs[i][0]), jobs[i][1])

    await crowd(32, [lambda i=i: one(i) for i in range(len(jobs))])
    equal = sum(alone[i].text == loaded[i].text for i in range(len(jobs)))
    return {"answers equal %": 100 * equal / len(jobs)}


async def abuse(server, args):
    rng, n = random.Random(6), args.requests or 2000
    texts = [prompt(rng, rng.randint(5, 60)) for _ in range(20)]
    alone = [(await chat(server.port, user(t), 12)).text for t in texts]
    counts = {"wrong": 0, "cut": 0, "malformed": 0}

    async def raw(data):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(data)
            status, _ = await read_head(reader)
            counts["wrong"] += status < 400
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def one(i, kind, k):
        if kind < 0.2:
            counts["cut"] += 1
            await chat(server.port, user(texts[k]), 200, cut=rng.randint(0, 6))
        elif kind < 0.25:
            counts["malformed"] += 1
            bad = [b'{"messages":', b"{}", b'{"messages":7}', b"\xff\xfe", b"[" * 200]
            data = bad[i % len(bad)]
            await raw(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                % (len(data), data)
                if i % 2
                else b"POST /v1\r\nnonsense\r\n\r\n"
            )
        else:
            r = await chat(server.port, user(texts[k]), 12)
            counts["wrong"] += r.status != 200 or r.text != alone[k]

    plan = [(i, rng.random(), rng.randrange(20)) for i in range(n)]
    await crowd(32, [lambda p=p: one(*p) for p in plan[: n // 4]])
    quarter = server.resident_mb()
    await crowd(32, [lambda p=p: one(*p) for p in plan[n // 4 :]])
    for _ in range(500):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        page = (await reader.read()).decode()
        writer.close()
        left = [
            int(float(x.split()[1]))
            for x in page.split("\n")
            if x.startswith(("r1_samples_running ", "r1_requests_waiting "))
        ]
        if not any(left):
            break
        await asyncio.sleep(0.02)
    return {
        "requests": n,
        **counts,
        "stuck": sum(left),
        "MB after a quarter": quarter,
        "MB at the end": server.resident_mb(),
    }


async def start(server, args):
    r = await chat(server.port, user("Hi"), 2)
    return {
        "s from start to first token": time.monotonic() - server.begun,
        "s, the request's part": r.total,
    }


SCENARIOS = {  # function, slots, context of a slot for the peer
    "throughput": (throughput, 32, 1024),
    "first": (first, 8, 1024),
    "turn": (turn, 4, 4096),
    "idle": (idle, 8, 1024),
    "same": (same, 32, 1024),
    "abuse": (abuse, 32, 1024),
    "start": (start, 8, 1024),
}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("scenarios", nargs="+", choices=SCENARIOS)
    p.add_argument("--model", required=True)
    p.add_argument("--r1", default="./r1")
    p.add_argument("--llama-server", default=shutil.which("llama-server"))
    p.add_argument("--only", choices=("r1", "llama"))
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--requests", type=int, default=0, help="0: the scenario's own number")
    args = p.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    for name in args.scenarios:
        function, slots, context = SCENARIOS[name]
        results = {}
        for _ in range(args.rounds):
            for kind in ("r1", "llama"):
                if args.only not in (None, kind) or (kind == "llama" and not args.llama_server):
                    continue
                if kind == "llama" and name in ("abuse", "same"):
                    continue
                server = Server(kind, args, slots, context)
                try:
                    server.wait()
                    if name != "start":
                        asyncio.run(chat(server.port, user("Hi"), 4))  # warm
                    figures = asyncio.run(function(server, args))
                finally:
                    code = server.stop()
                if kind == "r1":
                    figures["exit code"] = code
                print(
                    name,
                    kind,
                    json.dumps({k: round(v, 3) for k, v in figures.items()}),
                    flush=True,
                )
                for k, v in figures.items():
                    results.setdefault(k, {}).setdefault(kind, []).append(v)
        for k, v in results.items():
            mine, peer = (statistics.median(v[x]) if x in v else None for x in ("r1", "llama"))
            rows.append((name, k, mine, peer))
    print("\n| scenario | figure | r1 | llama-server | ratio |\n|---|---|---|---|---|")
    for name, k, mine, peer in rows:
        show = lambda x: "" if x is None else f"{x:.4g}"
        ratio = mine / peer if mine is not None and peer else None
        print(f"| {name} | {k} | {show(mine)} | {show(peer)} | {show(ratio)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
