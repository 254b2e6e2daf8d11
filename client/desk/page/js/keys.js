// Keys: those of the screen, and those of everywhere. While somebody types, only the ones with Ctrl and Esc.
import { app, cover, lockNow, showKeys } from "./frame.js";

/** Two of these within so long, in milliseconds, cover the page. */
const TWICE = 600;
let escaped = 0;

/** @param {EventTarget | null} target */
const types = (target) => target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== "checkbox");

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.isComposing) return void (event.ctrlKey && event.key === "Enter" && whenComposed(event));
  if (event.altKey || event.metaKey) return;
  if (event.key === "Escape") return escape(event);
  if (!app.screen) return;
  if (event.ctrlKey) return withCtrl(event);
  if (app.covered || document.querySelector("dialog[open]") || types(event.target)) return;
  const name = plain(event);
  const act = name === "?" ? showKeys : app.screen.keys[name];
  // Enter on a button presses that button.
  if (!act || (event.key === "Enter" && event.target instanceof HTMLButtonElement && !event.target.closest("[data-row]"))) return;
  event.preventDefault();
  // A key held down does a thing once; only going up and down goes on.
  if (event.repeat && event.key !== "j" && event.key !== "k") return;
  act();
}

/** The key as a Latin keyboard names it: under a Korean one `j` types another letter. @param {KeyboardEvent} event */
function plain(event) {
  if (/^[\x20-\x7e]$/.test(event.key) || event.key.length > 1) return event.key;
  if (/^Key[A-Z]$/.test(event.code)) return event.code.slice(3).toLowerCase();
  return event.code === "Slash" ? (event.shiftKey ? "?" : "/") : event.key;
}

/** The last syllable is still being put together: it is sent with it. @param {KeyboardEvent} event */
function whenComposed(event) {
  event.target?.addEventListener("compositionend", () => setTimeout(() => app.screen?.keys["Ctrl+Enter"]?.()), { once: true });
}

/** @param {KeyboardEvent} event */
function withCtrl(event) {
  if (event.key.toLowerCase() === "l" || event.code === "KeyL") {
    event.preventDefault();
    void lockNow();
  } else if (event.key === "Enter" && !app.covered && !document.querySelector("dialog[open]")) {
    // A window that opens now takes the focus; the same key is not to press its button.
    event.preventDefault();
    if (!event.repeat) app.screen?.keys["Ctrl+Enter"]?.();
  }
}

/** @param {KeyboardEvent} event */
function escape(event) {
  // Somebody who is frightened holds it, or presses it many times: it covers, and never uncovers.
  if (event.repeat || app.covered) return event.preventDefault();
  const twice = event.timeStamp - escaped < TWICE;
  escaped = twice ? 0 : event.timeStamp;
  if (!app.screen) return;
  const open = document.querySelector("dialog[open]");
  // The browser would close a window by itself, whatever was typed into it.
  if (twice || open) event.preventDefault();
  if (twice) return cover();
  if (open) return void open.dispatchEvent(new Event("cancel", { cancelable: true }));
  if (types(event.target)) return /** @type {HTMLElement} */ (event.target).blur();
  app.screen.keys["Escape"]?.();
}

export const listenToKeys = () => addEventListener("keydown", pressed);
