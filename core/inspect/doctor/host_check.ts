/**
 * Doctor's look at privileges, libraries and the kernel's features.
 *
 * @module
 */
import { Nftables, NftablesError, NoNftablesError } from "../../../ffi/libnftables.ts";
import { hasLibrary, libnlOrigin, MissingLibraryError } from "../../../ffi/load.ts";
import { NetlinkError } from "../../../ffi/netlink/netlink_error.ts";
import { withNewNetns } from "../../../ffi/netns.ts";
import { missingCapabilities } from "../../../ffi/privilege.ts";
import { addLink } from "../../../ffi/rtnl/link.ts";
import { nexthopsSupported } from "../../../ffi/rtnl/nexthop.ts";
import { openRtnl } from "../../../ffi/rtnl/rtnl.ts";
import { messageOf } from "../../base/error.ts";
import { readTextIfPresent } from "../../base/files.ts";
import { type DoctorCheck, examine, fail, type Finding, ok, skip, warn } from "./check.ts";

/** Kinds of devices that knet makes. */
const KINDS = ["vxlan", "bridge", "veth"] as const;

/** Privileges, libraries, kernel. */
export async function hostChecks(): Promise<DoctorCheck[]> {
  return [
    await examine("privileges", privileges),
    await examine("libnl", () => ok(`the ${libnlOrigin()} copy`)),
    await examine("libnftables", libnftables),
    ...await kernelChecks(),
  ];
}

function privileges(): Finding {
  const missing = missingCapabilities(["netAdmin", "sysAdmin"]);
  if (missing.length === 0) return ok("CAP_NET_ADMIN and CAP_SYS_ADMIN are there");
  const lost = missing.includes("CAP_NET_ADMIN")
    ? "knet join cannot work"
    : "no container attaches";
  return fail(
    `${missing.join(" and ")} missing: ${lost}, and some of what follows cannot be seen`,
    "Run knet as root, or give it the capabilities",
  );
}

function libnftables(): Finding {
  const without =
    "no masquerading, and ANYBODY on the underlay can send packets into the containers";
  try {
    new Nftables()[Symbol.dispose]();
    return ok("loaded");
  } catch (error) {
    if (error instanceof NoNftablesError) {
      return warn(`${messageOf(error)}: ${without}`, error.remedy);
    }
    if (!(error instanceof MissingLibraryError)) throw error;
    return warn(`not on this host: ${without}`, error.remedy);
  }
}

async function kernelChecks(): Promise<DoctorCheck[]> {
  if (missingCapabilities(["netAdmin", "sysAdmin"]).length > 0) {
    const listed = modulesListed();
    return [
      ...KINDS.map((kind) => ({ check: `kernel: ${kind}`, ...listed(kind) })),
      await examine("kernel: next-hop objects", () => nexthops()),
      { check: "kernel: nftables NAT", ...listed("nft_masq") },
    ];
  }
  try {
    // In a namespace of its own, where nothing is in the way and which takes everything with it.
    return withNewNetns(tryKernel);
  } catch (error) {
    return [await examine("kernel", () => Promise.reject(error))];
  }
}

function tryKernel(): DoctorCheck[] {
  using rtnl = openRtnl();
  const checks: DoctorCheck[] = KINDS.map((kind) => {
    const check = `kernel: ${kind}`;
    try {
      addLink(rtnl, {
        name: `kn${kind}`,
        kind,
        ...(kind === "vxlan" && { vxlan: { vni: 1, port: 8472, learning: false } }),
        ...(kind === "veth" && { peer: { name: "knpeer" } }),
      });
      return { check, ...ok("the kernel has it") };
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      return {
        check,
        ...fail(messageOf(error), `Use a kernel with ${kind} devices, or install its modules`),
      };
    }
  });
  return [
    ...checks,
    { check: "kernel: next-hop objects", ...nexthops(rtnl) },
    { check: "kernel: nftables NAT", ...tryNat() },
  ];
}

function nexthops(socket?: ReturnType<typeof openRtnl>): Finding {
  const rtnl = socket ?? openRtnl();
  try {
    return nexthopsSupported(rtnl) ? ok("the kernel has them") : warn(
      "the kernel has none: thousands of peers are slow to program",
      "Use Linux 5.3 or newer",
    );
  } finally {
    if (socket === undefined) rtnl[Symbol.dispose]();
  }
}

function tryNat(): Finding {
  if (!hasLibrary("libnftables.so.1")) return skip("not seen without libnftables");
  try {
    using nft = new Nftables();
    nft.run(`table ip knet {
chain out { type nat hook postrouting priority 100; ip saddr 192.0.2.0/24 masquerade fully-random; }
}`);
    return ok("the kernel has it");
  } catch (error) {
    if (error instanceof NoNftablesError) return skip("not seen without nfnetlink");
    if (!(error instanceof NftablesError)) throw error;
    return warn(
      `${messageOf(error)}: --ip-masq does not work`,
      "Use a kernel with nftables' NAT, or install its modules",
    );
  }
}

/** Without privileges: what the distribution's lists of modules say. */
function modulesListed(): (module: string) => Finding {
  let text = "";
  try {
    const folder = `/lib/modules/${Deno.osRelease()}`;
    for (const list of ["modules.builtin", "modules.dep"]) {
      text += readTextIfPresent(`${folder}/${list}`) ?? "";
    }
  } catch {
    // No such folder, or not to be read: nothing is seen.
  }
  return (module) =>
    text.includes(`/${module}.ko`)
      ? ok("the kernel has it, by its list of modules")
      : skip("not seen without CAP_NET_ADMIN and CAP_SYS_ADMIN");
}
