/**
 * Everything that whoever looks into a fault asks for, as texts without secrets: what `knet bugreport` packs.
 *
 * What cannot be had is a text that says why: a report is made where things are broken.
 *
 * @module
 */
import { messageOf } from "../base/error.ts";
import { readTextIfPresent } from "../base/files.ts";
import { hidePasswords } from "../base/secrets.ts";
import { VERSION } from "../base/version.ts";
import { askAgent } from "./ask_agent.ts";
import { runDoctor } from "./doctor/doctor.ts";
import { collectStatus } from "./status.ts";

/** Where to look. */
export interface BugReportOptions {
  readonly storeUrl: () => Promise<string>;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly configFile: string;
}

/** One text of a report. */
export interface ReportText {
  readonly name: string;
  readonly text: string;
}

/** Characters of one text at most; what is behind them is left out. */
const LONGEST = 4 << 20;

/** A setting whose value is nobody's business, whatever it looks like. */
const SECRET =
  /^(\s*(?:export\s+)?[\w.-]*(?:pass|secret|token|key|credential)[\w.-]*\s*[=:]\s*).*$/gim;

/** Hides what may be a secret in a file of settings. */
export function hideSecrets(settings: string): string {
  return hideInLines(settings.replaceAll(SECRET, "$1****"));
}

/** Line by line: in doubt everything between two suspicious characters is hidden, and a report is to be read. */
function hideInLines(text: string): string {
  return text.split("\n").map(hidePasswords).join("\n");
}

/** Collects the texts, one after the other. */
export async function bugReport(options: BugReportOptions): Promise<ReportText[]> {
  const sources: Record<string, () => Promise<string> | string> = {
    "versions.json": () => json(versions()),
    "doctor.json": async () => json(await runDoctor(options)),
    "status.json": async () => json(await collectStatus(options)),
    "services.json": async () => await asked(options.stateDir, "/services"),
    "metrics.txt": async () => await asked(options.stateDir, "/metrics"),
    "subnet.env": () => readTextIfPresent(`${options.stateDir}/subnet.env`) ?? "not there\n",
    "knet.yaml": () => hideSecrets(readTextIfPresent(options.configFile) ?? "not there\n"),
    "default": () => hideSecrets(readTextIfPresent("/etc/default/knet") ?? "not there\n"),
    ...await kernelTables(),
  };
  const texts: ReportText[] = [];
  for (const [name, source] of Object.entries(sources)) {
    const text = await tryText(source);
    const shown = hideInLines(text.slice(0, LONGEST));
    texts.push({ name, text: text.length > LONGEST ? `${shown}\n(and more)\n` : shown });
  }
  return texts;
}

async function tryText(source: () => Promise<string> | string): Promise<string> {
  try {
    return await source();
  } catch (error) {
    return `not to be had: ${messageOf(error)}\n`;
  }
}

async function asked(stateDir: string, path: string): Promise<string> {
  return await askAgent(stateDir, path) ?? "no agent answers\n";
}

function versions(): Record<string, string> {
  const distribution = readTextIfPresent("/etc/os-release") ?? "";
  return {
    knet: VERSION,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    kernel: Deno.osRelease(),
    architecture: Deno.build.arch,
    distribution: /^PRETTY_NAME="?(.*?)"?$/m.exec(distribution)?.[1] ?? "unknown",
    time: new Date().toISOString(),
  };
}

/** What the kernel has: devices, addresses and tables of all, the firewall of all. */
async function kernelTables(): Promise<Record<string, () => string>> {
  const [
    { openRtnl },
    { listLinks },
    { listAddresses },
    { listRoutes },
    { listNexthops },
    { listNeighbours },
    { listFdb },
    { Nftables },
  ] = await Promise.all([
    import("../../ffi/rtnl/rtnl.ts"),
    import("../../ffi/rtnl/link.ts"),
    import("../../ffi/rtnl/address.ts"),
    import("../../ffi/rtnl/route.ts"),
    import("../../ffi/rtnl/nexthop.ts"),
    import("../../ffi/rtnl/neighbour.ts"),
    import("../../ffi/rtnl/fdb.ts"),
    import("../../ffi/libnftables.ts"),
  ]);
  type Socket = ReturnType<typeof openRtnl>;
  const listed = (list: (socket: Socket) => readonly unknown[]) => () => {
    using socket = openRtnl();
    return list(socket).map((each) => JSON.stringify(each, readable) + "\n").join("");
  };
  return {
    "links.txt": listed(listLinks),
    "addresses.txt": listed(listAddresses),
    "routes.txt": listed(listRoutes),
    "nexthops.txt": listed(listNexthops),
    "neighbours.txt": listed(listNeighbours),
    "fdb.txt": listed((socket) =>
      listLinks(socket).filter(({ name }) => name.startsWith("knet"))
        .flatMap(({ index }) => listFdb(socket, { ifindex: index }))
    ),
    "nftables.txt": () => {
      using nft = new Nftables();
      return nft.run("list ruleset");
    },
  };
}

function json(value: unknown): string {
  return JSON.stringify(value, readable, 2) + "\n";
}

function readable(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
