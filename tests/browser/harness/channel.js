// Requests, answers and events as JSON over one WebSocket: what Chromium's DevTools protocol and WebDriver BiDi share.
import WebSocket from "ws";

/** How long a browser may take to answer one request, in milliseconds. */
const PATIENCE_MS = 60_000;

/** A browser said no to a request. */
export class Refused extends Error {}

/** One connection to a browser. */
export class Channel {
  /** @param {WebSocket} socket */
  constructor(socket) {
    this.socket = socket;
    this.last = 0;
    /** @type {Map<number, {done: (result: any) => void, failed: (error: Error) => void}>} */
    this.open = new Map();
    /** @type {Map<string, ((params: any) => void)[]>} */
    this.listeners = new Map();
    socket.on("message", (data) => this.hear(JSON.parse(data.toString())));
    socket.on("close", () => this.fail(new Error("the browser has closed the connection")));
    // A browser that is killed resets the connection; "close" follows.
    socket.on("error", () => {});
  }

  /**
   * Connects.
   * @param {string} url ws://…
   * @returns {Promise<Channel>}
   */
  static connect(url) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 256 * 1024 * 1024 });
      socket.once("open", () => resolve(new Channel(socket)));
      socket.once("error", reject);
    });
  }

  /**
   * Sends one request and waits for its answer.
   * @param {string} method
   * @param {object} [params]
   * @returns {Promise<any>} what it answers
   */
  send(method, params = {}) {
    const id = (this.last += 1);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => this.settle(id)?.failed(new Error(`${method}: no answer`)), PATIENCE_MS);
      const end = (/** @type {(value: any) => void} */ act) => (/** @type {any} */ value) => (clearTimeout(late), act(value));
      this.open.set(id, { done: end(resolve), failed: end(reject) });
      if (this.socket.readyState !== WebSocket.OPEN) {
        this.settle(id)?.failed(new Error(`${method}: the browser has closed the connection`));
        return;
      }
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /**
   * Calls `act` at every event of this name.
   * @param {string} event
   * @param {(params: any) => void} act
   */
  on(event, act) {
    this.listeners.set(event, [...(this.listeners.get(event) || []), act]);
  }

  /** Closes the connection; the browser goes on. */
  close() {
    this.socket.terminate();
  }

  /** @param {any} message */
  hear(message) {
    if (typeof message.id !== "number") {
      (this.listeners.get(message.method) || []).forEach((act) => act(message.params));
      return;
    }
    const asked = this.settle(message.id);
    // DevTools puts an object under `error`, BiDi a word with `message` beside it.
    if (message.error) asked?.failed(new Refused(message.error.message || `${message.error}: ${message.message}`));
    else asked?.done(message.result);
  }

  /** @param {number} id */
  settle(id) {
    const asked = this.open.get(id);
    this.open.delete(id);
    return asked;
  }

  /** @param {Error} error */
  fail(error) {
    [...this.open.keys()].forEach((id) => this.settle(id)?.failed(error));
  }
}
