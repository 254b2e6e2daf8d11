// The page begins: by a link, or by the passphrase; and from then on looks again whenever the program says that something changed.
import * as net from "./net.js";
import { app, show, title, uncover } from "./frame.js";
import { askPassphrase, burned, countBehindLock, noLink, gone } from "./lock.js";
import { learn } from "./words.js";
import { listenToKeys } from "./keys.js";
import { alertOf } from "./alert.js";
import { board, forgetPlace } from "./board.js";
import { person } from "./person.js";
import { kept } from "./composer.js";
import { scrapKept } from "./scrap.js";
import { handover } from "./handover.js";
import { rota } from "./rota.js";
import { devices } from "./devices.js";
import { guide } from "./guide.js";

/** How often at most this page says that its worker is there, in milliseconds. */
const TOUCH_EVERY = 20_000;
/** How long after news the screen looks again, so that several at once are one. */
const SETTLE = 120;

let touched = -TOUCH_EVERY;
let letters = -1;
let looking = 0;
/** Whether the Lock screen is shown. */
let shut = false;

app.go = (name, id) => {
  const screens = { board, handover, rota, devices, guide };
  app.again = () => app.go(name, id);
  void show(name === "person" ? person(String(id)) : screens[/** @type {keyof typeof screens} */ (name)]());
};

app.settled = () => Promise.all([kept(), scrapKept()]);

app.locked = () => {
  // Whoever hears of a lock after the program has ended stays where that is said.
  if (shut || !net.hasDoor()) return;
  shut = true;
  clear();
  askPassphrase(() => void begin());
  void beBehindLock();
};

app.gone = () => {
  shut = false;
  clear();
  net.leave();
  gone();
};

app.burned = (what) => {
  const ending = net.ending();
  clear();
  net.leave();
  burned(what, ending);
};

/** Goes on hearing how many wait, so that a worker who sleeps beside a locked board can be woken. */
async function beBehindLock() {
  const ended = await net.listenLocked((counts) => {
    countBehindLock(counts);
    count(counts);
  });
  if (ended === "gone") app.gone();
  if (ended === "locked") noLink();
}

/** Nothing of anybody's stays on the page or in it. */
function clear() {
  app.screen?.close?.();
  app.screen = null;
  app.header = null;
  forgetPlace();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.remove());
  if (app.covered) uncover();
  net.forget();
}

/** Says how many wait, and rings for a letter. @param {{waiting: number, letters: number}} counts */
function count(counts) {
  title(counts.waiting);
  if (letters >= 0 && counts.letters > letters) alertOf(counts.waiting);
  letters = counts.letters;
}

/** @param {net.News} news */
function hear(news) {
  count(news);
  clearTimeout(looking);
  looking = setTimeout(look, SETTLE);
}

function look() {
  if (!app.covered && document.visibilityState === "visible") void app.screen?.refresh();
}

async function begin() {
  shut = false;
  app.go("board");
  const ended = await net.listen(hear);
  if (ended === "locked" && app.screen) app.locked();
  if (ended === "gone") app.gone();
}

/** @param {Event} event */
function touch(event) {
  if (!app.screen || event.timeStamp - touched < TOUCH_EVERY) return;
  touched = event.timeStamp;
  void net.act("touch").catch(() => {});
}

async function start() {
  await learn();
  listenToKeys();
  addEventListener("keydown", touch);
  addEventListener("pointerdown", touch);
  addEventListener("wheel", touch, { passive: true });
  document.addEventListener("visibilitychange", look);
  const came = await net.begin().catch(() => /** @type {const} */ ("no"));
  if (came === "in") return void begin();
  if (net.hasDoor()) return app.locked();
  noLink();
}

void start();
