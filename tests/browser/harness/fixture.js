// The tests' own pages, on a site that looks like a relay.
import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { WORKSPACE } from "./browsers.js";
import { Relay } from "./line.js";
import { run } from "./program.js";
import { Site } from "./site.js";

const TYPES = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript" };
const CORE = `${WORKSPACE}/target/wasm32v1-none/wasm/porchlight_web_core.wasm`;

/** The pages, up. */
export class Fixture {
  /**
   * Opens them. `gzip` and `brotli` are texts that a browser may keep, sent packed.
   * @param {{gzip?: string, brotli?: string}} [kept]
   */
  static async open({ gzip = "", brotli = "" } = {}) {
    const build = ["build", "-q", "--locked", "-p", "porchlight-web-core", "--target", "wasm32v1-none", "--profile", "wasm"];
    await run("cargo", build, { cwd: WORKSPACE });
    const relay = await Relay.make();
    const named = ["page.html", "page.css", "page.js", "worker.js", "keeps.html", "keeps.js"].map((name) => {
      const type = TYPES[/** @type {keyof typeof TYPES} */ (name.replace(/^.*\./, ""))];
      return [`/${name}`, { type, body: readFileSync(new URL(`../fixture/${name}`, import.meta.url)) }];
    });
    const packed = (/** @type {string} */ coding, /** @type {Buffer} */ body) => ({
      type: "text/plain",
      body,
      headers: { "content-encoding": coding, "cache-control": "max-age=86400" },
    });
    const site = await Site.open(relay.identity, {
      ...Object.fromEntries(named),
      "/core.wasm": { type: "application/wasm", body: readFileSync(CORE) },
      "/post": { type: "application/octet-stream", body: Buffer.alloc(16) },
      "/gzip.txt": packed("gzip", gzipSync(gzip)),
      "/brotli.txt": packed("br", brotliCompressSync(Buffer.from(brotli))),
    });
    return new Fixture(relay, site);
  }

  /**
   * @param {Relay} relay
   * @param {Site} site
   */
  constructor(relay, site) {
    this.relay = relay;
    this.site = site;
  }

  /** The key that browsers are to believe. */
  get pin() {
    return this.relay.pin;
  }

  /** Takes them down. */
  async close() {
    await this.site.close();
    await this.relay.dispose();
  }
}
