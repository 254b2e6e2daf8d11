// Entering eight words without a keyboard: a shelf, then a word; or a first sound, then a word.

/** Words in a phrase, and on a shelf. */
const PHRASE_WORDS = 8;
const SHELF_WORDS = 32;

/** Words being tapped. */
class Entry {
  /**
   * @param {Screen} screen what surrounds the pads: sentences, choices, the way back
   * @param {(indexes: number[]) => void} done
   */
  constructor(screen, done) {
    this.screen = screen;
    this.done = done;
    /** @type {number[]} */
    this.indexes = [];
    this.isBySound = false;
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

  soundPad() {
    const pad = element("div", "pad sounds");
    const sounds = Array.from(new Set(pack.sounds)).sort();
    for (const sound of sounds) {
      const words = pack.words.map((_, index) => index).filter((index) => pack.sounds[index] === sound);
      words.sort((a, b) => (pack.words[a] < pack.words[b] ? -1 : 1));
      pad.appendChild(button(sound, () => this.choose(words)));
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
    if (this.open) {
      tools.appendChild(button(pack.say("back_one"), () => this.choose(null), pack.drawings.back));
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

  turn() {
    this.isBySound = !this.isBySound;
    this.show();
  }

  undo() {
    this.indexes.pop();
    this.choose(null);
  }

  /** @param {number} index */
  add(index) {
    this.indexes.push(index);
    if (this.indexes.length < PHRASE_WORDS) return this.choose(null);
    this.done(this.indexes);
  }

  wipe() {
    this.indexes.fill(0);
    this.indexes.length = 0;
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
