// Where an answer is written: her wishes first, then the words, what they cost, and what there is to say of them.
import * as net from "./net.js";
import { app, guarded, say, who, refusal } from "./frame.js";
import { el, fill, settle, button, askFor, field } from "./draw.js";
import { t, long, moment } from "./words.js";
import { others } from "./board.js";

/** After the last key, until the text is weighed, in milliseconds. */
const WEIGH_AFTER = 250;
/** The program is told of the first key at once, so that a colleague sees it before either sends; and then so often at most. */
const COMPOSE_EVERY = 2_000;

/** For how long an answer that was sent before the thread came waits for that, in milliseconds. */
const COME_WITHIN = 4_000;

/** What was half written when a composer was closed, until the program has it. @type {Promise<unknown>} */
let keeping = Promise.resolve();
/** When the program has what was half written. */
export const kept = () => keeping;

/**
 * @param {string} id
 * @param {() => void} changed
 */
export function composer(id, changed) {
  /** @type {any} */
  let row = null;
  /** @type {any} */
  let weighed = null;
  /** Why she is answered although she asked for quiet. */
  let quietReason = "";
  let weighing = 0;
  let composing = 0;
  let told = -COMPOSE_EVERY;
  /** @type {any[]} */
  let waiting = [];
  let begun = false;
  /** When her thread has come. */
  let hasCome = () => {};
  const come = new Promise((resolve) => (hasCome = () => resolve(undefined)));
  let ticking = 0;
  let arrived = 0;
  /** The newest letter that was before the worker's eyes. @type {{session: string, seq: number} | null} */
  let read = null;
  /** Her newest letter, read or not. @type {string} */
  let newest = "";
  /** What that was when the answer was begun; nothing while none is, or before it is known. */
  let begunAfter = "";
  /** Whether something was typed that the program does not have. */
  let unsaid = false;

  const asks = el("div", { class: "asks", id: "asks" });
  const area = /** @type {HTMLTextAreaElement} */ (
    el("textarea", { id: "answer", rows: 3, autocomplete: "off", spellcheck: "false", autocorrect: "off", "aria-describedby": "cost asks", dir: "auto", oninput: () => typed() })
  );
  const cost = el("p", { id: "cost", class: "hint", role: "status" });
  const remarks = el("div", { class: "remarks", role: "status" });
  const fits = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", id: "fits", onchange: () => draw() }));
  const sendButton = /** @type {HTMLButtonElement} */ (button(t("send"), () => void send(), { key: "Ctrl+Enter", class: "main", id: "send" }));
  const proposeButton = button(t("propose_say"), () => void proposeIt(), { class: "main", id: "propose" });
  const overrideButton = button(t("override_quiet"), () => void override(), { id: "override" });
  // Until it is known what her letters ask for.
  [proposeButton.hidden, overrideButton.hidden] = [true, true];
  const undoing = el("div", { class: "undoing" });
  const element = el(
    "section",
    { class: "composer", "aria-label": t("write_to_her") },
    el("div", { class: "words" }, undoing, asks, el("label", { for: "answer" }, t("your_answer")), area, remarks),
    el("div", { class: "buttons" }, sendButton, proposeButton, overrideButton, cost),
  );

  function typed() {
    unsaid = true;
    if (!area.value.trim()) begunAfter = "";
    else begunAfter ||= newest;
    clearTimeout(weighing);
    weighing = setTimeout(() => void weigh(), WEIGH_AFTER);
    // Not before it is known what was half written earlier.
    if (begun) composing ||= setTimeout(() => void compose(), Math.max(0, told + COMPOSE_EVERY - performance.now()));
    weighed = null;
    // Other words: whether they fit is to be looked at once more.
    fits.checked = false;
    draw();
  }

  async function weigh() {
    const text = area.value;
    const said = await guarded(() => net.ask("weigh", { id, text }));
    if (!said || text !== area.value) return;
    weighed = said;
    draw();
  }

  async function compose() {
    clearTimeout(composing);
    composing = 0;
    told = performance.now();
    unsaid = false;
    const saying = guarded(() => net.act("compose", { id, text: area.value }));
    keeping = saying;
    const said = await saying;
    if (said && row) row.composing = said.others.map((/** @type {string} */ device) => ({ device }));
    draw();
  }

  /** Whether the answer can go as it is. */
  function ready() {
    const text = area.value.trim();
    return !!row && !!text && !!weighed && !weighed.refused && !weighed.meeting && (!row.flags.relative || fits.checked) && (!row.flags.quiet || !!quietReason) && row.reachable;
  }

  function draw() {
    if (!row) return;
    const quiet = row.flags.quiet && !quietReason;
    const meeting = !!weighed?.meeting;
    fillAsks();
    sendButton.disabled = !ready();
    sendButton.hidden = meeting;
    proposeButton.hidden = !meeting;
    overrideButton.hidden = !row.flags.quiet;
    area.disabled = false;
    const spent = weighed?.forecast;
    const costs = weighed?.refused ? t(`refused_${weighed.refused}`) : spent?.cells ? t(spent.live ? "cost_live" : "cost_words", { cells: spent.cells, beats: spent.beats, long: long(spent.within_s) }) : t("cost_none");
    if (cost.textContent !== costs) cost.textContent = costs;
    settle(
      remarks,
      row.claim && row.claim.device !== app.header?.device && el("p", { class: "notice calm" }, t("held_too", { who: who(row.claim.device), until: moment(row.claim.until) })),
      others(row).length > 0 && el("p", { class: "notice warn" }, t("composing_too", { who: others(row).map((one) => who(one.device)).join(", ") })),
      meeting && el("p", { class: "notice bad" }, t("meeting_stopped")),
      weighed?.pressing.length > 0 && el("p", { class: "notice warn" }, t("pressing", { words: weighed.pressing.join(", ") })),
      quiet && el("p", { class: "notice warn" }, t("quiet_off")),
      !row.reachable && el("p", { class: "notice bad" }, t("refused_unreachable")),
    );
  }

  function fillAsks() {
    const as = JSON.stringify([row.flags, quietReason]);
    if (asks.dataset["as"] === as) return;
    asks.dataset["as"] = as;
    fill(
      asks,
      row.flags.quiet && el("p", { class: "ask" }, t("asks_quiet"), quietReason && ` ${t("overridden", { why: quietReason })}`),
      row.flags.relative && el("div", { class: "ask" }, el("p", {}, t("asks_relative")), el("div", { class: "check" }, fits, el("label", { for: "fits" }, t("fits_relative")))),
    );
  }

  async function override() {
    const given = await askFor({ title: t("override_quiet"), says: t("override_says"), fields: [field(t("reason"), { name: "reason", required: true })], ok: t("override_ok"), cancel: t("back") });
    if (given) quietReason = String(given["reason"]).trim();
    if (given) void guarded(() => net.act("scrap", { of: `quiet ${id}`, text: quietReason }));
    draw();
    area.focus();
  }

  /** One at a time: pressed twice it goes once. */
  let sending = false;
  async function send() {
    if (sending) return;
    sending = true;
    try {
      await sendOnce(false);
    } finally {
      sending = false;
    }
  }

  /** @param {boolean} although a colleague writes, too */
  async function sendOnce(although) {
    // Whoever is quicker than the program waits for it a moment, and is not told that something is wrong. Later it is another text.
    const wanted = area.value;
    await Promise.race([come, new Promise((resolve) => setTimeout(resolve, COME_WITHIN))]);
    if (area.value !== wanted) return;
    if (!weighed) await weigh();
    // What is being kept as half written is not to come back after it was sent.
    clearTimeout(composing);
    composing = 0;
    await keeping;
    if (!ready()) return void say(t("not_ready"), "bad");
    if (begunAfter && begunAfter !== newest) {
      begunAfter = newest;
      const given = await askFor({ title: t("wrote_again"), says: t("wrote_again_says"), ok: t("send_all_the_same"), cancel: t("back") });
      if (!given || !ready()) return;
    }
    const text = area.value;
    try {
      await net.act("answer", {
        id,
        text,
        fits_relative: fits.checked,
        although_quiet: quietReason ? t("quiet_note", { why: quietReason }) : null,
        although_composing: although,
        language: row.language,
        read,
      });
    } catch (error) {
      if (!(error instanceof net.Refused && error.code === "composing" && !although)) return void (await guarded(() => Promise.reject(error)));
      const given = await askFor({ title: t("composing_title"), says: refusal(error), ok: t("send_all_the_same"), cancel: t("wait_for_each_other") });
      if (given) await sendOnce(true);
      return;
    }
    sent(text);
    changed();
  }

  /** What was typed while it was being sent stays. @param {string} text */
  function sent(text) {
    const more = area.value === text ? "" : area.value.startsWith(text) ? area.value.slice(text.length).trimStart() : area.value;
    empty();
    if (!more) return;
    area.value = more;
    typed();
  }

  async function proposeIt() {
    if (row.flags.relative && !fits.checked) return say(t("refused_relative"), "bad");
    const given = await askFor({ title: t("propose_say"), says: t("propose_say_says"), ok: t("propose_say"), cancel: t("back") });
    if (!given) return;
    const text = area.value;
    const done = await guarded(() => net.act("propose", { id, act: "say", other: null, text, fits_relative: fits.checked }));
    if (!done) return;
    sent(text);
    changed();
  }

  function empty() {
    area.value = "";
    unsaid = false;
    weighed = null;
    begunAfter = "";
    if (quietReason) void guarded(() => net.act("scrap", { of: `quiet ${id}`, text: null }));
    quietReason = "";
    fits.checked = false;
    draw();
  }

  /** @param {number} later */
  async function undo(later) {
    // The program puts it above what was typed meanwhile, which it has to have for that.
    if (unsaid) await compose();
    const back = await guarded(() => net.act("undo", { later }));
    if (back?.text) {
      area.value = back.text;
      begunAfter = newest;
      fits.checked = false;
      weighed = null;
      // Before it is weighed, which takes a moment: by then the worker may be elsewhere.
      area.focus();
      await weigh();
    }
    changed();
  }

  function drawUndoing() {
    const gone = performance.now() - arrived;
    const live = waiting.filter((one) => one.failed || one.left_ms - gone > -400);
    settle(
      undoing,
      live.map((one) =>
        el(
          "div",
          { class: one.failed ? "notice bad" : "notice calm", "data-key": `later-${one.later}` },
          el("p", { class: "text", dir: "auto" }, one.text),
          el("p", {}, one.failed ? `${t("was_not_sent")} ${t(`refused_${one.failed}`)}` : t("goes_in", { n: Math.max(0, Math.ceil((one.left_ms - gone) / 1000)) })),
          button(!one.failed ? t("undo") : one.agreed ? t("close") : t("write_again"), () => void undo(one.later), { class: "main" }),
        ),
      ),
    );
    if (live.length === 0 && ticking) {
      clearInterval(ticking);
      ticking = 0;
      changed();
    }
  }

  return {
    element,
    focus: () => area.focus(),
    send: () => void (proposeButton.hidden ? send() : proposeIt()),
    /** @param {any} told @param {boolean} seen whether the end of the thread is before the worker's eyes */
    hear(told, seen) {
      row = told.row;
      const letter = told.items.filter((/** @type {any} */ one) => one.item === "letter").pop();
      const at = letter && { session: letter.session, seq: letter.seq };
      if (seen && letter) read = at;
      newest = JSON.stringify(at || null);
      waiting = told.later;
      arrived = performance.now();
      if (!begun) {
        begun = true;
        hasCome();
        if (told.quiet_reason) quietReason = told.quiet_reason;
        const quicker = !!area.value;
        // Whoever was quicker than the answer of the program goes on with what is typed, below what was half written earlier.
        if (told.draft) area.setRangeText(quicker ? `${told.draft}\n` : told.draft, 0, 0, quicker ? "preserve" : "end");
        if (quicker) typed();
        else if (told.draft) void weigh();
        // And has begun after what there was when it came.
        if (area.value.trim()) begunAfter = newest;
      }
      if (waiting.length > 0 && !ticking) ticking = setInterval(drawUndoing, 500);
      drawUndoing();
      draw();
    },
    close() {
      clearTimeout(weighing);
      clearTimeout(composing);
      clearInterval(ticking);
      // What is half written stays with the program, until it ends.
      if (unsaid && app.screen) keeping = net.act("compose", { id, text: area.value }).catch(() => {});
      unsaid = false;
      area.value = "";
    },
  };
}
