/* markdown.js: what a model writes, as elements.  Nothing in it is trusted: HTML is text, links
 * lead only to the web, pictures become links, and what markdown-it makes goes through DOMPurify.
 *
 * A reply is shown while it grows.  So it is cut into its top-level blocks, and only those whose
 * source has changed are made again; a formula or a chart that is finished stays as it is. */
import purifier from "dompurify";
import hljs from "highlight.js/lib/common";
import katex from "katex";
import MarkdownIt from "markdown-it";
import { chartOfJson, chartOfTable } from "./chart.js";
import { copyText, h, icon } from "./dom.js";

const LONGEST_FORMULA = 5000; /* characters; KaTeX takes time that grows with it */
const LONGEST_CODE = 60000;   /* characters that are still coloured */

/* ---- Formulas: $x$, $$x$$, \(x\), \[x\] ---------------------------------------------------- */

/* [opening, closing, display] */
const MATH = [["$$", "$$", true], ["\\[", "\\]", true], ["\\(", "\\)", false], ["$", "$", false]];

function findClose(text, from, close) {
    for (let at = text.indexOf(close, from); at >= 0; at = text.indexOf(close, at + 1)) {
        let slashes = 0;
        while (text[at - 1 - slashes] === "\\")
            slashes++;
        if (close[0] === "\\" || slashes % 2 === 0)
            return at;
    }
    return -1;
}

/* Money is no formula: after an opening $ there is no blank, before a closing one neither, and no
 * digit follows it (as pandoc has it). */
function isMoney(text, from, end) {
    return /\s/.test(text[from]) || /\s/.test(text[end - 1]) || /\d/.test(text[end + 1] ?? "");
}

function inlineMath(state, silent) {
    const text = state.src, at = state.pos;
    for (const [open, close, display] of MATH) {
        if (!text.startsWith(open, at))
            continue;
        const from = at + open.length, end = findClose(text, from, close);
        if (end <= from || end + close.length > state.posMax || (open === "$" && isMoney(text, from, end)))
            continue;
        if (!silent)
            Object.assign(state.push("math", "span", 0),
                          { content: text.slice(from, end), meta: { display } });
        state.pos = end + close.length;
        return true;
    }
    return false;
}

/* A formula on lines of its own may hold empty lines, which would end a paragraph. */
function blockMath(state, first, last, silent) {
    const start = state.bMarks[first] + state.tShift[first];
    if (state.sCount[first] - state.blkIndent >= 4)
        return false;
    const open = MATH.find(([o, , display]) => display && state.src.startsWith(o, start));
    if (!open)
        return false;
    const end = findClose(state.src, start + 2, open[1]);
    if (end < 0 || end >= state.eMarks[last - 1])
        return false;
    let line = first;
    while (state.eMarks[line] < end)
        line++;
    /* What stands behind it on its line makes it part of a paragraph. */
    if (state.src.slice(end + 2, state.eMarks[line]).trim())
        return false;
    if (!silent) {
        Object.assign(state.push("math", "div", 0), {
            block: true, content: state.src.slice(start + 2, end), meta: { display: true },
            map: [first, line + 1],
        });
        state.line = line + 1;
    }
    return true;
}

/* ---- The parser --------------------------------------------------------------------------- */

const md = new MarkdownIt({ html: false, linkify: true, breaks: false, typographer: false });
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
md.inline.ruler.before("escape", "math", inlineMath);
md.block.ruler.before("fence", "math", blockMath, { alt: ["paragraph", "blockquote", "list"] });
md.validateLink = (url) => /^(https?:|mailto:|#)/i.test(url.trim());
const escape = md.utils.escapeHtml;
md.renderer.rules.math = (tokens, i) =>
    `<span class="math${tokens[i].meta.display ? " display" : ""}">${escape(tokens[i].content)}</span>`;
/* A picture would tell its server who reads this: a link, which the reader may follow. */
md.renderer.rules.image = (tokens, i) => {
    const t = tokens[i], url = t.attrGet("src");
    return `<a href="${escape(url)}">${escape(t.content || url)}</a>`;
};

const CLEAN = {
    ALLOWED_TAGS: ["a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6",
                   "hr", "li", "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th",
                   "thead", "tr", "ul"],
    ALLOWED_ATTR: ["class", "href", "start"],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
    RETURN_DOM_FRAGMENT: true,
};

/* ---- After the sanitizer ------------------------------------------------------------------ */

function showMath(el) {
    const tex = el.textContent;
    if (tex.length > LONGEST_FORMULA)
        return;
    try {
        /* Into elements, not through a string: the page's policy allows no inline style in markup. */
        katex.render(tex, el, {
            displayMode: el.classList.contains("display"),
            throwOnError: true, trust: false, strict: false, maxExpand: 200, maxSize: 20,
            output: "htmlAndMathml",
        });
    } catch (e) {
        el.replaceChildren(h("code", { class: "wrong", title: e.message }, tex));
    }
}

function showCode(pre) {
    const code = pre.querySelector("code");
    if (!code)
        return pre;
    const language = /language-([\w+#.-]+)/.exec(code.className)?.[1] ?? "";
    const text = code.textContent;
    if (language === "chart") {
        const chart = chartOfJson(text);
        if (chart)
            return chart;
    }
    if (text.length <= LONGEST_CODE && hljs.getLanguage(language)) {
        const marked = hljs.highlight(text, { language, ignoreIllegals: true }).value;
        code.replaceChildren(purifier.sanitize(marked, CLEAN));
    }
    const copy = h("button", { type: "button", class: "copy", onclick: () => copyText(text, copy) },
                   icon("copy"), h("span", {}, "Copy"));
    pre.tabIndex = 0; /* it scrolls */
    return h("figure", { class: "code" }, h("figcaption", {}, h("span", {}, language || "text"), copy), pre);
}

function showTable(table) {
    const box = h("div", { class: "table", tabindex: 0 });
    const plot = chartOfTable(table);
    if (!plot) {
        box.append(table);
        return box;
    }
    let chart = null;
    const button = h("button", { type: "button", class: "plot", "aria-pressed": "false", onclick: () => {
        chart = chart ? (chart.remove(), null) : plot();
        if (chart)
            box.after(chart.el);
        button.setAttribute("aria-pressed", String(Boolean(chart)));
    } }, icon("chart"), "Chart");
    box.append(table);
    return h("div", { class: "table-box" }, button, box);
}

function replaceEach(root, selector, make) {
    for (const el of root.querySelectorAll(selector)) {
        const mark = document.createComment("");
        el.replaceWith(mark);
        mark.replaceWith(make(el));
    }
}

/* Tokens of one block as elements.  final: nothing will be added to it. */
function render(tokens, env, final) {
    const block = h("div", { class: "block" });
    block.append(purifier.sanitize(md.renderer.render(tokens, md.options, env), CLEAN));
    for (const a of block.querySelectorAll("a[href]")) {
        a.target = "_blank";
        a.rel = "noopener noreferrer nofollow";
    }
    block.querySelectorAll(".math").forEach(showMath);
    replaceEach(block, "pre", showCode);
    if (final)
        replaceEach(block, "table", showTable);
    return block;
}

/* ---- A growing text ----------------------------------------------------------------------- */

/* A formula that has begun but not ended would be shown as Markdown until its end comes; while the
 * text grows it is held back, if it is near the end. */
function withoutOpenMath(text) {
    const from = Math.max(0, text.length - 400);
    for (const open of ["\\[", "\\("]) {
        const at = text.lastIndexOf(open);
        if (at >= from && text.indexOf(open === "\\[" ? "\\]" : "\\)", at) < 0)
            return text.slice(0, at);
    }
    return text;
}

export class Markdown {
    constructor(el) {
        this.el = el;
        this.blocks = []; /* {key, el} */
    }

    update(text, final) {
        const env = {};
        const source = final ? text : withoutOpenMath(text);
        const tokens = md.parse(source, env), lines = source.split("\n");
        const groups = [];
        let group = [], depth = 0;
        for (const t of tokens) {
            group.push(t);
            depth += t.nesting;
            if (depth === 0) {
                groups.push(group);
                group = [];
            }
        }
        const references = JSON.stringify(env.references ?? {});
        groups.forEach((tokens, i) => {
            const whole = final || i < groups.length - 1;
            const key = `${whole}\n${references}\n${lines.slice(...(tokens[0].map ?? [0, 0])).join("\n")}`;
            const old = this.blocks[i];
            if (old?.key === key)
                return;
            const el = render(tokens, env, whole);
            if (old)
                old.el.replaceWith(el);
            else
                this.el.append(el);
            this.blocks[i] = { key, el };
        });
        for (const { el } of this.blocks.splice(groups.length))
            el.remove();
    }
}
