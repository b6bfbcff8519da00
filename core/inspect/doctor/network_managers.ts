/**
 * Doctor's look at who else configures this host's network: systemd-networkd, udev, NetworkManager.
 *
 * @module
 */
import { readTextIfPresent } from "../../base/files.ts";
import { type DoctorCheck, examine, type Finding, ok, warn } from "./check.ts";

/** Where administrators, the running system and distributions put configuration, the strongest first. */
const ROOTS = ["etc", "run", "usr/local/lib", "usr/lib"];

/** Looks at the managers that run. `root` is `/`, other in tests. */
export async function managerChecks(root = "/"): Promise<DoctorCheck[]> {
  return [
    await examine("systemd-networkd", () => networkd(root)),
    await examine("udev", () => udev(root)),
    await examine("NetworkManager", () => networkManager(root)),
  ];
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Texts of configuration files in the order in which they count, the last one most: of files with the same name
 * only that of the strongest place.
 */
function dropIns(root: string, folder: string, suffix: string): string[] {
  const files = new Map<string, string>();
  for (const place of ROOTS.toReversed()) {
    const path = `${root}${place}/${folder}`;
    let names: string[];
    try {
      names = [...Deno.readDirSync(path)].map(({ name }) => name);
    } catch {
      continue;
    }
    for (const name of names) if (name.endsWith(suffix)) files.set(name, `${path}/${name}`);
  }
  return [...files].sort(([a], [b]) => a < b ? -1 : 1).map(([, path]) =>
    readTextIfPresent(path) ?? ""
  );
}

/** The last value of a key in texts of systemd's configuration; undefined if none says. */
export function lastSetting(texts: readonly string[], key: string): string | undefined {
  let value: string | undefined;
  for (const line of texts.join("\n").split("\n")) {
    const match = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line);
    if (match?.[1] === key) value = match[2];
  }
  return value;
}

const NO = /^(no|false|off|0|n|f)$/i;

function networkd(root: string): Finding {
  // networkd makes it when it starts.
  if (!exists(`${root}run/systemd/netif/state`)) return ok("does not run");
  const main = ROOTS.map((place) => readTextIfPresent(`${root}${place}/systemd/networkd.conf`))
    .find((text) => text !== undefined);
  const texts = [main ?? "", ...dropIns(root, "systemd/networkd.conf.d", ".conf")];
  const wrong = ["ManageForeignRoutes", "ManageForeignNextHops"].filter((key) =>
    !NO.test(lastSetting(texts, key) ?? "yes")
  );
  const unmanaged = dropIns(root, "systemd/network", ".network")
    .some((text) => /^Name=.*knet/m.test(text) && /^Unmanaged=(yes|true|1|on)/m.test(text));
  const complaints = [
    ...wrong.map((key) => `${key} is not "no": it removes routes or next hops of knet`),
    ...(unmanaged ? [] : ["no .network file leaves knet* unmanaged"]),
  ];
  if (complaints.length === 0) return ok("runs, and leaves knet's devices and routes alone");
  return warn(
    `runs; ${complaints.join("; ")}`,
    "Install 10-knet.network and 10-knet-networkd.conf, which come with the unit, and restart systemd-networkd",
  );
}

function udev(root: string): Finding {
  if (!exists(`${root}run/udev/control`)) return ok("does not run");
  const kept = dropIns(root, "systemd/network", ".link")
    .some((text) => /^OriginalName=.*knet/m.test(text) && /^MACAddressPolicy=none/m.test(text));
  return kept ? ok("runs, and leaves the MAC addresses of knet's devices alone") : warn(
    "runs, and rewrites the MAC addresses of new devices (MACAddressPolicy=persistent)",
    "Install 10-knet.link, which comes with the unit; then: udevadm control --reload",
  );
}

function networkManager(root: string): Finding {
  if (!exists(`${root}run/NetworkManager`)) return ok("does not run");
  const main = readTextIfPresent(`${root}etc/NetworkManager/NetworkManager.conf`) ?? "";
  const texts = [main, ...dropIns(root, "NetworkManager/conf.d", ".conf")];
  const spared = texts.some((text) =>
    text.split("\n").some((line) => /^\s*(unmanaged-devices|match-device)\b.*knet/.test(line))
  );
  return spared ? ok("runs, and leaves knet's devices alone") : warn(
    "runs, and may configure knet's devices",
    "Install 10-knet-networkmanager.conf, which comes with the unit; then: systemctl reload NetworkManager",
  );
}
