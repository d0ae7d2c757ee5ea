// Compiles burn_note.scss. The first line of the result names the hash of what it was made
// from, which a test compares: the style sheet in the repository is the one of its source.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { compile } from "sass";

const source = createHash("sha256");
for (const name of ["burn_note.scss", "package-lock.json"]) source.update(readFileSync(name));

const { css } = compile("burn_note.scss", {
  loadPaths: ["node_modules"],
  style: "compressed",
  quietDeps: true,
  silenceDeprecations: ["import"],
});
const { version } = JSON.parse(readFileSync("node_modules/bootstrap/package.json"));
const head =
  `/*! Bootstrap v${version} (https://getbootstrap.com/), MIT licence, ` +
  `(c) 2011-2025 The Bootstrap Authors; made from web/style, sha256 ${source.digest("hex")} */\n`;
writeFileSync("../burn_note/static/burn_note/burn_note.css", head + css.replace(/^\uFEFF|@charset "UTF-8";/g, "") + "\n");
