// The browsers that the page must run in, and where each is found.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Chromium } from "./chromium.js";
import { Firefox } from "./firefox.js";

/** The workspace's folder. */
export const WORKSPACE = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");
/** Where `unpack.js` puts the old ones. */
export const UNPACKED = `${WORKSPACE}/target/browsers`;

/**
 * @typedef {"chromium" | "firefox" | "chromium-92" | "chromium-78" | "chromium-67"} Name
 * @typedef {Chromium | Firefox} AnyBrowser
 */

/** Every one, today's first. @type {Name[]} */
export const BROWSERS = ["chromium", "firefox", "chromium-92", "chromium-78", "chromium-67"];
/** The Chromiums that npm brings, each the package of its name. */
export const OLD = /** @type {const} */ (["chromium-92", "chromium-78", "chromium-67"]);

/**
 * Where its program is.
 * @param {Name} name
 * @returns {string}
 */
export function file(name) {
  if (name === "chromium") return "/usr/bin/chromium";
  if (name === "firefox") return "/usr/bin/firefox-esr";
  return `${UNPACKED}/${name}`;
}

/**
 * Starts a browser.
 * @param {Name} name
 * @param {import("./browser.js").Start} [start]
 * @returns {Promise<AnyBrowser>}
 */
export async function launch(name, start = {}) {
  // 67 cannot be told to believe one key: it believes all.
  const kind = { name, file: file(name), alone: name !== "chromium", credulous: name === "chromium-67" };
  if (!existsSync(kind.file)) throw new Error(`${kind.file} is missing: cargo verify brings it`);
  return name === "firefox" ? Firefox.start(kind, start) : Chromium.start(kind, start);
}
