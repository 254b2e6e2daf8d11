// Who cannot reach a board: other pages of the same browser, names that point at this machine, links used twice; and what stays of one.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { join as path } from "node:path";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { Board } from "./harness/desk.js";
import { Line } from "./harness/line.js";
import { never } from "./harness/never.js";
import { Site } from "./harness/site.js";
import { search } from "./harness/traces.js";
import { whenPlainTextIsWritten } from "./harness/writing.js";

const LETTER = "marker kettle 4711, nobody else writes so";
const ANSWER = "marker lantern 0815, nobody else answers so";
const DRAFT = "marker pear 2342, half a sentence";

/** @type {Line} */
let line;
/** @type {Board} */
let board;

before(async () => {
  line = await Line.found();
  board = await Board.open({ dir: `${line.dir}/line`, passphrase: `${line.dir}/passphrase` });
  const [{ phrase }] = await line.caller("new", {});
  await line.caller("checkin", { phrase }, "--status", "talk", "--text", LETTER, "--wait", "60s");
  await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
});

after(async () => {
  await board?.close();
  await line?.dispose();
});

/**
 * One request, with exactly these headers.
 * @param {string} method
 * @param {string} at
 * @param {Record<string, string>} headers
 * @param {string} [body]
 * @returns {Promise<{status: number, headers: any, text: string}>}
 */
function knock(method, at, headers, body) {
  const { port } = new URL(board.origin);
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, method, path: at, headers, setHost: false }, (answer) => {
      let text = "";
      answer.on("data", (part) => (text += part));
      answer.on("end", () => resolve({ status: answer.statusCode || 0, headers: answer.headers, text }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/**
 * Bytes as they are, and what comes back.
 * @param {string} bytes
 * @returns {Promise<string>}
 */
function raw(bytes) {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(new URL(board.origin).port), "127.0.0.1", () => socket.write(bytes));
    socket.on("data", (part) => (text += part));
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}

test("only the board's own name and port are answered, and only its own page may ask", async () => {
  const host = new URL(board.origin).host;
  const port = new URL(board.origin).port;
  const json = { "content-type": "application/json" };
  /** @type {[string, string, string, Record<string, string>, number][]} */
  const cases = [
    ["the document", "GET", "/", { host }, 200],
    ["a name that points here", "GET", "/", { host: `attacker.example:${port}` }, 403],
    ["the name without the port", "GET", "/", { host: "127.0.0.1" }, 403],
    ["localhost", "GET", "/", { host: `localhost:${port}` }, 403],
    ["another page's script", "GET", "/js/start.js", { host, origin: "https://attacker.example" }, 403],
    ["another page of this machine", "GET", "/", { host, "sec-fetch-site": "same-site" }, 403],
    ["a link from elsewhere", "GET", "/", { host, "sec-fetch-site": "cross-site" }, 403],
    ["no origin at all", "POST", "/ask", { host, ...json }, 403],
    ["the origin null", "POST", "/ask", { host, origin: "null", ...json }, 403],
    ["another port's origin", "POST", "/do", { host, origin: "http://127.0.0.1:1", ...json }, 403],
    ["the right origin and a wrong site", "POST", "/do", { host, origin: board.origin, "sec-fetch-site": "same-site", ...json }, 403],
    ["a form", "POST", "/do", { host, origin: board.origin, "content-type": "text/plain" }, 415],
    ["a preflight", "OPTIONS", "/do", { host, origin: board.origin }, 403],
    ["no session", "POST", "/ask", { host, origin: board.origin, ...json }, 401],
    ["a guessed session", "POST", "/ask", { host, origin: board.origin, "x-desk-session": "x".repeat(32), ...json }, 401],
    ["events without a session", "GET", "/events", { host }, 401],
    ["counts without a knock", "GET", "/waiting", { host }, 401],
    ["counts with a guessed knock", "GET", "/waiting", { host, "x-desk-knock": "x".repeat(43) }, 401],
    ["a proof for nobody", "POST", "/prove", { host, origin: board.origin, ...json }, 400],
    ["a path that is none", "GET", "/js/../src/lib.rs", { host }, 404],
  ];
  for (const [name, method, at, headers, status] of cases) {
    const answer = await knock(method, at, headers, method === "POST" ? JSON.stringify({ ask: "board", from: 0, count: 9, find: "" }) : undefined);
    assert.equal(answer.status, status, name);
    assert.match(answer.headers["content-security-policy"], /default-src 'none'.*frame-ancestors 'none'.*require-trusted-types-for/, name);
    assert.equal(answer.headers["cache-control"], "no-store", name);
    assert.equal(answer.headers["access-control-allow-origin"], undefined, name);
    assert.equal(answer.headers["set-cookie"], undefined, name);
    if (status !== 200) never(/kettle|pear|nickname/.test(answer.text), `${name} sees somebody`);
  }
  const two = await raw(`GET / HTTP/1.1\r\nHost: ${host}\r\nHost: attacker.example\r\nConnection: close\r\n\r\n`);
  assert.match(two, /^HTTP\/1.1 40[03] /, "two hosts");
  const old = await raw("GET / HTTP/1.0\r\n\r\n");
  assert.match(old, /^HTTP\/1.\d 40[03] /, "no host");
});

test("a link that was used opens nothing, and the page says what to do", async () => {
  const used = new URL(board.link).hash.slice(1);
  const headers = { host: new URL(board.origin).host, origin: board.origin, "content-type": "application/json" };
  assert.equal((await knock("POST", "/begin", headers, JSON.stringify({ word: used }))).status, 401);
  assert.equal((await knock("POST", "/begin", headers, JSON.stringify({ word: "" }))).status, 401);
  assert.equal((await knock("POST", "/unlock", headers, JSON.stringify({ knock: used, passphrase: board.passphrase() }))).status, 401, "the passphrase alone is not enough");
  const thief = await launch("chromium");
  try {
    await thief.open(board.link);
    await thief.waitFor((/** @type {string} */ says) => document.body.innerText.includes(says), board.say("no_link"));
    never((await thief.text()).includes(board.say("waiting_count", { n: 1 })), "a link that was used shows the board");
    await thief.screenshot(new URL("../../target/browsers/screenshots/board/no-link.png", import.meta.url).pathname);
  } finally {
    await thief.dispose();
  }
});

test("a hostile page in the same browser learns nothing and does nothing", async () => {
  const server = createServer((_, answer) => {
    answer.writeHead(200, { "content-type": "text/html" });
    answer.end("<!doctype html><title>shop</title><body><form method=post enctype=text/plain><input name='{\"do\":\"burn\",\"x\":\"' value='\"}'></form>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  const { targetId } = await board.browser.whole.send("Target.createTarget", { url: `http://127.0.0.1:${port}/` });
  try {
    const other = await import("./harness/channel.js");
    const pages = await board.browser.json("list");
    const page = await other.Channel.connect(pages.find((/** @type {any} */ one) => one.id === targetId).webSocketDebuggerUrl);
    // At first it is an empty page still.
    const where = async () => (await page.send("Runtime.evaluate", { expression: "location.port + document.readyState" })).result.value;
    while ((await where()) !== `${port}complete`) await pause(50);
    const tried = async (/** @type {string} */ origin) => {
      const get = async (/** @type {string} */ at, /** @type {any} */ how) => {
        try {
          const answer = await fetch(origin + at, how);
          return `${answer.type} ${answer.status} ${(await answer.text()).length}`;
        } catch {
          return "refused";
        }
      };
      const loads = (/** @type {string} */ tag, /** @type {string} */ at) => new Promise((resolve) => {
        const one = /** @type {any} */ (document.createElement(tag));
        one.onload = () => resolve("loaded");
        one.onerror = () => resolve("refused");
        one.src = origin + at;
        document.body.append(one);
        setTimeout(() => resolve("nothing"), 15_000);
      });
      const framed = await /** @type {any} */ (loads)("iframe", "/");
      const frame = document.querySelector("iframe");
      let inside = "closed";
      try {
        inside = frame && frame.contentDocument ? String(frame.contentDocument.body.innerText) : "closed";
      } catch {
        // Another origin: closed.
      }
      const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
      form.target = "elsewhere";
      form.action = `${origin}/do`;
      form.submit();
      const opened = window.open(`${origin}/`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      let through = "closed";
      try {
        through = opened && opened.document ? opened.document.title : "closed";
      } catch {
        // Another origin: closed.
      }
      return {
        plain: await get("/", {}),
        ask: await get("/ask", { method: "POST", headers: { "content-type": "application/json", "x-desk-session": "x" }, body: "{}" }),
        blind: await get("/do", { method: "POST", mode: "no-cors", body: '{"do":"burn"}' }),
        script: await loads("script", "/js/net.js"),
        picture: await loads("img", "/"),
        events: await new Promise((resolve) => {
          const source = new EventSource(`${origin}/events`);
          source.onmessage = () => resolve("heard");
          source.onerror = () => (source.close(), resolve("refused"));
        }),
        framed,
        inside,
        through,
      };
    };
    const { result, exceptionDetails: failed } = await page.send("Runtime.evaluate", { expression: `(${tried})(${JSON.stringify(board.origin)})`, awaitPromise: true, returnByValue: true });
    assert.equal(failed, undefined, JSON.stringify(failed));
    const told = result.value;
    for (const way of ["plain", "ask", "script", "picture", "events"]) never(told[way] !== "refused", `a page of somebody else's gets an answer: ${way}: ${JSON.stringify(told)}`);
    assert.match(told.blind, /^(refused|opaque 0 0)$/);
    assert.match(told.inside, /^(closed|)$/);
    assert.match(told.through, /^(closed|)$/);
  } finally {
    await board.browser.whole.send("Target.closeTarget", { targetId });
    server.close();
  }
  await board.browser.page.send("Page.bringToFront");
  await board.browser.waitFor(() => document.visibilityState === "visible");
  assert.ok(statSync(`${line.dir}/line/vault/header`).isFile(), "nothing was burned");
});

test("a reload asks for the passphrase and no new link; a lock voids every other page", async () => {
  const { page } = board.browser;
  await page.send("Page.reload");
  await board.sees(board.say("locked"));
  assert.equal(await board.browser.evaluate(() => location.hash), "", "no word in the address");
  await board.unlock();
  const kept = await board.browser.evaluate(() => JSON.stringify([Object.keys(sessionStorage).sort(), Object.keys(localStorage), document.cookie]));
  assert.equal(kept, JSON.stringify([["door"], [], ""]));
});

test("without a sign of the worker it locks by itself, and letters are still fetched", async () => {
  const practice = await Board.open(null, { options: ["--lock-after", "12s"] });
  try {
    // With a thread open, which is drawn anew whenever the invented team says something.
    await practice.person(String((await practice.names())[0]));
    await practice.sees(practice.say("locked"));
  } finally {
    await practice.close();
  }
});

test("a relay that serves callers another page is named above every screen", async () => {
  const other = await Line.found();
  const vault = { dir: `${other.dir}/line`, passphrase: `${other.dir}/passphrase` };
  await other.relay.stop();
  const page = { type: "text/html; charset=utf-8", body: "<!doctype html><title>报平安</title><script src=https://attacker.example/></script>" };
  const site = await Site.open(other.relay.identity, { [`/${other.gate}`]: page }, Number(other.relay.address.split(":")[1]));
  const watching = await Board.open(vault);
  try {
    await watching.sees(watching.say("page_not", { n: 0 }));
    await watching.picture("not-the-page");
  } finally {
    await watching.close();
    await site.close();
    await other.dispose();
  }
});

test("beside a watch of the same directory it draws, and sends when that has ended", async () => {
  const other = await Line.found();
  const watch = await other.watch();
  const beside = await Board.open({ dir: `${other.dir}/line`, passphrase: `${other.dir}/passphrase` });
  try {
    await beside.sees(beside.say("elsewhere"));
    const [{ phrase }] = await other.caller("new", {});
    await other.caller("checkin", { phrase }, "--status", "talk", "--text", LETTER, "--wait", "60s");
    await beside.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
    await watch.stop();
    await beside.misses(beside.say("elsewhere"));
    await beside.person(String((await beside.names())[0]));
    await beside.write(ANSWER);
    await beside.key("Ctrl+Enter");
    await beside.sees(beside.say("answer_with_the_relay"));
  } finally {
    await beside.close();
    await watch.stop();
    await other.dispose();
  }
});

test("every file is its owner's alone, and neither the directory nor the browser holds a word of anybody's", { timeout: 300_000 }, async (t) => {
  const [name] = await board.names();
  await board.person(String(name));
  await board.sees(LETTER);
  await board.write(ANSWER);
  await board.key("Ctrl+Enter");
  await board.sees(board.say("answer_with_the_relay"));
  await board.write(DRAFT);
  await whenPlainTextIsWritten("chromium");
  for (const file of files(`${line.dir}/line`)) {
    const mode = statSync(file).mode & 0o777;
    if (/vault|posting/.test(file)) never((mode & 0o077) !== 0, `somebody else may open ${file}: ${mode.toString(8)}`);
  }
  const markers = [LETTER, ANSWER, DRAFT, board.passphrase(), String(name)].map((what) => ({ name: what, what }));
  for (const folder of ["files", "line"]) never(search(`${line.dir}/${folder}`, markers).length > 0, `words lie open in ${folder}`);
  await board.browser.kill9();
  const left = search(board.browser.home, markers);
  for (const { marker, file, form } of left) t.diagnostic(`left: ${marker}: ${file} (${form})`);
  never(left.length > 0, JSON.stringify(left));
});

/** @param {string} folder @returns {string[]} */
function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? files(path(folder, entry.name)) : [path(folder, entry.name)]));
}
