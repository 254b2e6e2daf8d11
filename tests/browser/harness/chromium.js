// Chromium, from 67 to today's, over its DevTools protocol: only what 67 knows already, unless said otherwise.
import { readFileSync } from "node:fs";
import { Browser, settle } from "./browser.js";
import { Channel, Refused } from "./channel.js";
import { descendants, Program } from "./program.js";

/** Said to every one: nothing of its own on the network, and no sandbox, which root and the old ones cannot have. */
const SILENT = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--password-store=basic",
  "--remote-debugging-port=0",
];
/** The old ones were built for a place without a zygote; one process is also all they need. */
const ALONE = ["--single-process", "--no-zygote"];

/** Milliseconds in which a browser that has come up answers, on a busy machine; and how often it is started anew if it does not. */
const MET_MS = 20_000;
const STARTS = 3;
/** Milliseconds in which a picture is made, on a busy machine. */
const PICTURE_MS = 10_000;

/**
 * A browser that answers. The old ones, all in one process, now and then come up and say nothing: such a one is ended, and another started.
 * @param {{name: string, alone: boolean}} kind
 * @param {import("./browser.js").Start} start
 * @param {() => Program} run
 * @param {string} home
 */
async function met(kind, start, run, home) {
  for (let nth = 1; ; nth += 1) {
    const program = run();
    const [, host] = await program.hears(/DevTools listening on ws:\/\/([^/\s]+)/);
    const browser = new Chromium(kind.name, home, program, String(host));
    if (!kind.alone || nth === STARTS) return browser.meet(start).then(() => browser);
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`no answer within ${MET_MS / 1000} s`)), MET_MS).unref());
    const isMet = await Promise.race([browser.meet(start), late]).then(
      () => true,
      (error) => void console.log(`${kind.name} is started anew: ${error}`),
    );
    if (isMet) return browser;
    await browser.kill9();
  }
}

/** A Chromium. */
export class Chromium extends Browser {
  /**
   * Starts one.
   * @param {{name: string, file: string, alone: boolean, credulous: boolean}} kind
   * @param {import("./browser.js").Start} start
   * @returns {Promise<Chromium>}
   */
  static async start(kind, start) {
    const { home, env } = settle(start);
    const args = [
      ...SILENT,
      ...(kind.alone ? ALONE : []),
      ...(start.privately ? ["--incognito"] : []),
      // Believing one key keeps caching as it is in life: a page whose certificate was wrong is never kept.
      ...(start.pin ? [`--ignore-certificate-errors-spki-list=${start.pin}`] : []),
      `--user-data-dir=${home}/profile`,
      "about:blank",
    ];
    const browser = await met(kind, start, () => new Program(kind.file, args, { env }), home);
    // The security part must be on for the wish to last.
    if (kind.credulous) await browser.page.send("Security.enable");
    if (kind.credulous) await browser.page.send("Security.setIgnoreCertificateErrors", { ignore: true });
    return browser;
  }

  /**
   * @param {string} name
   * @param {string} home
   * @param {Program} program
   * @param {string} host
   */
  constructor(name, home, program, host) {
    super(name, home, program);
    this.host = host;
    /** @type {Channel} */
    this.page = /** @type {any} */ (undefined);
    /** @type {Channel} */
    this.whole = /** @type {any} */ (undefined);
    /** @type {Map<string, import("./browser.js").Request>} */
    this.asked = new Map();
    /** Headers of requests that are not known yet. @type {Map<string, Record<string, string>>} */
    this.early = new Map();
    this.loads = 0;
  }

  /**
   * @param {import("./browser.js").Start} start
   */
  async meet({ width = 360, height = 640 }) {
    const about = await this.json("version");
    this.version = about.Browser;
    this.whole = await Channel.connect(about.webSocketDebuggerUrl);
    const pages = await this.json("list");
    const page = pages.find((/** @type {any} */ target) => target.type === "page");
    this.page = await Channel.connect(page.webSocketDebuggerUrl);
    this.target = page.id;
    this.listen();
    await Promise.all(["Page", "Runtime", "Network", "Log"].map((part) => this.page.send(`${part}.enable`)));
    await this.page.send("Emulation.setTouchEmulationEnabled", { enabled: true, maxTouchPoints: 5 });
    await this.viewport(width, height);
  }

  /** @param {string} what */
  async json(what) {
    return (await fetch(`http://${this.host}/json/${what}`)).json();
  }

  listen() {
    const { page } = this;
    page.on("Page.loadEventFired", () => (this.loads += 1));
    page.on("Runtime.exceptionThrown", ({ exceptionDetails: told }) =>
      this.complaints.push(`${told.text} ${(told.exception && told.exception.description) || ""}`),
    );
    page.on("Log.entryAdded", ({ entry }) => this.complaints.push(`${entry.level}: ${entry.text} (${entry.url || ""})`));
    page.on("Network.requestWillBeSent", (sent) => this.noteRequest(sent));
    page.on("Network.requestWillBeSentExtraInfo", ({ requestId, headers }) => this.noteSent(requestId, headers));
    page.on("Network.responseReceived", ({ requestId, response }) => {
      if (response.requestHeaders) this.noteSent(requestId, response.requestHeaders);
      this.noteAnswer(requestId, { status: response.status, answerHeaders: lower(response.headers) });
    });
    page.on("Network.loadingFailed", ({ requestId, errorText }) => this.noteAnswer(requestId, { failed: errorText }));
  }

  /** @param {any} sent */
  noteRequest({ requestId, request }) {
    if (!/^https?:/.test(request.url)) return;
    const { pathname, search } = new URL(request.url);
    const headers = lower(request.headers);
    const bytes = Buffer.byteLength(request.postData || "");
    const made = { method: request.method, url: request.url, path: pathname + search, bytes, headers };
    this.asked.set(requestId, made);
    this.made.push(made);
    const sent = this.early.get(requestId);
    this.early.delete(requestId);
    if (sent) this.noteSent(requestId, sent);
  }

  /**
   * What was really sent is told apart, now earlier and now later, and not by every version.
   * @param {string} id
   * @param {Record<string, string>} sent
   */
  noteSent(id, sent) {
    const made = this.asked.get(id);
    if (!made) return void this.early.set(id, sent);
    Object.assign(made.headers, lower(sent));
    if (made.headers["content-length"]) made.bytes = Number(made.headers["content-length"]);
  }

  /**
   * @param {string} id
   * @param {Partial<import("./browser.js").Request>} answer
   */
  noteAnswer(id, answer) {
    Object.assign(this.asked.get(id) || {}, answer);
  }

  /** @override @param {string} url */
  async open(url) {
    const before = this.loads;
    const { errorText } = await this.page.send("Page.navigate", { url });
    if (errorText) throw new Refused(`${this.name}: ${url}: ${errorText}`);
    await this.until(() => this.loads > before, `${url} to load`);
  }

  /**
   * @override
   * @template {any[]} A
   * @template R
   * @param {(...args: A) => R} act
   * @param {A} args
   * @returns {Promise<Awaited<R>>}
   */
  async evaluate(act, ...args) {
    const expression = `(${act})(${args.map((arg) => JSON.stringify(arg)).join(",")})`;
    const { result, exceptionDetails: thrown } = await this.page.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (thrown) throw new Refused(`${this.name}: in the page: ${(thrown.exception && thrown.exception.description) || thrown.text}`);
    return result.value;
  }

  /** @override @param {import("./browser.js").Point} point */
  async touch(point) {
    await this.page.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [point] });
    await this.page.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  }

  /**
   * Types a text where the cursor is, key by key.
   * @param {string} text
   */
  async type(text) {
    for (const char of text) await this.page.send("Input.dispatchKeyEvent", { type: "char", text: char });
  }

  /**
   * Presses and lets go a key that writes nothing.
   * @param {"Escape" | "Shift" | "Tab" | "Enter"} key
   */
  async press(key) {
    const code = { Escape: 27, Shift: 16, Tab: 9, Enter: 13 }[key];
    const event = { key, code: key === "Shift" ? "ShiftLeft" : key, windowsVirtualKeyCode: code };
    const text = key === "Enter" ? { text: "\r" } : {};
    await this.page.send("Input.dispatchKeyEvent", { type: key === "Enter" ? "keyDown" : "rawKeyDown", ...event, ...text });
    await this.page.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  /** @override */
  async picture() {
    const ask = () => this.page.send("Page.captureScreenshot", { format: "png" });
    // 67 now and then forgets one: asked once more, it draws.
    const first = ask();
    const told = (await Promise.race([first, new Promise((resolve) => setTimeout(resolve, PICTURE_MS).unref())])) || (await Promise.any([first, ask()]));
    return Buffer.from(told.data, "base64");
  }

  /**
   * Gives the page this size, in CSS pixels of a telephone's screen with two points each.
   * @param {number} width
   * @param {number} height
   */
  async viewport(width, height) {
    await this.page.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 2, mobile: true });
  }

  /**
   * The page's entries of the browser's history, oldest first.
   * @returns {Promise<{url: string, title: string}[]>}
   */
  async history() {
    const { entries } = await this.page.send("Page.getNavigationHistory");
    return entries.map((/** @type {any} */ { url, title }) => ({ url, title }));
  }

  /**
   * Goes back, as with the button.
   * @returns {Promise<boolean>} false where there is nothing to go back to
   */
  async back() {
    const { currentIndex, entries } = await this.page.send("Page.getNavigationHistory");
    if (currentIndex === 0) return false;
    await this.page.send("Page.navigateToHistoryEntry", { entryId: entries[currentIndex - 1].id });
    // While one page takes the other's place, nothing is said about either.
    const now = () => this.page.send("Page.getNavigationHistory").catch(() => ({ currentIndex }));
    await this.until(async () => (await now()).currentIndex < currentIndex, "going back");
    await this.waitFor(() => document.readyState === "complete");
    return true;
  }

  /** Puts another page before this one, as when the user changes to another program. Today's only. */
  async hide() {
    const { targetId } = await this.whole.send("Target.createTarget", { url: "about:blank" });
    this.other = targetId;
    await this.whole.send("Target.activateTarget", { targetId });
    await this.waitFor(() => document.visibilityState === "hidden");
  }

  /** Brings this page back before the other. */
  async show() {
    await this.whole.send("Target.activateTarget", { targetId: this.target });
    if (this.other) await this.whole.send("Target.closeTarget", { targetId: this.other });
    await this.waitFor(() => document.visibilityState === "visible");
  }

  /** @override */
  pages() {
    const renderers = descendants(this.program.pid).filter((pid) => commandLine(pid).includes("--type=renderer"));
    return renderers.length > 0 ? renderers : [this.program.pid];
  }

  /** @override */
  async close() {
    await this.cpuThrottle(1);
    // It answers, or is gone before it could.
    await this.whole.send("Browser.close").catch(() => {});
    await this.program.stop();
  }

  /**
   * @param {() => boolean | Promise<boolean>} done
   * @param {string} what
   */
  async until(done, what) {
    const limit = Date.now() + 120_000;
    while (!(await done())) {
      if (Date.now() > limit || this.program.ended) throw new Error(`${this.name}: waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** @param {Record<string, string>} headers */
export function lower(headers) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}

/** @param {number} pid */
function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return ""; // It has ended meanwhile.
  }
}
