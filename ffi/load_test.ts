import assert from "node:assert/strict";
import { skip, whyNoLab } from "../tests/support/skip.ts";
import { closeFile, readSmallFile } from "./file.ts";
import { libc } from "./libc.ts";
import { hasLibrary, libnlOrigin, MissingLibraryError, openLibrary } from "./load.ts";
import { createMemfd } from "./memfd.ts";

/** Opens all three libraries, uses each, and prints where they came from or what is missing. */
const PROBE = `
  import { libnlOrigin, openLibrary } from ${
  JSON.stringify(new URL("./load.ts", import.meta.url).href)
};
  try {
    const nl = openLibrary("libnl-3.so.200", {
      nl_socket_alloc: { parameters: [], result: "pointer" },
      nl_socket_free: { parameters: ["pointer"], result: "void" },
    });
    const route = openLibrary("libnl-route-3.so.200", {
      rtnl_link_alloc: { parameters: [], result: "pointer" },
      rtnl_link_put: { parameters: ["pointer"], result: "void" },
    });
    const genl = openLibrary("libnl-genl-3.so.200", {
      genl_connect: { parameters: ["pointer"], result: "i32" },
      genl_ctrl_resolve: { parameters: ["pointer", "buffer"], result: "i32" },
    });
    route.rtnl_link_put(route.rtnl_link_alloc());
    const socket = nl.nl_socket_alloc();
    genl.genl_connect(socket);
    const family = genl.genl_ctrl_resolve(socket, new TextEncoder().encode("nlctrl\\0"));
    nl.nl_socket_free(socket);
    const maps = Deno.readTextFileSync("/proc/self/maps");
    const files = new Set(maps.match(/\\S*libnl\\S*/g));
    console.log(JSON.stringify({ origin: libnlOrigin(), family, files: [...files] }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.name, message: error.message, remedy: error.remedy }));
  }
`;

interface Probe {
  origin?: string;
  family?: number;
  files?: string[];
  error?: string;
  message?: string;
  remedy?: string;
}

async function probe(env: Record<string, string>, hide: readonly string[] = []): Promise<Probe> {
  // In a mount namespace of its own, the files to hide are covered by one that is no library.
  const command = [Deno.execPath(), "run", "-A", "--no-check"]
    .concat(`data:application/typescript,${encodeURIComponent(PROBE)}`);
  const script = hide.map((file) => `mount --bind /dev/null ${file} && `).join("") + 'exec "$@"';
  const args = hide.length === 0 ? command.slice(1) : ["-m", "sh", "-c", script, "sh", ...command];
  const output = await new Deno.Command(hide.length === 0 ? command[0]! : "unshare", {
    args,
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(output.code, 0, new TextDecoder().decode(output.stderr));
  return JSON.parse(new TextDecoder().decode(output.stdout));
}

/** The host's files of libnl. */
function systemFiles(): string[] {
  if (!hasLibrary("libnl-route-3.so.200")) return [];
  openLibrary("libnl-route-3.so.200", {});
  const files = readSmallFile("/proc/self/maps")!.match(/\/\S*libnl-\S*/g) ?? [];
  return [...new Set(files)].filter((file) => !file.startsWith("/memfd:"));
}

const carried = (() => {
  try {
    return Deno.statSync(new URL("../dist/lib/libnl-3.so.200", import.meta.url)).isFile;
  } catch {
    return false;
  }
})();

Deno.test("openLibrary() opens a table once", () => {
  const table = { getpid: { parameters: [], result: "i32" } } as const;
  const first = openLibrary("libc.so.6", table);
  assert.equal(first.getpid(), Deno.pid);
  assert.equal(openLibrary("libc.so.6", table), first);
});

Deno.test("openLibrary() says which function an old library lacks", () => {
  const table = { knet_no_such_function: { parameters: [], result: "void" } } as const;
  assert.throws(() => openLibrary("libc.so.6", table), (error) => {
    assert.ok(error instanceof MissingLibraryError);
    assert.match(error.message, /^Cannot load libc.so.6: .*knet_no_such_function/);
    return true;
  });
});

Deno.test("openLibrary() uses the host's libnl where there is one", async () => {
  if (systemFiles().length === 0) return skip("openLibrary() of the host", "needs libnl");
  const found = await probe({ KNET_LIBNL: "system" });
  assert.equal(found.origin, "system");
  assert.equal(found.family, 16);
  assert.ok(found.files!.every((file) => file.startsWith("/") && !file.startsWith("/memfd")));
});

Deno.test("openLibrary() loads the carried libnl from memory when told to", async () => {
  if (!carried) {
    return skip("openLibrary() of the carried libnl", "needs dist/lib (deno task compile)");
  }
  const found = await probe({ KNET_LIBNL: "embedded" });
  assert.equal(found.origin, "embedded");
  assert.equal(found.family, 16);
  assert.equal(found.files!.length, 3);
  assert.ok(found.files!.every((file) => file.startsWith("/memfd:libnl")));
});

Deno.test("openLibrary() falls back to the carried libnl, all three, when one is unusable", async () => {
  const name = "openLibrary() falls back";
  const reason = whyNoLab() ?? (carried ? undefined : "needs dist/lib (deno task compile)");
  if (reason !== undefined) return skip(name, reason);
  const files = systemFiles();
  const genl = files.filter((file) => file.includes("genl"));
  for (const hidden of [files, genl]) {
    if (hidden.length === 0) continue;
    const found = await probe({}, hidden);
    assert.equal(found.origin, "embedded", JSON.stringify(found));
    assert.equal(found.family, 16);
    assert.ok(found.files!.every((file) => file.startsWith("/memfd:libnl")), `${found.files}`);
  }
});

Deno.test("openLibrary() names the packages when there is no libnl", async () => {
  const reason = whyNoLab();
  if (reason !== undefined) return skip("openLibrary() without libnl", reason);
  const found = await probe({ KNET_LIBNL: "system" }, systemFiles());
  assert.equal(found.error, "MissingLibraryError");
  assert.match(found.message!, /^Cannot load libnl-/);
  assert.match(found.remedy!, /libnl-route-3-200 \(Debian, Ubuntu\), libnl3 \(Fedora, RHEL\)/);
});

Deno.test("libnlOrigin() is one of two", () => {
  if (!hasLibrary("libnl-3.so.200")) return skip("libnlOrigin()", "needs libnl");
  assert.ok(["system", "embedded"].includes(libnlOrigin()));
});

Deno.test("createMemfd() makes a file that has no name in any folder", () => {
  const fd = createMemfd("knet-test", new Uint8Array([1, 2, 3]));
  try {
    assert.equal(Number(libc().lseek(fd, 0n, 0)), 0);
    const buffer = new Uint8Array(8);
    assert.equal(Number(libc().read(fd, buffer, 8n)), 3);
    assert.deepEqual([...buffer.subarray(0, 3)], [1, 2, 3]);
  } finally {
    closeFile(fd);
  }
});
