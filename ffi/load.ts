/**
 * Opens the shared libraries that knet calls: the host's own, or the copies that the compiled binary
 * carries for hosts that have none.
 *
 * A carried copy is loaded from a nameless file in memory. A file under /tmp would do on most hosts,
 * but its name could be guessed and taken by somebody else, and /tmp may be mounted noexec.
 *
 * Nothing is opened at import.
 *
 * @module
 */
import { closeFile } from "./file.ts";
import { createMemfd } from "./memfd.ts";

/** A library that {@linkcode openLibrary} knows, by the name it is loaded under. */
export type LibraryName =
  | "libnl-3.so.200"
  | "libnl-route-3.so.200"
  | "libnl-genl-3.so.200"
  | "libnftables.so.1"
  | "libdqlite.so.0"
  | "libcrypto.so.3"
  | "libssl.so.3"
  | "libc.so.6";

/** libnl's libraries in the order in which they are loaded: the later ones need the first. */
export const LIBNL: readonly LibraryName[] = [
  "libnl-3.so.200",
  "libnl-route-3.so.200",
  "libnl-genl-3.so.200",
];

/** OpenSSL's libraries in the order in which they are loaded. */
export const OPENSSL: readonly LibraryName[] = ["libcrypto.so.3", "libssl.so.3"];

/** Names of the packages that hold a library. */
export interface LibraryPackages {
  /** Package of Debian and Ubuntu. */
  readonly debian: string;
  /** Package of Fedora and RHEL. */
  readonly fedora: string;
  /** Package of Alpine. */
  readonly alpine: string;
}

const PACKAGES: Record<LibraryName, LibraryPackages> = {
  "libnl-3.so.200": { debian: "libnl-3-200", fedora: "libnl3", alpine: "libnl3" },
  "libnl-route-3.so.200": { debian: "libnl-route-3-200", fedora: "libnl3", alpine: "libnl3" },
  "libnl-genl-3.so.200": { debian: "libnl-genl-3-200", fedora: "libnl3", alpine: "libnl3" },
  "libnftables.so.1": { debian: "libnftables1", fedora: "nftables", alpine: "nftables" },
  "libdqlite.so.0": { debian: "libdqlite0", fedora: "dqlite", alpine: "dqlite" },
  "libcrypto.so.3": { debian: "libssl3", fedora: "openssl-libs", alpine: "libcrypto3" },
  "libssl.so.3": { debian: "libssl3", fedora: "openssl-libs", alpine: "libssl3" },
  "libc.so.6": { debian: "libc6", fedora: "glibc", alpine: "gcompat" },
};

/** A shared library is not on this host, or cannot be used. */
export class MissingLibraryError extends Error {
  /** Always "MissingLibraryError". */
  override readonly name = "MissingLibraryError";
  /** The library that is missing. */
  readonly library: LibraryName;
  /** The packages that hold it. */
  readonly packages: LibraryPackages;
  /** One sentence that says what to install. */
  readonly remedy: string;

  /**
   * An error about one library.
   *
   * @param state What is the matter with it: the part of the message after the colon.
   */
  constructor(library: LibraryName, state: string, options?: ErrorOptions) {
    super(`Cannot load ${library}: ${state}`, options);
    this.library = library;
    const packages = PACKAGES[library];
    this.packages = packages;
    this.remedy = `Install the package ${packages.debian} (Debian, Ubuntu), ` +
      `${packages.fedora} (Fedora, RHEL) or ${packages.alpine} (Alpine)`;
  }
}

/** Where libnl was loaded from. */
export type LibnlOrigin = "system" | "embedded";

let origin: LibnlOrigin | undefined;

/** Paths under which carried libraries were loaded. */
const embeddedPaths = new Map<LibraryName, string>();

/** One opened library for each symbol table. */
const opened = new WeakMap<object, Deno.DynamicLibrary<Deno.ForeignLibraryInterface>>();

/**
 * Opens a library and looks up the symbols of a table. Calling it again with the same table object
 * returns what was opened the first time; libraries stay open for the life of the process.
 *
 * @param name the library; those that it needs are opened before it.
 * @param symbols the table, `as const`.
 * @returns the functions.
 * @throws {MissingLibraryError} if neither the host nor the binary has it, or if it is too old to have
 * one of the symbols.
 */
export function openLibrary<const S extends Deno.ForeignLibraryInterface>(
  name: LibraryName,
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  let library = opened.get(symbols) as Deno.DynamicLibrary<S> | undefined;
  if (library === undefined) {
    library = open(LIBNL.includes(name) ? libnlPath(name) : name, name, symbols);
    opened.set(symbols, library as Deno.DynamicLibrary<Deno.ForeignLibraryInterface>);
  }
  return library.symbols;
}

/**
 * Where libnl comes from on this host; finds out if nothing was loaded yet.
 *
 * The environment variable `KNET_LIBNL` (`system` or `embedded`) forces either, for tests.
 *
 * @throws {MissingLibraryError} if there is no libnl at all.
 */
export function libnlOrigin(): LibnlOrigin {
  return origin ??= chooseLibnl();
}

/** Whether the host or the binary has a library, without an error if not. */
export function hasLibrary(name: LibraryName): boolean {
  try {
    if (LIBNL.includes(name)) libnlOrigin();
    else open(name, name, {}).close();
    return true;
  } catch (error) {
    if (error instanceof MissingLibraryError) return false;
    throw error;
  }
}

function libnlPath(name: LibraryName): string {
  return libnlOrigin() === "system" ? name : embeddedPaths.get(name)!;
}

/** All three libraries come from one place: they call each other's private functions. */
function chooseLibnl(): LibnlOrigin {
  const forced = Deno.env.get("KNET_LIBNL");
  if (forced === "embedded") {
    loadEmbedded();
    return "embedded";
  }
  try {
    probeSystem();
    return "system";
  } catch (error) {
    if (forced === "system" || !(error instanceof MissingLibraryError)) throw error;
    try {
      loadEmbedded();
    } catch (second) {
      // What the host lacks is the better news, unless the binary's copy is there and broken.
      throw second instanceof MissingLibraryError ? error : second;
    }
    return "embedded";
  }
}

/**
 * Opens the two libraries that need the first, which brings the first along. If one of them is
 * missing, all are let go again, so that the host's libnl-3 is not what a carried libnl-route finds.
 */
function probeSystem(): void {
  const route = open("libnl-route-3.so.200", "libnl-route-3.so.200", {});
  try {
    open("libnl-genl-3.so.200", "libnl-genl-3.so.200", {});
  } catch (error) {
    route.close();
    throw error;
  }
}

/**
 * Loads the carried copies, libnl-3 first: the loader then finds that the need of the other two for
 * "libnl-3.so.200" is met by a library of that SONAME, and looks for no file.
 *
 * The descriptors stay open: the loader knows a library by its path, and a number used a second time
 * would give it the library before.
 */
function loadEmbedded(): void {
  for (const name of LIBNL) {
    if (embeddedPaths.has(name)) continue;
    const fd = createMemfd(name, readEmbedded(name, name));
    const path = `/proc/self/fd/${fd}`;
    try {
      open(path, name, {});
    } catch (error) {
      closeFile(fd);
      throw error;
    }
    embeddedPaths.set(name, path);
  }
}

/**
 * The copy of a file that the program carries.
 *
 * @param file its name in dist/lib.
 * @param name the library that is wanted, for the error.
 * @throws {MissingLibraryError} if there is none.
 */
export function readEmbedded(file: string, name: LibraryName): Uint8Array<ArrayBuffer> {
  try {
    return Deno.readFileSync(new URL(`../dist/lib/${file}`, import.meta.url));
  } catch (error) {
    throw new MissingLibraryError(name, "this program carries no copy of it", { cause: error });
  }
}

function open<S extends Deno.ForeignLibraryInterface>(
  path: string,
  name: LibraryName,
  symbols: S,
): Deno.DynamicLibrary<S> {
  try {
    return Deno.dlopen(path, symbols);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (error instanceof Deno.errors.NotCapable) throw error;
    if (/cannot open shared object file/.test(text)) {
      // The loader names the file it missed, which may be one that the library needs in its turn.
      const missed = text.match(/([^\s:]+): cannot open shared object file/)?.[1];
      const state = missed === undefined || missed === path
        ? "it is not installed on this host"
        : `it needs ${missed}, which is not installed on this host`;
      throw new MissingLibraryError(name, state, { cause: error });
    }
    const symbol = text.match(/symbol (\S+)/)?.[1];
    const state = symbol === undefined ? text : `this host's version has no function ${symbol}`;
    throw new MissingLibraryError(name, state, { cause: error });
  }
}
