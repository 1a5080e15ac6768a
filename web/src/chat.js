/* chat.js: the chat page: conversations on the left, the one that is open, and the line to write in. */
import * as api from "./api.js";
import { redrawCharts } from "./chart.js";
import { announce, applyTheme, download, h, icon, iconButton, themeButton } from "./dom.js";
import * as history from "./history.js";
import { MessageView } from "./message.js";
import { requestSettings, settingsDialog, systemPrompt } from "./settings.js";
import "katex/dist/katex.min.css";
import "./base.css";
import "./chat.css";

applyTheme();

let conversations = [];
let conversation = history.newConversation();
let views = new Map(); /* node id -> MessageView */
let reply = null;      /* {abort, node, view}: the one that is coming */
let follow = true;     /* keep the end in sight */

/* ---- The page ----------------------------------------------------------------------------- */

const KEYS = [["Enter", "send"], ["Shift Enter", "new line"], ["Esc", "stop the answer"],
              ["↑", "edit the last question (in an empty line)"], ["/", "to the line"],
              ["Ctrl Shift K", "new chat"], ["Ctrl Shift F", "search the chats"],
              ["Ctrl Shift E", "answer again"], ["Ctrl ,", "settings"], ["?", "this list"]];

const list = h("ul", { class: "chats" });
const find = h("input", { type: "search", placeholder: "Search", "aria-label": "Search the chats", oninput: showList });
const model = h("select", { class: "model", "aria-label": "Model", onchange: () =>
    localStorage.setItem("r1.model", model.value) });
const rate = h("output", { class: "rate", "aria-label": "Speed" });
const thread = h("div", { class: "thread" });
const scroller = h("main", { id: "main", tabindex: -1, onscroll: () => {
    follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
    toEnd.hidden = follow;
} }, thread);
const toEnd = iconButton("down", "To the end", () => scrollToEnd(true), { class: "icon-button to-end", hidden: true });
const input = h("textarea", { rows: 1, placeholder: "Ask something", "aria-label": "Message",
                              enterkeyhint: "send", oninput: fitInput, onkeydown: onInputKey });
const send = h("button", { type: "submit", class: "send primary", "aria-label": "Send", title: "Send (Enter)" }, icon("send"));
const composer = h("form", { class: "composer", onsubmit: onSubmit }, input, send);
const settings = settingsDialog(() => loadModels(),
    h("button", { type: "button", class: "danger", onclick: forgetAll }, "Delete all chats"));
const keys = keysDialog();
const side = h("nav", { class: "side", "aria-label": "Chats" },
    h("div", { class: "row" },
      h("button", { type: "button", class: "new", onclick: () => openConversation(null) }, icon("plus"), "New chat"),
      iconButton("close", "Close the list", () => showSide(false), { class: "icon-button narrow" })),
    find, list,
    h("div", { class: "row foot" },
      h("a", { href: "/runs", class: "button" }, icon("chart"), "Training runs"),
      iconButton("gear", "Settings", () => settings.showModal()),
      themeButton(redrawCharts),
      iconButton("keys", "Keyboard", () => keys.showModal(), { class: "icon-button wide-only" })));
const shade = h("div", { class: "shade", onclick: () => showSide(false) });

document.getElementById("app").append(
    h("a", { href: "#main", class: "skip" }, "To the conversation"), side, shade,
    h("div", { class: "pane" },
      h("header", { class: "top" },
        iconButton("menu", "Chats", () => showSide(true), { class: "icon-button narrow" }),
        model, h("span", { class: "space" }), rate,
        iconButton("save", "Save this chat as Markdown", exportChat),
        iconButton("plus", "New chat", () => openConversation(null), { class: "icon-button narrow" })),
      scroller,
      h("div", { class: "bottom" }, toEnd, composer)));

function showSide(shown) {
    document.body.classList.toggle("with-side", shown);
    if (shown)
        find.focus();
}

function fitInput() {
    input.style.height = "auto";
    input.style.height = `${Math.min(240, input.scrollHeight)}px`;
}

function scrollToEnd(force) {
    if (force)
        follow = true;
    if (follow)
        scroller.scrollTop = scroller.scrollHeight;
}

/* ---- The list of conversations ------------------------------------------------------------ */

function dayOf(time) {
    const days = Math.floor((new Date().setHours(0, 0, 0, 0) - new Date(time).setHours(0, 0, 0, 0)) / 864e5);
    return days <= 0 ? "Today" : days === 1 ? "Yesterday" : days < 7 ? "This week"
        : new Date(time).toLocaleDateString("en", { month: "long", year: "numeric" });
}

function matches(c, words) {
    const text = (c.title + " " + Object.values(c.nodes).map((n) => n.text).join(" ")).toLowerCase();
    return words.every((w) => text.includes(w));
}

function showList() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    let day = null;
    for (const c of conversations) {
        if (words.length && !matches(c, words))
            continue;
        if (dayOf(c.updated) !== day)
            list.append(h("li", { class: "day" }, day = dayOf(c.updated)));
        const here = c === conversation;
        list.append(h("li", { class: here ? "chat here" : "chat" },
            h("button", { type: "button", class: "open", "aria-current": here ? "true" : null,
                          onclick: () => (c === conversation ? showSide(false) : openConversation(c)), ondblclick: (e) => rename(c, e.currentTarget) },
              c.title || "New chat"),
            iconButton("edit", `Rename: ${c.title}`, (e) => rename(c, e.currentTarget.parentNode.firstChild)),
            iconButton("trash", `Delete: ${c.title}`, () => forget(c))));
    }
    if (!list.children.length)
        list.append(h("li", { class: "none" }, words.length ? "Nothing found." : "No chats yet."));
}

function rename(c, el) {
    const box = h("input", { class: "rename", "aria-label": "Title", value: c.title, maxlength: 200 });
    const finish = (keep) => {
        if (keep && box.value.trim()) {
            c.title = box.value.trim();
            save(c);
        }
        showList();
    };
    box.addEventListener("keydown", (e) => {
        e.stopPropagation();
        if (e.key === "Enter" || e.key === "Escape")
            finish(e.key === "Enter");
    });
    box.addEventListener("blur", () => finish(true), { once: true });
    el.replaceWith(box);
    box.select();
}

async function save(c) {
    try {
        await history.saveConversation(c);
    } catch (e) {
        announce(`The chat could not be kept: ${e.message}`);
    }
}

async function forget(c) {
    if (!confirm(`Delete "${c.title}"?`))
        return;
    if (c.id === conversation.id)
        openConversation(null);
    conversations = conversations.filter((o) => o.id !== c.id);
    await history.deleteConversation(c.id);
    showList();
}

async function forgetAll() {
    if (!confirm("Delete every chat that this browser keeps?"))
        return;
    openConversation(null);
    conversations = [];
    await history.clearConversations();
    settings.close();
    showList();
}

function exportChat() {
    if (conversation.children.length)
        download(`${conversation.title.replace(/[^\w-]+/g, "-").slice(0, 50) || "chat"}.md`, "text/markdown",
                 history.asMarkdown(conversation));
}

/* ---- One conversation --------------------------------------------------------------------- */

function openConversation(c) {
    stop();
    conversation = c ?? history.newConversation();
    views = new Map();
    rate.textContent = "";
    showThread();
    showList();
    showSide(false);
    scrollToEnd(true);
    if (!c || matchMedia("(hover: hover)").matches)
        input.focus();
}

const EXAMPLES = [
    "How many prime numbers are there below 50?",
    "Prove that the square root of 2 is irrational.",
    "Use 3, 7 and 12 once each, with + - and *, to make 60.",
    "Write a C function that reverses a string in place.",
];

function welcome() {
    return h("div", { class: "welcome" }, h("h1", {}, "What shall we think about?"),
             h("div", { class: "examples" }, EXAMPLES.map((text) =>
                h("button", { type: "button", onclick: () => { input.value = text; fitInput(); input.focus(); } }, text))));
}

const handlers = {
    edit(node, text) {
        stop();
        ask(text, node.parent ? conversation.nodes[node.parent] : null);
    },
    again(node) {
        stop();
        answer(node.parent ? conversation.nodes[node.parent] : null);
    },
    turn(node, by) {
        stop();
        history.siblings(conversation, node).turn(by);
        showThread();
        save(conversation);
    },
    goOn(node) {
        stop();
        receive(node, true);
    },
    thinking: () => history.loadSettings().thinking ?? "",
    grown: () => scrollToEnd(false),
};

/* Views of nodes that stay are kept. */
function showThread() {
    const nodes = history.path(conversation), kept = new Map();
    for (const node of nodes) {
        const old = views.get(node.id);
        kept.set(node.id, old ?? new MessageView(conversation, node, handlers));
        if (old && !old.live) /* it may have got a sibling */
            node.role === "user" ? old.showQuestion() : old.draw();
    }
    views = kept;
    thread.replaceChildren(...(nodes.length ? nodes.map((n) => kept.get(n.id).el) : [welcome()]));
    document.title = conversation.title ? `${conversation.title} – r1` : "r1";
}

function touch() {
    conversation.updated = Date.now();
    conversations = [conversation, ...conversations.filter((c) => c.id !== conversation.id)];
    showList();
    return save(conversation);
}

function ask(text, parent) {
    if (!conversation.children.length) {
        conversation.title = history.titleOf(text);
        conversation.system = systemPrompt();
    }
    answer(history.addNode(conversation, parent, "user", text.trim()));
}

function answer(question) {
    receive(history.addNode(conversation, question, "assistant", ""), false);
}

/* ---- A reply ------------------------------------------------------------------------------ */

/* The settings, and the conversation up to this node.  goOn: the node's text is the beginning of the
 * answer. */
function requestFor(node, goOn) {
    const nodes = history.path(conversation), end = nodes.findIndex((n) => n.id === node.id);
    const messages = history.messages(nodes.slice(0, end + goOn), conversation.system);
    if (goOn)
        messages[messages.length - 1].prefix = true;
    return { ...requestSettings(), ...(model.value ? { model: model.value } : {}), messages };
}

/* Counts and times the pieces of a reply into node.stats. */
class Meter {
    constructor(node) {
        this.start = performance.now();
        this.first = 0;
        this.tokens = 0;
        this.s = node.stats = { thinkingTokens: node.stats?.thinkingTokens ?? 0,
                                thinkingSeconds: node.stats?.thinkingSeconds ?? 0 };
    }

    seen(thinking) {
        const now = performance.now();
        this.first ||= now;
        this.tokens++;
        if (thinking) {
            this.s.thinkingTokens++;
            this.s.thinkingSeconds = (now - this.start) / 1000;
        }
        const seconds = (now - this.first) / 1000;
        if (this.tokens > 4 && seconds > 0.2)
            rate.textContent = `${((this.tokens - 1) / seconds).toFixed(1)} tok/s`;
    }

    end(result) {
        const { usage, finish, model: name, consensus } = result;
        const tokens = usage?.completion_tokens ?? this.tokens;
        Object.assign(this.s, { finish, model: name, tokens, consensus });
        this.s.thinkingTokens = usage?.completion_tokens_details?.reasoning_tokens ?? this.s.thinkingTokens;
        this.s.cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
        this.cut();
    }

    /* What is known when there is no end. */
    cut() {
        const seconds = (performance.now() - this.first) / 1000;
        this.s.tokens ??= this.tokens;
        if (this.first) {
            this.s.first = (this.first - this.start) / 1000;
            this.s.rate = this.s.tokens > 1 && seconds > 0.05 ? (this.s.tokens - 1) / seconds : 0;
        }
        rate.textContent = this.s.rate ? `${this.s.rate.toFixed(1)} tok/s` : "";
    }
}

async function receive(node, goOn) {
    const body = requestFor(node, goOn), meter = new Meter(node), abort = new AbortController();
    node.error = null;
    const here = conversation;
    touch();
    showThread();
    const view = views.get(node.id);
    reply = { abort, node };
    const mine = reply;
    showBusy();
    view.setLive(true);
    scrollToEnd(true);
    const tick = setInterval(() => view.grow(), 250); /* the clock of the thinking goes on */
    try {
        meter.end(await api.chat(body, (delta) => {
            const thought = delta.reasoning_content ?? delta.reasoning;
            if (thought) {
                node.thinking += thought;
                meter.seen(true);
            }
            if (delta.content) {
                node.text += delta.content;
                meter.seen(false);
            }
            if (thought || delta.content)
                view.grow();
        }, abort.signal));
    } catch (e) {
        meter.cut();
        if (e.name === "AbortError")
            node.stats.stopped = true;
        else
            node.error = e.message;
    }
    clearInterval(tick);
    if (reply === mine)
        reply = null;
    view.setLive(false);
    here.updated = Date.now();
    await save(here);
    showBusy();
    scrollToEnd(false);
}

function stop() {
    reply?.abort.abort();
    reply = null;
    showBusy();
}

function showBusy() {
    const busy = reply !== null;
    send.replaceChildren(icon(busy ? "stop" : "send"));
    send.title = busy ? "Stop (Esc)" : "Send (Enter)";
    send.setAttribute("aria-label", busy ? "Stop" : "Send");
    send.classList.toggle("busy", busy);
}

function onSubmit(e) {
    e.preventDefault();
    if (reply) {
        stop();
        return;
    }
    const text = input.value;
    if (!text.trim())
        return;
    input.value = "";
    fitInput();
    const nodes = history.path(conversation);
    ask(text, nodes[nodes.length - 1] ?? null);
}

/* ---- Keys --------------------------------------------------------------------------------- */

function onInputKey(e) {
    if (e.isComposing)
        return;
    if (e.key === "Enter" && !e.shiftKey) {
        e.preventDefault();
        if (!reply)
            composer.requestSubmit();
    } else if (e.key === "ArrowUp" && !input.value) {
        const last = history.path(conversation).filter((n) => n.role === "user").pop();
        if (last) {
            e.preventDefault();
            views.get(last.id).editQuestion();
        }
    }
}

function keysDialog() {
    const dialog = h("dialog", { class: "sheet small", "aria-labelledby": "keys-title", onclick: (e) => {
        if (e.target === dialog)
            dialog.close();
    } }, h("header", {}, h("h2", { id: "keys-title" }, "Keyboard"),
           iconButton("close", "Close", () => dialog.close())),
         h("dl", {}, KEYS.flatMap(([k, what]) => [h("dt", {}, k.split(" ").map((x) => h("kbd", {}, x))),
                                                  h("dd", {}, what)])));
    return document.body.appendChild(dialog);
}

function regenerate() {
    const last = history.path(conversation).filter((n) => n.role === "assistant").pop();
    if (last)
        handlers.again(last);
}

document.addEventListener("keydown", (e) => {
    const typing = e.target.closest?.("input, textarea, select"), ctrl = e.ctrlKey || e.metaKey;
    const act = e.key === "Escape" && !document.querySelector("dialog[open]") ? () => { stop(); showSide(false); }
        : ctrl && e.shiftKey && e.code === "KeyK" ? () => openConversation(null)
        : ctrl && e.shiftKey && e.code === "KeyF" ? () => { showSide(true); find.focus(); }
        : ctrl && e.shiftKey && e.code === "KeyE" ? regenerate
        : ctrl && e.key === "," ? () => settings.showModal()
        : !typing && e.key === "/" ? () => input.focus()
        : !typing && e.key === "?" ? () => keys.showModal() : null;
    if (act) {
        e.preventDefault();
        act();
    }
});

/* ---- Beginning ---------------------------------------------------------------------------- */

async function loadModels() {
    let names = [], why = "";
    try {
        names = await api.models();
    } catch (e) {
        why = e.message;
    }
    const chosen = localStorage.getItem("r1.model");
    model.replaceChildren(...(names.length ? names : [""]).map((name) =>
        h("option", { value: name, selected: name === chosen }, name || why || "no model")));
    model.title = why;
}

async function begin() {
    showThread();
    showList();
    input.focus();
    loadModels();
    conversations = await history.loadConversations();
    showList();
}
begin();
