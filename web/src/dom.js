/* dom.js: small helpers that both pages use: elements, icons, the theme, numbers as text. */

/* h("button", {class: "x", onclick: f, "aria-label": "y"}, child...): an element.  Text is text:
 * nothing here reads markup from a string. */
export function h(tag, props, ...children) {
    const el = document.createElement(tag);
    for (const [name, value] of Object.entries(props ?? {})) {
        if (name.startsWith("on"))
            el.addEventListener(name.slice(2), value);
        else if (name === "class")
            el.className = value;
        else if (name === "value" || name === "checked" || name === "open" || name === "disabled")
            el[name] = value;
        else if (value !== null && value !== undefined && value !== false)
            el.setAttribute(name, value === true ? "" : value);
    }
    el.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
    return el;
}

/* Outlines on a 24 x 24 grid. */
const ICONS = {
    plus: "M12 5v14M5 12h14",
    menu: "M4 7h16M4 12h16M4 17h16",
    send: "M12 19V5M6 11l6-6 6 6",
    stop: "M7 7h10v10H7z",
    copy: "M9 9h10v10H9zM5 15V5h10",
    edit: "M5 19h4L19 9l-4-4L5 15z",
    again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
    left: "M14 6l-6 6 6 6",
    right: "M10 6l6 6-6 6",
    trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
    gear: "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4M17 5v4M13 5h4M13 9h4M7 15v4M11 15v4M7 15h4M7 19h4",
    sun: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6l1.4 1.4M17 17l1.4 1.4M5.6 18.4l1.4-1.4M17 7l1.4-1.4",
    down: "M12 5v14M6 13l6 6 6-6",
    close: "M6 6l12 12M18 6L6 18",
    chart: "M4 4v16h16M8 15l3-4 3 2 5-6",
    save: "M12 4v11M7 10l5 5 5-5M5 20h14",
    keys: "M3 7h18v10H3zM7 11h.01M11 11h.01M15 11h.01M8 14h8",
};

export function icon(name) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(ns, "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
}

export function iconButton(name, label, onclick, props) {
    return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label,
                         onclick, ...props }, icon(name));
}

/* ---- Theme: "auto" follows the system ----------------------------------------------------- */

const THEMES = ["auto", "light", "dark"];

export function applyTheme() {
    const theme = localStorage.getItem("r1.theme") ?? "auto";
    document.documentElement.dataset.theme = theme;
    return theme;
}

export function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

/* A button that goes through the themes; changed() when the colours have changed. */
export function themeButton(changed = () => {}) {
    const label = (t) => `Colours: ${t === "auto" ? "as the system" : t}`;
    const button = iconButton("sun", label(applyTheme()), () => {
        const next = THEMES[(THEMES.indexOf(applyTheme()) + 1) % THEMES.length];
        localStorage.setItem("r1.theme", next);
        applyTheme();
        button.title = label(next);
        button.setAttribute("aria-label", button.title);
        changed();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    return button;
}

/* ---- Text --------------------------------------------------------------------------------- */

/* Up to `digits` significant digits, thousands apart. */
export function number(v, digits = 4) {
    if (typeof v !== "number" || !Number.isFinite(v))
        return "–";
    if (Number.isInteger(v))
        return v.toLocaleString("en");
    return Math.abs(v) >= 1e5 || (v !== 0 && Math.abs(v) < 1e-4)
        ? v.toExponential(2) : String(Number(v.toPrecision(digits)));
}

export function duration(seconds) {
    if (seconds < 60)
        return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const minutes = Math.floor(seconds / 60);
    return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s`
                        : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function plural(n, word) {
    return `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
}

/* Told to screen readers, in words, when something has happened. */
let speaker;
export function announce(text) {
    speaker ??= document.body.appendChild(h("div", { class: "unseen", role: "status", "aria-live": "polite" }));
    speaker.textContent = text;
}

export async function copyText(text, button) {
    try {
        await navigator.clipboard.writeText(text);
    } catch { /* not a secure origin: the old way */
        const area = document.body.appendChild(h("textarea", { class: "unseen", value: text }));
        area.select();
        document.execCommand("copy");
        area.remove();
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1200);
    announce("Copied");
}

export function download(name, type, text) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
}
