/**
 * `knet bugreport`: an archive for whoever looks into a fault.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import { defineCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { storeUrlOf } from "./store.ts";

/** The command. */
export const bugreport = defineCommand({
  name: "bugreport",
  summary: "Pack what is known of a fault into one archive",
  about: [
    "Versions, what doctor and status say, metrics, settings, devices, kernel tables and the firewall of this host, as texts. " +
    "Passwords are hidden; addresses and names are not. Changes nothing. The log is systemd's and not in it: journalctl -u knet.",
  ],
  words: [{
    name: "FILE",
    help: "Where it goes, a .tar.gz; the default is knet-bugreport-TIME.tar.gz in this folder",
    optional: true,
  }],
  options: {},
  examples: [
    { line: "knet bugreport", about: "as root, on the host where it happens" },
    { line: "knet bugreport /tmp/host-1.tar.gz", about: "to a file of your choice" },
  ],
  run: async ({ words, settings }) => {
    const [{ bugReport }, { tar }, { gzipSync }] = await Promise.all([
      import("../core/inspect/bug_report.ts"),
      import("../core/base/tar.ts"),
      import("node:zlib"),
    ]);
    const texts = await bugReport({
      storeUrl: () => storeUrlOf(settings),
      stateDir: settings.stateDir,
      dataDir: settings.dataDir,
      configFile: settings.configFile,
    });
    const now = new Date();
    const time = now.toISOString().replace(/\..*/, "").replace(/[-:]/g, "");
    const path = words[0] ?? `knet-bugreport-${time}.tar.gz`;
    const entries = texts.map(({ name, text }) => ({
      name: `knet-bugreport/${name}`,
      content: new TextEncoder().encode(text),
    }));
    write(path, new Uint8Array(gzipSync(tar(entries, Math.floor(now.getTime() / 1000)))));
    if (settings.json) printJson({ file: path, contents: texts.map(({ name }) => name) });
    else {
      print(
        `Wrote ${path}: ${texts.length} texts, passwords hidden. Look into it before you pass it on.\n` +
          "The log is not in it: journalctl -u knet --since yesterday",
      );
    }
  },
});

/** A new file for the owner only: what stood there before stays, whoever put it there. */
function write(path: string, bytes: Uint8Array<ArrayBuffer>): void {
  try {
    Deno.writeFileSync(path, bytes, { createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new KnetError(`Cannot write the report: "${path}" is there already`, {
      exitCode: 2,
      remedy: "Name another file",
      cause: error,
    });
  }
}
