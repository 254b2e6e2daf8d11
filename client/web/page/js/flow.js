// The screens, one after another. `refresh` shows the present one again when something has happened.

/** @type {() => void} */
let refresh = () => {};

/**
 * Goes to a screen, and stays there until she taps.
 * @param {() => void} screen
 */
function hold(screen) {
  refresh = () => {
    if (!isGone) screen();
  };
  refresh();
}

/**
 * Goes to a screen, and stays there until she taps, or until there is something that everybody is told, or she is told not to go: that comes
 * before anything else.
 * @param {() => void} screen
 * @param {() => void} [back] comes back to it
 */
function go(screen, back = () => go(screen)) {
  hold(() => {
    const stop = isHers && unread().find((answer) => answer.stop);
    if (stop) halt(stop.id, back);
    else if (bulletin()) told(bulletin(), back);
    else screen();
  });
}

/**
 * Goes to a screen that is not made anew under her finger while she taps or writes. Being told not to go takes its place all the same.
 * @param {() => void} screen
 */
function stay(screen) {
  let act = screen;
  go(
    () => {
      act();
      act = () => {};
    },
    () => stay(screen),
  );
}

/** Where she is between things: at her letter, if she wrote one. */
function home() {
  go(letters.length ? sent : hub);
}

const entry = new Entry({ id: "entry" }, () => {});

/** Who we are, and the one question. Chinese before any tap. */
function hello() {
  /** @param {boolean} isFirst */
  const next = (isFirst) => () => {
    isNew = isFirst;
    fetchPack();
  };
  show({
    id: "hello",
    head: tongues(),
    lines: [pack.say("who"), pack.say("you_decide")],
    choices: [
      { name: pack.say("first_time"), drawing: "first_time", act: next(true) },
      { name: pack.say("been_before"), drawing: "been_before", act: next(false) },
    ],
  });
}

function tongues() {
  const row = element("div", "tongues");
  for (const tongue of /** @type {Tongue[]} */ (["zh", "ko", "en"])) {
    if (tongue === pack.tongue) continue;
    const made = button(OFFERED[tongue], () => speak(tongue));
    made.lang = "zh-Hans";
    row.appendChild(made);
  }
  return row;
}

/** @param {Tongue} tongue */
function speak(tongue) {
  pack = new Pack(tongue);
  document.documentElement.lang = LANG[tongue];
  refresh();
}

/** Fetches the language's pack; the sentences go on from there. */
async function fetchPack() {
  go(() => show({ id: "wait", lines: [pack.say("one_moment")], drawing: pack.drawings.waiting, isWaiting: true }));
  try {
    await pack.load();
    if (!isGone) go(truth);
  } catch (error) {
    if (!isGone) go(noPack);
  }
}

function noPack() {
  show({ id: "not_yet", lines: [pack.say("not_yet")], choices: [{ name: pack.say("go_on"), drawing: "waiting", act: fetchPack }] });
}

/** What Close does and does not do, said once. */
function truth() {
  const next = () => {
    if (!isNew) return enter();
    whenReady(draw);
    go(statuses);
  };
  show({ id: "truth", lines: [pack.say("close_truth")], drawing: pack.drawings.close, choices: [{ name: pack.say("go_on"), drawing: "go_on", act: next }] });
}

/** Words come back: a shelf and a word, eight times. */
function enter() {
  entry.wipe();
  entry.screen = {
    id: "entry",
    lines: [pack.say("tap_words")],
    choices: [{ name: pack.say("forgot_words"), act: () => go(forgot) }],
  };
  entry.done = (indexes) => {
    const chosen = indexes.slice();
    entry.wipe();
    pictures = [];
    go(recognise);
    whenReady(() => choose(chosen));
  };
  tap();
}

/** Shows the pads. What happens meanwhile must not take a word from under her finger. */
function tap() {
  stay(() => entry.show());
}

function forgot() {
  const again = () => {
    isNew = true;
    whenReady(draw);
    go(statuses);
  };
  show({
    id: "forgot",
    lines: [pack.say("forgot_truth")],
    choices: [{ name: pack.say("first_time"), drawing: "first_time", act: again }],
    back: enter,
  });
}

/** Three little pictures: only she can know whether they are hers. */
function recognise() {
  if (pictures.length < 3) {
    return show({ id: "recognise", lines: [pack.say("one_moment")], drawing: pack.drawings.waiting, isWaiting: true, body: quietNote() });
  }
  /** @param {boolean} isMine */
  const next = (isMine) => () => {
    isHers = isMine;
    if (isMine) return go(hub);
    forgetRoom();
    enter();
  };
  show({
    id: "recognise",
    lines: [pack.say("are_these_yours")],
    body: [marks()],
    choices: [
      { name: pack.say("yes_mine"), drawing: "send", isMain: true, act: next(true) },
      { name: pack.say("not_mine"), drawing: "undo", act: next(false) },
    ],
  });
}

function marks() {
  const row = element("div", "row");
  row.setAttribute("role", "img");
  row.setAttribute("aria-label", pack.say("picture_three"));
  pictures.forEach((index) => row.appendChild(drawn(pack.marks[index])));
  return row;
}

/** Between things: what has come, and what she may do. */
function hub() {
  const found = shownAnswers();
  const news = unread();
  const mail = news.length ? "answer_for_you" : beats && beats.slowRead ? "no_answer_yet" : "looking";
  /** @type {Choice[]} */
  const list = [
    { name: pack.say("check_in"), drawing: "ok", act: () => go(statuses) },
    { name: pack.say("write_words"), drawing: "write", act: () => write(false) },
    { name: pack.say("more"), drawing: "more", act: () => go(more) },
  ];
  if (found.length) list.unshift({ name: pack.say("read_answer"), drawing: "read", isMain: true, act: () => readFrom(news[0] || found[0]) });
  const letter = newest();
  const lines = letter && !news.length ? [sentence(letter)] : [pack.say(mail), !letter && hasEarlierReceipt ? pack.say("earlier_letter_arrived") : ""];
  show({ id: "hub", lines, body: quietNote(), choices: list });
}

/**
 * "Please do not go", wherever she is.
 * @param {string} id
 * @param {() => void} back goes on with what it took the place of
 */
function halt(id, back) {
  const list = [{ name: pack.say("read_answer"), drawing: "read", act: () => hold(() => read(id, back)) }];
  // A bulletin that it took the place of is alone again for a while when it comes back.
  if (bulletinStep < 3) bulletinStep = 0;
  hold(() => show({ id: "stop", lines: [pack.say("stop_do_not_go")], drawing: pack.drawings.stop, choices: list, isSudden: true }));
}

/** How long the bulletin stands alone: a tap that was meant for what it took the place of must not put it away. */
const TOLD_ALONE = 1500;

/** The bulletin that stands and that she has not put away, if its sentence has come. */
function bulletin() {
  const code = beats && beats.plan && bulletinStep < 3 ? beats.plan.bulletin : 0;
  return pack.say("bulletin_" + code) ? code : 0;
}

/**
 * The bulletin, wherever anybody is.
 * @param {number} code
 * @param {() => void} back goes on with what it took the place of
 */
function told(code, back) {
  const until = beats && beats.plan ? beats.plan.closed_until : 0;
  const text = code === 2 ? (until ? pack.say("bulletin_2").replace("{date}", day(until)) : pack.say("bulletin_2_undated")) : pack.say("bulletin_" + code);
  if (!bulletinStep) {
    bulletinStep = 1;
    clearTimeout(bulletinTimer);
    bulletinTimer = setTimeout(() => {
      if (bulletinStep === 1) bulletinStep = 2;
      refresh();
    }, TOLD_ALONE);
  }
  bulletinBack = back;
  const next = () => {
    bulletinStep = 3;
    bulletinBack();
  };
  const list = [{ name: pack.say("go_on"), drawing: "go_on", act: next }];
  show({ id: "bulletin", lines: [text], drawing: pack.drawings.notice, choices: list, isSudden: true });
  // Made once, so that nothing is read aloud twice.
  const box = /** @type {HTMLElement} */ (byId("screen").querySelector(".choices"));
  box.style.visibility = bulletinStep < 2 ? "hidden" : "";
}

/** @type {Draft} */
let draft = emptyDraft();

/** @returns {Draft} */
function emptyDraft() {
  return { text: "", status: 0, next: 0, quiet: false, relative: false, isSafe: false };
}

/** Four pictures: how she is. */
function statuses() {
  const names = ["ok", "help", "moving", "talk"];
  show({
    id: "statuses",
    lines: [pack.say("check_in")],
    isPaired: true,
    choices: names.map((name, at) => ({
      name: pack.say(name),
      drawing: name,
      act: () => {
        draft = emptyDraft();
        draft.status = at + 1;
        go(ready);
      },
    })),
  });
}

/** What else she may say before it goes; nothing of it is needed. */
function ready() {
  const isHelp = draft.status === 2;
  show({
    id: "ready",
    lines: [isHelp ? pack.say("cannot_come") : pack.say("next")],
    drawing: isHelp ? pack.drawings.people : undefined,
    choices: [
      { name: pack.say("send"), drawing: "send", isMain: true, act: sendDraft },
      { name: draft.next ? nextName(draft.next) : pack.say("next_when"), drawing: "next", act: () => go(when) },
      { name: pack.say("how_to_answer"), drawing: "relative", act: () => go(manner) },
    ],
    back: () => go(statuses),
  });
}

const DAY = 86400;

/** @param {number} seconds */
function nextName(seconds) {
  return pack.say(seconds === DAY ? "next_tomorrow" : seconds === 3 * DAY ? "next_three_days" : "next_week");
}

/** When she may write again. */
function when() {
  /** @param {number} seconds */
  const choice = (seconds) => ({
    name: seconds ? nextName(seconds) : pack.say("next_unsaid"),
    act: () => {
      draft.next = seconds;
      go(ready);
    },
  });
  show({ id: "when", lines: [pack.say("if_late")], choices: [DAY, 3 * DAY, 7 * DAY, 0].map(choice) });
}

/** How she wants to be answered. */
function manner() {
  /** @param {"quiet" | "relative"} key */
  const toggle = (key) => ({
    name: pack.say(key),
    drawing: key,
    isPressed: draft[key],
    act: () => {
      draft[key] = !draft[key];
      refresh();
    },
  });
  show({
    id: "manner",
    lines: [pack.say("how_to_answer")],
    choices: [toggle("quiet"), toggle("relative"), { name: pack.say("go_on"), drawing: "go_on", isMain: true, act: () => go(ready) }],
  });
}

function sendDraft() {
  send(draft);
  draft = emptyDraft();
  go(sent);
}

/**
 * What became of a letter, in a sentence or two.
 * @param {Letter} letter
 */
function sentence(letter) {
  switch (letter.state) {
    case "in_box":
      return pack.say("in_the_box");
    case "receipt":
      return pack.say("arrived");
    case "withdrawn":
      return pack.say("taken_back");
    case "too_late":
      return pack.say("too_late_to_take_back");
    default:
      return isQuiet ? pack.say("not_yet") : pack.say("sending");
  }
}

/** How soon somebody answers, in the line's own sentence. */
function howSoon() {
  const plan = beats && beats.plan;
  if (!plan) return "";
  if (plan.closed_until * 1000 > lineNow()) return pack.say("closed_until").replace("{date}", day(plan.closed_until));
  return plan.answer_within ? pack.say("answer_within_" + plan.answer_within) : "";
}

/** The letter on its way: one tick, two ticks. */
function sent() {
  const letter = newest();
  if (!letter) return hub();
  const hasArrived = letter.state === "receipt";
  const drawing = hasArrived ? "arrived" : letter.state === "in_box" ? "in_box" : "waiting";
  /** @type {Choice[]} */
  const list = [];
  if (drawnWords.length && !areLearned) list.push({ name: pack.say("my_words"), drawing: "words", isMain: true, act: () => go(() => teach(0)) });
  const news = unread();
  if (news.length) list.push({ name: pack.say("read_answer"), drawing: "read", isMain: true, act: () => readFrom(news[0]) });
  if (isQuiet) list.push({ name: pack.say("try_again"), drawing: "undo", isMain: true, act: () => beats && beats.begin() });
  list.push({ name: pack.say("write_words"), drawing: "write", act: () => write(false) });
  list.push({ name: pack.say("more"), drawing: "more", act: () => go(more) });
  show({
    id: "sent",
    drawing: pack.drawings[drawing],
    isWaiting: drawing === "waiting",
    lines: hasArrived ? [sentence(letter), howSoon()] : [sentence(letter)],
    body: withdrawalNote(),
    choices: list.slice(0, 4),
  });
}

/** A quiet word that a letter was asked back. */
function withdrawalNote() {
  const last = letters[letters.length - 1];
  const letter = newest();
  if (!last || !last.isWithdrawal || !letter || letter.state === "withdrawn" || letter.state === "too_late") return [];
  return [element("p", "small", pack.say("withdraw_sent"))];
}

/** A quiet word that the network is away. */
function quietNote() {
  if (!isQuiet) return [];
  const note = element("p", "small", pack.say("not_yet"));
  const again = button(pack.say("try_again"), () => beats && beats.begin(), pack.drawings.undo);
  return [note, again];
}

/**
 * Her words, four and four, each with its picture.
 * @param {number} half
 */
function teach(half) {
  const list = element("ol", "taught");
  for (const index of drawnWords.slice(4 * half, 4 * half + 4)) {
    const item = element("li");
    item.appendChild(pack.emoji[index] ? emoji(index) : drawn(pack.shelfDrawings[Math.floor(index / SHELF_WORDS)]));
    item.appendChild(element("span", "", pack.words[index]));
    list.appendChild(item);
  }
  show({
    id: "teach" + half,
    lines: [pack.say(half ? "memory" : "your_words")],
    body: [list, element("p", "small", pack.say(half ? "small_story_second" : "small_story_first"))],
    choices: [{ name: pack.say("go_on"), drawing: "go_on", isMain: true, act: half ? tapBack : () => go(() => teach(1)) }],
    back: half ? () => go(() => teach(0)) : () => go(sent),
  });
}

/** She taps them back: so she learns the way in, too. */
function tapBack() {
  entry.wipe();
  entry.screen = { id: "tap_back", lines: [pack.say("tap_back")], choices: [{ name: pack.say("my_words"), drawing: "words", act: () => go(() => teach(0)) }] };
  entry.done = (indexes) => {
    const isRight = indexes.every((index, at) => index === drawnWords[at]);
    entry.wipe();
    go(isRight ? learned : notLearned);
  };
  tap();
}

function notLearned() {
  show({
    id: "not_learned",
    lines: [pack.say("words_not_right")],
    choices: [{ name: pack.say("my_words"), drawing: "words", isMain: true, act: () => go(() => teach(0)) }],
    back: () => go(sent),
  });
}

/** Learned: her three pictures, then the other door. */
function learned() {
  areLearned = true;
  const door = lineFacts && lineFacts.door;
  show({
    id: "learned",
    lines: [pack.say("words_right"), pack.say("your_pictures")],
    body: [marks()],
    choices: [{ name: pack.say("go_on"), drawing: "go_on", isMain: true, act: () => go(door ? otherDoor : sent) }],
  });
}

/** Another address, to be learned by heart. */
function otherDoor() {
  const facts = lineFacts;
  if (!facts || !facts.door) return hub();
  show({
    id: "door",
    drawing: pack.drawings.door,
    lines: [pack.say("other_door_learn")],
    body: [element("p", "address", facts.door), element("p", "small", pack.say("private_window"))],
    choices: [{ name: pack.say("go_on"), drawing: "go_on", act: home }],
  });
}

/** What is needed seldom. */
function more() {
  /** @type {Choice[]} */
  const list = [];
  const letter = newest();
  if (letter && !letter.isSafe && letter.seq && letter.state !== "withdrawn" && letter.state !== "too_late") {
    const act = () => {
      takeBack();
      go(sent);
    };
    list.push({ name: pack.say("take_back"), drawing: "take_back", act });
  } else if (letters.length) {
    list.push({ name: pack.say("check_in"), drawing: "ok", act: () => go(statuses) });
  }
  list.push({ name: pack.say("someone_else"), drawing: "someone_else", act: () => write(true) });
  if (lineFacts && lineFacts.door) list.push({ name: pack.say("other_door"), drawing: "door", act: () => go(otherDoor) });
  else if (drawnWords.length) list.push({ name: pack.say("my_words"), drawing: "words", act: () => go(() => teach(0)) });
  show({ id: "more", lines: [pack.say("no_meetings")], choices: list, back: home });
}

/** The longest text, in letters. */
const TEXT_MAX = 500;

/** What names a person: an ID number, or a telephone number. Looked for here and nowhere else. */
const TELLING = /\d[\d\s-]{6,}\d/;

/**
 * Words of her own.
 * @param {boolean} isSafe whether a different person reads them
 */
function write(isSafe) {
  const area = document.createElement("textarea");
  area.maxLength = TEXT_MAX;
  area.setAttribute("autocomplete", "off");
  area.setAttribute("autocorrect", "off");
  area.setAttribute("autocapitalize", "off");
  area.setAttribute("spellcheck", "false");
  area.setAttribute("data-gramm", "false");
  area.setAttribute("aria-label", pack.say("your_letter"));
  field = area;
  const hint = element("p", "small");
  hint.setAttribute("aria-live", "polite");
  const look = () => {
    const left = TEXT_MAX - area.value.length;
    hint.textContent = TELLING.test(area.value) ? pack.say("looks_like_number") : left <= 100 ? pack.say("letters_left").replace("{n}", String(left)) : "";
  };
  area.addEventListener("input", look);
  const act = () => {
    if (!area.value.trim()) return area.focus();
    const text = area.value;
    area.value = "";
    draft = emptyDraft();
    draft.text = text;
    draft.isSafe = isSafe;
    sendDraft();
  };
  stay(() =>
    show({
      id: "write",
      lines: [isSafe ? pack.say("someone_else_truth") : "", pack.say("care")],
      body: [area, hint],
      choices: [{ name: pack.say("send"), drawing: "send", isMain: true, act }],
      back: () => {
        area.value = "";
        home();
      },
    }),
  );
}

/**
 * Shows an answer, and those after it.
 * @param {VisitEvent} answer
 */
function readFrom(answer) {
  go(() => read(answer.id, home));
}

/**
 * @param {string} id
 * @param {() => void} back
 */
function read(id, back) {
  const found = shownAnswers();
  const at = found.findIndex((one) => one.id === id);
  const answer = found[at];
  if (!answer) return back();
  const text = answer.text || (answer.stop ? "" : "…");
  const box = element("div", answer.stop ? "letter stop" : "letter", text);
  box.lang = "";
  /** @type {Choice[]} */
  const list = [{ name: pack.say("hide"), drawing: "hide", act: back }];
  if (found[at + 1]) list.push({ name: pack.say("next_answer"), drawing: "read", act: () => go(() => read(found[at + 1].id, back)) });
  if (answer.offer) list.push({ name: pack.say("no_thank_you"), drawing: "no_thanks", act: () => decline(Boolean(answer.safeguarding)) });
  list.push({ name: pack.say("write_again"), drawing: "write", act: () => write(Boolean(answer.safeguarding)) });
  const dates = [pack.say("answer_was_written").replace("{date}", day(answer.written)), pack.say("good_until").replace("{date}", day(answer.good_until))];
  show({
    id: "read" + at,
    lines: [pack.say(answer.stop ? "stop_do_not_go" : "answer_for_you")],
    drawing: answer.stop ? pack.drawings.stop : undefined,
    body: [box, element("p", "small", dates.join(" · "))],
    choices: list,
  });
  opened.add(id);
  if (core) core.call("displayed", fromHex(id), Number(answer.safeguarding));
}

/**
 * "No, thank you" closes an offer for good.
 * @param {boolean} isSafe
 */
function decline(isSafe) {
  draft = emptyDraft();
  draft.text = pack.say("no_thank_you");
  draft.isSafe = isSafe;
  sendDraft();
}

/**
 * A date in the page's language, by the phone's own clock of day.
 * @param {number} seconds
 */
function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString(LANG[pack.tongue], { month: "long", day: "numeric" });
}
