// One screen: at most two sentences, at most four choices, the way out below. Everything is made of elements and text, never of markup.

/**
 * A choice to tap.
 * @typedef {{name: string, drawing?: string, act: () => void, isMain?: boolean, isPressed?: boolean}} Choice
 */

/**
 * What a screen shows.
 * @typedef {{id: string, lines?: string[], drawing?: Drawing, isWaiting?: boolean, body?: Node[], choices?: Choice[], isPaired?: boolean,
 *   back?: () => void, head?: Node, isSudden?: boolean}} View
 */

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * An element with a class and text.
 * @param {string} name
 * @param {string} [className]
 * @param {string} [text]
 */
function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/**
 * A button: a drawing and its words.
 * @param {string} label
 * @param {() => void} act
 * @param {Drawing} [shapes]
 * @param {string} [className]
 */
function button(label, act, shapes, className) {
  const made = /** @type {HTMLButtonElement} */ (element("button", className));
  made.type = "button";
  if (shapes) made.appendChild(drawn(shapes));
  made.appendChild(element("span", "", label));
  made.addEventListener("click", act);
  return made;
}

/** What the present screen says, so that it is not made anew under her finger while nothing has changed. */
let saidNow = "";

/** @param {View} screen */
function said(screen) {
  const list = (screen.choices || []).map((choice) => [choice.name, choice.isPressed]);
  const body = (screen.body || []).map((node) => node.textContent);
  return JSON.stringify([screen.id, pack.tongue, screen.lines, screen.drawing, list, body]);
}

/**
 * Shows a screen in place of the one before. Its title never changes: titles stay in the phone's history.
 * @param {View} screen
 */
function show(screen) {
  const main = byId("screen");
  const saying = said(screen);
  if (saying === saidNow && !main.querySelector("textarea")) return;
  saidNow = saying;
  const isSame = main.dataset.screen === screen.id;
  main.textContent = "";
  main.dataset.screen = screen.id;
  if (screen.head) main.appendChild(screen.head);
  if (screen.drawing) main.appendChild(drawn(screen.drawing, "big" + (screen.isWaiting ? " wait" : "")));
  const lines = element("div");
  lines.setAttribute("aria-live", "polite");
  (screen.lines || []).filter(Boolean).forEach((line, index) => lines.appendChild(index ? element("p", "", line) : element("h1", "", line)));
  main.appendChild(lines);
  (screen.body || []).forEach((node) => main.appendChild(node));
  if (screen.choices && screen.choices.length) main.appendChild(choices(screen.choices, Boolean(screen.isPaired)));
  ways(screen.back, Boolean(screen.isSudden));
  if (!isSame) {
    window.scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

/**
 * @param {Choice[]} list
 * @param {boolean} isPaired
 */
function choices(list, isPaired) {
  const box = element("div", isPaired ? "choices two" : "choices");
  for (const choice of list) {
    const made = button(choice.name, choice.act, choice.drawing ? pack.drawings[choice.drawing] : undefined, choice.isMain ? "choice main" : "choice");
    made.dataset.choice = "";
    if (choice.isPressed !== undefined) made.setAttribute("aria-pressed", String(choice.isPressed));
    box.appendChild(made);
  }
  return box;
}

/**
 * The ways out, always at the bottom: one step back where there is one, and Close. A screen that comes unasked leaves the place of the step
 * back empty: a tap that was meant for it must not close everything.
 * @param {(() => void) | undefined} back
 * @param {boolean} isSudden
 */
function ways(back, isSudden) {
  const nav = byId("ways");
  nav.textContent = "";
  if (back) {
    const made = button(pack.say("back_one"), back, pack.drawings.back);
    made.dataset.choice = "";
    nav.appendChild(made);
  } else if (isSudden) {
    nav.appendChild(element("i"));
  }
  const close = button(pack.say("close"), leave, pack.drawings.close);
  close.id = "close";
  nav.appendChild(close);
}
