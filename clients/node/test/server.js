// @ts-check
// Starts a server for the tests. DATELINE_BIN names the binary; the default is the debug build of this checkout.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, constants, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const DEBUG_BUILD = fileURLToPath(new URL("../../../target/debug/dateline", import.meta.url));
const START_MS = 60_000;
const STOP_MS = 60_000;

/** A server with an archive of its own, on a free port of this machine. */
export async function startServer() {
  const binary = process.env.DATELINE_BIN || DEBUG_BUILD;
  await access(binary, constants.X_OK).catch(() => {
    throw new Error(`there is no server at ${binary}: run \`cargo build\`, or set DATELINE_BIN`);
  });
  // The settings of the person who runs the tests must not reach the server.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("DATELINE_")));
  const folder = await mkdtemp(join(tmpdir(), "dateline-node-"));
  const options = ["serve", "--archive", join(folder, "archive"), "--listen", "127.0.0.1:0", "--no-auth"];
  const child = spawn(binary, options, { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "exit");
  /** @type {string[]} */
  const log = [];
  // The log is read to its end, so that the server never waits for room in the pipe.
  const lines = createInterface({ input: child.stderr });

  /** @type {Promise<string>} */
  const serving = new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`the server did not start. Its log:\n${log.join("\n")}`));
    const timer = setTimeout(fail, START_MS);
    lines.on("line", (line) => {
      log.push(line);
      const address = /serving address=(\S+)/.exec(line)?.[1];
      if (address) {
        clearTimeout(timer);
        resolve(address);
      }
    });
    lines.on("close", () => {
      clearTimeout(timer);
      fail();
    });
  });

  async function stop() {
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    child.kill("SIGTERM");
    const [status, signal] = await ended;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
    if (status !== 0) {
      throw new Error(`the server ended with ${status ?? signal}. Its log:\n${log.join("\n")}`);
    }
  }

  try {
    return { address: await serving, stop };
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}
