// A sound and a notification that say only how many wait.
import { app, say } from "./frame.js";
import { t } from "./words.js";

/** Kept by the tab, so that a page that was reloaded behind the lock still rings. */
const KEPT = "sound";
let wanted = sessionStorage.getItem(KEPT) === "on";

export const isWanted = () => wanted;

/** Turns alerts on or off; asks the browser for leave when they are turned on. */
export async function toggle() {
  wanted = !wanted;
  if (wanted) sessionStorage.setItem(KEPT, "on");
  else sessionStorage.removeItem(KEPT);
  if (!wanted) return;
  if ("Notification" in window && Notification.permission === "default") await Notification.requestPermission();
  ring();
}

/** A letter has come. @param {number} waiting */
export function alertOf(waiting) {
  if (!wanted) return;
  ring();
  // A window that is seen and not used may be in front of somebody who is asleep.
  const away = document.visibilityState === "hidden" || !document.hasFocus() || !app.screen;
  if (away && "Notification" in window && Notification.permission === "granted") {
    new Notification(t("waiting_count", { n: waiting }), { tag: "waiting", silent: true });
  }
}

/** Two soft tones. */
function ring() {
  const audio = new AudioContext();
  // A page that nobody has pressed since it was loaded is kept silent by some browsers.
  if (audio.state === "suspended") say(t("sound_blocked"), "bad");
  for (const [at, hertz] of [[0, 523], [0.18, 659]]) {
    const tone = audio.createOscillator();
    const loud = audio.createGain();
    tone.frequency.value = Number(hertz);
    const from = audio.currentTime + Number(at);
    loud.gain.setValueAtTime(0, from);
    loud.gain.linearRampToValueAtTime(0.15, from + 0.02);
    loud.gain.exponentialRampToValueAtTime(0.001, from + 0.35);
    tone.connect(loud).connect(audio.destination);
    tone.start(from);
    tone.stop(from + 0.4);
  }
  setTimeout(() => void audio.close(), 1000);
}
