// Checks the types of the caller's page: its scripts as they become one, with what the build fills in left open.
//
//     node tests/browser/page-types.mjs
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { WORKSPACE } from "./harness/browsers.js";

const PAGE = `${WORKSPACE}/client/web/page`;
const OUT = `${WORKSPACE}/target/page-types`;
const OPTIONS = {
  target: "es2017",
  strict: true,
  noImplicitReturns: false,
  noUnusedLocals: true,
  allowJs: true,
  checkJs: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
};

rmSync(OUT, { recursive: true, force: true });
const checks = [
  ["page", readdirSync(`${PAGE}/js`).map((name) => `js/${name}`), ["es2017", "dom", "dom.iterable"]],
  ["worker", ["worker.js"], ["es2017", "webworker"]],
];
for (const [name, files, lib] of /** @type {[string, string[], string[]][]} */ (checks)) {
  const folder = `${OUT}/${name}`;
  mkdirSync(folder, { recursive: true });
  for (const file of files) {
    const text = readFileSync(`${PAGE}/${file}`, "utf8").replace(/\{\{\w+\}\}/g, "/** @type {any} */ (null)");
    writeFileSync(`${folder}/${file.replace(/^.*\//, "")}`, text);
  }
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions: { ...OPTIONS, lib }, include: ["*.js"] }));
  const { status } = spawnSync(`${WORKSPACE}/tests/browser/node_modules/.bin/tsc`, ["-p", folder], { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
