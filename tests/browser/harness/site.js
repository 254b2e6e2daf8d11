// A site of the tests' own, over https with the certificate of a relay.
import { createServer } from "node:https";

/**
 * What a path answers.
 * @typedef {{type: string, body: string | Buffer, headers?: Record<string, string>, status?: number}} Answer
 */

/** The site. */
export class Site {
  /**
   * Opens it on loopback.
   * @param {{cert: Buffer, key: Buffer}} identity
   * @param {Record<string, Answer>} answers by path, without the query
   * @param {number} [port] any that is free, if not given
   * @returns {Promise<Site>}
   */
  static open(identity, answers, port = 0) {
    return new Promise((resolve, reject) => {
      const server = createServer(identity);
      server.on("error", reject);
      server.listen(port, "127.0.0.1", () => resolve(new Site(server, answers)));
    });
  }

  /**
   * @param {import("node:https").Server} server
   * @param {Record<string, Answer>} answers
   */
  constructor(server, answers) {
    this.server = server;
    /** Every request that came: method, path and headers. @type {{method: string, path: string, headers: any}[]} */
    this.heard = [];
    server.on("request", (request, reply) => {
      const path = String(request.url);
      this.heard.push({ method: String(request.method), path, headers: request.headers });
      request.resume();
      const answer = answers[path.replace(/\?.*$/, "")] || { type: "text/plain", body: "", status: 404 };
      reply.writeHead(answer.status || 200, { "content-type": answer.type, ...answer.headers });
      reply.end(answer.body);
    });
  }

  /** HOST:PORT. */
  get address() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.server.address());
    return `127.0.0.1:${port}`;
  }

  /** https://HOST:PORT. */
  get origin() {
    return `https://${this.address}`;
  }

  /** Closes it. */
  async close() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
