// The worst day at a board: a vault is burned with and without a relay, one relay of two is sick, a notice is raised while one hangs,
// a device is put out by two.
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { Board, join } from "./harness/desk.js";
import { Line, Relay } from "./harness/line.js";

/** @type {Line} */
let line;
const first = () => ({ dir: `${line.dir}/line`, passphrase: `${line.dir}/passphrase` });

before(async () => {
  line = await Line.found();
});

after(async () => {
  await line?.dispose();
});

/** @param {Board} board */
async function burn(board) {
  await board.go("devices");
  await board.press(board.say("burn"), "section.burn");
  await board.fill(board.say("burn_field"), board.say("burn_word"));
  await board.press(board.say("burn"));
}

test("burned and told: the keys are gone before anybody is told, and the team hears of it", { timeout: 120_000 }, async () => {
  const vault = await join(line, "told");
  const [one, two] = [await Board.open(first()), await Board.open(vault)];
  try {
    await one.go("devices");
    await burn(two);
    await two.sees(two.say("burned_says"));
    assert.ok(!existsSync(`${vault.dir}/vault`), "the page says it when it is done");
    await two.sees(two.say("burned_told"));
    await two.picture("burned");
    await two.program.hears(/"event":"burned".*"told":true/);
    assert.equal(await two.program.end, 0);
    assert.ok(!existsSync(vault.dir));
    await one.sees(one.say("revoked"));
  } finally {
    await Promise.all([one.close(), two.close()]);
  }
});

test("burned and not told: no relay answers, and the keys do not wait for one", { timeout: 120_000 }, async () => {
  const vault = await join(line, "untold");
  const board = await Board.open(vault);
  try {
    await line.relay.stop();
    await burn(board);
    await board.sees(board.say("burned_telling"));
    assert.ok(!existsSync(`${vault.dir}/vault`), "while it is still trying to tell, the vault is gone");
    await board.sees(board.say("burned_untold"));
    await board.program.hears(/"event":"burned".*"told":false/);
    await board.program.hears(/the team was not told/);
    assert.equal(await board.program.end, 0);
  } finally {
    await board.close();
    await line.relay.start();
  }
});

test("not burned whole: the page and the program say what is left, and the team is told all the same", { timeout: 120_000 }, async () => {
  const vault = await join(line, "stuck");
  const board = await Board.open(vault);
  try {
    // Nothing overwrites a folder.
    mkdirSync(`${vault.dir}/vault/wedge/within`, { recursive: true });
    await burn(board);
    await board.sees(board.say("not_burned"));
    await board.sees("wedge");
    await board.sees(board.say("burned_told"));
    await board.picture("not-burned");
    await board.program.hears(/could not be destroyed whole: .*wedge/);
    assert.notEqual(await board.program.end, 0);
    assert.deepEqual(readdirSync(`${vault.dir}/vault`), ["wedge"], "the rest is gone");
  } finally {
    await board.close();
  }
});

test("burned alone: there was nobody to tell", { timeout: 120_000 }, async () => {
  const alone = await Line.found();
  const board = await Board.open({ dir: `${alone.dir}/line`, passphrase: `${alone.dir}/passphrase` });
  try {
    await burn(board);
    await board.sees(board.say("burned_alone"));
    await board.program.hears(/"event":"burned".*"told":null/);
  } finally {
    await board.close();
    await alone.dispose();
  }
});

/** A line on two relays; the second is at this address. @param {Relay} other @param {string} at */
async function onTwo(other, at) {
  const two = await Line.found({ options: ["--relay", `https://${at}`, "--relay-pin", other.pin] });
  appendFileSync(`${other.dir}/relay.toml`, `\n${readFileSync(`${two.dir}/line/relay-1.toml`)}`);
  return two;
}

test("one sick relay of two is named above every screen; one that lost its disk until a worker has seen it", { timeout: 240_000 }, async () => {
  const other = await Relay.make();
  const two = await onTwo(other, other.address);
  await other.start();
  await two.desk("line publish");
  const board = await Board.open({ dir: `${two.dir}/line`, passphrase: `${two.dir}/passphrase` });
  const said = () => board.browser.evaluate(() => String(document.getElementById("notices")?.innerText));
  const sick = board.say("relay_sick", { n: 1, what: "" });
  const lost = board.say("relay_lost", { n: 1, when: "\u0000" }).split("\u0000");
  try {
    await board.browser.waitFor(() => !!document.getElementById("notices"));
    assert.ok(!(await said()).includes(sick));
    await other.stop();
    await board.sees(`${sick}${board.say("relay_unreachable", { when: "" }).slice(0, 10)}`);
    assert.ok(!(await said()).includes(board.say("no_relay")), "the other one goes on");
    await board.picture("one-relay");
    assert.deepEqual(await board.axe(), []);

    // It comes back without its disk, but for its certificate.
    for (const name of readdirSync(`${other.dir}/relay`)) if (name !== "tls") rmSync(`${other.dir}/relay/${name}`, { recursive: true });
    await other.start();
    await board.sees(String(lost[0]));
    await board.sees(String(lost[1]));
    await board.browser.waitFor((/** @type {string} */ text) => !document.getElementById("notices")?.innerText.includes(text), sick);
    assert.ok((await said()).includes(String(lost[1])), "it is well again, and what it lost is still said");
    await board.picture("lost-disk");
    await board.press(board.say("seen_it"));
    await board.misses(String(lost[1]));
  } finally {
    await board.close();
    await other.dispose();
    await two.dispose();
  }
});

test("a notice is raised while one relay hangs, and the board goes on meanwhile", { timeout: 240_000 }, async () => {
  // It takes what it is sent and never answers.
  const other = await Relay.make();
  const sockets = new Set();
  const mute = createServer((socket) => {
    sockets.add(socket);
    socket.resume();
    socket.on("error", () => {});
  });
  await new Promise((resolve) => mute.listen(Number(other.address.split(":")[1]), "127.0.0.1", () => resolve(null)));
  const two = await onTwo(other, other.address);
  const board = await Board.open({ dir: `${two.dir}/line`, passphrase: `${two.dir}/passphrase` });
  try {
    await board.go("devices");
    await board.press(board.say("bulletin_raise"));
    await board.sees(board.say("bulletin_raise_says"));
    await board.press(board.say("bulletin_raise"));
    await board.sees(board.say("bulletin_raising"));
    const began = Date.now();
    await board.go("rota");
    const took = Date.now() - began;
    assert.ok(!(await board.browser.text()).includes(board.say("bulletin_raised", { n: 1, of: 2 })), "it still waits for the other");
    await board.sees(board.say("bulletin_raised", { n: 1, of: 2 }));
    const waited = Date.now() - began;
    assert.ok(took < waited, `another screen in ${took} ms, the result after ${waited} ms`);

    await board.go("devices");
    await board.press(board.say("bulletin_void"));
    await board.sees(board.say("bulletin_void_says"));
    await board.press(board.say("bulletin_void"), "dialog");
    await board.sees(board.say("handing_in"));
    await board.sees(board.say("bulletin_voiding", { n: 1, of: 2 }));
  } finally {
    await board.close();
    sockets.forEach((socket) => socket.destroy());
    mute.close();
    await other.dispose();
    await two.dispose();
  }
});
