/* What the official Node client makes of the server at argv[2], with the model argv[3]. */
import assert from "node:assert";
import OpenAI from "openai";

const [, , base, model] = process.argv;
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "secret", maxRetries: 0 });
const fixed = { model, messages: [{ role: "user", content: "hello" }], temperature: 0, max_tokens: 12 };

const ids = [];
for await (const m of client.models.list())
    ids.push(m.id);
assert(ids.includes(model));

const whole = await client.chat.completions.create(fixed);
assert.equal(whole.choices[0].message.role, "assistant");
assert(whole.usage.completion_tokens <= 12);

let text = "", usage = null;
const stream = await client.chat.completions.create({ ...fixed, stream: true, stream_options: { include_usage: true } });
for await (const piece of stream) {
    usage = piece.usage ?? usage;
    text += piece.choices[0]?.delta?.content ?? "";
}
assert.equal(text, whole.choices[0].message.content);
assert.equal(usage.completion_tokens, whole.usage.completion_tokens);

/* A client that stops reading in the middle. */
const cut = await client.chat.completions.create({ ...fixed, max_tokens: 200, stream: true });
for await (const _ of cut)
    break;

const old = await client.completions.create({ model, prompt: "abc", max_tokens: 4 });
assert.equal(old.choices.length, 1);
const vectors = await client.embeddings.create({ model, input: "one" });
assert(vectors.data[0].embedding.length > 0);

await assert.rejects(client.chat.completions.create({ ...fixed, model: "nobody" }), OpenAI.NotFoundError);
await assert.rejects(client.chat.completions.create({ ...fixed, n: 0 }), OpenAI.BadRequestError);
console.log("node: all as expected");
