// Sentences, days and durations in the worker's language.

/** @typedef {"en" | "ko" | "zh"} Tongue */
/** @type {Tongue[]} */
export const TONGUES = ["en", "ko", "zh"];
const KEPT = "tongue";

/** @type {Record<string, string>} */
let strings = {};
/** @type {Tongue} */
let tongue = "en";
/** How much later it is at the desk's program than here, in seconds. */
let ahead = 0;

/** The language that the worker chose for this tab, else the browser's. */
function wanted() {
  const kept = sessionStorage.getItem(KEPT);
  const all = [kept || "", ...navigator.languages].map((name) => name.slice(0, 2));
  return TONGUES.find((known) => known === all.find((name) => TONGUES.includes(/** @type {Tongue} */ (name)))) || "en";
}

/** @param {Tongue} [chosen] */
export async function learn(chosen) {
  if (chosen) sessionStorage.setItem(KEPT, chosen);
  tongue = chosen || wanted();
  const response = await fetch(`/strings/${tongue}.json`, { cache: "no-store", credentials: "omit" });
  strings = await response.json();
  document.documentElement.lang = tongue === "zh" ? "zh-CN" : tongue;
}

export const spoken = () => tongue;

/**
 * A sentence.
 * @param {string} key
 * @param {Record<string, string | number>} [places] what stands in its places
 */
export function t(key, places = {}) {
  const text = strings[key];
  if (text === undefined) return `[${key}]`;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(places[name] ?? ""));
}

/** Whether there is such a sentence. @param {string} key */
export const has = (key) => strings[key] !== undefined;

/** @param {number} now the program's time, Unix seconds */
export const setClock = (now) => (ahead = now - Date.now() / 1000);
export const now = () => Date.now() / 1000 + ahead;

/**
 * How long: `40 s`, `3 min`, `2 h 5 min`, `4 d`.
 * @param {number} seconds
 */
export function long(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("seconds", { n: s });
  const min = Math.floor(s / 60);
  if (min < 60) return t("minutes", { n: min });
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 ? `${t("hours", { n: h })} ${t("minutes", { n: min % 60 })}` : t("hours", { n: h });
  return t("days", { n: Math.floor(h / 24) });
}

/** How long ago. @param {number} at Unix seconds */
export const since = (at) => long(now() - at);

/** The same, in whole ten minutes at least: letters do not say more. @param {number} at */
export function about(at) {
  const s = now() - at;
  return s < 900 ? t("just_now") : t("ago", { long: long(s - (s % 60)) });
}

/** @param {Intl.DateTimeFormatOptions} how */
const format = (how) => new Intl.DateTimeFormat(tongue === "zh" ? "zh-CN" : tongue === "ko" ? "ko-KR" : "en-GB", how);

/**
 * A moment: the hour if it is today, else with the day.
 * @param {number} at Unix seconds
 */
export function moment(at) {
  const day = new Date(at * 1000);
  const today = new Date(now() * 1000).toDateString() === day.toDateString();
  const hour = { hour: "2-digit", minute: "2-digit", hour12: false };
  return format(/** @type {any} */ (today ? hour : { weekday: "short", day: "numeric", month: "short", ...hour })).format(day);
}

/** A day. @param {number} at Unix seconds */
export const day = (at) => format({ weekday: "short", day: "numeric", month: "short" }).format(new Date(at * 1000));
