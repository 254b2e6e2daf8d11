// One browser, one page in it: what a test does with it, whichever browser it is.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { descendants, Program } from "./program.js";

/** How long a test waits for what a page is to show, in milliseconds, unless it says otherwise. */
const PATIENCE_MS = 30_000;
/** How often it looks. */
const LOOK_MS = 50;
/** Makes a browser slow; see there. */
const THROTTLE = fileURLToPath(new URL("./throttle.js", import.meta.url));

/**
 * How a browser is started.
 * @typedef {object} Start
 * @property {boolean} [privately] in a private window
 * @property {string} [home] the folder of an earlier browser, to start with what that left there
 * @property {string} [pin] SHA-256 of the relay's public key, in base64: a certificate with this key is believed
 * @property {number} [width] of the page, in CSS pixels (360)
 * @property {number} [height] of the page, in CSS pixels (640)
 */

/**
 * One request that the page made.
 * @typedef {object} Request
 * @property {string} method
 * @property {string} url
 * @property {string} path with the query
 * @property {number} bytes of the body that was sent
 * @property {Record<string, string>} headers as sent, by name in lower case
 * @property {number} [status] of the answer
 * @property {Record<string, string>} [answerHeaders] by name in lower case
 * @property {string} [failed] why there is no answer
 */

/**
 * Where a finger goes, in CSS pixels from the corner of the page that is seen.
 * @typedef {{x: number, y: number}} Point
 */

/** What every browser can do. A function that runs in the page is sent as text: ES2017, nothing from around it. */
export class Browser {
  /**
   * @param {string} name as in `BROWSERS`
   * @param {string} home everything it writes is below this folder
   * @param {Program} program
   */
  constructor(name, home, program) {
    this.name = name;
    this.version = "";
    this.home = home;
    this.program = program;
    /** @type {Request[]} */
    this.made = [];
    /** Uncaught errors, complaints of the browser and of the page, as text. */
    this.complaints = /** @type {string[]} */ ([]);
    /** @type {import("node:child_process").ChildProcess | undefined} */
    this.throttle = undefined;
  }

  /** Where its profile lies. */
  get profile() {
    return join(this.home, "profile");
  }

  /**
   * Goes to an address, as typed there, and waits until the page has loaded.
   * @param {string} _url
   * @returns {Promise<void>}
   */
  async open(_url) {
    throw new Error("not of every browser");
  }

  /**
   * Runs a function in the page.
   * @template {any[]} A
   * @template R
   * @param {(...args: A) => R} _act
   * @param {A} _args what JSON can hold
   * @returns {Promise<Awaited<R>>} what JSON can hold
   */
  async evaluate(_act, ..._args) {
    throw new Error("not of every browser");
  }

  /**
   * Touches the page with a finger, for a moment.
   * @param {Point} _point
   * @returns {Promise<void>}
   */
  async touch(_point) {
    throw new Error("not of every browser");
  }

  /**
   * Takes a picture of what is seen, as PNG.
   * @returns {Promise<Buffer>}
   */
  async picture() {
    throw new Error("not of every browser");
  }

  /**
   * Waits until a function in the page gives something true. A page that is just being replaced is asked again.
   * @template {any[]} A
   * @template R
   * @param {(...args: A) => R} act
   * @param {A} args
   * @returns {Promise<Awaited<R>>}
   */
  waitFor(act, ...args) {
    return this.waitAtMost(PATIENCE_MS, act, ...args);
  }

  /**
   * The same, with another patience.
   * @template {any[]} A
   * @template R
   * @param {number} patience in milliseconds
   * @param {(...args: A) => R} act
   * @param {A} args
   * @returns {Promise<Awaited<R>>}
   */
  async waitAtMost(patience, act, ...args) {
    const until = Date.now() + patience;
    let last = "it was never true";
    while (Date.now() < until) {
      try {
        const found = await this.evaluate(act, ...args);
        if (found) return found;
        last = "it was never true";
      } catch (error) {
        last = String(error);
      }
      await pause(LOOK_MS);
    }
    throw new Error(`${this.name}: waited ${patience / 1000} s in vain for ${act} of ${JSON.stringify(args)}: ${last}`);
  }

  /**
   * Taps the middle of the first element of this selector, once it is there, in sight and not covered.
   * @param {string} selector
   */
  async tap(selector) {
    const place = await this.waitFor(middle, selector).catch(async (error) => {
      throw new Error(`${this.name}: cannot tap ${selector}; the page says:\n${await this.text()}\n${error}`);
    });
    await this.touch(/** @type {Point} */ (place));
  }

  /**
   * The text of an element as it is seen.
   * @param {string} [selector] the whole page
   * @returns {Promise<string>}
   */
  text(selector = "body") {
    return this.evaluate((/** @type {string} */ wanted) => {
      const found = /** @type {HTMLElement | null} */ (document.querySelector(wanted));
      return found ? found.innerText : "";
    }, selector);
  }

  /**
   * Keeps a picture of what is seen.
   * @param {string} path of a PNG file, whose folder is made
   */
  async screenshot(path) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, await this.picture());
  }

  /**
   * What the page has asked for since this was last called.
   * @returns {Request[]}
   */
  requests() {
    return this.made.splice(0);
  }

  /**
   * Makes every thread of every page about this many times slower, workers included; 1 is full speed.
   * @param {number} times
   */
  async cpuThrottle(times) {
    if (this.throttle) {
      const ended = new Promise((resolve) => this.throttle?.once("close", resolve));
      this.throttle.kill("SIGTERM");
      await ended;
      this.throttle = undefined;
    }
    if (times <= 1) return;
    const pids = this.pages().map(String);
    const child = spawn(process.execPath, [THROTTLE, String(times), ...pids], { stdio: ["ignore", "pipe", "inherit"] });
    this.throttle = child;
    await new Promise((resolve, reject) => {
      child.stdout.once("data", resolve);
      child.once("close", () => reject(new Error("the throttle has ended")));
    });
  }

  /**
   * The processes that run pages.
   * @returns {number[]}
   */
  pages() {
    return descendants(this.program.pid);
  }

  /** Ends it as its user does, so that it writes what it writes at the end. Its folder stays. */
  async close() {
    await this.cpuThrottle(1);
    await this.program.stop();
  }

  /** Ends it and all its processes at once, as a power cut would. Its folder stays. */
  async kill9() {
    await this.cpuThrottle(1);
    await this.program.kill9();
  }

  /** Ends it, if it still runs, and removes its folder. */
  async dispose() {
    await this.kill9();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * A folder for all that a browser writes: profile, temporary files, caches, settings.
 * @param {Start} start
 * @returns {{home: string, env: NodeJS.ProcessEnv}}
 */
export function settle({ home = mkdtempSync(join(tmpdir(), "porchlight-browser-")) }) {
  const place = (/** @type {string} */ name) => {
    mkdirSync(join(home, name), { recursive: true });
    return join(home, name);
  };
  place("profile");
  const env = {
    PATH: process.env["PATH"],
    LANG: "C.UTF-8",
    TZ: "Asia/Shanghai",
    HOME: place("user"),
    TMPDIR: place("tmp"),
    XDG_CACHE_HOME: place("cache"),
    XDG_CONFIG_HOME: place("config"),
    XDG_RUNTIME_DIR: place("run"),
    DBUS_SESSION_BUS_ADDRESS: "disabled:",
  };
  return { home, env };
}

/** @param {number} ms */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * In the page: the middle of an element, if a finger there would meet it.
 * @param {string} selector
 * @returns {Point | null}
 */
function middle(selector) {
  const found = document.querySelector(selector);
  if (!found) return null;
  found.scrollIntoView({ block: "center", inline: "center" });
  const box = found.getBoundingClientRect();
  const point = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  const met = document.elementFromPoint(point.x, point.y);
  // A finger comes down on what is seen, which may be a part of what is laid out.
  const seen = window.visualViewport || { offsetLeft: 0, offsetTop: 0 };
  return box.width > 0 && met && found.contains(met) ? { x: point.x - seen.offsetLeft, y: point.y - seen.offsetTop } : null;
}
