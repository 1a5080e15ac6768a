/* settings.js: the dialog of model and sampling settings.  A field that is empty is not sent: the
 * server's default holds, which is the model's own. */
import { KEY } from "./api.js";
import { h, iconButton } from "./dom.js";
import { loadSettings, saveSettings } from "./history.js";

/* key: the member of the request; least, most, step: of a number. */
const FIELDS = [
    { key: "temperature", label: "Temperature", least: 0, most: 2, step: 0.05, hint: "0 is always the likeliest token" },
    { key: "top_p", label: "Top p", least: 0, most: 1, step: 0.01, hint: "the likeliest tokens that together have p" },
    { key: "top_k", label: "Top k", least: 0, most: 1000, step: 1, hint: "0 is off" },
    { key: "min_p", label: "Min p", least: 0, most: 1, step: 0.01, hint: "0 is off" },
    { key: "presence_penalty", label: "Presence penalty", least: -2, most: 2, step: 0.1 },
    { key: "frequency_penalty", label: "Frequency penalty", least: -2, most: 2, step: 0.1 },
    { key: "max_tokens", label: "Tokens at most", least: 1, most: 1000000, step: 1, hint: "thinking included" },
    { key: "thinking_budget", label: "Thinking tokens at most", least: 0, most: 1000000, step: 1,
      hint: "then the answer is begun" },
    { key: "seed", label: "Seed", least: 0, most: 2147483647, step: 1, hint: "the same seed, the same answer" },
    { key: "consensus", label: "Votes", least: 1, most: 64, step: 1, hint: "answers that are sampled; the majority is shown" },
];

/* The members of a request that the settings ask for. */
export function requestSettings() {
    const settings = loadSettings(), body = {};
    for (const { key } of FIELDS)
        if (settings[key] !== undefined && settings[key] !== "")
            body[key] = Number(settings[key]);
    if (body.consensus === 1)
        delete body.consensus;
    if (settings.reasoning_effort)
        body.reasoning_effort = settings.reasoning_effort;
    return body;
}

export function systemPrompt() {
    return (loadSettings().system ?? "").trim();
}

function field(label, hint, input) {
    return h("label", { class: "field" }, h("span", {}, label), input, hint ? h("small", {}, hint) : null);
}

/* changed(): after each change.  actions: more elements at the dialog's end. */
export function settingsDialog(changed, ...actions) {
    const settings = loadSettings();
    const set = (key, value) => {
        if (value === "" || value === null)
            delete settings[key];
        else
            settings[key] = value;
        saveSettings(settings);
        changed();
    };
    const inputs = FIELDS.map((f) => field(f.label, f.hint, h("input", {
        type: "number", name: f.key, min: f.least, max: f.most, step: f.step, placeholder: "default",
        inputmode: "decimal", value: settings[f.key] ?? "",
        onchange: (e) => {
            const v = e.target.value;
            if (v !== "")
                e.target.value = Math.min(f.most, Math.max(f.least, Number(v)));
            set(f.key, e.target.value);
        },
    })));
    const choose = (key, options) => h("select", { name: key, onchange: (e) => set(key, e.target.value) },
        options.map(([value, text]) => h("option", { value, selected: (settings[key] ?? "") === value }, text)));
    const system = h("textarea", { rows: 3, name: "system", placeholder: "none", value: settings.system ?? "",
                                   onchange: (e) => set("system", e.target.value) });
    const key = h("input", { type: "password", autocomplete: "off", name: "key", placeholder: "none needed",
                             value: localStorage.getItem(KEY) ?? "", onchange: (e) => {
        if (e.target.value)
            localStorage.setItem(KEY, e.target.value);
        else
            localStorage.removeItem(KEY);
        changed();
    } });
    const dialog = h("dialog", { class: "sheet", "aria-labelledby": "settings-title", onclick: (e) => {
        if (e.target === dialog)
            dialog.close();
    } });
    const reset = h("button", { type: "button", onclick: () => {
        for (const name of Object.keys(settings))
            delete settings[name];
        saveSettings(settings);
        for (const el of dialog.querySelectorAll("input:not([name=key]), textarea, select"))
            el.value = "";
        changed();
    } }, "Defaults");
    dialog.append(h("header", {}, h("h2", { id: "settings-title" }, "Settings"),
                    iconButton("close", "Close", () => dialog.close())),
                  h("form", { class: "fields", onsubmit: (e) => e.preventDefault() },
                    h("div", { class: "wide" }, field("System message", "for new chats; R1 models want none", system)),
                    ...inputs,
                    field("Effort", "how much it thinks", choose("reasoning_effort", [
                        ["", "default"], ["none", "none"], ["low", "low"], ["medium", "medium"], ["high", "high"]])),
                    field("Thinking is shown", null, choose("thinking", [
                        ["", "open, then folded"], ["folded", "always folded"], ["open", "always open"]])),
                    field("API key", "stays in this browser", key)),
                  h("footer", {}, reset, ...actions));
    document.body.append(dialog);
    return dialog;
}
