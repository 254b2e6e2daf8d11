// The board: a row per caller, the most urgent first. Only the rows in sight are drawn, and only those near them are asked for.
import * as net from "./net.js";
import { app, guarded, hear, say, who } from "./frame.js";
import { el, fill, settle, button, askFor, field } from "./draw.js";
import { t, about, since, moment, now } from "./words.js";
import { picture } from "./picture.js";
import { asking } from "./scrap.js";

/** Rows asked for at once, and rows drawn above and below what is in sight. */
const CHUNK = 120;
const SPARE = 6;
/** For how long a button that is held down keeps the rows where they are, in milliseconds. */
const HELD_AT_MOST = 15_000;
/** A narrow page has higher rows; as in the style. */
const NARROW = matchMedia("(max-width: 900px)");
const height = () => (NARROW.matches ? 168 : 84);

/** Where the worker was, so that coming back is coming back there. */
const place = { find: "", id: "", scroll: 0, picture: false };

/** The next board begins at its top, with everybody on it. */
export const toTheTop = () => Object.assign(place, { find: "", id: "", scroll: 0 });

/** Nothing of where the worker was stays: a search may be a name. */
export function forgetPlace() {
  toTheTop();
  place.picture = false;
}

/** @returns {import("./frame.js").Screen} */
export function board() {
  /** @type {Map<number, any>} */
  let rows = new Map();
  let total = 0;
  let asked = 0;
  /** The newest time that the rows in sight were asked for. @type {Promise<void>} */
  let latest = Promise.resolve();
  /** @type {Map<string, HTMLElement>} */
  const drawn = new Map();
  const list = el("ol", { class: "rows", "aria-label": t("callers") });
  const hold = el("div", { class: "hold", tabindex: "-1" }, list);
  const none = el("p", { class: "none", hidden: true });
  const chart = el("section", { class: "picture", "aria-label": t("picture"), hidden: !place.picture });
  const finding = field(t("find"), { name: "find", type: "search", value: place.find });
  const input = /** @type {HTMLInputElement} */ (finding.querySelector("input"));
  input.addEventListener("input", () => {
    place.find = input.value;
    place.id = "";
    hold.scrollTop = 0;
    void guarded(refresh);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      // The row that has the focus now is not to be opened by the same key.
      event.preventDefault();
      void firstFound();
    }
    if (event.key === "Escape") void everybody();
  });
  const hidden = el("div", { class: "hidden-urgent", role: "status" });
  hold.addEventListener("scroll", () => requestAnimationFrame(() => (draw(), void need())), { passive: true });
  const resized = () => draw();
  addEventListener("resize", resized);
  // While a button of a row is held down no row moves: it is let go where it was pressed. Not for long: whoever comes must be seen.
  let held = 0;
  const letGo = () => {
    if (!held) return;
    clearTimeout(held);
    held = 0;
    // The click comes first.
    setTimeout(draw);
  };
  list.addEventListener("pointerdown", (event) => {
    if (event.isPrimary && event.button === 0) held ||= setTimeout(letGo, HELD_AT_MOST);
  });
  const ends = ["pointerup", "pointercancel", "contextmenu", "blur"];
  for (const end of ends) addEventListener(end, letGo);

  /** The first and the last row near what is in sight. */
  function sight() {
    const first = Math.max(0, Math.floor(hold.scrollTop / height()) - SPARE);
    return [first, Math.min(total, first + Math.ceil(hold.clientHeight / height()) + 2 * SPARE)];
  }

  /** Asks for the rows in sight anew. */
  async function refresh() {
    const [first] = sight();
    latest = fetchRows(Math.max(0, Number(first) - CHUNK / 4), true);
    await latest;
    if (place.picture) await drawPicture();
  }

  /** @param {number} from @param {boolean} anew @returns {Promise<void>} */
  async function fetchRows(from, anew) {
    if (anew) asked += 1;
    const mine = asked;
    const told = await net.ask("board", { from, count: CHUNK, find: place.find });
    // Whoever waits for rows that were overtaken waits for the newer ones.
    if (mine !== asked) return anew ? latest : undefined;
    if (anew) rows = new Map();
    total = told.total;
    settle(hidden, told.urgent_hidden > 0 && el("p", { class: "notice bad" }, `${t("urgent_hidden", { n: told.urgent_hidden })} `, button(t("show_everybody"), () => void urgent(), { class: "main" })));
    told.rows.forEach((/** @type {any} */ row, /** @type {number} */ at) => rows.set(told.from + at, row));
    hear(told.header);
    draw();
    // Rows that came into sight meanwhile went with the old ones.
    if (anew) void need();
  }

  /** To the first that is found, once it is known who is; unless the worker has gone on meanwhile. */
  async function firstFound() {
    const wanted = place.find;
    await latest.catch(() => {});
    if (place.find === wanted && document.activeElement === input) focusAt(0);
  }

  /** Empties the search. */
  async function everybody() {
    if (!place.find) return;
    [input.value, place.find] = ["", ""];
    await guarded(refresh);
  }

  /** To the most urgent, whatever was searched for. */
  async function urgent() {
    await everybody();
    if (document.activeElement === input) return;
    hold.scrollTop = 0;
    focusAt(0);
  }

  /** Asks for rows that came into sight and are not here yet. */
  async function need() {
    const [first, last] = /** @type {[number, number]} */ (sight());
    for (let at = first; at < last; at += 1) {
      if (!rows.has(at)) return void (await guarded(() => fetchRows(at, false)));
    }
  }

  function draw() {
    if (held) {
      for (const row of rows.values()) {
        const made = drawn.get(row.id);
        if (made) paint(made, row);
      }
      return;
    }
    const [first, last] = /** @type {[number, number]} */ (sight());
    list.style.height = `${total * height()}px`;
    none.hidden = total > 0;
    none.textContent = place.find ? t("none_found") : t("nobody_has_written");
    const kept = new Set();
    for (let at = first; at < last; at += 1) {
      const row = rows.get(at);
      if (!row) continue;
      kept.add(row.id);
      let made = drawn.get(row.id);
      if (!made) {
        made = el("li", { "data-row": row.id });
        drawn.set(row.id, made);
        list.append(made);
      }
      made.style.transform = `translateY(${at * height()}px)`;
      made.setAttribute("aria-posinset", String(at + 1));
      made.setAttribute("aria-setsize", String(total));
      paint(made, row);
      made.classList.toggle("chosen", row.id === place.id);
    }
    for (const [id, made] of drawn) {
      if (!kept.has(id)) {
        made.remove();
        drawn.delete(id);
      }
    }
  }

  /** What stands in a row, if it is not that already. @param {HTMLElement} made @param {any} row */
  function paint(made, row) {
    const as = JSON.stringify(row) + Math.floor(now() / 20);
    if (made.dataset["as"] === as) return;
    made.dataset["as"] = as;
    const focused = made.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset["act"] : undefined;
    settle(made, ...drawRow(row));
    if (focused) /** @type {HTMLElement | null} */ (made.querySelector(`[data-act=${focused}]`))?.focus();
  }

  /** @param {any} row */
  function drawRow(row) {
    const claim = row.claim;
    const mine = claim && claim.device === app.header?.device;
    const open = el(
      "button",
      { type: "button", class: `row ${row.urgency}`, "data-act": "open", "data-key": row.id, onclick: () => openRow(row.id), onfocus: () => choose(row.id) },
      el("span", { class: "urgency" }, el("i", { class: "mark", "aria-hidden": "true" }), el("span", {}, t(`urgency_${row.urgency}`))),
      el("span", { class: "name" }, el("b", {}, row.nickname), el("small", {}, [row.language && t(`tongue_${row.language}`), row.how !== "unknown" && t(`how_${row.how}`), row.joined.length > 0 && t("joined")].filter(Boolean).join(" · "))),
      el("span", { class: "times" }, row.waiting_since ? el("b", {}, t("waits", { long: since(row.waiting_since) })) : el("span", {}, t("nothing_waits")), el("small", {}, t("last_sign", { when: about(row.last_sign) }), row.status && ` · ${t(`status_${row.status}`)}`)),
      el("span", { class: "flags" }, flags(row)),
      el("span", { class: "claim" }, claim ? t("claimed_by", { who: who(claim.device), until: moment(claim.until) }) : t("unclaimed"), row.hand_over && el("small", {}, t("being_handed_over"))),
      el("span", { class: "next" }, row.next_step || ""),
    );
    const take = mine
      ? button(t("release"), () => void letHerGo(row), { class: "side" })
      : button(t("claim"), () => void claimRow(row), { class: "side" });
    take.dataset["act"] = "claim";
    take.setAttribute("aria-label", `${t(mine ? "release" : "claim")}: ${row.nickname}`);
    return [open, take];
  }

  /** @param {string} id */
  function choose(id) {
    if (place.id === id) return;
    place.id = id;
    for (const [known, made] of drawn) made.classList.toggle("chosen", known === id);
  }

  function chosenAt() {
    for (const [at, row] of rows) if (row.id === place.id) return at;
    return -1;
  }

  /** @param {number} at */
  function focusAt(at) {
    if (total === 0) return;
    const wanted = Math.min(Math.max(at, 0), total - 1);
    const top = wanted * height();
    if (top < hold.scrollTop) hold.scrollTop = top;
    if (top + height() > hold.scrollTop + hold.clientHeight) hold.scrollTop = top + height() - hold.clientHeight;
    draw();
    const row = rows.get(wanted);
    if (!row) return void need().then(() => rows.has(wanted) && focusAt(wanted));
    choose(row.id);
    /** @type {HTMLElement | null | undefined} */ (drawn.get(row.id)?.querySelector(".row"))?.focus({ preventScroll: true });
  }

  const chosen = () => rows.get(chosenAt());
  /** @param {string} id */
  const openRow = (id) => {
    place.id = id;
    place.scroll = hold.scrollTop;
    app.go("person", id);
  };

  /** @param {string} what @param {string} id */
  const deed = (what, id) => guarded(async () => {
    await net.act(what, { id });
    await refresh();
  });

  /** @param {any} row */
  async function letHerGo(row) {
    const given = await askFor({ title: t("release"), says: [el("p", {}, el("b", {}, row.nickname)), el("p", {}, t("release_says"))], ok: t("release"), cancel: t("back") });
    if (given) await deed("release", row.id);
  }

  /** @param {any} row */
  async function claimRow(row) {
    await claim(row.id, row.claim && row.claim.device !== app.header?.device ? row.claim : null);
    await guarded(refresh);
  }

  async function drawPicture() {
    const load = await net.ask("load");
    const rota = await net.ask("rota");
    fill(chart, picture(load, rota.rota));
  }

  async function togglePicture() {
    place.picture = !place.picture;
    chart.hidden = !place.picture;
    toggle.setAttribute("aria-pressed", String(place.picture));
    if (place.picture) await guarded(drawPicture);
    draw();
  }
  const toggle = button(t("picture"), () => void togglePicture(), { pressed: place.picture, class: "plain" });

  const keys = {
    j: () => focusAt(chosenAt() + 1),
    k: () => focusAt(chosenAt() < 0 ? 0 : chosenAt() - 1),
    ArrowDown: () => focusAt(chosenAt() + 1),
    ArrowUp: () => focusAt(chosenAt() < 0 ? 0 : chosenAt() - 1),
    Enter: () => chosen() && openRow(chosen().id),
    c: () => void (chosen() && claimRow(chosen())),
    r: () => chosen() && (sessionReply(), openRow(chosen().id)),
    n: () => void (chosen() && note(chosen().id).then(() => guarded(refresh))),
    u: () => void urgent(),
    h: () => app.go("handover"),
    "/": () => input.focus(),
    Escape: () => void everybody(),
  };

  return {
    name: "board",
    keys,
    refresh: () => guarded(refresh),
    close: () => {
      place.scroll = hold.scrollTop;
      removeEventListener("resize", resized);
      clearTimeout(held);
      for (const end of ends) removeEventListener(end, letGo);
    },
    open: async (main) => {
      fill(
        main,
        el("h1", { class: "unseen" }, t("place_board")),
        el(
          "div",
          { class: "tools" },
          finding,
          button(t("most_urgent"), keys.u, { key: "u", class: "plain" }),
          button(t("reply"), keys.r, { key: "r", class: "plain" }),
          button(t("note"), keys.n, { key: "n", class: "plain" }),
          button(t("down"), keys.j, { key: "j", class: "plain" }),
          button(t("up"), keys.k, { key: "k", class: "plain" }),
          toggle,
        ),
        hidden,
        chart,
        none,
        hold,
      );
      await refresh();
      // Coming back is coming back there, unless somebody above calls for help.
      const calls = /^(duress|help)_/.test(rows.get(0)?.urgency) && rows.get(0).id !== place.id;
      hold.scrollTop = calls ? 0 : place.scroll;
      draw();
      if (!calls && place.id && chosenAt() >= 0) focusAt(chosenAt());
    },
  };
}

/** Whether the person screen is opened to write. */
let reply = false;
const sessionReply = () => (reply = true);
/** Says so once. */
export function wantsReply() {
  const wanted = reply;
  reply = false;
  return wanted;
}

/**
 * Claims a caller; taking over from a colleague asks a reason.
 * @param {string} id
 * @param {any} held the colleague's claim
 */
export async function claim(id, held) {
  if (!held) return void (await guarded(() => net.act("claim", { id, reason: null })));
  const what = {
    title: t("take_over"),
    says: t("take_over_says", { who: who(held.device), until: moment(held.until) }),
    fields: [field(t("reason"), { name: "reason", required: true })],
    ok: t("take_over"),
    cancel: t("back"),
  };
  await asking(`take_over ${id}`, what, (given) => guarded(() => net.act("claim", { id, reason: given["reason"] })));
}

/** Writes a note for the team. @param {string} id */
export async function note(id) {
  const what = {
    title: t("note"),
    says: t("note_says"),
    fields: [field(t("note"), { name: "text", lines: 4, required: true })],
    ok: t("keep"),
    cancel: t("back"),
  };
  const done = await asking(`note ${id}`, what, (given) => guarded(() => net.act("note", { id, text: given["text"] })));
  if (done) say(t("kept"));
}

/**
 * What she asked for, and what the team should see at once, as chips.
 * @param {any} row
 */
export function flags(row) {
  const chip = (/** @type {string} */ name, /** @type {string} */ text) => el("span", { class: `chip ${name}` }, text);
  return [
    row.duress_of && chip("duress", t("flag_duress")),
    row.flags.quiet && chip("quiet", t("flag_quiet")),
    row.flags.relative && chip("relative", t("flag_relative")),
    row.flags.withdrew && chip("withdrew", t("flag_withdrew")),
    row.here && chip("here", t("flag_here")),
    !row.reachable && chip("unreachable", t("flag_unreachable")),
    others(row).length > 0 && chip("composing", t("flag_composing")),
    row.unseen > 0 && chip("unseen-count", t("flag_unseen", { n: row.unseen })),
    row.proposals > 0 && chip("proposals", t("flag_proposals")),
    row.promise && chip(`promise ${row.promise.state}`, promised(row.promise)),
    row.wishes && chip("wishes", t("flag_wishes")),
  ];
}

/** Colleagues who are writing to her now. @param {any} row @returns {any[]} */
export const others = (row) => row.composing.filter((/** @type {any} */ one) => one.device !== app.header?.device);

/** When her next sign may come, in gentle words. @param {any} promise */
export const promised = (promise) => t(`promise_${promise.state}`, { when: moment(promise.due) });
