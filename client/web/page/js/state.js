// What one visit knows, and how it changes. Nothing of it outlives the page.

/**
 * A letter of this visit. `seq` is 0 while the words are still being stretched.
 * @typedef {{seq: number, isSafe: boolean, state: "waiting" | "in_box" | "receipt" | "withdrawn" | "too_late", isWithdrawal: boolean}} Letter
 */

/** @typedef {{text: string, status: number, next: number, quiet: boolean, relative: boolean, isSafe: boolean}} Draft */

let pack = new Pack("zh");

/** @type {Core | null} */
let core = null;
/** @type {Beats | null} */
let beats = null;
/** @type {Worker | null} */
let worker = null;

/** Whether she came for the first time: then words are drawn for her and taught after her first letter. */
let isNew = false;
/** @type {number[]} the drawn words' indexes, for as long as they may be shown */
let drawnWords = [];
let areLearned = false;
/** Whether the visit knows her words. */
let isKnown = false;
/** @type {number[]} the three little pictures */
let pictures = [];
/** Whether she is in her room: she has said that the pictures are hers, or is new. */
let isHers = false;
/** @type {HTMLTextAreaElement | null} what she writes in: not in the document while she is told not to go */
let field = null;

/** @type {Letter[]} */
let letters = [];
/** @type {Array<() => void>} */
let waiting = [];
/** @type {VisitEvent[]} */
let answers = [];
/** @type {Set<string>} answers that a stop covers */
const stopped = new Set();
/** @type {VisitEvent[]} */
let stops = [];
/** @type {Set<string>} answers that she has opened */
const opened = new Set();
/** How far the bulletin has come: not before her yet, before her alone, with a button to put it away, put away. */
let bulletinStep = 0;
let bulletinTimer = 0;
/** Goes on with what the bulletin took the place of. @type {() => void} */
let bulletinBack = () => {};
let hasEarlierReceipt = false;
/** Whether the network went quiet, so that the beats stopped. */
let isQuiet = false;

/** What the line says: where Close leads, the other door, its root. @type {{root: string, leave: string, door: string} | null} */
let lineFacts = null;

/** Forgets everything: called on leaving. */
function forget() {
  if (beats) beats.stop();
  if (core) core.wipe();
  if (worker) worker.terminate();
  entry.wipe();
  drawnWords.fill(0);
  drawnWords = [];
  pictures.fill(0);
  forgetRoom();
  if (field) field.value = "";
  field = null;
  worker = null;
  beats = null;
  core = null;
}

/** Forgets the room that her words opened: it is not hers. Her next words open another, and the core forgets this one then. */
function forgetRoom() {
  isKnown = false;
  pictures = [];
  letters = [];
  waiting = [];
  answers = [];
  stops = [];
  stopped.clear();
  opened.clear();
  hasEarlierReceipt = false;
}

/**
 * Takes what happened in the visit.
 * @param {VisitEvent[]} events
 */
function take(events) {
  for (const event of events) takeOne(event);
  refresh();
}

/** @param {VisitEvent} event */
function takeOne(event) {
  // Of a room that is not hers, until her words are there.
  if (!isKnown && event.event !== "bulletin") return;
  const letter = letters.find((one) => one.seq === event.seq && one.isSafe === Boolean(event.safeguarding));
  switch (event.event) {
    case "in_box":
      if (letter && letter.state === "waiting") letter.state = "in_box";
      break;
    case "receipt":
      if (letter && letter.state !== "withdrawn" && letter.state !== "too_late") letter.state = "receipt";
      break;
    case "withdrawn":
      if (letter) letter.state = "withdrawn";
      break;
    case "too_late":
      if (letter) letter.state = "too_late";
      break;
    case "earlier_receipt":
      if (!event.safeguarding) hasEarlierReceipt = true;
      break;
    case "bulletin":
      bulletinStep = 0;
      break;
    case "answer":
      takeAnswer(event);
      break;
    default:
  }
}

/**
 * An answer or a stop. A stop is shown as one, and what it covers is not shown any more.
 * @param {VisitEvent} event
 */
function takeAnswer(event) {
  answers.push(event);
  if (event.stop) stops.push(event);
  for (const stop of stops) {
    for (const answer of answers) {
      if (answer.stop || answer.safeguarding !== stop.safeguarding) continue;
      if (stop.stops.length ? stop.stops.indexOf(answer.id) >= 0 : answer.n < stop.n) stopped.add(answer.id);
    }
  }
  // A stop is read before everything else; the rest in the order it was written.
  answers.sort((a, b) => Number(b.stop) - Number(a.stop) || a.written - b.written || a.n - b.n);
}

/** The answers that may be shown now. */
function shownAnswers() {
  const now = lineNow() / 1000;
  return answers.filter((answer) => !stopped.has(answer.id) && now <= answer.good_until);
}

/** The answers that she has not opened. */
function unread() {
  return shownAnswers().filter((answer) => !opened.has(answer.id));
}

/** The line's clock, in milliseconds. */
function lineNow() {
  if (!beats || !beats.plan) return Date.now();
  return beats.plan.now + (performance.now() - beats.plannedAt);
}

/** The newest letter of hers that is not a withdrawal. */
function newest() {
  const own = letters.filter((letter) => !letter.isWithdrawal);
  return own[own.length - 1];
}

/**
 * Stretches words in the worker and makes them the visit's.
 * @param {Uint8Array} words 48 bytes: eight indexes, and the line's id
 * @returns {Promise<void>}
 */
function know(words) {
  const asked = /** @type {Worker} */ (worker);
  return new Promise((resolve) => {
    asked.onmessage = ({ data }) => {
      if (!core || !beats) return;
      const events = core.json("know", data, beats.now());
      data.fill(0);
      if (!events) {
        // Without a notice yet there is nothing to read with; the words are known all the same once it is there.
        return;
      }
      pictures = core.json("pictures", null);
      isKnown = true;
      take(events);
      waiting.splice(0).forEach((act) => act());
      resolve();
    };
    asked.postMessage({ words });
  });
}

/** Draws eight words for somebody new. */
function draw() {
  if (!core || drawnWords.length) return;
  isHers = true;
  const words = /** @type {Uint8Array} */ (core.bytes("draw", null));
  for (let at = 0; at < 16; at += 2) drawnWords.push(words[at] * 256 + words[at + 1]);
  know(words);
}

/**
 * Takes the words she tapped.
 * @param {number[]} indexes
 */
function choose(indexes) {
  if (!core) return Promise.resolve();
  const line = /** @type {Uint8Array} */ (core.bytes("line", null));
  const words = new Uint8Array(48);
  indexes.forEach((index, at) => {
    words[2 * at] = index >> 8;
    words[2 * at + 1] = index & 255;
  });
  words.set(line, 16);
  return know(words);
}

/**
 * Sends a letter as soon as the words are known. Gives what becomes of it.
 * @param {Draft} draft
 */
function send(draft) {
  /** @type {Letter} */
  const letter = { seq: 0, isSafe: draft.isSafe, state: "waiting", isWithdrawal: false };
  letters.push(letter);
  const act = () => {
    if (!core || !beats) return;
    const flags = (draft.quiet ? 1 : 0) + (draft.relative ? 2 : 0) + (draft.isSafe ? 4 : 0);
    const text = new TextEncoder().encode(draft.text.trim());
    const seq = core.call("write", text, draft.status, draft.next, flags, TONGUE_NUMBER[pack.tongue], beats.now());
    text.fill(0);
    draft.text = "";
    if (seq > 0) letter.seq = seq;
    refresh();
  };
  if (isKnown) act();
  else waiting.push(act);
  return letter;
}

/** Takes back the newest letter. */
function takeBack() {
  const letter = newest();
  if (!letter || !core || !beats || letter.isSafe || !letter.seq) return;
  const seq = core.call("withdraw", null, letter.seq, beats.now());
  if (seq > 0) letters.push({ seq, isSafe: false, state: "waiting", isWithdrawal: true });
}
