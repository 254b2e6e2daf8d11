// The Lock screen: before anything, after a lock, and when the program has ended.
import * as net from "./net.js";
import { el, fill, field, coded } from "./draw.js";
import { t, has, learn, TONGUES, spoken } from "./words.js";
import { button } from "./draw.js";
import * as alerts from "./alert.js";

/** What is told behind the lock: how many wait, and what is wrong. @type {net.Counts | null} */
let counted = null;

const root = () => /** @type {HTMLElement} */ (document.getElementById("app"));

/**
 * @param {(name: string) => void} draw
 */
function tongues(draw) {
  return el("div", { class: "tongues", role: "group", "aria-label": t("language") }, TONGUES.map((name) => button(t(`tongue_${name}`), () => void learn(name).then(() => draw(name)), { class: "quiet", pressed: spoken() === name })));
}

/** @param {net.Counts} counts */
export function countBehindLock(counts) {
  counted = counts;
  drawCounted();
}

function drawCounted() {
  const place = document.getElementById("counted");
  if (!place || !counted) return;
  fill(
    place,
    el("p", { class: "fact" }, t("waiting_count", { n: counted.waiting })),
    counted.warnings.filter(has).map((name) => el("p", { class: "notice bad" }, t(name))),
  );
}

/**
 * Asks for the passphrase until it is right.
 * @param {() => void} opened
 */
export function askPassphrase(opened) {
  const problem = el("p", { class: "notice bad", role: "alert", hidden: true });
  // What is typed once is not offered to be kept: browsers pass over "off" for passwords.
  const word = field(t("passphrase"), { name: "passphrase", type: "password", required: false, autocomplete: "one-time-code" });
  const input = /** @type {HTMLInputElement} */ (word.querySelector("input"));
  const go = /** @type {HTMLButtonElement} */ (el("button", { class: "main", type: "submit" }, t("unlock")));
  const form = el(
    "form",
    {
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        const passphrase = input.value;
        input.value = "";
        go.disabled = true;
        problem.hidden = true;
        net.unlock(passphrase).then(opened, (error) => {
          go.disabled = false;
          if (error instanceof net.Stranger) return stranger();
          if (error instanceof net.Gone) return gone();
          if (error instanceof net.Locked) return noLink();
          const code = error instanceof net.Refused ? error.code : "vault";
          problem.textContent = t(code === "wait" ? "wrong_wait" : code === "wrong_passphrase" ? "wrong_passphrase" : "vault_trouble");
          problem.hidden = false;
          input.focus();
        });
      },
    },
    word,
    problem,
    go,
  );
  const sound = button(t("alerts"), () => void alerts.toggle().then(() => sound.setAttribute("aria-pressed", String(alerts.isWanted()))), { pressed: alerts.isWanted(), class: "quiet", title: t("alerts_say") });
  fill(root(), el("main", { class: "alone" }, tongues(() => askPassphrase(opened)), lamp(), el("h1", {}, t("locked")), el("div", { id: "counted", role: "status" }), el("p", {}, coded(t("locked_says"))), form, sound));
  drawCounted();
  input.focus();
}

/** Another program answers where the board was. */
export function stranger() {
  net.leave();
  document.title = "Desk";
  fill(root(), el("main", { class: "alone" }, tongues(stranger), lamp(), el("h1", {}, t("stranger")), el("p", {}, coded(t("stranger_says")))));
}

/** This tab did not come by a link that still works. */
export function noLink() {
  document.title = "Desk";
  fill(root(), el("main", { class: "alone" }, tongues(noLink), lamp(), el("h1", {}, t("no_link")), el("p", {}, t("no_link_says"))));
}

/** The program has ended. */
export function gone() {
  net.leave();
  document.title = "Desk";
  fill(root(), el("main", { class: "alone" }, tongues(gone), lamp(), el("h1", {}, t("gone")), el("p", {}, coded(t("gone_says")))));
}

/**
 * The vault was burned, or was not.
 * @param {string | null} what could not be destroyed
 * @param {Promise<boolean | null>} ending whether the team was told, once that is known
 */
export function burned(what, ending) {
  document.title = "Desk";
  const told = el("p", { role: "status" }, t("burned_telling"));
  fill(
    root(),
    el("main", { class: "alone" }, lamp(), el("h1", {}, t(what ? "not_burned" : "burned")), el("p", { class: what ? "notice bad" : "" }, what ? coded(t("not_burned_says", { what })) : t("burned_says")), told),
  );
  const say = (/** @type {string} */ text) => fill(told, coded(text));
  ending.then((was) => say(t(was === null ? "burned_alone" : was ? "burned_told" : "burned_untold")), () => say(t("burned_unknown")));
}

function lamp() {
  return el("div", { class: "lamp", "aria-hidden": "true" });
}
