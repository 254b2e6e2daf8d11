// Entering eight words without a keyboard: a shelf, then a word; or a first sound, then a word.

/** Words in a phrase, and on a shelf. */
const PHRASE_WORDS = 8;
const SHELF_WORDS = 32;

/** Words being tapped. */
class Entry {
  /**
   * @param {View} screen what surrounds the pads: sentences, choices, the way back
   * @param {(indexes: number[]) => void} done
   */
  constructor(screen, done) {
    this.screen = screen;
    this.done = done;
    /** @type {number[]} */
    this.indexes = [];
    this.isBySound = false;
    /** The first sound that was tapped, where the next one is asked for; or none. */
    this.sound = "";
    /** @type {number[] | null} the words of the open shelf or sound */
    this.open = null;
  }

  show() {
    show(Object.assign({}, this.screen, { body: [this.slots(), this.open ? this.wordPad(this.open) : this.firstPad(), this.tools()] }));
  }

  slots() {
    const list = element("ol", "slots");
    for (let at = 0; at < PHRASE_WORDS; at += 1) list.appendChild(slot(this.indexes[at]));
    return list;
  }

  firstPad() {
    return this.isBySound ? this.soundPad() : this.shelfPad();
  }

  shelfPad() {
    const pad = element("div", "pad");
    pack.shelves.forEach((name, shelf) => {
      const first = shelf * SHELF_WORDS;
      const words = Array.from({ length: SHELF_WORDS }, (_, at) => first + at);
      pad.appendChild(button(name, () => this.choose(words), pack.shelfDrawings[shelf]));
    });
    return pad;
  }

  /** First sounds; and where many words begin with one, the sounds that follow it. */
  soundPad() {
    const first = this.sound;
    const words = pack.words.map((_, index) => index).filter((index) => !first || pack.sounds[index][0] === first);
    const pad = element("div", "pad sounds");
    for (const sound of Array.from(new Set(words.map((index) => pack.sounds[index][first ? 1 : 0]))).sort()) {
      const under = words.filter((index) => pack.sounds[index][first ? 1 : 0] === sound);
      under.sort((a, b) => (pack.words[a] < pack.words[b] ? -1 : 1));
      const act = () => {
        if (!first && under.length > SHELF_WORDS) this.sound = sound;
        this.choose(!first && under.length > SHELF_WORDS ? null : under);
      };
      pad.appendChild(button(first ? first + sound : sound, act));
    }
    return pad;
  }

  /** @param {number[]} words */
  wordPad(words) {
    const pad = element("div", "pad");
    for (const index of words) {
      const made = button("", () => this.add(index));
      made.textContent = "";
      if (pack.emoji[index]) made.appendChild(emoji(index));
      made.appendChild(element("span", "", pack.words[index]));
      made.dataset.word = String(index);
      pad.appendChild(made);
    }
    return pad;
  }

  tools() {
    const tools = element("div", "tools");
    if (this.open || this.sound) {
      tools.appendChild(button(pack.say("back_one"), () => this.stepBack(), pack.drawings.back));
    } else {
      const other = this.isBySound ? "shelves" : "by_sound";
      tools.appendChild(button(pack.say(other), () => this.turn(), pack.drawings[other]));
    }
    if (this.indexes.length) tools.appendChild(button(pack.say("undo_word"), () => this.undo(), pack.drawings.undo));
    return tools;
  }

  /** @param {number[] | null} words */
  choose(words) {
    this.open = words;
    this.show();
    window.scrollTo(0, 0);
  }

  /** From the words to the sounds or shelves, from the second sounds to the first. */
  stepBack() {
    if (!this.open) this.sound = "";
    this.choose(null);
  }

  turn() {
    this.isBySound = !this.isBySound;
    this.show();
  }

  undo() {
    this.indexes.pop();
    this.sound = "";
    this.choose(null);
  }

  /** @param {number} index */
  add(index) {
    this.indexes.push(index);
    this.sound = "";
    if (this.indexes.length < PHRASE_WORDS) return this.choose(null);
    this.done(this.indexes);
  }

  wipe() {
    this.indexes.fill(0);
    this.indexes.length = 0;
    this.open = null;
    this.sound = "";
  }
}

/**
 * The place of one word, empty or set.
 * @param {number | undefined} index
 */
function slot(index) {
  const made = element("li", index === undefined ? "" : "set");
  if (index === undefined) return made;
  if (pack.emoji[index]) made.appendChild(emoji(index));
  made.appendChild(element("span", "", pack.words[index]));
  return made;
}

/**
 * A word's picture, where it has one.
 * @param {number} index
 */
function emoji(index) {
  const made = element("span", "emoji", pack.emoji[index]);
  made.setAttribute("aria-hidden", "true");
  return made;
}
