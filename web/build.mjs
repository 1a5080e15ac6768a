/* build.mjs: bundles the pages into a folder as the program serves them: index.html, runs.html and
 * assets/*, each with a .gz beside it where that is smaller.  Usage: node build.mjs FOLDER */
import { build } from "esbuild";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
    console.error("usage: node build.mjs FOLDER");
    process.exit(2);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "assets"), { recursive: true });
await build({
    entryPoints: [join(here, "src/chat.js"), join(here, "src/runs.js")],
    outdir: join(out, "assets"),
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["es2022"],
    minify: true,
    legalComments: "none", /* assets/licences.txt has them */
    chunkNames: "[name]-[hash]",
    assetNames: "[name]",
    /* KaTeX offers each font in three formats; every browser that runs these modules reads WOFF2. */
    loader: { ".woff2": "file", ".woff": "empty", ".ttf": "empty", ".svg": "file" },
    logLevel: "warning",
});
for (const page of ["index.html", "runs.html"])
    cpSync(join(here, page), join(out, page));
cpSync(join(here, "src/icon.svg"), join(out, "assets/icon.svg"));

/* The licences of what is bundled travel with it. */
const deps = Object.keys(JSON.parse(readFileSync(join(here, "package.json"), "utf8")).dependencies);
const licences = deps.map((name) => {
    const dir = join(here, "node_modules", name);
    const file = readdirSync(dir).find((f) => /^licen[sc]e/i.test(f));
    return `${name}\n${"=".repeat(name.length)}\n\n${readFileSync(join(dir, file), "utf8").trim()}\n`;
});
writeFileSync(join(out, "assets/licences.txt"), licences.join("\n\n"));

let total = 0;
for (const name of readdirSync(out, { recursive: true })) {
    const path = join(out, name);
    if (!statSync(path).isFile())
        continue;
    const bytes = readFileSync(path);
    const zipped = gzipSync(bytes, { level: 9 });
    if (zipped.length < bytes.length * 0.9)
        writeFileSync(path + ".gz", zipped);
    total += bytes.length;
}
console.log(`web: ${Math.round(total / 1024)} KiB`);
