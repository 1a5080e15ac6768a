/* history.js: conversations, kept in the browser (IndexedDB), and the settings (localStorage).
 *
 * A conversation is a tree: editing a question or asking again for an answer adds a sibling, and the
 * old branch stays.  {id, title, created, updated, system, pick, children, nodes: {ID: {id, parent,
 * role, text, thinking, stats, error, children: [ID], pick}}}: pick is the index of the child that is
 * shown. */

const LIMIT = 500; /* conversations; the oldest go */

/* ---- The tree ----------------------------------------------------------------------------- */

export function newConversation() {
    const now = Date.now();
    return { id: crypto.randomUUID?.() ?? `${now}-${Math.random()}`, title: "", created: now, updated: now,
             system: null, children: [], pick: 0, nodes: {} };
}

function parentOf(conversation, node) {
    return node.parent ? conversation.nodes[node.parent] : conversation;
}

export function addNode(conversation, parent, role, text) {
    const node = { id: `n${Object.keys(conversation.nodes).length}`, parent: parent?.id ?? null, role, text,
                   thinking: "", stats: null, error: null, children: [], pick: 0 };
    conversation.nodes[node.id] = node;
    const above = parentOf(conversation, node);
    above.children.push(node.id);
    above.pick = above.children.length - 1;
    return node;
}

/* The nodes that are shown, from the first question on. */
export function path(conversation) {
    const nodes = [];
    for (let at = conversation; at.children.length; at = nodes[nodes.length - 1])
        nodes.push(conversation.nodes[at.children[Math.min(at.pick, at.children.length - 1)]]);
    return nodes;
}

export function siblings(conversation, node) {
    const above = parentOf(conversation, node);
    return { n: above.children.length, at: above.children.indexOf(node.id),
             turn(by) { above.pick = (this.at + by + this.n) % this.n; } };
}

/* What is sent: the answers without their reasoning, which templates drop anyway. */
export function messages(nodes, system) {
    const list = system ? [{ role: "system", content: system }] : [];
    for (const node of nodes)
        if (node.role === "user" || node.text)
            list.push({ role: node.role, content: node.text });
    return list;
}

export function titleOf(text) {
    const line = text.trim().split("\n")[0].replace(/\s+/g, " ");
    return line.length > 60 ? line.slice(0, 57).trimEnd() + "…" : line || "New chat";
}

export function asMarkdown(conversation) {
    const parts = [`# ${conversation.title}`];
    for (const node of path(conversation)) {
        parts.push(node.role === "user" ? "## Question" : "## Answer");
        if (node.thinking)
            parts.push(node.thinking.trim().split("\n").map((l) => `> ${l}`).join("\n"));
        parts.push(node.text.trim());
    }
    return parts.join("\n\n") + "\n";
}

/* ---- The database ------------------------------------------------------------------------- */

/* Where IndexedDB is refused (private windows of some browsers) the history lasts as long as the page. */
let memory = null;
let opening = null;

function open() {
    opening ??= new Promise((done) => {
        try {
            const request = indexedDB.open("r1", 1);
            request.onupgradeneeded = () => request.result.createObjectStore("chats", { keyPath: "id" });
            request.onsuccess = () => done(request.result);
            request.onerror = () => done(null);
        } catch {
            done(null);
        }
    }).then((db) => {
        if (!db)
            memory = new Map();
        return db;
    });
    return opening;
}

function run(db, mode, act) {
    return new Promise((done, failed) => {
        const transaction = db.transaction("chats", mode);
        const request = act(transaction.objectStore("chats"));
        transaction.oncomplete = () => done(request.result);
        transaction.onerror = transaction.onabort = () => failed(transaction.error);
    });
}

export async function saveConversation(conversation) {
    const db = await open();
    const copy = structuredClone(conversation);
    if (memory)
        memory.set(copy.id, copy);
    else
        await run(db, "readwrite", (s) => s.put(copy));
}

export async function deleteConversation(id) {
    const db = await open();
    if (memory)
        memory.delete(id);
    else
        await run(db, "readwrite", (s) => s.delete(id));
}

/* All of them, the newest first. */
export async function loadConversations() {
    const db = await open();
    const all = memory ? [...memory.values()] : await run(db, "readonly", (s) => s.getAll());
    all.sort((a, b) => b.updated - a.updated);
    for (const old of all.splice(LIMIT))
        await deleteConversation(old.id);
    return all;
}

export async function clearConversations() {
    const db = await open();
    if (memory)
        memory.clear();
    else
        await run(db, "readwrite", (s) => s.clear());
}

/* ---- Settings ----------------------------------------------------------------------------- */

const PLACE = "r1.settings";

export function loadSettings() {
    try {
        return JSON.parse(localStorage.getItem(PLACE)) ?? {};
    } catch {
        return {};
    }
}

export function saveSettings(settings) {
    localStorage.setItem(PLACE, JSON.stringify(settings));
}
