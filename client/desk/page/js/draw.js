// Elements. Every text goes in as text: nothing here reads markup.

/** @typedef {Node | string | number | null | undefined | false} Kid */

/**
 * An element. `on…` are listeners, `class`, and everything else attributes; `true` is an empty one, `false` and `null` none.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...(Kid | Kid[])} kids
 * @returns {HTMLElement}
 */
export function el(tag, props = {}, ...kids) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) listen(made, name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : String(value));
  }
  add(made, ...kids);
  return made;
}

/**
 * @param {Element} to
 * @param {...(Kid | Kid[])} kids
 */
export function add(to, ...kids) {
  for (const kid of /** @type {Kid[]} */ (kids.flat(3))) {
    if (kid === null || kid === undefined || kid === false) continue;
    to.append(kid instanceof Node ? kid : document.createTextNode(String(kid)));
  }
  return to;
}

/**
 * Puts these in the place of everything an element holds.
 * @param {Element} to
 * @param {...(Kid | Kid[])} kids
 */
export function fill(to, ...kids) {
  to.replaceChildren();
  return add(to, ...kids);
}

/** What each element does when it hears something, so that one that stays can do what a newer drawing of it would. @type {WeakMap<Element, Record<string, ((event: Event) => void) | undefined>>} */
const acts = new WeakMap();

/** @param {Element} to @param {string} name @param {((event: Event) => void) | undefined} act */
function listen(to, name, act) {
  const known = acts.get(to) || {};
  if (!(name in known)) to.addEventListener(name, (event) => acts.get(to)?.[name]?.(event));
  acts.set(to, { ...known, [name]: act });
}

/**
 * Draws these in the place of what an element holds, and leaves every element that is still the same one where it is: a button
 * that is being pressed while this happens stays the button that is let go. What it is, its `data-key` says; without one its id,
 * and of a button what stands on it, so that nobody presses one thing and lets go another.
 * @param {Element} to
 * @param {...(Kid | Kid[])} kids
 */
export function settle(to, ...kids) {
  const wanted = [...add(document.createElement("div"), ...kids).childNodes];
  /** @type {Map<string, ChildNode[]>} */
  const there = new Map();
  for (const one of to.childNodes) there.set(key(one), [...(there.get(key(one)) || []), one]);
  const placed = wanted.map((one) => {
    const known = there.get(key(one))?.shift();
    return known ? (become(known, one), known) : one;
  });
  for (const one of [...to.childNodes]) if (!placed.includes(one)) one.remove();
  let at = to.firstChild;
  for (const one of placed) {
    if (one === at) at = at.nextSibling;
    else to.insertBefore(one, at);
  }
}

/** @param {Node} node */
function key(node) {
  if (!(node instanceof HTMLElement)) return node.nodeName;
  const said = node instanceof HTMLButtonElement ? node.textContent : "";
  return `${node.nodeName} ${node.dataset["key"] || `${node.id} ${said}`}`;
}

/** Makes an element what a newer drawing of it is. @param {Node} old @param {Node} drawn */
function become(old, drawn) {
  if (!(old instanceof Element && drawn instanceof Element)) {
    if (old.nodeValue !== drawn.nodeValue) old.nodeValue = drawn.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!drawn.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of drawn.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of Object.keys({ ...acts.get(old), ...acts.get(drawn) })) listen(old, name, acts.get(drawn)?.[name]);
  settle(old, ...drawn.childNodes);
}

/**
 * A sentence in which what stands between backticks is typed in a terminal.
 * @param {string} text
 * @returns {Kid[]}
 */
export const coded = (text) => text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

const SVG = "http://www.w3.org/2000/svg";

/**
 * A shape.
 * @param {string} tag
 * @param {Record<string, string | number>} props
 * @param {...Node} kids
 */
export function svg(tag, props, ...kids) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, String(value));
  made.append(...kids);
  return made;
}

/**
 * A button, with its key if it has one.
 * @param {string} label
 * @param {(event: Event) => void} act
 * @param {{key?: string, class?: string, disabled?: boolean, id?: string, title?: string, pressed?: boolean, describedby?: string}} [how]
 */
export function button(label, act, how = {}) {
  return el(
    "button",
    {
      type: "button",
      class: how.class,
      id: how.id,
      title: how.title,
      disabled: how.disabled,
      "aria-pressed": how.pressed === undefined ? null : String(how.pressed),
      "aria-describedby": how.describedby,
      "aria-keyshortcuts": how.key ? how.key.replace("Ctrl", "Control") : null,
      onclick: act,
    },
    el("span", {}, label),
    how.key && el("kbd", { "aria-hidden": "true" }, how.key),
  );
}

let labels = 0;

/**
 * A field with its label.
 * @param {string} label
 * @param {{name: string, lines?: number, value?: string, type?: string, hint?: string, required?: boolean, autocomplete?: string, onchange?: (event: Event) => void}} how
 */
export function field(label, how) {
  const id = `field-${(labels += 1)}`;
  const common = { id, name: how.name, autocomplete: how.autocomplete || "off", spellcheck: "false", autocorrect: "off", autocapitalize: "off", required: how.required, "data-1p-ignore": true, onchange: how.onchange };
  const input = how.lines
    ? el("textarea", { ...common, rows: how.lines })
    : el("input", { ...common, type: how.type || "text" });
  /** @type {HTMLInputElement} */ (input).value = how.value || "";
  return el("div", { class: "field" }, el("label", { for: id }, label), how.hint && el("p", { class: "hint" }, how.hint), input);
}

/**
 * A choice with its label.
 * @param {string} label
 * @param {string} name
 * @param {[string, string][]} options value and label
 * @param {string} [chosen]
 */
export function choice(label, name, options, chosen = "") {
  const id = `field-${(labels += 1)}`;
  const select = /** @type {HTMLSelectElement} */ (
    el("select", { id, name, autocomplete: "off" }, options.map(([value, said]) => el("option", { value }, said)))
  );
  select.value = chosen;
  return el("div", { class: "field" }, el("label", { for: id }, label), select);
}

/**
 * A box that has to be ticked before a window can be answered.
 * @param {string} label
 */
export function confirmation(label) {
  const id = `field-${(labels += 1)}`;
  return el("div", { class: "check" }, el("input", { type: "checkbox", id, name: id, required: true }), el("label", { for: id }, label));
}

/**
 * Asks in a window before everything else. Esc closes it while nothing was typed into it; what was typed is thrown away by its own
 * button alone.
 * @param {{title: string, says?: Kid | Kid[], fields?: HTMLElement[], ok: string, danger?: boolean, cancel?: string, earlier?: Promise<Record<string, string> | null>, typed?: (said: Record<string, string>) => void}} what
 *   `earlier` gives what was half written in it before, which goes above what is typed by then; `typed` is told whatever stands in it, as it is typed
 * @returns {Promise<Record<string, string> | null>} what was typed; null if the worker thought better of it
 */
export function askFor({ title, says, fields = [], ok, danger, cancel, earlier, typed }) {
  return new Promise((resolve) => {
    const close = (/** @type {Record<string, string> | null} */ value) => {
      dialog.remove();
      back?.focus();
      resolve(value);
    };
    const back = /** @type {HTMLElement | null} */ (document.activeElement);
    let touched = false;
    let known = !earlier;
    const said = () => /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
    const form = /** @type {HTMLFormElement} */ (
      el(
        "form",
        {
          method: "dialog",
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            // What comes from before is to be seen first.
            if (known) close(said());
            else void coming?.then((more) => more || form.requestSubmit());
          },
          oninput: () => {
            touched = true;
            typed?.(said());
          },
        },
        el("h2", { id: "dialog-title" }, title),
        says && el("div", { class: "says" }, says),
        fields,
        el(
          "div",
          { class: "buttons" },
          cancel && button(cancel, () => close(null), { class: "plain" }),
          el("button", { class: danger ? "danger" : "main", type: "submit" }, ok),
        ),
      )
    );
    const dialog = /** @type {HTMLDialogElement} */ (
      el("dialog", { "aria-labelledby": "dialog-title", oncancel: (/** @type {Event} */ event) => (event.preventDefault(), touched || close(null)) }, form)
    );
    const empty = said();
    const coming = earlier?.then((kept) => {
      known = true;
      if (!kept || !dialog.isConnected) return false;
      for (const [name, text] of Object.entries(kept)) {
        const input = /** @type {HTMLInputElement | null} */ (form.elements.namedItem(name));
        if (!input || text === empty[name]) continue;
        if (input.value === empty[name]) input.value = text;
        else if (!(input instanceof HTMLSelectElement)) input.setRangeText(input instanceof HTMLTextAreaElement ? `${text}\n` : `${text} `, 0, 0);
      }
      if (touched) typed?.(said());
      touched = true;
      return true;
    });
    document.body.append(dialog);
    // Under the cover it waits until that is taken away.
    if (document.getElementById("cover")) return;
    dialog.showModal();
    /** @type {HTMLElement | null} */ (form.querySelector("input, textarea, select") || form.querySelector("button[type=submit]"))?.focus();
  });
}
