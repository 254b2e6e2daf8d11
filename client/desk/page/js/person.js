// One caller: her thread, what the team knows of her, and what is written to her.
import * as net from "./net.js";
import { app, guarded, hear, say, who, colleagues } from "./frame.js";
import { el, fill, settle, button, askFor, field, choice } from "./draw.js";
import { t, moment, day, now } from "./words.js";
import { claim, note, flags, promised, toTheTop, wantsReply } from "./board.js";
import { composer, kept } from "./composer.js";
import { asking } from "./scrap.js";
import { proposalCard, propose } from "./proposals.js";

/**
 * @param {string} id
 * @returns {import("./frame.js").Screen}
 */
export function person(id) {
  /** @type {any} */
  let shown = null;
  const thread = el("div", { class: "thread", role: "log", "aria-label": t("thread"), tabindex: "0" });
  const side = el("aside", { class: "about", "aria-label": t("about_her") });
  const head = el("div", { class: "head" });
  const write = composer(id, () => void refresh());
  const below = button(t("new_below"), () => toTheEnd(), { class: "main below" });
  below.hidden = true;
  thread.addEventListener("scroll", () => {
    if (!below.hidden && atEnd()) void refresh();
  });

  const atEnd = () => thread.scrollHeight - thread.scrollTop - thread.clientHeight < 80;
  function toTheEnd() {
    thread.scrollTop = thread.scrollHeight;
    void refresh();
  }

  async function refresh() {
    await guarded(async () => {
      // What a worker sees is read; what lies under a cover, behind a window or further down is not.
      const seen = document.visibilityState === "visible" && !app.covered && !document.querySelector("dialog[open]") && (!shown || atEnd());
      draw(await (seen ? net.act("open", { id }) : net.ask("person", { id })), seen);
    });
  }

  /** @param {any} told @param {boolean} seen */
  function draw(told, seen) {
    const before = shown;
    shown = told;
    hear(told.header);
    drawHead(told.row);
    const items = JSON.stringify(told.items) + JSON.stringify(told.proposals);
    if (!before || JSON.stringify(before.items) + JSON.stringify(before.proposals) !== items) {
      settle(thread, told.items.map(item), told.proposals.map((/** @type {any} */ one) => proposalCard(one, () => void refresh(), told.row)));
      if (!before || seen) thread.scrollTop = thread.scrollHeight;
    }
    below.hidden = seen || told.row.unseen === 0;
    drawSide(told);
    write.hear(told, seen);
  }

  /** @param {any} row */
  function drawHead(row) {
    const held = row.claim && row.claim.device !== app.header.device ? row.claim : null;
    const mine = row.claim && !held;
    const given = row.hand_over;
    settle(
      head,
      el("div", { class: "line" }, button(t("back_to_board"), () => app.go("board"), { key: "Esc", class: "plain", id: "back" }), el("h1", {}, row.nickname), el("span", { class: `urgency ${row.urgency}` }, el("i", { class: "mark", "aria-hidden": "true" }), el("span", {}, t(`urgency_${row.urgency}`)))),
      el("div", { class: "chips" }, flags(row)),
      el(
        "div",
        { class: "buttons" },
        given && given.by !== app.header.device && button(t("accept"), () => void deed("accept"), { class: "main", id: "accept" }),
        mine ? button(t("release"), () => void deed("release"), { id: "claim" }) : button(held ? t("take_over") : t("claim"), keys.c, { key: "c", id: "claim", class: held ? "" : "main" }),
        button(t("reply"), keys.r, { key: "r", id: "reply" }),
        button(t("note"), keys.n, { key: "n", id: "note" }),
        button(t("hand_over"), keys.h, { key: "h", id: "handover" }),
        el("span", { class: "holder" }, row.claim ? t("claimed_by", { who: who(row.claim.device), until: moment(row.claim.until) }) : t("unclaimed")),
      ),
    );
  }

  /** @param {any} told */
  function drawSide(told) {
    const { row, person: known } = told;
    const part = (/** @type {string} */ name, /** @type {any[]} */ ...kids) => el("section", { "data-key": name }, el("h2", {}, t(name)), kids);
    settle(
      side,
      part("next_step", el("p", {}, row.next_step || t("none_yet"))),
      row.promise && part("promise", el("p", {}, promised(row.promise)), el("p", { class: "hint" }, t("promise_hint"))),
      part(
        "how_we_know_her",
        el("p", {}, t(`how_${known.how}`), known.known_by && ` · ${known.known_by}`, known.known_since && ` · ${day(known.known_since * 86400)}`),
        button(t("change"), () => void know(), { class: "plain" }),
      ),
      part(
        "question",
        known.question ? [el("p", {}, known.question), el("details", {}, el("summary", {}, t("her_answer")), el("p", {}, known.answer))] : el("p", {}, t("question_none")),
        button(t("change"), () => void question(), { class: "plain" }),
      ),
      part("wish", el("p", {}, known.wish || t("wish_none")), button(t("change"), () => void wish(), { class: "plain" })),
      part(
        "together",
        el("p", { class: "hint" }, t("together_says")),
        el(
          "div",
          { class: "stack" },
          button(t("propose_join"), () => void propose(id, "join", refresh), { class: "plain" }),
          known.wish && button(t("propose_fulfil"), () => void propose(id, "fulfil", refresh), { class: "plain" }),
          button(t("propose_keep_hand_over"), () => void propose(id, "keep_hand_over", refresh), { class: "plain" }),
          button(t("propose_forget"), () => void propose(id, "forget", refresh), { class: "plain" }),
          row.joined.map((/** @type {string} */ other) => button(t("part", { id: other.slice(0, 4) }), () => void apart(other), { class: "plain" })),
          button(row.duress_of ? t("duress_unset") : t("duress_set"), () => void duress(), { class: "plain" }),
          button(t("stop_going"), () => void stop(), { class: "danger" }),
        ),
      ),
      el("p", { class: "hint id" }, t("her_id", { id: row.id })),
    );
  }

  /** @param {string} what @param {object} [more] */
  const deed = (what, more = {}) => guarded(async () => {
    await net.act(what, { id, ...more });
    await refresh();
    return true;
  });

  /** Asks, and does; what was typed stays until it is done. @param {string} what @param {any} how */
  const edit = (what, how) => asking(`${what} ${id}`, { ok: t("keep"), cancel: t("back"), ...how }, (given) => deed(what, given));

  async function know() {
    await edit("know", {
      title: t("how_we_know_her"),
      fields: [choice(t("how"), "how", [["unknown", t("how_unknown")], ["introduced", t("how_introduced")], ["verified", t("how_verified")]], shown.person.how), field(t("by_whom"), { name: "by", value: shown.person.known_by })],
    });
  }

  async function question() {
    await edit("question", {
      title: t("question"),
      says: t("question_says"),
      fields: [field(t("question"), { name: "question", value: shown.person.question || "" }), field(t("her_answer"), { name: "answer", value: shown.person.answer || "" })],
    });
  }

  async function wish() {
    await edit("wish", { title: t("wish"), says: t("wish_says"), fields: [field(t("wish"), { name: "text", lines: 3, value: shown.person.wish || "" })] });
  }

  async function duress() {
    if (shown.row.duress_of) {
      const sure = await askFor({ title: t("duress_unset"), says: t("duress_unset_says"), ok: t("duress_unset"), danger: true, cancel: t("back") });
      return void (sure && (await deed("duress", { of: null })));
    }
    const given = await askFor({ title: t("duress_set"), says: t("duress_says"), fields: [field(t("whose"), { name: "of", required: true, hint: t("name_or_id") })], ok: t("keep"), cancel: t("back") });
    if (given) await deed("duress", { of: given["of"] });
  }

  /** @param {string} other */
  async function apart(other) {
    const title = t("part", { id: other.slice(0, 4) });
    const sure = await askFor({ title, says: t("part_says"), ok: title, cancel: t("back") });
    if (sure) await deed("part", { other });
  }

  async function stop() {
    const { flags: asked } = shown.row;
    const says = [el("p", {}, t("stop_going_says")), asked.quiet && el("p", { class: "ask" }, t("asks_quiet")), asked.relative && el("p", { class: "ask" }, t("asks_relative"))];
    const given = await askFor({ title: t("stop_going"), says, ok: t("stop_going_ok"), danger: true, cancel: t("back") });
    if (given && (await deed("stop"))) say(t("stop_sent"));
  }

  async function handOver() {
    if (!shown) return;
    if (await handOverForm(shown.row, (given) => deed("hand_over", given))) say(t("handed_over"));
  }

  /** @param {any} one */
  function item(one) {
    if (one.item === "room") return el("h2", { class: "room", "data-key": `room ${one.nickname}` }, one.nickname);
    if (one.item === "letter") return letter(one);
    if (one.item === "answer") return answer(one);
    if (one.item === "note") return el("article", { class: "item note", "data-key": `note ${one.by} ${one.time}` }, meta(t("note_by", { who: who(one.by) }), one.time), text(one.text || t("state_forgotten")));
    return over(one);
  }

  const meta = (/** @type {string} */ said, /** @type {number} */ at) => el("p", { class: "meta" }, el("span", {}, said), el("time", {}, moment(at)));
  const text = (/** @type {string} */ said) => el("p", { class: "text", dir: "auto" }, said);

  /** @param {any} one */
  function letter(one) {
    const gone = one.state !== "here";
    if (!gone && !one.status && !one.text) return el("p", { class: "item small", "data-key": `letter ${one.session} ${one.seq}` }, t("withdrawal"), " ", moment(one.time));
    return el(
      "article",
      { "data-key": `letter ${one.session} ${one.seq}`, class: `item letter ${one.state}`, lang: one.language === "zh" ? "zh-CN" : one.language },
      el("p", { class: "meta", lang: document.documentElement.lang }, el("span", {}, t("she_wrote")), el("time", {}, t("around", { when: moment(one.time) }))),
      gone && el("p", { class: "gone" }, t(`state_${one.state}`)),
      one.status && el("p", { class: `status ${one.status}` }, t(`status_${one.status}`)),
      one.text && text(one.text),
      !gone && (one.quiet || one.relative || one.next) && el("p", { class: "asks", lang: document.documentElement.lang }, [one.quiet && t("asks_quiet"), one.relative && t("asks_relative"), one.next && t(one.time + one.next > now() ? "asks_next" : "asked_next", { when: moment(one.time + one.next) })].filter(Boolean).join(" ")),
    );
  }

  /** @param {any} one */
  function answer(one) {
    const open = one.state === "on_the_way" || one.state === "with_the_relay";
    const from = one.readable_from && one.readable_from / 1000;
    return el(
      "article",
      { "data-key": `answer ${one.id}`, class: `item answer ${one.state}`, lang: one.language === "zh" ? "zh-CN" : one.language },
      el("p", { class: "meta", lang: document.documentElement.lang }, el("span", {}, one.stop ? t("stop_by", { who: who(one.by) }) : t("answer_by", { who: who(one.by) })), el("time", {}, moment(one.time))),
      text(one.stop ? t("stop_text") : one.text || t("state_forgotten")),
      el(
        "p",
        { class: "fate", lang: document.documentElement.lang },
        t(`answer_${one.state}`),
        one.state === "with_the_relay" && from && ` ${t(one.live ? "readable_live" : "readable_words", { when: moment(from) })}`,
        open && ` ${t("good_until", { when: moment(one.good_until) })}`,
      ),
      open && !one.stop && button(t("take_back"), () => void takeBack(one.id), { class: "plain small" }),
    );
  }

  /** @param {string} answer */
  async function takeBack(answer) {
    const given = await askFor({ title: t("take_back"), says: t("take_back_says"), ok: t("take_back"), cancel: t("back") });
    if (given) await deed("take_back", { answer });
  }

  /** @param {any} one */
  function over(one) {
    const lines = ["situation", "promised_by_us", "promised_by_her", "risk", "next_step"].filter((name) => one[name]);
    return el(
      "article",
      { class: "item over", "data-key": `over ${one.by} ${one.time}` },
      meta(t(one.to ? "over_by_to" : "over_by", { who: who(one.by), to: one.to ? who(one.to) : "" }), one.time),
      lines.length > 0 ? el("dl", {}, lines.flatMap((name) => [el("dt", {}, t(name)), el("dd", {}, one[name])])) : el("p", { class: "gone" }, t("state_forgotten")),
      el("p", { class: "fate" }, one.accepted_by ? t("accepted_by", { who: who(one.accepted_by), when: moment(one.accepted) }) : t("not_accepted")),
    );
  }

  const keys = {
    c: () => void (async () => {
      const row = shown?.row;
      if (!row) return;
      const held = row.claim && row.claim.device !== app.header.device ? row.claim : null;
      // Hers already: held for another half hour. Letting her go is the button's alone.
      await claim(id, held);
      await refresh();
    })(),
    r: () => write.focus(),
    n: () => void note(id).then(refresh),
    h: () => void handOver(),
    u: () => (toTheTop(), app.go("board")),
    j: () => thread.scrollBy({ top: 120 }),
    k: () => thread.scrollBy({ top: -120 }),
    "/": () => app.go("board"),
    "Ctrl+Enter": () => write.send(),
    Escape: () => app.go("board"),
  };

  return {
    name: "person",
    keys,
    refresh,
    close: () => write.close(),
    open: async (main) => {
      fill(main, head, el("div", { class: "columns" }, el("div", { class: "left" }, thread, below, write.element), side));
      // At once: what is typed before the thread has come are words, and no keys.
      if (wantsReply()) write.focus();
      await kept();
      await refresh();
      thread.scrollTop = thread.scrollHeight;
      // Whoever is writing already goes on writing.
      if (!write.element.contains(document.activeElement)) thread.focus();
    },
  };
}

/**
 * The five lines, and to whom.
 * @param {any} row
 * @param {(given: any) => Promise<any>} act
 */
export function handOverForm(row, act) {
  const to = /** @type {[string, string][]} */ ([["", t("whoever_is_on_call")], ...colleagues().map((/** @type {any} */ one) => [one.device, who(one.device)])]);
  const what = {
    title: `${t("hand_over")}: ${row.nickname}`,
    says: t("hand_over_says"),
    fields: [
      choice(t("to"), "to", to),
      field(t("situation"), { name: "situation", lines: 2 }),
      field(t("promised_by_us"), { name: "promised_by_us", lines: 1 }),
      field(t("promised_by_her"), { name: "promised_by_her", lines: 1 }),
      field(t("risk"), { name: "risk", lines: 1 }),
      field(t("next_step"), { name: "next_step", lines: 1, hint: t("next_step_hint") }),
    ],
    ok: t("hand_over"),
    cancel: t("back"),
  };
  return asking(`hand_over ${row.id}`, what, (given) => act({ ...given, to: given["to"] || null }));
}
