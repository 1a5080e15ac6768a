/* browser.mjs: drives the pages in a real Chromium: that they work, and that nothing which a model
 * writes can run, load or send anything.  Usage: node browser.mjs BUILT_PAGE [SCREENSHOT_FOLDER] */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { serveMock } from "./mock.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const require = createRequire(pathToFileURL(join(root, "web/package.json")));
const { chromium } = require("playwright-core");
const [web, shots] = process.argv.slice(2);

const RICH = `# A heading

The roots of \\(ax^2+bx+c=0\\) are

$$x = \\frac{-b \\pm \\sqrt{b^2-4ac}}{2a}$$

and that costs $5 or $6, not a formula. **Bold**, *italic*, \`code\`, and inline $e^{i\\pi}+1=0$.

\\[
\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}

\\]

1. first
2. second
   - nested

\`\`\`c
/* reverses s */
static void reverse(char *s)
{
    for (size_t i = 0, j = strlen(s); i + 1 < j; i++, j--)
        swap(&s[i], &s[j - 1]);
}
\`\`\`

| n | n squared | n cubed |
|---|---|---|
| 1 | 1 | 1 |
| 2 | 4 | 8 |
| 3 | 9 | 27 |
| 4 | 16 | 64 |

\`\`\`chart
{"title": "Growth", "x": [1, 2, 3, 4], "series": [{"name": "a", "values": [1, 4, 9, 16]}, {"name": "b", "values": [1, 2, 3, 4]}]}
\`\`\`

> A quotation.

See [the paper](https://example.org/paper) for more.
`;

/* Each would set window.pwned, leave the page or ask another host, were it not inert. */
const HOSTILE = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned=1\">",
    "<svg onload=\"window.pwned=1\"><animate onbegin=\"window.pwned=1\" attributeName=x dur=1s></svg>",
    "<iframe srcdoc=\"<script>parent.pwned=1</script>\"></iframe>",
    "<style>body{display:none}</style><link rel=stylesheet href=https://evil.example/x.css>",
    "<a href=\"javascript:window.pwned=1\" id=a1>x</a>",
    "[click](javascript:window.pwned=1)",
    "[click](JaVaScRiPt:window.pwned=1)",
    "[click](java&#115;cript:window.pwned=1)",
    "[click](data:text/html,<script>window.pwned=1</script>)",
    "[click](vbscript:x)",
    "<javascript:window.pwned=1>",
    "[ref]\n\n[ref]: javascript:window.pwned=1",
    "![x](https://evil.example/leak.png)",
    "![x](\"onerror=\"window.pwned=1)",
    "[x](https://a.example/\"onmouseover=\"window.pwned=1)",
    "$\\href{javascript:window.pwned=1}{click}$",
    "$\\htmlData{x=1}{y}$ $\\htmlStyle{position:fixed;inset:0}{y}$ $\\includegraphics{https://evil.example/leak.png}$",
    "$\\url{javascript:window.pwned=1}$",
    "$</span><img src=x onerror=window.pwned=1>$",
    "\\(<script>window.pwned=1</script>\\)",
    "$\\def\\a{\\a\\a}\\a$ $\\gdef\\x#1{\\x{#1#1}}\\x{y}$ $" + "{".repeat(400) + "$",
    "```html\n<script>window.pwned=1</script><img src=x onerror=window.pwned=1>\n```",
    "```\"><img src=x onerror=window.pwned=1>\ntext\n```",
    "```chart\n{\"title\":\"<img src=x onerror=window.pwned=1>\",\"series\":[{\"name\":\"<b onclick=x>\",\"values\":[1,2,\"x\",null]}]}\n```",
    "```chart\n{\"series\":[{\"values\":[1e308,-1e308]}],\"x\":[{},[]]}\n```",
    "| <img src=x onerror=window.pwned=1> | b |\n|---|---|\n| 1 | 2 |\n| 2 | 3 |",
    "<form action=https://evil.example><input name=a><button>go</button></form>",
    "<base href=https://evil.example/><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=window.pwned=1&gt;\">",
    "<div id=app></div><p id=main><x name=__proto__>",
];

const REPLIES = {
    rich: { thinking: ["Let me think ", "about $x^2$ ", "and **more**.", ...Array(20).fill("Step by step. ")],
            text: RICH.match(/[\s\S]{1,9}/g) },
    slow: { thinking: Array(40).fill("still thinking "), text: ["done"], pause: 25 },
    endless: { text: ["on and on "], endless: true, pause: 5 },
    cut: { text: ["half a rep"], cut: true },
    busy: { status: 429, error: "busy", headers: { "Retry-After": "3" } },
    broken: { status: 500, error: "the model <b>fell</b> over" },
    long: { text: ["It is too long to "], finish: "length" },
    votes: { text: ["42"], consensus: { samples: 8, votes: 5, answer: "42", classes: [{ answer: "42", votes: 5 },
             { answer: "<b>41</b>", votes: 2 }], without_answer: 1 } },
};
HOSTILE.forEach((text, i) => { REPLIES[`hostile ${i}`] = { thinking: [text], text: [text] }; });

const mock = await serveMock({ web, assets: join(root, "src/serve/assets.c"), replies: REPLIES });
const profile = mkdtempSync(join(tmpdir(), "r1-web-"));
const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, viewport: { width: 1280, height: 860 },
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"],
});
browser.setDefaultTimeout(60000);

const problems = []; /* what must never happen, wherever it does */
function watch(page) {
    page.on("pageerror", (e) => problems.push(`error: ${e.message}`));
    page.on("dialog", (d) => d.accept());
    page.on("console", (m) => /Content Security Policy|TrustedHTML/i.test(m.text()) && problems.push(m.text()));
    page.on("request", (r) => !r.url().startsWith(mock.url) && !r.url().startsWith("blob:") &&
        !r.url().startsWith("data:") && problems.push(`asked ${r.url()}`));
    return page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (e) =>
            console.error(`Content Security Policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    });
}

const page = browser.pages()[0] ?? (await browser.newPage());
await watch(page);
const shot = (name, p = page) => shots && p.screenshot({ path: join(shots, `${name}.png`) });
const input = page.getByRole("textbox", { name: "Message" });
const answers = page.locator(".message.assistant");

async function ask(text, wait = true) {
    const n = await answers.count();
    await input.fill(text);
    await input.press("Enter");
    await page.waitForFunction((n) => document.querySelectorAll(".message.assistant").length > n, n);
    if (wait)
        await page.waitForFunction(() => !document.querySelector(".message[aria-busy=true]"));
    return answers.last();
}

const tests = {
    async "an answer with everything in it"() {
        await page.goto(mock.url);
        await page.waitForSelector(".welcome");
        await page.waitForFunction(() => document.querySelector(".model").value === "mock");
        await shot("welcome");
        const a = await ask("rich");
        assert.equal(await a.locator("h1").textContent(), "A heading");
        assert.equal(await a.locator(".answer .katex").count(), 4);
        assert.equal(await a.locator(".answer .katex-error").count(), 0);
        assert.match(await a.locator(".answer").innerText(), /costs \$5 or \$6, not/);
        assert.ok(await a.locator(".code .hljs-keyword").count() > 0);
        assert.equal(await a.locator(".answer figure.chart canvas").count(), 1);
        assert.equal(await a.locator("ol > li > ul > li").count(), 1);
        const link = a.locator("a[href='https://example.org/paper']");
        assert.equal(await link.getAttribute("rel"), "noopener noreferrer nofollow");
        await a.getByRole("button", { name: "Chart" }).click();
        await a.locator(".answer figure.chart canvas").nth(1).waitFor(); /* drawn in the next frame */
        assert.equal(await a.locator(".answer figure.chart canvas").count(), 2);
        await a.getByRole("button", { name: "Chart" }).click();
        assert.equal(await a.locator(".answer figure.chart canvas").count(), 1);
        /* KaTeX's fonts came from the program. */
        assert.ok(await page.evaluate(() => document.fonts.check("16px KaTeX_Math") && [...document.fonts].some(
            (f) => f.family.startsWith("KaTeX") && f.status === "loaded")));
        assert.match(await a.locator(".stats").textContent(), /mock · \d+ tokens · .*12 prompt tokens from the cache/);
        await page.evaluate(() => { document.querySelector("main").scrollTop = 0; });
        await shot("rich");
        await page.evaluate(() => { document.querySelector("main").scrollTop = 1e6; });
        await shot("rich-end");
    },

    async "thinking is open while it goes on, folds, and opens again"() {
        const a = await ask("slow", false), box = a.locator("details.thinking");
        await page.waitForFunction(() => document.querySelector(".message:last-child details.thinking.live[open]"));
        assert.match(await box.locator("summary").textContent(), /^Thinking/);
        await shot("thinking");
        await page.waitForFunction(() => !document.querySelector(".message[aria-busy=true]"));
        assert.equal(await box.getAttribute("open"), null);
        assert.match(await box.locator("summary").textContent(), /^Thought · \d.* s, 40 tokens$/);
        await box.locator("summary").click();
        assert.match(await box.locator(".prose").innerText(), /still thinking still thinking/);
    },

    async "stop, then go on"() {
        const a = await ask("endless", false);
        await page.waitForFunction(() => document.querySelector(".message:last-child .answer").textContent.includes("more more"));
        assert.match(await page.locator(".rate").textContent(), /^$|tok\/s/);
        await page.getByRole("button", { name: "Stop" }).click();
        await page.waitForFunction(() => !document.querySelector(".message[aria-busy=true]"));
        assert.match(await a.locator(".notice").innerText(), /^Stopped\./);
        while (mock.state.open > 0) /* the server has seen the connection go */
            await page.evaluate(() => new Promise(requestAnimationFrame));
        await a.getByRole("button", { name: "Go on" }).click();
        await page.keyboard.press("Escape");
        await page.waitForFunction(() => !document.querySelector(".message[aria-busy=true]"));
        const last = mock.state.requests.at(-1).messages.at(-1);
        assert.equal(last.role, "assistant");
        assert.equal(last.prefix, true);
        assert.match(last.content, /^on and on more/);
    },

    async "edit and regenerate keep the other versions"() {
        await page.keyboard.press("Control+Shift+K");
        await ask("one");
        assert.match(await answers.last().locator(".answer").innerText(), /You said: one/);
        await answers.last().getByRole("button", { name: "Answer again" }).click();
        await page.waitForFunction(() => document.querySelector(".message.assistant .pager")?.textContent === "2/2" &&
                                         !document.querySelector("[aria-busy=true]"));
        await input.focus();
        await input.press("ArrowUp");
        const editor = page.getByRole("textbox", { name: "Edit the question" });
        await editor.fill("two");
        await editor.press("Enter");
        await page.waitForFunction(() => document.querySelector(".message.assistant .answer")?.textContent.includes("two") &&
                                         !document.querySelector("[aria-busy=true]"));
        assert.deepEqual(mock.state.requests.at(-1).messages.map((m) => m.content), ["two"]);
        await page.locator(".message.user").hover();
        await page.locator(".message.user").getByRole("button", { name: "The version before" }).click();
        assert.match(await answers.last().locator(".answer").innerText(), /You said: one/);
        assert.equal(await answers.last().locator(".pager").innerText(), "2/2");
        await answers.last().getByRole("button", { name: "The version before" }).click();
        assert.equal(await answers.last().locator(".pager").innerText(), "1/2");
    },

    async "failures are told, and can be tried again"() {
        await page.keyboard.press("Control+Shift+K");
        let a = await ask("cut", false);
        await page.waitForFunction(() => document.querySelector(".answer").textContent.includes("half a rep"));
        mock.state.cut();
        await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
        assert.match(await a.locator(".notice.error").innerText(), /broke before the reply was whole/);
        assert.match(await a.locator(".answer").innerText(), /half a rep/);
        a = await ask("busy");
        assert.match(await a.locator(".notice.error").innerText(), /busy.*3 s/);
        a = await ask("broken");
        assert.match(await a.locator(".notice.error").innerText(), /the model <b>fell<\/b> over/);
        await shot("failures");
        a = await ask("long");
        assert.match(await a.locator(".notice").innerText(), /limit of its tokens/);
        a = await ask("votes");
        assert.match(await a.locator(".votes").innerText(), /5 of 8 votes[\s\S]*42[\s\S]*<b>41<\/b>[\s\S]*no answer/);
        mock.state.key = "sesame";
        a = await ask("locked");
        assert.match(await a.locator(".notice.error").innerText(), /no valid API key.*Settings/);
        await page.getByRole("button", { name: "Settings" }).click();
        await page.getByLabel("API key").fill("sesame");
        await page.keyboard.press("Escape");
        await a.getByRole("button", { name: "Try again" }).click();
        await page.waitForFunction(() => [...document.querySelectorAll(".answer")].pop().textContent === "You said: locked\n" ||
                                         [...document.querySelectorAll(".answer")].pop().textContent.trim() === "You said: locked");
        mock.state.key = null;
    },

    async "settings reach the request"() {
        await page.keyboard.press("Control+,");
        await page.getByLabel("Temperature").fill("0.3");
        await page.getByLabel("Thinking tokens at most").fill("200");
        await page.getByLabel("Seed").fill("7");
        await page.getByRole("spinbutton", { name: "Votes" }).fill("5");
        await page.getByLabel("System message").fill("Be brief.");
        await page.getByLabel("Effort").selectOption("low");
        await shot("settings");
        await page.getByRole("button", { name: "Close", exact: true }).last().click();
        await page.getByRole("combobox", { name: "Model" }).selectOption("other-model");
        await page.keyboard.press("Control+Shift+K");
        await ask("hello");
        const { messages, ...rest } = mock.state.requests.at(-1);
        assert.deepEqual(rest, { temperature: 0.3, thinking_budget: 200, seed: 7, consensus: 5, reasoning_effort: "low",
                                 model: "other-model", stream: true, stream_options: { include_usage: true } });
        assert.deepEqual(messages, [{ role: "system", content: "Be brief." }, { role: "user", content: "hello" }]);
        await page.keyboard.press("Control+,");
        await page.getByRole("button", { name: "Defaults" }).click();
        await page.keyboard.press("Escape");
        await page.keyboard.press("Control+Shift+K");
        await ask("hello again");
        assert.equal(mock.state.requests.at(-1).temperature, undefined);
        assert.equal(mock.state.requests.at(-1).messages.length, 1);
    },

    async "history stays, is found, renamed and deleted"() {
        await page.reload();
        await page.locator(".chat .open", { hasText: "rich" }).click();
        await page.waitForSelector(".answer .katex");
        assert.equal(await answers.first().locator(".answer .katex").count(), 4);
        await page.getByRole("searchbox").fill("cubed");
        assert.equal(await page.locator(".chat").count(), 1);
        await page.getByRole("searchbox").fill("");
        await page.locator(".chat.here .open").dblclick();
        await page.locator(".rename").fill("A <i>new</i> name");
        await page.locator(".rename").press("Enter");
        await page.waitForFunction(() => [...document.querySelectorAll(".chat .open")].some((e) => e.textContent === "A <i>new</i> name"));
        const n = await page.locator(".chat").count();
        await page.locator(".chat.here").getByRole("button", { name: /^Delete/ }).click();
        await page.waitForFunction((n) => document.querySelectorAll(".chat").length === n, n - 1);
        await page.reload();
        await page.waitForFunction((n) => document.querySelectorAll(".chat").length === n, n - 1);
    },

    async "what a model writes is inert"() {
        for (let i = 0; i < HOSTILE.length; i++) {
            if (i % 8 === 0)
                await page.keyboard.press("Control+Shift+K");
            const a = await ask(`hostile ${i}`);
            await a.locator("details.thinking summary").click();
            const bad = await a.evaluate((el) => {
                const out = [];
                for (const e of el.querySelectorAll("*")) {
                    const tag = e.tagName.toLowerCase();
                    if (["script", "img", "iframe", "style", "link", "form", "base", "meta", "object", "embed", "animate"].includes(tag))
                        out.push(`<${tag}>`);
                    for (const { name, value } of e.attributes)
                        if (/^on/i.test(name) || (["href", "src", "xlink:href", "action"].includes(name) && !/^(https?:|#)/i.test(value)))
                            out.push(`${tag} ${name}=${value}`);
                }
                return out;
            });
            assert.deepEqual(bad, [], HOSTILE[i]);
            /* Whatever can be clicked is. */
            for (const link of await a.locator(".answer a, .answer span[id], .answer b").all())
                await link.evaluate((el) => { el.removeAttribute("target"); el.addEventListener("click", (e) => e.preventDefault()); el.click(); });
            assert.equal(await page.evaluate(() => window.pwned), undefined, HOSTILE[i]);
        }
        assert.equal(new URL(page.url()).pathname, "/");
        await shot("hostile");
    },

    async "dark, and a phone"() {
        await page.emulateMedia({ colorScheme: "dark" });
        await page.getByRole("button", { name: "New chat" }).first().click();
        await ask("rich");
        await page.evaluate(() => { document.querySelector("main").scrollTop = 420; });
        await shot("dark");
        await page.setViewportSize({ width: 390, height: 800 });
        await page.evaluate(() => { document.querySelector("main").scrollTop = 0; });
        await page.waitForFunction(() => document.querySelector(".side").getBoundingClientRect().right <= 0);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} pixels too wide for a phone`);
        await shot("phone-dark");
        await page.getByRole("button", { name: "Chats" }).click();
        await page.waitForFunction(() => document.querySelector(".side").getBoundingClientRect().left === 0);
        await shot("phone-side");
        await page.keyboard.press("Escape");
        await page.emulateMedia({ colorScheme: "light" });
        await shot("phone");
        await page.setViewportSize({ width: 1280, height: 860 });
    },

    async "by keyboard alone"() {
        await page.reload();
        await page.waitForSelector(".welcome");
        await page.keyboard.type("typed");
        await page.keyboard.press("Shift+Enter");
        await page.keyboard.type("in two lines");
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => document.querySelector(".answer")?.textContent.includes("two lines"));
        assert.equal(mock.state.requests.at(-1).messages[0].content, "typed\nin two lines");
        await page.locator("main").focus();
        await page.keyboard.press("?");
        await page.waitForSelector("dialog[open] kbd");
        await page.keyboard.press("Escape");
        await page.keyboard.press("/");
        assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Message");
        /* Every control has a name. */
        const nameless = await page.evaluate(() => [...document.querySelectorAll("button, input, select, textarea, a")]
            .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML));
        assert.deepEqual(nameless, []);
    },

    async "training runs"() {
        await page.goto(`${mock.url}/runs#2`);
        await page.waitForSelector(".charts canvas");
        assert.equal(await page.locator(".run-head h2").textContent(), "countdown-r1-zero");
        const titles = await page.locator(".charts figcaption").allTextContents();
        for (const word of ["Reward", "Accuracy", "Length", "Entropy", "KL", "Loss"])
            assert.ok(titles.some((t) => t.startsWith(word)), `${word} in ${titles}`);
        /* What emerges has charts of its own: right beside wrong answers, reflection, going back, languages. */
        const told = await page.locator(".charts .chart").evaluateAll((all) => all.map((e) => e.getAttribute("aria-label")));
        for (const [title, ...names] of [["Length of right and of wrong", "length/correct_mean", "length/wrong_mean"],
                                         ["Phrases of reflection", "emergence/reflections_per_1k"],
                                         ["Reflecting, checking, going back", "emergence/reflective", "emergence/backtracks"],
                                         ["Mixing of languages", "emergence/language_mixing"]]) {
            const chart = told.filter((t) => t.includes(title));
            assert.equal(chart.length, 1, title);
            assert.deepEqual(chart[0].match(/[a-z]+\/\w+/g), names);
        }
        await page.waitForSelector(".columns .sample");
        assert.deepEqual(await page.locator(".column h3").allTextContents(), ["before", "after"]);
        const count = (i) => page.locator(".column").nth(i).locator(".sample").count();
        assert.deepEqual([await count(0), await count(1)], [12, 12]);
        assert.equal(await page.locator(".sample img").count(), 0);
        await page.getByRole("button", { name: "Right" }).click();
        assert.ok(await count(0) < await count(1));
        await page.getByRole("button", { name: "All" }).click();
        await shot("runs");
        /* Live: new steps come without a reload. */
        const before = await page.locator(".charts .chart").first().getAttribute("aria-label");
        mock.runs[1].steps = 80;
        await page.waitForFunction((b) => document.querySelector(".charts .chart").getAttribute("aria-label") !== b, before);
        mock.runs[1].status = "done";
        await page.waitForFunction(() => document.querySelector(".run-head .status").textContent === "done");
        await page.getByRole("combobox", { name: "Compare with" }).selectOption("1");
        await page.waitForFunction(() => [...document.querySelectorAll(".u-label")].some((e) => e.textContent === "1: loss"));
        await page.locator(".run", { hasText: "broken" }).click();
        await page.waitForFunction(() => document.querySelector(".run-head h2").textContent === "broken <b>run</b>");
        assert.match(await page.locator(".run-head .note").textContent(), /not finite/);
        await page.emulateMedia({ colorScheme: "dark" });
        await page.goto(`${mock.url}/runs#2`);
        await page.waitForSelector(".columns .sample");
        await page.evaluate(() => scrollTo(0, 700));
        await shot("runs-dark");
        await page.setViewportSize({ width: 390, height: 800 });
        await page.evaluate(() => scrollTo(0, 0));
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
        await shot("runs-phone");
    },
};

/* The program itself, where the caller has started it: the page as it is embedded, a model that thinks
 * and answers, and a store with a run. */
if (process.env.R1_URL)
    tests["the program itself"] = async () => {
        const url = process.env.R1_URL, real = await browser.newPage();
        const wrong = [];
        real.on("pageerror", (e) => wrong.push(e.message));
        real.on("console", (m) => m.type() === "error" && wrong.push(m.text()));
        real.on("request", (r) => !r.url().startsWith(url) && wrong.push(`asked ${r.url()}`));
        const response = await real.goto(url);
        assert.match(response.headers()["content-security-policy"], /^default-src 'none'; script-src 'self';/);
        await real.waitForFunction(() => document.querySelector(".model").value);
        await real.evaluate(() => localStorage.setItem("r1.settings", '{"max_tokens": 40, "temperature": 0, "thinking_budget": 8}'));
        await real.getByRole("textbox", { name: "Message" }).fill("12 34");
        await real.keyboard.press("Enter");
        await real.waitForFunction(() => document.querySelector(".message.assistant[aria-busy=false] .stats"));
        assert.match(await real.locator(".thinking .label").innerText(), /^Thought · .* tokens?$/);
        assert.match(await real.locator(".stats").innerText(), / tokens? · /);
        assert.equal(await real.locator(".notice.error").count(), 0);
        await real.goto(`${url}/runs`);
        await real.waitForSelector(".charts canvas");
        assert.equal(await real.locator(".run-head .status").innerText(), "done");
        assert.deepEqual(wrong, []);
        await real.close();
    };

let failed = 0;
const only = process.env.ONLY;
for (const [name, test] of Object.entries(tests)) {
    if (only && !name.includes(only))
        continue;
    const start = performance.now();
    try {
        await test();
        assert.deepEqual(problems.splice(0), []);
        console.log(`ok      ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    } catch (e) {
        failed++;
        console.log(`FAILED  ${name}: ${e.stack}\n${problems.splice(0).join("\n")}`);
        await shot(`failed-${failed}`);
        if (failed === 3)
            break; /* the rest would fail for the same reason, slowly */
    }
}
await browser.close();
mock.close();
rmSync(profile, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
