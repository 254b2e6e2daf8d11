// The Rust core as JavaScript sees it: calls by name, bytes in, bytes or JSON out. Its own docs are in client/web/core.

/**
 * What happened in a visit.
 * @typedef {{event: string, seq: number, safeguarding: boolean, code: number, serial: number, id: string, n: number, stop: boolean,
 *   stops: string[], offer: boolean, written: number, good_until: number, text: string}} VisitEvent
 */

/**
 * The line's pace and the words it chooses.
 * @typedef {{relay_no: number, now: number, up_beat_ms: number, beat_ms: number, slow_s: number, days: number[],
 *   answer_within: number, closed_until: number, bulletin: number}} Plan
 */

class Core {
  /**
   * Opens a visit. The seed comes from the browser's own generator.
   * @param {WebAssembly.Instance} instance
   * @param {Uint8Array} root the line's root key
   */
  constructor(instance, root) {
    /** @type {any} */
    this.calls = instance.exports;
    const start = this.calls.reserve();
    const bytes = this.memory(start, 64);
    bytes.set(root);
    crypto.getRandomValues(bytes.subarray(32));
    this.page = this.calls.open(start);
  }

  /**
   * @param {number} at
   * @param {number} length
   */
  memory(at, length) {
    return new Uint8Array(this.calls.memory.buffer, at, length);
  }

  /**
   * Makes a call. Negative: it was refused.
   * @param {string} name
   * @param {Uint8Array | null} input
   * @param {...number} numbers
   * @returns {number}
   */
  call(name, input, ...numbers) {
    if (!this.page) return -4;
    if (input) {
      const at = this.calls.input(this.page, input.length);
      this.memory(at, input.length).set(input);
    }
    return this.calls[name](this.page, ...numbers);
  }

  /**
   * Makes a call that says bytes; null if it was refused.
   * @param {string} name
   * @param {Uint8Array | null} input
   * @param {...number} numbers
   */
  bytes(name, input, ...numbers) {
    const length = this.call(name, input, ...numbers);
    return length < 0 ? null : this.memory(this.calls.output(this.page), length).slice();
  }

  /**
   * Makes a call that says JSON; null if it was refused.
   * @param {string} name
   * @param {Uint8Array | null} input
   * @param {...number} numbers
   * @returns {any}
   */
  json(name, input, ...numbers) {
    const said = this.bytes(name, input, ...numbers);
    return said && JSON.parse(new TextDecoder().decode(said));
  }

  /** Wipes every key and text, and then the memory they were in. */
  wipe() {
    if (!this.page) return;
    this.calls.close(this.page);
    this.page = 0;
    new Uint8Array(this.calls.memory.buffer).fill(0);
    this.calls = null;
  }
}
