// A whole exchange through an ordinary website: the page, the native program and the desk, with nginx in front as deploy/nginx.conf has it.
import assert from "node:assert/strict";
import { connect } from "node:http2";
import { after, before, test } from "node:test";
import { launch } from "./harness/browsers.js";
import { Front, PAGES } from "./harness/front.js";
import { Her } from "./harness/her.js";
import { Line } from "./harness/line.js";
import { never } from "./harness/never.js";

const ANSWER = "We are here.";

/** @type {Line} */
let line;
/** @type {Front} */
let front;
/** @type {import("./harness/program.js").Program} */
let watch;

before(async () => {
  line = await Line.found({ make: async () => (front = await Front.make()) });
  watch = await line.watch();
});

after(async () => {
  await watch?.stop();
  await line?.dispose();
});

/**
 * What the website says to a path.
 * @param {string} path
 * @returns {Promise<string>}
 */
function asked(path) {
  return new Promise((resolve, reject) => {
    const session = connect(`https://${front.address}`, { rejectUnauthorized: false });
    session.on("error", reject);
    const request = session.request({ ":path": path });
    let text = "";
    request.setEncoding("utf8").on("data", (piece) => (text += piece));
    request.on("end", () => (session.close(), resolve(text)));
  });
}

test("she writes at a page that comes through the website, is answered, comes back and reads; and the website knows nothing of it", async () => {
  const browser = await launch("chromium", { pin: front.pin });
  try {
    const her = new Her(browser, "en", "front");
    await her.arrive(line.url);
    await her.begin();
    await her.checkIn("talk");
    await her.arrived();
    const words = await her.learn();
    await her.choose("go_on");
    await her.at("sent");
    await her.choose("write_words");
    await her.at("write");
    await browser.tap("textarea");
    await browser.type("through the bakery");
    await her.choose("send");
    await her.arrived();
    await line.desk("desk answer", await line.whoWrote("through the bakery"), "--text", ANSWER);
    await her.hears(her.say("read_answer"));
    assert.equal(await her.read(), ANSWER);
    await her.leave();
    await her.arrive(line.url);
    await her.comeBack(words);
    await her.at("hub");
  } finally {
    await browser.dispose();
  }
  // The control: what is no gate's is the website's, and is written down.
  assert.equal(await asked("/"), PAGES["index.html"]);
  assert.equal(await asked("/news/of-today"), PAGES["sold-out.html"]);
  assert.match(front.logs(), /GET \/news\/of-today /);
  never(front.logs().includes(line.gate), "the website wrote a gate down");
});

test("the native program is receipted and answered through the website", async () => {
  const [{ phrase }] = await line.caller("new", {});
  const said = await line.caller("checkin", { phrase }, "--status", "talk", "--text", "from a terminal", "--wait", "60s");
  assert.ok(said.some(({ event }) => event === "receipt"), JSON.stringify(said));
  await line.desk("desk answer", await line.whoWrote("from a terminal"), "--text", ANSWER, "--wait", "60s");
  const read = await line.caller("read", { phrase }, "--wait", "60s");
  assert.ok(read.some(({ text }) => text === ANSWER), JSON.stringify(read));
});
