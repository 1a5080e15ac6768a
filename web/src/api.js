/* api.js: what the pages ask of the program.
 *
 * Chat speaks the OpenAI protocol: GET /v1/models, POST /v1/chat/completions with a stream of
 * server-sent events, reasoning in delta.reasoning_content.  Training runs are read from
 *
 *   GET /api/runs                    {"runs": [{"id", "kind", "name", "status", "note", "steps",
 *                                      "started", "ended"}]}, times in seconds since 1970, 0 = none
 *   GET /api/runs/ID/metrics?after=S {"run": {...}, "metrics": [{"name", "steps": [], "values": []}]}
 *                                    of the steps after S; a value that is not finite is null
 *   GET /api/runs/ID/samples?step=S  {"steps": [every step with samples], "samples": [{"step",
 *                                      "prompt", "sample", "prompt_text", "completion", "reward",
 *                                      "advantage", "tokens"}]}; without step, the last one's
 *
 * Every failure is an Error whose message can be shown. */

export const KEY = "r1.key"; /* the API key's place in localStorage */

const BROKEN = "The connection broke before the reply was whole.";

function headers() {
    const key = localStorage.getItem(KEY);
    return key ? { Authorization: "Bearer " + key } : {};
}

async function failure(response) {
    let message = "";
    try {
        const body = await response.json();
        message = body.error?.message ?? body.error ?? body.detail ?? "";
    } catch {
        /* not JSON: the status alone has to do */
    }
    const e = new Error(typeof message === "string" && message ? message : `HTTP ${response.status}`);
    e.status = response.status;
    if (e.status === 401 || e.status === 403)
        e.message = `${e.message} (the API key is entered under Settings)`;
    if (e.status === 429) {
        const wait = response.headers.get("Retry-After");
        e.message = `The server is busy${wait ? `; it asks to try again in ${wait} s` : ""}.`;
    }
    return e;
}

async function request(path, options = {}) {
    let response;
    try {
        response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
    } catch (e) {
        if (e.name === "AbortError")
            throw e;
        throw new Error("The server does not answer. Is r1 serve still running?");
    }
    if (!response.ok)
        throw await failure(response);
    return response;
}

export async function getJson(path, signal) {
    return (await request(path, { signal })).json();
}

export async function models() {
    return ((await getJson("/v1/models")).data ?? []).map((m) => m.id);
}

/* The events of a stream's bytes, as the HTML standard cuts them: lines end with LF, CRLF or CR, an
 * event ends with an empty line, "data" lines are joined, comments are skipped. */
export async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", data = [];
    try {
        for (;;) {
            const { value, done } = await reader.read().catch((e) => {
                throw e.name === "AbortError" ? e : new Error(BROKEN);
            });
            /* A CR at the end of a piece may be half of a CRLF: it waits for the next. */
            rest += value ?? "";
            const lines = rest.split(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?!$)/);
            rest = lines.pop();
            for (const line of lines) {
                if (line === "") {
                    if (data.length)
                        yield data.join("\n");
                    data = [];
                } else if (line.startsWith("data:")) {
                    data.push(line.slice(line[5] === " " ? 6 : 5));
                }
            }
            if (done)
                return;
        }
    } finally {
        reader.cancel().catch(() => {});
    }
}

/* Ask for a reply.  on(delta, choice) is called for each piece; the result has the usage and why the
 * reply ended.  A stream that breaks off without its end is an error. */
export async function chat(body, on, signal) {
    const response = await request("/v1/chat/completions", {
        method: "POST",
        signal,
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    });
    const result = { usage: null, finish: null, model: null, consensus: null };
    let ended = false;
    for await (const data of events(response.body)) {
        if (data === "[DONE]") {
            ended = true;
            break;
        }
        const chunk = JSON.parse(data);
        if (chunk.error)
            throw new Error(chunk.error.message ?? "The server gave up on this reply.");
        result.usage = chunk.usage ?? result.usage;
        result.model = chunk.model ?? result.model;
        for (const choice of chunk.choices ?? []) {
            result.finish = choice.finish_reason ?? result.finish;
            result.consensus = choice.consensus ?? result.consensus;
            if (choice.delta)
                on(choice.delta, choice);
        }
    }
    if (!ended && !result.finish)
        throw new Error(BROKEN);
    return result;
}
