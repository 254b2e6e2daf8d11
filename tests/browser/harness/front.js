// A relay on a socket behind an ordinary website's nginx, as deploy/nginx.conf has it.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { pause } from "./browser.js";
import { WORKSPACE } from "./browsers.js";
import { PROGRAMS, Relay } from "./line.js";
import { Program } from "./program.js";

/** What strangers see, and what the website says where there is nothing. */
export const PAGES = { "index.html": "<title>Bakery</title><h1>Bakery</h1>", "about": "<h1>About</h1>", "sold-out.html": "<h1>Sold out</h1>" };
/** Makes the socket that a service manager would make, and becomes the relay. */
const HAND_OVER =
  "import os, socket, sys\n" +
  "made = socket.socket(socket.AF_UNIX)\n" +
  "made.bind(sys.argv[1])\n" +
  "made.listen(128)\n" +
  "os.dup2(made.fileno(), 3)\n" +
  "os.set_inheritable(3, True)\n" +
  "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n" +
  "os.execv(sys.argv[2], sys.argv[2:])\n";

/** The website with the relay behind it; its address and its certificate are the website's. */
export class Front extends Relay {
  /** @override @returns {Promise<Front>} */
  static async make() {
    const { dir, keyring, address, pin } = await Relay.make();
    const front = new Front(dir, keyring, address);
    front.pin = pin;
    const text = readFileSync(`${dir}/relay.toml`, "utf8").replace(JSON.stringify(address), '"systemd"');
    const hash = Buffer.from(pin, "base64").toString("hex");
    writeFileSync(`${dir}/relay.toml`, text.replace("self_signed = true", `spki = "${hash}"`));
    for (const folder of ["www", "logs", "var"]) mkdirSync(`${dir}/${folder}`);
    for (const [name, page] of Object.entries(PAGES)) writeFileSync(`${dir}/www/${name}`, page);
    return front;
  }

  /**
   * @param {string} dir
   * @param {string} keyring
   * @param {string} address
   */
  constructor(dir, keyring, address) {
    super(dir, keyring, address);
    /** @type {Program | undefined} */
    this.nginx = undefined;
    this.sockets = 0;
  }

  /** Starts the relay and then the website, as it is configured for the gates that the relay knows. @override */
  async start() {
    this.sockets += 1;
    const socket = `${this.dir}/relay-${this.sockets}.sock`;
    this.program = new Program("python3", ["-c", HAND_OVER, socket, `${PROGRAMS}/porchlight-relay`, ...this.args("run")]);
    await this.program.hears(/^ready /m);
    writeFileSync(`${this.dir}/nginx.conf`, this.configured(socket));
    const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` };
    this.nginx = new Program("nginx", ["-e", `${this.dir}/logs/start.log`, "-c", `${this.dir}/nginx.conf`], { env });
    while (!(await answers(this.address))) {
      if (this.nginx.ended) throw new Error(`nginx does not start:\n${this.nginx.said}`);
      await pause(20);
    }
  }

  /** @override */
  async stop() {
    await this.nginx?.stop();
    this.nginx = undefined;
    await super.stop();
  }

  /** All that the website has written down. */
  logs() {
    return readdirSync(`${this.dir}/logs`).map((name) => readFileSync(`${this.dir}/logs/${name}`, "utf8")).join("");
  }

  /**
   * The two parts of deploy/nginx.conf within a website of files.
   * @param {string} socket
   */
  configured(socket) {
    const gates = [...readFileSync(`${this.dir}/relay.toml`, "utf8").matchAll(/^gates = \[(.*)\]$/gm)].flatMap(([, list = ""]) => list.match(/[a-z0-9]+/g) || []);
    const text = readFileSync(`${WORKSPACE}/deploy/nginx.conf`, "utf8");
    const changes = [["unix:/run/porchlight-front/relay.sock;", `unix:${socket};`], ["(k3v9q2x7)", `(${gates.join("|")})`]];
    const changed = changes.reduce((text, [example = "", own = ""]) => {
      if (!text.includes(example) || !gates.length) throw new Error(`deploy/nginx.conf has another example than ${example}, or there is no gate`);
      return text.replace(example, own);
    }, text);
    const [, http, server] = /# ── http block[^\n]*\n([^]*)# ── server block[^\n]*\n([^]*)$/.exec(changed) || [];
    const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${this.dir}/var/${name};`);
    return `user root;
daemon off;
worker_processes 1;
pid ${this.dir}/nginx.pid;
error_log ${this.dir}/logs/error.log crit;
events { worker_connections 1024; }
http {
${folders.join("\n")}
types { text/html html; }
server_tokens off;
${http}
access_log ${this.dir}/logs/access.log porchlight if=$porchlight_elsewhere;
server {
listen ${this.address} ssl http2;
ssl_certificate ${this.dir}/relay/tls/cert.pem;
ssl_certificate_key ${this.dir}/relay/tls/key.pem;
root ${this.dir}/www;
error_page 404 /sold-out.html;
location / { }
${server}
}
}
`;
  }
}

/**
 * Whether somebody listens there.
 * @param {string} address HOST:PORT
 * @returns {Promise<boolean>}
 */
function answers(address) {
  return new Promise((resolve) => {
    const socket = connect(Number(address.replace(/^.*:/, "")), address.replace(/:\d+$/, ""));
    socket.on("connect", () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false));
  });
}
