// What two workers must want: proposed by one, agreed to or objected to by another.
import * as net from "./net.js";
import { app, guarded, say, who, refusal } from "./frame.js";
import { el, button, askFor, field, confirmation } from "./draw.js";
import { t, moment, now } from "./words.js";
import { asking } from "./scrap.js";

/** Whom it is about, so that nobody agrees to something about somebody else. @param {any} one */
const whom = (one) => [
  el("p", { class: "whom" }, el("b", {}, one.nickname), " ", el("small", {}, one.caller.slice(0, 8))),
  one.other && el("p", { class: "whom" }, t("with_row", { name: one.other_nickname, id: one.other.slice(0, 8) })),
];

/**
 * @param {any} one
 * @param {() => void} changed
 * @param {any} [row] hers, on her own screen
 */
export function proposalCard(one, changed, row) {
  const mine = one.by === app.header?.device;
  const open = one.state === "open";
  const mayAgree = open && (!mine || (!!one.alone_from && now() >= one.alone_from));
  const words = () => one.text && el("p", { class: "text", dir: "auto" }, one.text);
  const done = async (/** @type {string} */ what, /** @type {object} */ more = {}) => {
    await net.act(what, { by: one.by, seq: one.seq, ...more });
    changed();
    return true;
  };

  /** What cannot be unsaid is asked first, with her name. @param {"agree" | "object"} what */
  async function decide(what) {
    const says = [el("p", {}, t(`act_${one.act}`)), ...whom(one), words(), el("p", {}, t(what === "agree" ? `propose_${one.act}_says` : "object_says"))];
    const given = await askFor({ title: t(what), says, ok: t(what), danger: what === "agree" && ["forget", "join", "say"].includes(one.act), cancel: t("back") });
    if (given) await guarded(() => done(what));
  }

  async function sayIt() {
    let reason = null;
    if (row.flags.quiet) {
      const given = await askFor({ title: t("override_quiet"), says: t("override_says"), fields: [field(t("reason"), { name: "reason", required: true })], ok: t("override_ok"), cancel: t("back") });
      if (!given) return;
      reason = t("quiet_note", { why: String(given["reason"]) });
    }
    const fields = row.flags.relative ? [el("p", {}, t("asks_relative")), confirmation(t("fits_relative"))] : [];
    const given = await askFor({ title: t("say_now"), says: [...whom(one), words(), el("p", {}, t("say_now_says"))], fields, ok: t("say_now"), cancel: t("back") });
    if (given) await sayOnce({ fits_relative: !!row.flags.relative, although_quiet: reason, although_composing: false });
  }

  /** @param {{fits_relative: boolean, although_quiet: string | null, although_composing: boolean}} how */
  async function sayOnce(how) {
    try {
      await done("say", how);
      say(t("said_now"));
    } catch (error) {
      const composing = error instanceof net.Refused && error.code === "composing" && !how.although_composing;
      if (!composing) return void (await guarded(() => Promise.reject(error)));
      const given = await askFor({ title: t("composing_title"), says: refusal(error), ok: t("send_all_the_same"), cancel: t("wait_for_each_other") });
      if (given) await sayOnce({ ...how, although_composing: true });
    }
  }

  return el(
    "article",
    { "data-key": `proposal ${one.by} ${one.seq}`, class: `item proposal ${one.state}` },
    el("p", { class: "meta" }, el("span", {}, t("proposed_by", { who: who(one.by), what: t(`act_${one.act}`) })), el("time", {}, moment(one.time))),
    whom(one),
    words(),
    el("p", { class: "fate" }, t(`proposal_${one.state}`, { who: one.decided_by ? who(one.decided_by) : "", when: one.decided ? moment(one.decided) : "" }), open && mine && ` ${one.alone_from ? t("alone_from", { when: moment(one.alone_from) }) : t("refused_needs_two")}`),
    el(
      "div",
      { class: "buttons" },
      mayAgree && button(t("agree"), () => void decide("agree"), { class: "main" }),
      open && button(t("object"), () => void decide("object"), { class: "plain" }),
      row && one.act === "say" && one.state === "carried" && one.text && button(t("say_now"), () => void sayIt(), { class: "main" }),
    ),
  );
}

/**
 * Proposes something about a caller.
 * @param {string} id
 * @param {string} act
 * @param {() => Promise<void>} changed
 */
export async function propose(id, act, changed) {
  const what = {
    title: t(`propose_${act}`),
    says: t(`propose_${act}_says`),
    fields: [...(act === "join" ? [field(t("other_row"), { name: "other", required: true, hint: t("name_or_id") })] : []), field(t("why"), { name: "text", lines: 2 })],
    ok: t("propose"),
    danger: act === "forget",
    cancel: t("back"),
  };
  const done = await asking(`${act} ${id}`, what, (given) => guarded(() => net.act("propose", { id, act, other: given["other"] || null, text: given["text"] })));
  if (done) say(t("proposed"));
  await changed();
}
