// Leaving: cover at once, wipe, say goodbye, be somewhere dull. And the cover when the page is not looked at.

/** How long the page may be out of sight before everything is gone, in milliseconds by the clock. */
const AWAY = 30000;

/** How long until a page that could not leave for want of a network tries again, in milliseconds. */
const AGAIN = 5000;

/** Where Close leads: the line's choice, known before anything is written. */
let dullPage = "about:blank";

let isGone = false;
let awaySince = 0;

function cover() {
  byId("cover").hidden = false;
}

/** Wipes every secret and every text the page held. Nothing can be shown afterwards. */
function wipe() {
  if (isGone) return;
  isGone = true;
  cover();
  forget();
  flights.abort();
  byId("screen").textContent = "";
  byId("ways").textContent = "";
}

/** Asks the relay for the answer that makes the browser throw away what it kept, which it heeds only if cookies could go along. There are none. */
function bye() {
  return fetch(GATE + "/p/bye", { keepalive: true, cache: "no-store", credentials: "same-origin", referrerPolicy: "no-referrer" });
}

/** Close. */
function leave() {
  wipe();
  const go = () => location.replace(dullPage);
  if (dullPage === "about:blank" || (navigator.onLine && isAnswered)) {
    bye().catch(() => {});
    return go();
  }
  // Without a network the dull page would be an error page that names this one's neighbour: the cover stays until somebody answers.
  const again = () => bye().then(go, () => setTimeout(again, AGAIN));
  again();
}

/** Out of sight: cover now; gone after half a minute. */
function away() {
  if (isGone) return;
  cover();
  if (awaySince) return;
  awaySince = Date.now();
  setTimeout(() => {
    if (awaySince && Date.now() - awaySince >= AWAY) leave();
  }, AWAY + 50);
}

/** Looked at again: within half a minute as if nothing had been, else everything is gone. Checked before anything is uncovered. */
function back() {
  if (isGone || !awaySince) return;
  if (document.visibilityState === "hidden") return;
  if (Date.now() - awaySince >= AWAY) return leave();
  awaySince = 0;
  byId("cover").hidden = true;
}

document.addEventListener("visibilitychange", () => (document.visibilityState === "hidden" ? away() : back()));
window.addEventListener("blur", away);
window.addEventListener("focus", back);
window.addEventListener("pageshow", (event) => {
  if (event.persisted) leave();
});
window.addEventListener("pagehide", () => {
  if (isGone) return;
  wipe();
  bye().catch(() => {});
});

/** Esc, or Shift three times within two seconds. */
/** @type {number[]} */
let shifts = [];
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return leave();
  if (event.key !== "Shift" || event.repeat) {
    shifts = event.key === "Shift" ? shifts : [];
    return;
  }
  const now = performance.now();
  shifts = shifts.filter((at) => now - at < 2000);
  shifts.push(now);
  if (shifts.length >= 3) leave();
});
