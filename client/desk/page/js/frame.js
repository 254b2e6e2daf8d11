// What stands around every screen: how the shift stands, what somebody should know now, where to go; and what every screen shares.
import * as net from "./net.js";
import { el, fill, settle, button, askFor } from "./draw.js";
import { t, has, since, moment, learn, spoken, TONGUES, setClock } from "./words.js";
import * as alerts from "./alert.js";

/**
 * A screen: what it draws, how it looks again, and its keys.
 * @typedef {{
 *   name: string,
 *   open: (main: HTMLElement) => Promise<void>,
 *   refresh: () => Promise<void>,
 *   keys: Record<string, () => void>,
 *   close?: () => void,
 * }} Screen
 */

/** Names of the screens that have a place in the bar, in order. */
const PLACES = ["board", "handover", "rota", "devices", "guide"];

/** @type {{screen: Screen | null, header: any, covered: boolean, go: (name: string, id?: string) => void, again: () => void, settled: () => Promise<unknown>, locked: () => void, gone: () => void, burned: (what: string | null) => void, said: any}} */
export const app = { screen: null, header: null, covered: false, go: () => {}, again: () => {}, settled: () => Promise.resolve(), locked: () => {}, gone: () => {}, burned: () => {}, said: null };

const root = () => /** @type {HTMLElement} */ (document.getElementById("app"));

/** Draws the frame, empty. @returns {HTMLElement} where the screen goes */
export function frame() {
  const main = el("main", { id: "main", tabindex: "-1" });
  fill(
    root(),
    el("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => (event.preventDefault(), main.focus()) }, t("skip")),
    el("header", { id: "top" }, el("div", { id: "counts" }), nav(), el("div", { id: "notices", role: "status" })),
    main,
    el("div", { id: "bar", role: "status" }),
  );
  drawHeader();
  return main;
}

function nav() {
  return el(
    "nav",
    { "aria-label": t("places") },
    PLACES.map((name) => el("button", { type: "button", class: "place", "data-place": name, "aria-current": app.screen?.name === name ? "page" : null, onclick: () => app.go(name) }, t(`place_${name}`))),
    el("span", { class: "gap" }),
    button(t("alerts"), () => void alerts.toggle().then(redrawNav), { pressed: alerts.isWanted(), class: "quiet", title: t("alerts_say") }),
    button(t("keys"), showKeys, { key: "?", class: "quiet" }),
    el("span", { class: "tongues", role: "group", "aria-label": t("language") }, TONGUES.map((name) => button(t(`tongue_${name}`), () => void speak(name), { class: "quiet", pressed: spoken() === name }))),
    button(t("cover"), cover, { key: "Esc Esc", class: "quiet" }),
    button(t("lock"), () => void lockNow(), { key: "Ctrl+L", class: "quiet" }),
  );
}

function redrawNav() {
  document.querySelector("#top nav")?.replaceWith(nav());
}

/** @param {import("./words.js").Tongue} name */
async function speak(name) {
  await learn(name);
  app.again();
}

/** @param {Screen} screen */
export async function show(screen) {
  app.screen?.close?.();
  app.screen = screen;
  const main = frame();
  main.className = `screen-${screen.name}`;
  await guarded(() => screen.open(main));
}

/** What came with an answer about the shift as a whole. @param {any} header */
export function hear(header) {
  app.header = header;
  setClock(header.now);
  drawHeader();
}

/** @param {number} waiting */
export function title(waiting) {
  document.title = waiting > 0 ? t("waiting_count", { n: waiting }) : "Desk";
}

function drawHeader() {
  const header = app.header;
  const counts = document.getElementById("counts");
  if (!header || !counts) return;
  const { waiting, longest_since: longest, help, mine } = header.counts;
  title(waiting);
  const on = header.on_call.map((/** @type {any} */ one) => who(one.device));
  const fact = (/** @type {string} */ label, /** @type {string} */ value, /** @type {string} */ kind = "") =>
    el("span", { class: `fact ${kind}` }, el("b", {}, value), " ", el("span", {}, label));
  settle(
    counts,
    fact(t("waiting"), String(waiting), waiting ? "some" : ""),
    longest && fact(t("longest"), since(longest)),
    help > 0 && fact(t("need_help"), String(help), "help"),
    mine > 0 && fact(t("yours"), String(mine)),
    fact(t("on_call"), on.length ? on.join(", ") : header.has_rota ? t("nobody") : t("no_rota")),
    header.next_from && fact(t("next_on"), `${header.next.map(who).join(", ")} ${moment(header.next_from)}`),
    header.on_until && fact(t("until"), moment(header.on_until)),
    header.practice && el("span", { class: "fact practice" }, t("practice")),
  );
  drawNotices(header);
}

/** @param {any} header */
function drawNotices(header) {
  const notices = document.getElementById("notices");
  if (!notices) return;
  const pages = header.pages.filter((/** @type {any} */ page) => page.page !== "as_published");
  const said = [
    header.vault_trouble && ["bad", t("vault_trouble")],
    header.no_relay && ["bad", t("no_relay")],
    header.nobody && ["bad", t(header.nobody)],
    ...header.relays.filter((/** @type {any} */ relay) => relay.state !== "well" && (!header.no_relay || relay.state !== "unreachable")).map(sick),
    ...header.relays.filter((/** @type {any} */ relay) => relay.lost).map(lost),
    ...pages.filter((/** @type {any} */ page) => page.page === "not").map((/** @type {any} */ page) => ["bad", t("page_not", { n: page.relay })]),
    header.failed.length > 0 && ["bad", `${t("some_failed", { n: header.failed.length })} `, header.failed.map(unsent)],
    ...header.warnings.filter((/** @type {string} */ name) => has(`warning_${name}`)).map((/** @type {string} */ name) => ["warn", t(`warning_${name}`)]),
    header.closed_until && ["warn", t("closed_until", { when: moment(header.closed_until) })],
    header.elsewhere && ["calm", t("elsewhere")],
  ].filter(Boolean);
  settle(notices, said.map(([kind, text, more]) => el("p", { class: `notice ${kind}`, "data-key": text }, text, more)));
}

/** Whose answer was not sent. @param {any} one */
const unsent = (one) => button(one.nickname, () => app.go("person", one.id), { class: "plain" });

/** One relay of several that is not well. @param {any} relay */
const sick = (relay) => ["warn", t("relay_sick", { n: relay.number, what: t(`relay_${relay.state}`, { when: moment(relay.since) }) })];

/** One that has lost what it had. It stays said until a worker has seen it. @param {any} relay */
function lost(relay) {
  const again = relay.given_back ? ` ${t("relay_has_again", { when: moment(relay.given_back) })}` : "";
  const seen = () => void guarded(() => net.act("seen_loss", { relay: relay.number })).then(() => app.screen?.refresh());
  return ["bad", `${t("relay_lost", { n: relay.number, when: moment(relay.lost) })}${again} `, button(t("seen_it"), seen, { class: "plain" })];
}

/** A device as people say it. @param {string} device in hex */
export function who(device) {
  const known = app.header?.team.find((/** @type {any} */ one) => one.device === device);
  if (known?.mine) return t("you");
  return known && known.seat !== null ? t("seat", { n: known.seat, id: device.slice(0, 4) }) : t("device", { id: device.slice(0, 4) });
}

/** Colleagues' devices. */
export const colleagues = () => (app.header?.team || []).filter((/** @type {any} */ one) => !one.mine && !one.revoked && one.role !== "safeguarding");

/**
 * Does something, and says in plain words what came of it if it did not work.
 * @param {() => Promise<any>} work
 * @returns {Promise<any>}
 */
export async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof net.Past) return null;
    if (error instanceof net.Locked) app.locked();
    else if (error instanceof net.Gone) app.gone();
    else if (error instanceof net.Refused) say(refusal(error), "bad");
    else throw error;
    return null;
  }
}

/** The sentence for a refusal. @param {net.Refused} error */
export function refusal(error) {
  const { code, more } = error;
  const key = `refused_${code}`;
  const places = {
    who: more.device ? who(more.device) : (more.devices || []).map(who).join(", "),
    until: more.until ? moment(more.until) : "",
    when: more.alone_from ? moment(more.alone_from) : "",
    n: (more.callers || []).length,
  };
  return has(key) ? t(key, places) : t("refused_not_possible");
}

let saying = 0;

/**
 * Says something at the foot of the page for some seconds.
 * @param {string} text
 * @param {string} [kind]
 */
export function say(text, kind = "") {
  const bar = document.getElementById("bar");
  if (!bar) return;
  const said = el("p", { class: `said ${kind}` }, text);
  bar.querySelectorAll(".said").forEach((old) => old.remove());
  bar.append(said);
  saying += 1;
  const mine = saying;
  setTimeout(() => mine === saying && said.remove(), kind === "bad" ? 12000 : 5000);
}

/** Hides everything, at once. Nothing is read meanwhile, and nothing counts as read. */
export function cover() {
  if (app.covered) return;
  app.covered = true;
  root().hidden = true;
  // A window is put away with what was typed into it, and comes back with it.
  /** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll("dialog[open]")).forEach((dialog) => dialog.close());
  // The button does not have the focus: whatever is pressed next in haste uncovers nothing.
  const sheet = el("div", { id: "cover", tabindex: "-1" }, button(t("uncover"), uncover, { class: "quiet" }));
  document.body.append(sheet);
  sheet.focus();
}

export function uncover() {
  app.covered = false;
  document.getElementById("cover")?.remove();
  root().hidden = false;
  /** @type {NodeListOf<HTMLDialogElement>} */ (document.querySelectorAll("dialog:not([open])")).forEach((dialog) => dialog.showModal());
  void app.screen?.refresh();
}

export async function lockNow() {
  // What is half written goes to the program first, which keeps it.
  app.screen?.close?.();
  await app.settled();
  const current = net.session();
  await guarded(() => net.lock());
  // The news of it may have been quicker than the answer, and a worker who unlocks quicker, too.
  if (current()) app.locked();
}

/** Every key there is. */
export function showKeys() {
  const rows = [["j", "key_down"], ["k", "key_up"], ["Enter", "key_open"], ["c", "key_claim"], ["r", "key_reply"], ["n", "key_note"], ["u", "key_urgent"], ["h", "key_hand_over"], ["/", "key_find"], ["?", "key_keys"], ["Ctrl+Enter", "key_send"], ["Esc", "key_back"], ["Esc Esc", "key_cover"], ["Ctrl+L", "key_lock"]];
  void askFor({
    title: t("keys"),
    says: el("dl", { class: "keys" }, rows.flatMap(([key, name]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, t(String(name)))])),
    ok: t("close"),
  });
}
