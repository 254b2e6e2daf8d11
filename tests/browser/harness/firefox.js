// Debian's Firefox over WebDriver BiDi, which it speaks by itself.
import { writeFileSync } from "node:fs";
import { Browser, settle } from "./browser.js";
import { Channel, Refused } from "./channel.js";
import { lower } from "./chromium.js";
import { descendants, Program } from "./program.js";

/** Nothing of its own on the network; and what a remote control changes by itself, so as to be quicker, stays as in life. */
const SETTINGS = {
  "remote.prefs.recommended": false,
  "app.normandy.enabled": false,
  "app.update.disabledForTesting": true,
  "app.shield.optoutstudies.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.newtabpage.enabled": false,
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.safebrowsing.update.enabled": false,
  "browser.search.update": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "browser.startup.page": 0,
  "browser.translations.enable": false,
  "captivedetect.canonicalURL": "",
  "datareporting.healthreport.uploadEnabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "dom.w3c_touch_events.enabled": 1,
  "dom.push.connection.enabled": false,
  "extensions.getAddons.cache.enabled": false,
  "extensions.systemAddon.update.enabled": false,
  "extensions.update.enabled": false,
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "network.dns.native-is-localhost": false,
  "region.network.url": "",
  "services.settings.server": "",
  "signon.autofillForms": false,
  "toolkit.telemetry.enabled": false,
  "toolkit.telemetry.server": "",
  "toolkit.telemetry.unified": false,
};

/** A Firefox. */
export class Firefox extends Browser {
  /**
   * Starts one.
   * @param {{name: string, file: string}} kind
   * @param {import("./browser.js").Start} start
   * @returns {Promise<Firefox>}
   */
  static async start(kind, start) {
    const { home, env } = settle(start);
    const settings = { ...SETTINGS, "browser.privatebrowsing.autostart": Boolean(start.privately) };
    const lines = Object.entries(settings).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
    writeFileSync(`${home}/profile/user.js`, `${lines.join("\n")}\n`);
    const args = ["--headless", "--no-remote", "--profile", `${home}/profile`, "--remote-debugging-port=0", "about:blank"];
    const program = new Program(kind.file, args, { env });
    const [, url] = await program.hears(/WebDriver BiDi listening on (ws:\/\/\S+)/);
    const browser = new Firefox(kind.name, home, program, await Channel.connect(`${url}/session`));
    await browser.meet(start);
    return browser;
  }

  /**
   * @param {string} name
   * @param {string} home
   * @param {Program} program
   * @param {Channel} channel
   */
  constructor(name, home, program, channel) {
    super(name, home, program);
    this.channel = channel;
    this.context = "";
    /** @type {Map<string, import("./browser.js").Request>} */
    this.asked = new Map();
  }

  /** @param {import("./browser.js").Start} start */
  async meet({ width = 360, height = 640 }) {
    const { capabilities } = await this.channel.send("session.new", {
      capabilities: { alwaysMatch: { acceptInsecureCerts: true } },
    });
    this.version = `Firefox/${capabilities.browserVersion}`;
    const { contexts } = await this.channel.send("browsingContext.getTree");
    this.context = contexts[0].context;
    this.listen();
    await this.channel.send("session.subscribe", {
      events: ["network.beforeRequestSent", "network.responseCompleted", "network.fetchError", "log.entryAdded"],
    });
    await this.viewport(width, height);
  }

  listen() {
    this.channel.on("log.entryAdded", ({ level, text }) => {
      if (level === "error" || level === "warn") this.complaints.push(`${level}: ${text}`);
    });
    this.channel.on("network.beforeRequestSent", ({ request }) => this.noteRequest(request));
    this.channel.on("network.responseCompleted", ({ request, response }) =>
      Object.assign(this.asked.get(request.request) || {}, { status: response.status, answerHeaders: plain(response.headers) }),
    );
    this.channel.on("network.fetchError", ({ request, errorText }) =>
      Object.assign(this.asked.get(request.request) || {}, { failed: errorText }),
    );
  }

  /** @param {any} request */
  noteRequest({ request: id, method, url, headers, bodySize }) {
    if (!/^https?:/.test(url)) return;
    const { pathname, search } = new URL(url);
    const made = { method, url, path: pathname + search, bytes: bodySize || 0, headers: plain(headers) };
    this.asked.set(id, made);
    this.made.push(made);
  }

  /** @override @param {string} url */
  async open(url) {
    await this.channel.send("browsingContext.navigate", { context: this.context, url, wait: "complete" });
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
    // What comes back is a text of JSON: BiDi's own way of telling values is another.
    const call = `(${act})(${args.map((arg) => JSON.stringify(arg)).join(",")})`;
    const told = await this.channel.send("script.evaluate", {
      expression: `Promise.resolve(${call}).then((value) => JSON.stringify(value))`,
      target: { context: this.context },
      awaitPromise: true,
    });
    if (told.type === "exception") throw new Refused(`${this.name}: in the page: ${told.exceptionDetails.text}`);
    return told.result.type === "string" ? JSON.parse(told.result.value) : /** @type {any} */ (undefined);
  }

  /** @override @param {import("./browser.js").Point} point */
  async touch({ x, y }) {
    const at = { x: Math.round(x), y: Math.round(y) };
    const actions = [{ type: "pointerMove", ...at }, { type: "pointerDown", button: 0 }, { type: "pointerUp", button: 0 }];
    await this.act({ type: "pointer", id: "finger", parameters: { pointerType: "touch" }, actions });
  }

  /**
   * Types a text where the cursor is, key by key.
   * @param {string} text
   */
  async type(text) {
    const actions = [...text].flatMap((value) => [{ type: "keyDown", value }, { type: "keyUp", value }]);
    await this.act({ type: "key", id: "keys", actions });
  }

  /**
   * Presses and lets go a key that writes nothing.
   * @param {"Escape" | "Shift" | "Tab" | "Enter"} key
   */
  async press(key) {
    const value = { Escape: "\uE00C", Shift: "\uE008", Tab: "\uE004", Enter: "\uE007" }[key];
    await this.act({ type: "key", id: "keys", actions: [{ type: "keyDown", value }, { type: "keyUp", value }] });
  }

  /** @param {object} source */
  async act(source) {
    await this.channel.send("input.performActions", { context: this.context, actions: [source] });
  }

  /** @override */
  async picture() {
    const { data } = await this.channel.send("browsingContext.captureScreenshot", { context: this.context, origin: "viewport" });
    return Buffer.from(data, "base64");
  }

  /**
   * Gives the page this size, in CSS pixels of a telephone's screen with two points each.
   * @param {number} width
   * @param {number} height
   */
  async viewport(width, height) {
    await this.channel.send("browsingContext.setViewport", {
      context: this.context,
      viewport: { width, height },
      devicePixelRatio: 2,
    });
  }

  /**
   * Goes back, as with the button.
   * @returns {Promise<boolean>} false where there is nothing to go back to
   */
  async back() {
    try {
      await this.channel.send("browsingContext.traverseHistory", { context: this.context, delta: -1 });
    } catch (error) {
      if (error instanceof Refused && error.message.startsWith("no such history entry")) return false;
      throw error;
    }
    await this.waitFor(() => document.readyState === "complete");
    return true;
  }

  /** Puts another page before this one, as when the user changes to another program. */
  async hide() {
    const { context } = await this.channel.send("browsingContext.create", { type: "tab", background: false });
    this.other = context;
    await this.waitFor(() => document.visibilityState === "hidden");
  }

  /** Brings this page back before the other. */
  async show() {
    await this.channel.send("browsingContext.activate", { context: this.context });
    if (this.other) await this.channel.send("browsingContext.close", { context: this.other });
    await this.waitFor(() => document.visibilityState === "visible");
  }

  /** @override */
  pages() {
    return descendants(this.program.pid);
  }

  /** @override */
  async close() {
    await this.cpuThrottle(1);
    // It answers, or is gone before it could.
    await this.channel.send("browser.close").catch(() => {});
    await this.program.stop();
  }
}

/** @param {{name: string, value: {type: string, value: string}}[]} headers */
function plain(headers) {
  return lower(Object.fromEntries(headers.map(({ name, value }) => [name, value.value])));
}
