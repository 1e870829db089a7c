// A server with pages, on an archive of its own: invented articles with everything that pages show.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const binary = process.env.DATELINE_BIN;
const settings = Object.entries(process.env).filter(([name]) => !name.startsWith("DATELINE_"));

const paragraphs = [
  "The harbour bridge will close on 2 June for repairs that are expected to take three months, the council said on Friday.",
  "About 12,000 vehicles cross the bridge every day. Lorries will be taken across by ferry, and cars will have to go round by Westport.",
  "\u201cIt is the least bad of several bad options,\u201d said Mary Brook, who is responsible for roads.",
  "## What happens next",
  "- A ferry from 6 in the morning until midnight\n- Buses every ten minutes\n- A footbridge, if the money is found",
  "The last large repair was in 1987. The bridge was built in 1931 and has been strengthened four times since.",
  "Residents of Northside had asked for a temporary bridge, which the council rejected as too expensive.",
  "The work will cost 4.2 million.",
];

function document(headline, body) {
  return `---\nauthor: Ada Lake\ndate: 2026-05-01\nurl: https://express.example/harbour\n---\n# ${headline}\n\n${body.join("\n\n")}\n`;
}

function bridge() {
  const second = paragraphs.map((text) => text.replace("will close on 2 June", "closed this morning").replace("three months", "five months"));
  const third = [...second];
  third.splice(1, 0, third.splice(6, 1)[0]);
  third.splice(3, 1);
  third.push("*Correction, 3 June: an earlier version of this article said that buses would run every five minutes.*");
  return [
    ["2026-05-01T09:00:00Z", document("Harbour bridge to close in June", paragraphs)],
    ["2026-06-02T08:00:00Z", document("Harbour bridge closes today", second)],
    ["2026-06-02T20:00:00Z", document("Harbour bridge closes today", second)],
    ["2026-06-03T08:00:00Z", document("Harbour bridge closes today", third)],
  ];
}

export class Site {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "dateline-browser-"));
    this.environment = Object.fromEntries([...settings, ["DATELINE_ARCHIVE", join(this.folder, "archive")]]);
  }

  /** Runs a command on the archive, through its server if that runs. */
  dateline(args, input = "") {
    const done = spawnSync(binary, args, { env: this.environment, input, encoding: "utf8" });
    if (done.status !== 0) throw new Error(`dateline ${args.join(" ")}: ${done.stderr}`);
    return done.stdout;
  }

  add(source, article, observedAt, text, more = []) {
    this.dateline(["add", "-", "--source", source, "--article", article, "--observed-at", observedAt, ...more], text);
  }

  fill() {
    this.dateline(["key", "new", join(this.folder, "key.pem")]);
    for (const [at, text] of bridge()) this.add("express", "harbour", at, text, ["--label", "roads"]);
    this.add("courier", "ferry", "2026-05-20T08:00:00Z", "# Ferry timetable\n\nFrom 6 to 24.\n");
    this.add("courier", "mayor", "2026-05-21T08:00:00Z", "# Mayor resigns\n\nThe mayor resigned.\n");
    this.dateline(["withdraw", "courier/mayor", "--observed-at", "2026-05-22T08:00:00Z", "--reason", "pending legal review"]);
    this.add("almadina", "jisr", "2026-05-20T08:00:00Z", "---\nlang: ar\n---\n# إغلاق الجسر في يونيو\n\nقال المجلس يوم الجمعة إن الجسر سيغلق في 2 يونيو.\n");
    this.add("almadina", "jisr", "2026-05-21T08:00:00Z", "---\nlang: ar\n---\n# إغلاق الجسر في يوليو\n\nقال المجلس يوم الجمعة إن الجسر سيغلق في 2 يوليو.\n");
    this.add("express", "gone", "2026-05-20T08:00:00Z", "# Ferry line planned\n\nIt is planned.\n");
    this.dateline(["absent", "express/gone", "--status", "410", "--observed-at", "2026-05-25T08:00:00Z"]);
  }

  /** Starts the server, and waits until it says where the pages are. */
  async start() {
    const args = ["serve", "--web-listen", "127.0.0.1:0", "--log-key", join(this.folder, "key.pem"), "--log-format", "json"];
    this.server = spawn(binary, args, { env: this.environment, stdio: ["ignore", "ignore", "pipe"] });
    const log = [];
    for await (const line of createInterface({ input: this.server.stderr })) {
      log.push(line);
      const { fields } = JSON.parse(line);
      if (fields.message === "showing pages") this.url = fields.url.replace(/\/$/, "");
      if (fields.message === "serving") break;
    }
    if (!this.url) throw new Error(`the server did not start:\n${log.join("\n")}`);
    this.server.stderr.resume();
  }

  async stop() {
    if (this.server && this.server.exitCode === null) {
      const ended = new Promise((resolve) => this.server.once("exit", resolve));
      this.server.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One address of each page, and of each state that changes how one looks. */
export const addresses = [
  "/",
  "/changes",
  "/takedowns",
  "/sources",
  "/status",
  "/s/express",
  "/s/express?state=gone",
  "/a/express/harbour",
  "/a/express/harbour?at=2026-05-10T00%3A00%3A00Z",
  "/a/express/harbour/history",
  "/a/express/harbour/r/1",
  "/a/express/harbour/diff/1..3",
  "/a/express/harbour/diff/1..3?view=side",
  "/a/express/harbour/diff/..1",
  "/a/express/harbour/blame",
  "/a/express/harbour/calendar/2026",
  "/a/courier/mayor",
  "/a/courier/ferry/history",
  "/a/express/gone",
  "/a/almadina/jisr",
  "/a/almadina/jisr/diff/1..2?view=side",
  "/nothing",
];
