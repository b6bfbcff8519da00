/**
 * The shared libraries that the program carries for hosts that have none, copied from this one to dist/lib with their licences: libnl, and
 * dqlite with what it needs. The program takes them from there.
 *
 * @module
 */
import { DQLITE_FILES, openDqlite } from "../ffi/deep_library.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const FOLDER = `${ROOT}dist/lib`;

const LIBNL = ["libnl-3.so.200", "libnl-route-3.so.200", "libnl-genl-3.so.200"];

/** Texts of licences by their names in dist/lib, and where distributions keep them. */
const LICENCES: Record<string, readonly string[]> = {
  "LGPL-2.1": [
    "/usr/share/common-licenses/LGPL-2.1",
    "/usr/share/licenses/libnl3/COPYING",
  ],
  // The third version of the lesser one is additions to the general one.
  "LGPL-3": ["/usr/share/common-licenses/LGPL-3", "/usr/share/licenses/dqlite/LICENSE"],
  "GPL-3": ["/usr/share/common-licenses/GPL-3", "/usr/share/licenses/bash/COPYING"],
  ...Object.fromEntries(
    [
      ["dqlite", "libdqlite0", "dqlite/LICENSE"],
      ["raft", "libraft2", "raft/LICENSE"],
      ["libuv", "libuv1", "libuv/LICENSE"],
      ["sqlite", "libsqlite3-0", "sqlite-libs/LICENSE"],
      ["lz4", "liblz4-1", "lz4-libs/LICENSE"],
    ].map(([name, debian, fedora]) => [
      `${name}.copyright`,
      [`/usr/share/doc/${debian}/copyright`, `/usr/share/licenses/${fedora}`],
    ]),
  ),
};

/** Copies all. What this host lacks and an earlier run found stays. */
export function copyLibraries(): void {
  Deno.mkdirSync(FOLDER, { recursive: true });
  const missing = (names: readonly string[], load: (name: string) => Disposable) =>
    names.filter((name) => !copyLibrary(name, load));
  const libnl = missing(LIBNL, (name) => {
    const library = Deno.dlopen(name, {});
    return { [Symbol.dispose]: () => library.close() };
  });
  if (libnl.length > 0) {
    fail(
      `Cannot carry ${libnl.join(", ")}: not installed on this host`,
      "Install libnl-3-200 libnl-route-3-200 libnl-genl-3-200 (Debian, Ubuntu) or libnl3 (Fedora)",
    );
  }
  // Deno itself would be ended by it, see there; it brings the others along.
  const dqlite = missing(DQLITE_FILES, () => {
    openDqlite("system");
    return { [Symbol.dispose]: () => {} };
  });
  if (dqlite.length > 0) {
    fail(
      `Cannot carry ${dqlite.join(", ")}: not installed on this host`,
      "Install libdqlite0 (Debian, Ubuntu) or dqlite (Fedora)",
    );
  }
  for (const [name, places] of Object.entries(LICENCES)) {
    const found = places.find(isFile);
    if (found !== undefined) Deno.copyFileSync(found, `${FOLDER}/${name}`);
    else if (!isFile(`${FOLDER}/${name}`)) {
      fail(`Cannot carry the libraries: their licence ${name} is not on this host`);
    }
  }
}

function copyLibrary(name: string, load: (name: string) => Disposable): boolean {
  const target = `${FOLDER}/${name}`;
  try {
    // The loader knows the distribution's folders; the mapping says which file it took.
    using _ = load(name);
    const stem = name.replace(/\.so\..*/, ".so");
    const source = Deno.readTextFileSync("/proc/self/maps").split("\n")
      .map((line) => line.slice(line.indexOf("/")))
      .find((file) => file.startsWith("/") && file.split("/").at(-1)!.startsWith(stem));
    if (source === undefined) return false;
    Deno.copyFileSync(source, target);
    Deno.chmodSync(target, 0o644);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return isFile(target);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function fail(message: string, remedy?: string): never {
  console.error(message + (remedy === undefined ? "" : `\n${remedy}`));
  Deno.exit(1);
}
