/* runs.js: the page of training runs: their curves as they grow, and samples of two steps side by side. */
import { getJson } from "./api.js";
import { Chart, redrawCharts } from "./chart.js";
import { announce, applyTheme, duration, h, icon, number, plural, themeButton } from "./dom.js";
import "./base.css";
import "./runs.css";

applyTheme();

const EVERY_MS = 2000; /* a run that goes on is asked for so often */
const MOST_SHOWN = 200; /* samples in a column */

/* title, the metrics in it ("*" stands for anything), whether it is open from the start */
const CHARTS = [
    ["Reward", ["reward"]],
    ["Accuracy on problems not trained on", ["eval/pass@*", "eval/cons@*"]],
    ["Right answers while training", ["rewards/*"]],
    ["Length of completions, tokens", ["completions/mean_length", "completions/mean_terminated_length"]],
    ["Entropy, nats per token", ["entropy"]],
    ["KL from the reference, nats per token", ["kl"]],
    ["Loss", ["loss", "eval/loss"]],
    ["Truncated completions, share", ["completions/clipped_ratio"]],
    ["Length of right and of wrong answers, tokens", ["length/correct_mean", "length/wrong_mean"]],
    ["Phrases of reflection, per 1,000 tokens", ["emergence/reflections_per_1k"]],
    ["Reflecting, checking, going back, share", ["emergence/reflective", "emergence/checks", "emergence/backtracks", "emergence/thinks"]],
    ["Attempts, per completion", ["emergence/attempts"]],
    ["Right lines, right checks, repeated attempts, share", ["emergence/lines_right", "emergence/checks_right", "emergence/repeats"]],
    ["Mixing of languages, share of words", ["emergence/language_mixing"]],
    ["Kept samples", ["samples/*"]],
    ["Groups without spread of reward, share", ["frac_reward_zero_std"]],
    ["Token accuracy", ["mean_token_accuracy"]],
    ["Clipped ratios", ["clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean"]],
    ["Gradient norm", ["grad_norm"]],
    ["Learning rate", ["learning_rate"]],
    ["Seconds a step", ["step_time"]],
];

const matches = (pattern, name) => pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

let runs = [];
let shown = null;   /* {run, series: Map name -> {steps, values}, charts: Map title -> Chart, other} */
let timer = 0;

/* ---- The page ----------------------------------------------------------------------------- */

const list = h("ul", { class: "runs" });
const notice = h("p", { class: "notice", role: "alert", hidden: true });
const head = h("header", { class: "run-head" });
const smooth = h("input", { type: "range", min: 0, max: 0.95, step: 0.05, value: 0, "aria-label": "Smoothing",
                            oninput: () => drawCharts() });
const against = h("select", { "aria-label": "Compare with", onchange: () => compareWith(against.value) });
const bar = h("div", { class: "bar", hidden: true }, h("label", {}, "Smoothing ", smooth), h("label", {}, "Compare with ", against));
const charts = h("section", { class: "charts", "aria-label": "Metrics" });
const more = h("details", { class: "all" }, h("summary", {}, "All metrics"), h("div", { class: "numbers" }));
const samples = h("section", { class: "samples", "aria-label": "Samples", hidden: true });

document.getElementById("app").append(
    h("a", { href: "#main", class: "skip" }, "To the run"),
    h("header", { class: "top" }, h("a", { href: "/", class: "button" }, icon("left"), "Chat"),
      h("h1", {}, "Training runs"), h("span", { class: "space" }), themeButton(redrawCharts)),
    h("div", { class: "page" }, h("nav", { "aria-label": "Runs" }, list),
      h("main", { id: "main", tabindex: -1 }, notice, head, bar, charts, more, samples)));

function say(text) {
    notice.textContent = text;
    notice.hidden = !text;
}

/* ---- The list ----------------------------------------------------------------------------- */

const STATUS = { running: "running", done: "done", failed: "failed", interrupted: "interrupted" };

function since(run) {
    const end = run.ended > 0 ? run.ended : run.status === "running" ? Date.now() / 1000 : 0;
    return end > run.started ? duration(end - run.started) : "";
}

function when(seconds) {
    return seconds > 0 ? new Date(seconds * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" }) : "–";
}

function statusMark(run) {
    return h("span", { class: `status ${STATUS[run.status] ?? ""}` }, run.status);
}

function showList() {
    list.replaceChildren(...runs.map((run) => {
        const here = shown?.run.id === run.id;
        return h("li", {}, h("button", { type: "button", class: here ? "run here" : "run", "aria-current": here ? "true" : null,
                                         onclick: () => { location.hash = `#${run.id}`; } },
            h("span", { class: "name" }, run.name || run.kind), statusMark(run),
            h("span", { class: "about" }, `${run.id} · ${run.kind} · ${plural(run.steps, "step")} · ${when(run.started)}`)));
    }));
    if (!runs.length)
        list.append(h("li", { class: "none" }, "No runs yet. ", h("code", {}, "r1 demo"), " makes one."));
}

function showHead() {
    const { run } = shown;
    head.replaceChildren(h("h2", {}, run.name || run.kind), statusMark(run),
        h("p", {}, [run.kind, `run ${run.id}`, plural(run.steps, "step"), `begun ${when(run.started)}`, since(run)]
            .filter(Boolean).join(" · ")),
        run.note ? h("p", { class: "note" }, run.note) : "");
    against.replaceChildren(h("option", { value: "" }, "nothing"), ...runs.filter((r) => r.id !== run.id).map((r) =>
        h("option", { value: r.id, selected: String(r.id) === String(shown.other?.run.id ?? "") }, `${r.id} · ${r.name || r.kind}`)));
    bar.hidden = false;
}

/* ---- Curves ------------------------------------------------------------------------------- */

/* Exponential moving average, without the pull of the first value. */
function smoothed(values, weight) {
    if (weight === 0)
        return values;
    let mean = 0, total = 0;
    return values.map((v) => {
        if (v === null)
            return null;
        mean = mean * weight + v * (1 - weight);
        total = total * weight + (1 - weight);
        return mean / total;
    });
}

/* The lines of a chart over the union of their steps. */
function chartData(lines) {
    const steps = [...new Set(lines.flatMap((l) => l.steps))].sort((a, b) => a - b);
    const at = new Map(steps.map((s, i) => [s, i])), weight = Number(smooth.value);
    const series = lines.map((line) => {
        const values = new Array(steps.length).fill(null);
        smoothed(line.values, weight).forEach((v, i) => { values[at.get(line.steps[i])] = v; });
        return { name: line.name, values };
    });
    return { x: steps, series };
}

function linesFor(patterns) {
    const lines = [];
    for (const source of [shown, shown.other].filter(Boolean))
        for (const [name, s] of source.series)
            if (patterns.some((p) => matches(p, name)) && s.values.some((v) => v !== null))
                lines.push({ name: shown.other ? `${source.run.id}: ${name}` : name, ...s });
    return lines;
}

/* Lines of very different size would hide each other: then each has a chart of its own. */
function split(title, lines) {
    const largest = (l) => Math.max(...l.values.map((v) => Math.abs(v ?? 0)), 1e-12);
    const sizes = lines.map(largest);
    if (lines.length < 2 || Math.max(...sizes) / Math.min(...sizes) < 50)
        return [[title, lines]];
    const small = lines.filter((l) => largest(l) <= 1), rest = lines.filter((l) => largest(l) > 1);
    return [[`${title}, share`, small], [title, rest]].filter(([, l]) => l.length);
}

function drawCharts() {
    if (!shown)
        return;
    const wanted = CHARTS.flatMap(([title, patterns]) => split(title, linesFor(patterns))).filter(([, l]) => l.length);
    const kept = new Map();
    for (const [title, all] of wanted) {
        const lines = all.slice(0, 6), data = chartData(lines), id = `${title} ${lines.map((l) => l.name)}`;
        const old = shown.charts.get(id);
        if (old)
            old.set(data.x, data.series);
        kept.set(id, old ?? new Chart({ title, height: 180, sync: "runs", xLabel: "step", ...data }));
    }
    for (const [id, chart] of shown.charts)
        if (!kept.has(id))
            chart.remove();
    shown.charts = kept;
    const els = [...kept.values()].map((c) => c.el);
    if (els.length !== charts.children.length || els.some((el, i) => el !== charts.children[i]))
        charts.replaceChildren(...els);
    showNumbers();
}

function showNumbers() {
    const rows = [...shown.series].map(([name, s]) => {
        const v = s.values.filter((x) => x !== null);
        return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, number(v[0])), h("td", {}, number(v[v.length - 1])),
                 h("td", {}, number(v.reduce((a, b) => Math.min(a, b), Infinity))),
                 h("td", {}, number(v.reduce((a, b) => Math.max(a, b), -Infinity))));
    });
    more.hidden = !rows.length;
    more.lastChild.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, ["metric", "first", "last", "least", "most"]
        .map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)));
}

function lastStep(series) {
    let last = -1;
    for (const { steps } of series.values())
        last = Math.max(last, steps[steps.length - 1] ?? -1);
    return last;
}

/* Ask for what is new of a run; a resumed run may have lost steps, and is then read anew. */
async function readMetrics(source) {
    const after = lastStep(source.series);
    const got = await getJson(`/api/runs/${source.run.id}/metrics${after >= 0 ? `?after=${after}` : ""}`);
    source.run = got.run ?? source.run;
    if (source.run.steps < after) {
        source.series.clear();
        return readMetrics(source);
    }
    for (const m of got.metrics ?? []) {
        const s = source.series.get(m.name) ?? { steps: [], values: [] };
        s.steps.push(...m.steps);
        s.values.push(...m.values);
        source.series.set(m.name, s);
    }
    return (got.metrics ?? []).length > 0;
}

async function compareWith(id) {
    const run = runs.find((r) => String(r.id) === id);
    shown.other = run ? { run, series: new Map() } : null;
    try {
        if (run)
            await readMetrics(shown.other);
    } catch (e) {
        say(e.message);
    }
    drawCharts();
}

/* ---- Samples ------------------------------------------------------------------------------ */

const filter = { least: "", most: "", text: "", pair: true };
let steps = [];

function stepSelect(column) {
    return h("select", { "aria-label": `Step of ${column.title}`, onchange: (e) => readSamples(column, Number(e.target.value)) },
             steps.map((s) => h("option", { value: s, selected: s === column.step }, `step ${s}`)));
}

const before = { title: "before", step: null, samples: [], el: h("div", { class: "column" }) };
const after = { title: "after", step: null, samples: [], el: h("div", { class: "column" }) };

function passes(s) {
    const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean), text = `${s.prompt_text}\n${s.completion}`.toLowerCase();
    return (filter.least === "" || s.reward >= Number(filter.least)) &&
           (filter.most === "" || s.reward <= Number(filter.most)) && words.every((w) => text.includes(w));
}

/* A completion with its reasoning apart. */
function completionText(text) {
    const cut = text.indexOf("</think>");
    if (cut < 0)
        return [text];
    return [h("span", { class: "thought" }, text.slice(0, cut + 8)), text.slice(cut + 8)];
}

function sampleCard(s) {
    const good = s.reward > 0;
    return h("article", { class: "sample" },
        h("header", {}, h("span", { class: good ? "reward good" : "reward" }, `reward ${number(s.reward, 3)}`),
          h("span", {}, `advantage ${number(s.advantage, 3)}`), h("span", {}, plural(s.tokens, "token"))),
        h("pre", { class: "question" }, s.prompt_text.trim()), h("pre", {}, completionText(s.completion)));
}

function drawColumn(column) {
    const list = column.samples.filter(passes);
    const mean = list.reduce((sum, s) => sum + s.reward, 0) / (list.length || 1);
    column.el.replaceChildren(
        h("div", { class: "row" }, h("h3", {}, column.title), stepSelect(column),
          h("span", { class: "dim" }, `${list.length} of ${column.samples.length}` + (list.length ? `, mean reward ${number(mean, 3)}` : ""))),
        ...(list.length ? list.slice(0, MOST_SHOWN).map(sampleCard) : [h("p", { class: "dim" }, "None passes the filter.")]),
        ...(list.length > MOST_SHOWN ? [h("p", { class: "dim" }, `${list.length - MOST_SHOWN} more are not shown.`)] : []));
}

function filterBox() {
    const box = (key, label, props) => h("label", {}, label, h("input", { ...props, value: filter[key], name: key, oninput: (e) => {
        filter[key] = e.target.value;
        drawColumn(before);
        drawColumn(after);
    } }));
    const preset = (label, least, most) => h("button", { type: "button", onclick: () => {
        Object.assign(filter, { least, most });
        drawSamples();
    } }, label);
    return h("div", { class: "bar" }, box("least", "Reward from ", { type: "number", step: "any" }),
             box("most", "to ", { type: "number", step: "any" }), box("text", "with the words ", { type: "search" }),
             preset("Right", "0.5", ""), preset("Wrong", "", "0.5"), preset("All", "", ""));
}

function drawSamples() {
    samples.hidden = !steps.length;
    if (!steps.length)
        return;
    samples.replaceChildren(h("h2", {}, "Samples"), filterBox(), h("div", { class: "columns" }, before.el, after.el));
    drawColumn(before);
    drawColumn(after);
}

async function readSamples(column, step) {
    const id = shown.run.id;
    try {
        const got = await getJson(`/api/runs/${id}/samples${step === null ? "" : `?step=${step}`}`);
        if (shown?.run.id !== id)
            return;
        steps = got.steps ?? [];
        column.samples = got.samples ?? [];
        column.step = step ?? column.samples[0]?.step ?? steps[steps.length - 1] ?? null;
        drawColumn(column);
    } catch (e) {
        say(e.message);
    }
}

/* The first step that has samples on the left, the newest on the right. */
async function beginSamples() {
    steps = [];
    samples.hidden = true;
    await readSamples(after, null);
    if (steps.length)
        await readSamples(before, steps[0]);
    drawSamples();
}

/* ---- Live --------------------------------------------------------------------------------- */

async function open(id) {
    const run = runs.find((r) => r.id === id) ?? runs[0];
    if (!run || shown?.run.id === run.id)
        return;
    for (const chart of shown?.charts.values() ?? [])
        chart.remove();
    shown = { run, series: new Map(), charts: new Map(), other: null };
    charts.replaceChildren();
    const mine = shown;
    showList();
    showHead();
    await readMetrics(mine);
    if (mine !== shown)
        return;
    showHead();
    drawCharts();
    await beginSamples();
    announce(`Run ${run.id} is shown.`);
}

async function refresh() {
    clearTimeout(timer);
    try {
        runs = (await getJson("/api/runs")).runs ?? [];
        runs.sort((a, b) => b.id - a.id);
        say("");
        const mine = shown;
        if (!mine) {
            await open(Number(location.hash.slice(1)));
        } else {
            const was = mine.run.status, fresh = runs.find((r) => r.id === mine.run.id);
            if (fresh && (fresh.status === "running" || was === "running")) {
                const grown = await readMetrics(mine);
                if (mine === shown) {
                    showHead();
                    if (grown)
                        drawCharts();
                    if (grown && after.step === steps[steps.length - 1])
                        await readSamples(after, null);
                }
            }
        }
        showList();
    } catch (e) {
        say(e.message);
    }
    timer = setTimeout(refresh, document.hidden ? EVERY_MS * 10 : EVERY_MS);
}

addEventListener("hashchange", () => open(Number(location.hash.slice(1))).then(showList, (e) => say(e.message)));
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
