// A visit's beats (SPEC §9.1): the same for everyone, whatever she does. A failed POST waits for the next beat; there are never two in one.

/** How long before its beat a cell is sealed, unless half a beat is shorter. */
const SEALED_AHEAD = 1000;

/** Beats without any answer after which the page stops knocking: an endless retry against a block is a beacon. */
const TRIES = 6;

/** Fast beats after which the notice is fetched again: what the line tells everybody reaches a page that stays open, too. */
const NOTICE_BEATS = 10;

/** The longest that any request may take. */
const PATIENCE = 45000;

class Beats {
  /**
   * @param {Core} core
   * @param {(events: VisitEvent[]) => void} tell
   * @param {(isQuiet: boolean) => void} quiet told when the network went quiet for good, and when it is back
   */
  constructor(core, tell, quiet) {
    this.core = core;
    this.tell = tell;
    this.quiet = quiet;
    this.wall = Date.now() - performance.now();
    /** @type {Plan | null} */
    this.plan = null;
    /** @type {Set<number>} */
    this.timers = new Set();
    /** @type {number[]} */
    this.days = [];
    this.plannedAt = 0;
    this.posts = 0;
    this.failures = 0;
    this.isPosting = false;
    this.isListening = false;
    this.isReading = false;
    this.isAsking = false;
    this.isOver = false;
    this.slowRead = false;
  }

  /** The driver's clock: wall time once, and what has passed since. */
  now() {
    return Math.round(this.wall + performance.now());
  }

  /**
   * @param {number} delay
   * @param {() => void} act
   */
  after(delay, act) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (!this.isOver) act();
    }, delay);
    this.timers.add(timer);
  }

  /** Begins: notice, first POST at once, then the beats and the slow days. Also begins again after the network went quiet. */
  begin() {
    this.failures = 0;
    this.timers.forEach((timer) => clearTimeout(timer));
    this.timers.clear();
    this.quiet(false);
    if (!this.plan) return this.knock();
    this.notice();
    this.beat();
  }

  /** Asks for the first notice until it comes or the tries are used up. */
  async knock() {
    await this.notice();
    if (this.isOver) return;
    if (this.plan) return this.beat();
    if (this.failures >= TRIES) return this.quiet(true);
    this.after(10000, () => this.knock());
  }

  /** Fetches the notice. */
  async notice() {
    if (this.isAsking) return;
    this.isAsking = true;
    // Later ones say nothing of whether letters get through.
    const isFirst = !this.plan;
    try {
      const bytes = await ask("/v1/notice", PATIENCE);
      const events = this.core.json("notice", bytes, this.now());
      if (events) {
        this.setPlan(this.core.json("plan", null, this.now()));
        if (isFirst) this.failures = 0;
        this.tell(events);
      } else if (isFirst) {
        this.failures += 1;
      }
    } catch (error) {
      if (isFirst) this.failures += 1;
    }
    this.isAsking = false;
  }

  /** Starts the pulses: the first POST at once, the second half a beat to one and a half later, then one each beat. */
  beat() {
    const plan = /** @type {Plan} */ (this.plan);
    this.post(0);
    this.listen();
    this.days = plan.days.slice();
    this.readOn();
    this.pulse(() => this.pace().up_beat_ms, () => this.upBeat());
    let beats = 0;
    this.pulse(() => this.pace().beat_ms, () => {
      this.listen();
      beats += 1;
      if (beats % NOTICE_BEATS === 0) this.notice();
    });
    this.after(this.pace().slow_s * 1000 * part(), () => this.slowBeat());
  }

  /** @param {Plan} plan */
  setPlan(plan) {
    this.plan = plan;
    this.plannedAt = performance.now();
  }

  pace() {
    return /** @type {Plan} */ (this.plan);
  }

  /**
   * Acts every `length()`, first half a length to one and a half from now. What was missed while the phone slept is not made up for.
   * @param {() => number} length
   * @param {() => void} act
   */
  pulse(length, act) {
    let due = performance.now() + length() * (0.5 + part());
    const wait = () => this.after(Math.max(0, due - performance.now()), () => {
      act();
      const now = performance.now();
      while (due <= now) due += length();
      if (this.failures < TRIES) wait();
    });
    wait();
  }

  upBeat() {
    this.post(Math.min(SEALED_AHEAD, this.pace().up_beat_ms / 2));
    this.readOn();
    if (this.failures >= TRIES) this.quiet(true);
  }

  slowBeat() {
    const plan = this.core.json("plan", null, this.now());
    if (plan) {
      this.setPlan(plan);
      for (const day of plan.days.slice(0, 2)) if (this.days.indexOf(day) < 0) this.days.push(day);
      this.readOn();
    }
    if (this.failures < TRIES) this.after(this.pace().slow_s * 1000, () => this.slowBeat());
  }

  /**
   * Seals a cell now and posts it `ahead` milliseconds later. A POST still under way takes this beat too.
   * @param {number} ahead
   */
  async post(ahead) {
    if (this.isPosting) return;
    const body = this.core.bytes("beat", null, this.pace().relay_no, this.now());
    if (!body) return;
    this.isPosting = true;
    this.posts += 1;
    const number = this.posts;
    if (ahead) await new Promise((resolve) => setTimeout(resolve, ahead));
    if (this.isOver) return;
    /** @type {Uint8Array | null} */
    let reply = null;
    try {
      reply = await ask("/v1/up", PATIENCE, body);
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
    }
    this.isPosting = false;
    if (this.isOver) return;
    const events = this.core.json("posted", reply || new Uint8Array(0), number, this.pace().relay_no, reply ? 1 : 0);
    if (events) this.tell(events);
    const wantsNotice = (events || []).some((/** @type {VisitEvent} */ e) => e.event === "new_roster" || e.event === "stamp");
    if (wantsNotice || this.core.call("wants_notice", null, this.now()) > 0) this.notice();
  }

  /** Fetches the newest two beats. */
  async listen() {
    if (this.isListening) return;
    this.isListening = true;
    try {
      const bytes = await ask("/v1/down/fast", PATIENCE);
      const events = this.core.json("fast", bytes, this.pace().relay_no, this.now());
      if (events) this.tell(events);
    } catch (error) {
      // The next beat listens again.
    }
    this.isListening = false;
  }

  /** Fetches the slow days still to be read, newest first, one at a time. A failed one waits for the next beat. */
  async readOn() {
    if (this.isReading) return;
    this.isReading = true;
    while (this.days.length && !this.isOver) {
      const day = this.days[0];
      try {
        const bytes = await ask("/v1/down/slow/" + day, PATIENCE * 2);
        this.days.shift();
        const events = this.core.json("slow_day", bytes, this.pace().relay_no, this.now());
        if (events) this.tell(events);
      } catch (error) {
        // A day that has passed out of the track is not there any more; only today's always is.
        const days = (this.core.json("plan", null, this.now()) || { days: [] }).days;
        if (error === REFUSED || days.indexOf(day) < 0) this.days.shift();
        break;
      }
    }
    this.isReading = false;
    if (!this.days.length && !this.slowRead && !this.isOver) {
      this.slowRead = true;
      this.tell([]);
    }
  }

  /** Ends all beats. */
  stop() {
    this.isOver = true;
    this.timers.forEach((timer) => clearTimeout(timer));
    this.timers.clear();
  }
}

/** A random part of one. */
function part() {
  return crypto.getRandomValues(new Uint32Array(1))[0] / 4294967296;
}
