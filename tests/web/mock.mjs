/* mock.mjs: a stand-in for `r1 serve` whose replies a test chooses: it serves the built page with the
 * headers of src/serve/assets.c, and streams what REPLIES has for a question. */
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";

const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8",
                svg: "image/svg+xml", woff2: "font/woff2", txt: "text/plain; charset=utf-8" };

/* The literal pairs of r1_assets_headers. */
export function assetHeaders(source) {
    const table = /r1_assets_headers\[\] = \{([\s\S]*?)\{NULL/.exec(readFileSync(source, "utf8"))[1];
    const headers = {};
    for (const [, name, value] of table.matchAll(/\{"([^"]+)",\s*((?:"[^"]*"\s*)+)\}/g))
        headers[name] = value.match(/"[^"]*"/g).map((s) => s.slice(1, -1)).join("");
    return headers;
}

const RUNS = [
    { id: 1, kind: "pretrain", name: "countdown-base", status: "done", note: null, steps: 40, started: 1.7e9, ended: 1.7e9 + 90 },
    { id: 2, kind: "grpo", name: "countdown-r1-zero", status: "running", note: null, steps: 60, started: 1.7e9 + 500, ended: 0 },
    { id: 3, kind: "grpo", name: "broken <b>run</b>", status: "failed", note: "loss is not finite", steps: 3,
      started: 1.7e9 + 900, ended: 1.7e9 + 950 },
];

function metricsOf(run, after) {
    const names = run.kind === "pretrain" ? ["loss", "entropy", "learning_rate"]
        : ["reward", "eval/pass@1", "completions/mean_length", "entropy", "kl", "loss", "rewards/format/mean", "grad_norm",
           "length/correct_mean", "length/wrong_mean", "emergence/reflections_per_1k", "emergence/reflective", "emergence/backtracks",
           "emergence/language_mixing"];
    return names.map((name, k) => {
        const steps = [], values = [];
        for (let s = after + 1; s <= run.steps; s++) {
            if (name === "eval/pass@1" && s % 10)
                continue;
            const t = s / 60, noise = Math.sin(s * 12.9898 + k * 78.2) * 0.04;
            steps.push(s);
            values.push(name === "completions/mean_length" ? 43 + 120 * t + 40 * noise : name === "kl" ? t * 0.1 + noise * 0.2
                : name === "loss" && s === 7 ? null : name === "entropy" || name === "loss" ? 1.5 - t + noise : 0.17 + 0.66 * t + noise);
        }
        return { name, steps, values };
    }).filter((m) => m.steps.length);
}

function samplesOf(run, step) {
    const steps = run.kind === "grpo" ? [1, 20, 40, 60].filter((s) => s <= run.steps) : [];
    const at = step ?? steps[steps.length - 1], list = [];
    for (let i = 0; steps.includes(at) && i < 12; i++) {
        const good = (i * 7 + at) % 12 < at / 6;
        list.push({ step: at, prompt: i >> 2, sample: i & 3, prompt_text: `${3 + i} 7 12:60\n`,
                    completion: `<think>try 3 * 7 + 12 = 33, no\n${"try again\n".repeat(at / 20)}</think>\n${good ? "12 * (7 - 2) = 60" : "<img src=x onerror=window.pwned=1>"}`,
                    reward: good ? 1 : 0, advantage: good ? 0.7 : -0.7, tokens: 30 + at });
    }
    return { steps, samples: list };
}

/* replies: {TEXT OF THE LAST QUESTION: {thinking: [pieces], text: [pieces], finish, status, error, endless,
 * cut, consensus}}. */
export async function serveMock({ web, assets, replies }) {
    const headers = assetHeaders(assets), state = { requests: [], open: 0, key: null, cut: null };

    function asset(path, response) {
        const name = path === "/" ? "/index.html" : path === "/runs" ? "/runs.html" : path;
        const file = join(web, normalize(name));
        if (!existsSync(file) || !/^\/(assets\/[\w.-]+|index\.html|runs\.html)$/.test(name)) {
            response.writeHead(404).end();
            return;
        }
        response.writeHead(200, { ...headers, "Content-Type": TYPES[name.split(".").pop()] }).end(readFileSync(file));
    }

    function json(response, status, body, more = {}) {
        response.writeHead(status, { "Content-Type": "application/json", ...more }).end(JSON.stringify(body));
    }

    async function stream(request, response, body) {
        const question = body.messages.filter((m) => m.role === "user").pop().content;
        const r = replies[question] ?? { text: ["You said: ", question] };
        if (r.status)
            return json(response, r.status, { error: { message: r.error } }, r.headers);
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
        let gone = false;
        state.open++;
        response.on("close", () => { gone = true; state.open--; });
        const chunk = (o) => response.write(`data: ${JSON.stringify({ model: "mock", ...o })}\n\n`);
        const turn = () => new Promise((done) => setTimeout(done, r.pause ?? 1));
        response.write(": keep-alive\n\n");
        const pieces = [...(r.thinking ?? []).map((t) => ({ reasoning_content: t })), ...(r.text ?? []).map((t) => ({ content: t }))];
        for (const delta of pieces) {
            chunk({ choices: [{ index: 0, delta, finish_reason: null }] });
            await turn();
        }
        while (r.endless && !gone) {
            chunk({ choices: [{ index: 0, delta: { content: "more " }, finish_reason: null }] });
            await turn();
        }
        if (r.cut) {
            await new Promise((done) => { state.cut = done; }); /* the test has seen the beginning */
            return response.destroy();
        }
        chunk({ choices: [{ index: 0, delta: {}, finish_reason: r.finish ?? "stop", consensus: r.consensus }] });
        chunk({ choices: [], usage: { prompt_tokens: 20, completion_tokens: pieces.length,
                                      completion_tokens_details: { reasoning_tokens: (r.thinking ?? []).length },
                                      prompt_tokens_details: { cached_tokens: 12 } } });
        response.end("data: [DONE]\n\n");
    }

    const server = createServer(async (request, response) => {
        const url = new URL(request.url, "http://mock");
        if (state.key && url.pathname.startsWith("/v1") && request.headers.authorization !== `Bearer ${state.key}`)
            return json(response, 401, { error: { message: "no valid API key" } });
        const run = /^\/api\/runs\/(\d+)\/(metrics|samples)$/.exec(url.pathname);
        const found = run && RUNS.find((r) => r.id === Number(run[1]));
        if (url.pathname === "/v1/models")
            json(response, 200, { object: "list", data: [{ id: "mock" }, { id: "other-model" }] });
        else if (url.pathname === "/api/runs")
            json(response, 200, { runs: RUNS });
        else if (found && run[2] === "metrics")
            json(response, 200, { run: found, metrics: metricsOf(found, Number(url.searchParams.get("after") ?? 0)) });
        else if (found)
            json(response, 200, samplesOf(found, url.searchParams.has("step") ? Number(url.searchParams.get("step")) : undefined));
        else if (url.pathname === "/v1/chat/completions") {
            let text = "";
            for await (const piece of request)
                text += piece;
            const body = JSON.parse(text);
            state.requests.push(body);
            await stream(request, response, body);
        } else {
            asset(url.pathname, response);
        }
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return { url: `http://127.0.0.1:${server.address().port}`, state, runs: RUNS,
             close: () => { server.closeAllConnections(); server.close(); } };
}
