/* chart.js: line charts, of training runs and of what a model gives as a table or a chart block. */
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { h, number } from "./dom.js";

const COLOURS = ["--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5", "--plot-6"];
const MOST_SERIES = COLOURS.length;
const MOST_POINTS = 20000;

const live = new Set();

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* A chart in a box that it fills: x[n], series [{name, values[n]}] with null for what is missing.
 * x may be a list of labels. */
export class Chart {
    constructor({ title, x, series, labels, height = 200, legend = series.length > 1, sync, xLabel = "" }) {
        this.spec = { title, labels, height, legend, sync, xLabel };
        this.data = [x, ...series.map((s) => s.values)];
        this.names = series.map((s) => s.name);
        this.el = h("figure", { class: "chart" },
                    title ? h("figcaption", {}, title) : null, this.box = h("div", { class: "plot-box" }));
        this.el.setAttribute("role", "img");
        this.describe();
        this.watch = new ResizeObserver(() => this.fit());
        this.watch.observe(this.box);
        live.add(this);
    }

    /* What the picture shows, in words. */
    describe() {
        const parts = this.names.map((name, i) => {
            const v = this.data[i + 1].filter((y) => Number.isFinite(y));
            return v.length ? `${name} from ${number(v[0])} to ${number(v[v.length - 1])}` : `${name}: no values`;
        });
        this.el.setAttribute("aria-label", `Chart: ${this.spec.title ? this.spec.title + ": " : ""}${parts.join("; ")}`);
    }

    draw(width) {
        const { labels, height, legend, sync, xLabel } = this.spec;
        const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 },
                       ticks: { show: false }, font: "11px system-ui, sans-serif" };
        const marks = this.data[0].length <= 60;
        this.plot?.destroy();
        this.plot = new uPlot({
            width, height,
            scales: { x: { time: false } },
            cursor: { points: { size: 6 }, ...(sync ? { sync: { key: sync } } : {}) },
            legend: { show: legend },
            axes: [
                { ...axis, size: 30, space: 60, values: (u, ticks) => ticks.map((t) =>
                    labels ? labels[t] ?? "" : number(t)) },
                { ...axis, size: 52, values: (u, ticks) => ticks.map((t) => number(t)) },
            ],
            series: [
                { label: xLabel || "x", value: (u, v) => (labels ? labels[v] ?? "–" : number(v)) },
                ...this.names.map((name, i) => ({
                    label: name, stroke: colour(COLOURS[i % MOST_SERIES]), width: 2, spanGaps: true,
                    points: { show: marks, size: 5 }, value: (u, v) => number(v),
                })),
            ],
        }, this.data, this.box);
    }

    fit() {
        const width = Math.floor(this.box.clientWidth);
        if (width > 0 && width !== this.plot?.width)
            this.draw(width);
    }

    set(x, series) {
        this.data = [x, ...series.map((s) => s.values)];
        this.names = series.map((s) => s.name);
        this.describe();
        if (this.box.clientWidth > 0)
            this.draw(Math.floor(this.box.clientWidth));
    }

    remove() {
        live.delete(this);
        this.watch.disconnect();
        this.plot?.destroy();
        this.el.remove();
    }
}

/* After the colours have changed; charts that have left the page are forgotten. */
export function redrawCharts() {
    for (const chart of [...live])
        if (!chart.el.isConnected)
            chart.remove();
        else if (chart.plot)
            chart.draw(chart.plot.width);
}

const finite = (v) => typeof v === "number" && Number.isFinite(v);
const valueOf = (v) => (finite(v) ? v : null);

/* Points in the order of x, for a line goes from left to right. */
function sorted(x, series) {
    const order = x.map((_, i) => i).sort((a, b) => x[a] - x[b]);
    return { x: order.map((i) => x[i]),
             series: series.map((s) => ({ name: s.name, values: order.map((i) => s.values[i]) })) };
}

/* {"title", "x": [numbers or labels], "series": [{"name", "values": []}]} as an element; null if the
 * text is not that. */
export function chartOfJson(text) {
    let o;
    try {
        o = JSON.parse(text);
    } catch {
        return null;
    }
    const series = Array.isArray(o?.series) ? o.series.slice(0, MOST_SERIES) : [];
    if (!series.length || !series.every((s) => Array.isArray(s?.values)))
        return null;
    const n = Math.min(MOST_POINTS, Math.max(...series.map((s) => s.values.length)));
    if (n < 1)
        return null;
    const x = Array.isArray(o.x) ? o.x.slice(0, n) : Array.from({ length: n }, (_, i) => i);
    const labels = x.every(finite) && x.length === n ? null : x.map(String);
    const all = series.map((s, i) => ({ name: String(s.name ?? `series ${i + 1}`),
                                        values: Array.from({ length: n }, (_, k) => valueOf(s.values[k])) }));
    const data = labels ? { x: Array.from({ length: n }, (_, i) => i), series: all } : sorted(x, all);
    return new Chart({ title: o.title === undefined ? "" : String(o.title), labels, ...data }).el;
}

function cellNumber(text) {
    const m = /^[^\d+-]?\s*([+-]?[\d,]*\.?\d+(?:[eE][+-]?\d+)?)\s*[%\w]{0,3}$/.exec(text.trim().replace("−", "-"));
    return m ? Number(m[1].replaceAll(",", "")) : null;
}

/* A function that draws a table: the first column along x, each column of numbers a line; null if
 * there is nothing to draw. */
export function chartOfTable(table) {
    const head = [...table.querySelectorAll("thead th")].map((c) => c.textContent.trim());
    const rows = [...table.querySelectorAll("tbody tr")].map((r) => [...r.cells].map((c) => c.textContent));
    if (rows.length < 2 || head.length < 2)
        return null;
    const column = (i) => rows.map((r) => cellNumber(r[i] ?? ""));
    const numeric = head.map((_, i) => i).filter((i) => {
        const v = column(i);
        return v.filter(finite).length >= Math.max(2, v.length * 0.6);
    });
    const lines = numeric.filter((i) => i > 0).slice(0, MOST_SERIES);
    if (!lines.length)
        return null;
    const series = lines.map((i) => ({ name: head[i], values: column(i) }));
    const first = column(0);
    const labels = first.every(finite) ? null : rows.map((r) => (r[0] ?? "").trim());
    return () => {
        const data = labels ? { x: rows.map((_, i) => i), series } : sorted(first, series);
        return new Chart({ labels, legend: true, xLabel: head[0], ...data });
    };
}
