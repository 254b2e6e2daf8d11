// Workers at their boards: the program that serves one, and a browser on it, used by keys and buttons alone.
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { launch, WORKSPACE } from "./browsers.js";
import { PROGRAMS } from "./line.js";
import { Program, run } from "./program.js";

/** Pictures of what was seen. */
const PICTURES = `${WORKSPACE}/target/browsers/screenshots/board`;
/** Sizes of a page: a worker's laptop, and a narrow window beside something else. */
export const WIDE = /** @type {const} */ ([1280, 800]);
export const NARROW = /** @type {const} */ ([480, 800]);
/** How often at most something that moves away is pressed again. */
const TRIES = 20;
/** @type {("en" | "ko" | "zh")[]} */
export const TONGUES = ["en", "ko", "zh"];

/** @typedef {{dir: string, passphrase: string}} Vault */

/**
 * A second device of a line: joins, is admitted, and belongs to the team.
 * @param {import("./line.js").Line} line
 * @param {string} name of its folder
 * @returns {Promise<Vault>}
 */
export async function join(line, name) {
  const vault = { dir: `${line.dir}/${name}`, passphrase: `${line.dir}/${name}.passphrase` };
  writeFileSync(vault.passphrase, randomBytes(16).toString("hex"), { mode: 0o600 });
  const desk = async (/** @type {string[]} */ ...args) => {
    const { stdout } = await run(`${PROGRAMS}/porchlight`, ["desk", "join", ...args, "--dir", vault.dir, "--passphrase-file", vault.passphrase, "--json"]);
    return JSON.parse(String(stdout.trim().split("\n")[0]));
  };
  const { request, check_words: words } = await desk();
  const admission = `${line.dir}/files/${name}.admission`;
  const [admitted] = await line.desk("desk admit", request, "--words", words.join(" "), "--out", admission);
  await desk("--admission", admission, "--words", admitted.check_words.join(" "));
  return vault;
}

/** A board that is open, and the worker before it. */
export class Board {
  /**
   * Opens one.
   * @param {Vault | null} vault none for practice
   * @param {{tongue?: "en" | "ko" | "zh", size?: readonly [number, number], options?: string[], dark?: boolean, first?: () => void}} [how]
   *   `first` runs in the page before its own scripts do, at every load
   * @returns {Promise<Board>}
   */
  static async open(vault, { tongue = "en", size = WIDE, options = [], dark = false, first } = {}) {
    const at = vault ? ["--dir", vault.dir, "--passphrase-file", vault.passphrase] : ["--practice"];
    const program = new Program(`${PROGRAMS}/porchlight`, ["desk", "open", ...at, ...options, "--json"]);
    const [, link] = await program.hears(/"link":"([^"]+)"/);
    const browser = /** @type {import("./chromium.js").Chromium} */ (await launch("chromium"));
    const board = new Board(program, browser, String(link), vault);
    // A board that does not come up is not left running: the test would wait for it.
    await board.begin({ tongue, size, dark, first }).catch(async (error) => {
      await board.close();
      throw error;
    });
    return board;
  }

  /** @param {{tongue: "en" | "ko" | "zh", size: readonly [number, number], dark: boolean, first?: (() => void) | undefined}} how */
  async begin({ tongue, size, dark, first }) {
    const { browser } = this;
    await this.size(...size);
    await browser.page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
    await browser.page.send("Emulation.setTouchEmulationEnabled", { enabled: false });
    if (first) await browser.page.send("Page.addScriptToEvaluateOnNewDocument", { source: `(${first})()` });
    await browser.open(this.link);
    await this.at("board");
    if (tongue !== "en") await this.speak(tongue);
  }

  /**
   * @param {Program} program
   * @param {import("./chromium.js").Chromium} browser
   * @param {string} link
   * @param {Vault | null} vault
   */
  constructor(program, browser, link, vault) {
    this.program = program;
    this.browser = browser;
    this.link = link;
    this.vault = vault;
    this.origin = new URL(link).origin;
    /** @type {Record<string, string>} */
    this.strings = words("en");
  }

  /** @param {number} width @param {number} height */
  async size(width, height) {
    await this.browser.page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  }

  /** @param {"en" | "ko" | "zh"} tongue */
  async speak(tongue) {
    // The page draws itself anew even if it speaks that already.
    await this.browser.waitFor(() => {
      const main = document.querySelector("main");
      if (main) main.dataset["old"] = "";
      return !!main;
    });
    await this.press(this.say(`tongue_${tongue}`));
    this.strings = words(tongue);
    await this.browser.waitFor(() => !!document.querySelector("main:not([data-old])"));
    await this.browser.waitFor((/** @type {string} */ lang) => document.documentElement.lang.startsWith(lang), tongue);
    await this.sees(this.say("lock"));
  }

  /**
   * A sentence as this board says it.
   * @param {string} key
   * @param {Record<string, string | number>} [places]
   */
  say(key, places = {}) {
    return String(this.strings[key]).replace(/\{(\w+)\}/g, (_, name) => String(places[name] ?? ""));
  }

  /** Waits for a screen. @param {string} name */
  at(name) {
    const drawn = (/** @type {string} */ wanted) => {
      const main = document.querySelector(`main.screen-${wanted}`);
      return wanted === "board" ? !!main?.querySelector(".rows li, .none:not([hidden])") : !!main?.textContent;
    };
    return this.browser.waitFor(drawn, name);
  }

  /** Goes to a screen of the bar. @param {string} name */
  async go(name) {
    await this.press(this.say(`place_${name}`), "#top");
    await this.at(name);
  }

  /** Waits until this can be read. @param {string} text */
  sees(text) {
    return this.browser.waitFor((/** @type {string} */ wanted) => document.body.innerText.includes(wanted), text).catch(async (error) => {
      throw new Error(`not seen: ${text}\n${await this.browser.text()}\n${error}`);
    });
  }

  /** Waits until this can no longer be read. @param {string} text */
  misses(text) {
    return this.browser.waitFor((/** @type {string} */ wanted) => !document.body.innerText.includes(wanted), text);
  }

  /**
   * Presses a button by what stands on it, once it is there, in sight and not off; the last of several.
   * @param {string} label
   * @param {string} [within] a selector
   */
  async press(label, within = "body") {
    const found = (/** @type {string} */ wanted, /** @type {string} */ where) => {
      const places = [...document.querySelectorAll(where)];
      const all = places.flatMap((place) => [...place.querySelectorAll("button, summary")]);
      const open = document.querySelector("dialog[open]");
      const made = all.filter((one) => {
        const text = (one.querySelector("span") || one).textContent;
        return text === wanted && (!open || open.contains(one)) && !(/** @type {HTMLButtonElement} */ (one).disabled) && one.getClientRects().length > 0;
      });
      return made[made.length - 1];
    };
    await this.click(found, label, within).catch(async (error) => {
      throw new Error(`cannot press ${label}; the page says:\n${await this.browser.text()}\n${error}`);
    });
  }

  /**
   * Clicks on what a function finds in the page. What moves away under the mouse was not clicked, and is clicked again.
   * @template {any[]} A
   * @param {(...args: A) => Element | null | undefined} find
   * @param {A} args
   */
  async click(find, ...args) {
    for (let tries = 0; tries < TRIES; tries += 1) {
      await this.letGo(await this.down(find, ...args));
      if (await this.browser.evaluate(() => /** @type {any} */ (window).aim?.click !== false)) return;
    }
    throw new Error(`it moved away at every click: ${find}`);
  }

  /**
   * Presses the mouse on what a function finds in the page, and holds it down there.
   * @template {any[]} A
   * @param {(...args: A) => Element | null | undefined} find
   * @param {A} args
   * @returns {Promise<{x: number, y: number}>} where
   */
  async down(find, ...args) {
    const aimed = /** @type {any} */ (new Function("...args", `return (${aim})((${find})(...args))`));
    for (let tries = 0; tries < TRIES; tries += 1) {
      const point = /** @type {any} */ (await this.browser.waitFor(aimed, ...args));
      await this.browser.page.send("Input.dispatchMouseEvent", { type: "mousePressed", ...point, button: "left", clickCount: 1 });
      if (await this.browser.evaluate(() => /** @type {any} */ (window).aim?.pointerdown !== false)) return point;
      // Something else is there by now: let go elsewhere, it is not clicked.
      await this.letGo({ x: 0, y: 0 });
    }
    throw new Error(`it moved away at every press: ${find}`);
  }

  /** Lets go the mouse. @param {{x: number, y: number}} point */
  async letGo(point) {
    await this.browser.page.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...point, button: "left", clickCount: 1 });
  }

  /**
   * Presses a key, as `j`, `Enter`, `Escape` or `Ctrl+Enter`.
   * @param {string} name
   */
  async key(name) {
    const ctrl = name.startsWith("Ctrl+");
    const key = ctrl ? name.slice(5) : name;
    const code = /** @type {Record<string, number>} */ ({ Enter: 13, Escape: 27, "/": 191, "?": 191 })[key] || key.toUpperCase().charCodeAt(0);
    const event = { key, modifiers: ctrl ? 2 : 0, windowsVirtualKeyCode: code, code: key.length === 1 && /[a-z]/.test(key) ? `Key${key.toUpperCase()}` : key };
    const text = key.length === 1 && !ctrl ? { text: key } : key === "Enter" ? { text: "\r" } : {};
    await this.browser.page.send("Input.dispatchKeyEvent", { type: "text" in text ? "keyDown" : "rawKeyDown", ...event, ...text });
    await this.browser.page.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** Presses Escape twice, the second time before the first was answered: however busy the machine is, that is at once. */
  async escapeTwice() {
    await Promise.all([this.key("Escape"), this.key("Escape")]);
  }

  /**
   * Fills in a field by its label, in the window before everything else if there is one.
   * @param {string} label
   * @param {string} text
   */
  async fill(label, text) {
    const focus = (/** @type {string} */ wanted) => {
      const place = document.querySelector("dialog[open]") || document.body;
      const found = [...place.querySelectorAll("label")].find((one) => one.textContent === wanted);
      const input = found && document.getElementById(found.htmlFor);
      if (!(input instanceof HTMLInputElement || input instanceof HTMLTextAreaElement)) return false;
      input.focus();
      input.select();
      return document.activeElement === input;
    };
    await this.browser.waitFor(focus, label);
    await this.browser.page.send("Input.insertText", { text });
  }

  /** Ticks a box by its label. @param {string} label */
  async tick(label) {
    await this.browser.waitFor((/** @type {string} */ wanted) => {
      const found = [...document.querySelectorAll("label")].find((one) => one.textContent === wanted);
      const box = found && document.getElementById(found.htmlFor);
      box?.click();
      return box instanceof HTMLInputElement && box.checked;
    }, label);
  }

  /** Opens a caller by her nickname, from the board. @param {string} nickname */
  async person(nickname) {
    if (!(await this.browser.evaluate(() => !!document.querySelector("main.screen-board")))) await this.go("board");
    await this.click((/** @type {string} */ name) => [...document.querySelectorAll(".rows li .row")].find((one) => one.querySelector(".name b")?.textContent === name), nickname);
    await this.at("person");
    await this.sees(nickname);
  }

  /**
   * Chooses a row as j and k do, by pressing them until it is chosen.
   * @param {string} nickname
   */
  async choose(nickname) {
    await this.key("u");
    const chosen = () => document.querySelector(".rows li.chosen .name b")?.textContent;
    for (let at = 0; at < 50; at += 1) {
      if ((await this.browser.waitFor(chosen)) === nickname) return;
      await this.key("j");
    }
    throw new Error(`no row ${nickname}`);
  }

  /** Writes into the composer, and waits until the text was weighed. @param {string} text */
  async write(text) {
    await this.fill(this.say("your_answer"), text);
    if (text.trim()) await this.browser.waitFor(() => /\d/.test(String(document.getElementById("cost")?.textContent)));
  }

  /** The nicknames in sight, in order. */
  names() {
    return this.browser.evaluate(() =>
      [...document.querySelectorAll(".rows li")]
        .sort((a, b) => Number(a.getAttribute("aria-posinset")) - Number(b.getAttribute("aria-posinset")))
        .map((row) => String(row.querySelector(".name b")?.textContent)),
    );
  }

  /** Keeps a picture; a small one of those that the documents show, if they are to be made anew. @param {string} name */
  async picture(name) {
    await this.browser.screenshot(`${PICTURES}/${name}.png`);
    const shown = `${WORKSPACE}/docs/desk/${name}.png`;
    if (!process.env["DOCS_PICTURES"] || !existsSync(shown)) return;
    const clip = { x: 0, y: 0, width: WIDE[0], height: WIDE[1], scale: 0.6 };
    const { data } = await this.browser.page.send("Page.captureScreenshot", { format: "png", clip });
    writeFileSync(shown, Buffer.from(data, "base64"));
  }

  /** Everything the page says that axe-core finds fault with. */
  async axe() {
    const source = readFileSync(`${WORKSPACE}/tests/browser/node_modules/axe-core/axe.min.js`, "utf8");
    await this.browser.evaluate(/** @type {any} */ (new Function(source)));
    return this.browser.evaluate(async () => {
      const { violations } = await /** @type {any} */ (window).axe.run({ resultTypes: ["violations"] });
      return violations.map((/** @type {any} */ one) => `${one.id}: ${one.help}\n${one.nodes.slice(0, 3).map((/** @type {any} */ node) => `  ${node.html.slice(0, 200)} ${node.failureSummary || ""}`).join("\n")}`);
    });
  }

  /** The passphrase, as it is typed. */
  passphrase() {
    return this.vault ? readFileSync(this.vault.passphrase, "utf8") : "";
  }

  /** Types the passphrase at the Lock screen. */
  async unlock() {
    await this.fill(this.say("passphrase"), this.passphrase());
    await this.key("Enter");
    await this.at("board");
  }

  /** Closes both. */
  async close() {
    await this.browser.dispose();
    await this.program.stop();
  }
}

/**
 * In the page: the middle of an element, once it has stayed there since the last look and the mouse would meet it. From then on
 * `window.aim` says whether it was what was pressed and clicked.
 * @param {Element | null | undefined} found
 */
function aim(found) {
  const page = /** @type {any} */ (window);
  const before = page.aim;
  if (!before) for (const name of ["pointerdown", "click"]) addEventListener(name, (event) => (page.aim[name] = !!page.aim.found?.contains(event.target)), { capture: true });
  page.aim = { pointerdown: false, click: false };
  if (!found) return null;
  found.scrollIntoView({ block: "center" });
  const box = found.getBoundingClientRect();
  const point = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  const met = document.elementFromPoint(point.x, point.y);
  if (!met || !found.contains(met)) return null;
  Object.assign(page.aim, { found, ...point });
  return before?.found === found && before.x === point.x && before.y === point.y ? point : null;
}

/** @param {string} tongue @returns {Record<string, string>} */
function words(tongue) {
  return JSON.parse(readFileSync(`${WORKSPACE}/client/desk/strings/${tongue}.json`, "utf8"));
}
