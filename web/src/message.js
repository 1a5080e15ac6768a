/* message.js: one question or answer on the page. */
import { announce, copyText, duration, h, icon, iconButton, plural } from "./dom.js";
import { siblings } from "./history.js";
import { Markdown } from "./markdown.js";

const EVERY_MS = 80; /* a growing reply is drawn at most so often */

function clock(node) {
    const s = node.stats ?? {};
    return { seconds: s.thinkingSeconds ?? 0, tokens: s.thinkingTokens ?? 0 };
}

/* What an answer cost, in words. */
function statsText(stats) {
    const parts = [];
    if (stats?.model)
        parts.push(stats.model);
    if (stats?.tokens)
        parts.push(plural(stats.tokens, "token"));
    if (stats?.rate)
        parts.push(`${stats.rate.toFixed(1)} tok/s`);
    if (stats?.first)
        parts.push(`first after ${duration(stats.first)}`);
    if (stats?.cached)
        parts.push(`${plural(stats.cached, "prompt token")} from the cache`);
    return parts.join(" · ");
}

/* The votes of a consensus: one line for each class of answers. */
function votesBox(vote) {
    const classes = Array.isArray(vote?.classes) ? [...vote.classes] : [];
    if (vote?.without_answer)
        classes.push({ answer: "no answer", votes: vote.without_answer });
    if (!classes.length)
        return null;
    classes.sort((a, b) => b.votes - a.votes);
    return h("figure", { class: "votes" },
             h("figcaption", {}, vote.votes ? `${vote.votes} of ${plural(vote.samples, "vote")}`
                                            : `No answer to vote on in ${plural(vote.samples, "sample")}`),
             classes.slice(0, 8).map((c) => h("div", { class: "vote" },
                h("span", { class: "what" }, String(c.answer)),
                h("meter", { min: 0, max: vote.samples, value: c.votes, "aria-label": `Votes for ${c.answer}` }),
                h("span", {}, String(c.votes)))));
}

/* on: {edit(node, text), again(node), turn(node, by), goOn(node), thinking: "" | "folded" | "open"} */
export class MessageView {
    constructor(conversation, node, on) {
        Object.assign(this, { conversation, node, on, live: false, timer: 0, drawn: 0 });
        this.el = h("article", { class: `message ${node.role}`, "data-id": node.id,
                                 "aria-label": node.role === "user" ? "You" : "Answer" });
        if (node.role === "user")
            this.showQuestion();
        else
            this.buildAnswer();
    }

    pager() {
        const s = siblings(this.conversation, this.node);
        if (s.n < 2)
            return null;
        return h("span", { class: "pager" },
                 iconButton("left", "The version before", () => this.on.turn(this.node, -1)),
                 h("span", {}, `${s.at + 1}/${s.n}`),
                 iconButton("right", "The next version", () => this.on.turn(this.node, 1)));
    }

    /* ---- A question ------------------------------------------------------------------------ */

    showQuestion() {
        const copy = iconButton("copy", "Copy", () => copyText(this.node.text, copy));
        this.el.replaceChildren(
            h("div", { class: "bubble" }, this.node.text),
            h("div", { class: "tools" }, this.pager(), copy,
              iconButton("edit", "Edit this question", () => this.editQuestion())));
    }

    editQuestion() {
        const area = h("textarea", { "aria-label": "Edit the question", value: this.node.text, onkeydown: (e) => {
            if (e.key === "Escape") {
                e.stopPropagation();
                this.showQuestion();
            } else if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
                e.preventDefault();
                send();
            }
        } });
        const send = () => area.value.trim() && this.on.edit(this.node, area.value);
        this.el.replaceChildren(
            h("form", { class: "editor", onsubmit: (e) => { e.preventDefault(); send(); } }, area,
              h("div", { class: "row" },
                h("button", { type: "button", onclick: () => this.showQuestion() }, "Cancel"),
                h("button", { type: "submit", class: "primary" }, "Send"))));
        area.style.height = `${Math.min(400, area.scrollHeight + 4)}px`;
        area.focus();
    }

    /* ---- An answer ------------------------------------------------------------------------- */

    buildAnswer() {
        this.summary = h("span", { class: "label" });
        const body = h("div", { class: "prose" });
        this.thinkingText = new Markdown(body);
        this.details = h("details", { class: "thinking", hidden: true, ontoggle: () => this.drawThinking() },
                         h("summary", { onclick: () => { this.touched = true; } }, icon("right"), this.summary), body);
        this.body = h("div", { class: "prose answer" });
        this.answerText = new Markdown(this.body);
        this.notice = h("div", { class: "notice", hidden: true });
        this.votes = h("div", {});
        this.tools = h("div", { class: "tools" });
        this.el.append(this.details, this.body, this.votes, this.notice, this.tools);
        this.draw();
    }

    drawThinking() {
        if (this.details.open)
            this.thinkingText.update(this.node.thinking, !this.live);
    }

    draw() {
        const { node } = this, thinks = node.thinking.length > 0, going = this.live && !node.text;
        this.drawn = performance.now();
        this.details.hidden = !thinks;
        if (thinks) {
            const { seconds, tokens } = clock(node);
            const cost = [seconds ? duration(seconds) : "", tokens ? plural(tokens, "token") : ""]
                .filter(Boolean).join(", ");
            this.summary.textContent = (going ? "Thinking" : "Thought") + (cost ? ` · ${cost}` : "");
            this.details.classList.toggle("live", going);
            const mode = this.on.thinking();
            if (!this.touched)
                this.details.open = mode === "open" || (mode !== "folded" && going);
            this.drawThinking();
        }
        this.answerText.update(node.text, !this.live);
        this.el.classList.toggle("waiting", this.live && !thinks && !node.text);
        this.el.setAttribute("aria-busy", String(this.live));
        if (!this.live)
            this.drawEnd();
    }

    drawEnd() {
        const { node } = this, copy = iconButton("copy", "Copy the answer", () => copyText(node.text, copy));
        const again = () => this.on.again(node);
        this.tools.replaceChildren(...[this.pager(), node.text ? copy : null,
            iconButton("again", "Answer again", again),
            h("span", { class: "stats" }, statsText(node.stats))].filter(Boolean));
        this.votes.replaceChildren(...[votesBox(node.stats?.consensus)].filter(Boolean));
        const cut = node.stats?.finish === "length";
        this.notice.hidden = !(node.error || cut || node.stats?.stopped);
        this.notice.classList.toggle("error", Boolean(node.error));
        this.notice.replaceChildren(
            node.error ?? (cut ? "The answer has reached the limit of its tokens." : "Stopped."),
            ...(node.error ? [h("button", { type: "button", onclick: again }, "Try again")] : []),
            ...(!node.error && node.text ? [h("button", { type: "button", onclick: () => this.on.goOn(node) },
                                             "Go on")] : []));
    }

    /* More of the reply has come. */
    grow() {
        if (this.timer)
            return;
        const wait = Math.max(0, EVERY_MS - (performance.now() - this.drawn));
        this.timer = setTimeout(() => {
            this.timer = 0;
            this.draw();
            this.on.grown();
        }, wait);
    }

    setLive(live) {
        this.live = live;
        clearTimeout(this.timer);
        this.timer = 0;
        if (live) {
            this.tools.replaceChildren();
            this.notice.hidden = true;
        }
        this.draw();
        if (!live)
            announce(this.node.error ? `Failed: ${this.node.error}` : "The answer is complete.");
    }
}
