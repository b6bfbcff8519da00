/**
 * Opens libdqlite. Deno exports functions of its own libuv and SQLite, and a library that Deno opens binds to
 * them and dies; with RTLD_DEEPBIND it finds its own first.
 *
 * The copies that the program carries come before the host's: what two versions of the library write to disk and
 * to each other is not the same, and an upgrade of the distribution must not change it on one host of a cluster.
 * `KNET_LIBDQLITE` (`system` or `embedded`) forces either.
 *
 * @module
 */
import { closeFile } from "./file.ts";
import { cString, libc } from "./libc.ts";
import { MissingLibraryError, readEmbedded } from "./load.ts";
import { createMemfd } from "./memfd.ts";

/** bits/dlfcn.h */
const RTLD_NOW = 2;
/** bits/dlfcn.h */
const RTLD_DEEPBIND = 8;

/** The library. */
const NAME = "libdqlite.so.0";

/** What it needs, in the order in which it is loaded; then the library itself. */
export const DQLITE_FILES: readonly string[] = [
  "liblz4.so.1",
  "libuv.so.1",
  "libsqlite3.so.0",
  "libraft.so.2",
  NAME,
];

/** Where the library was loaded from. */
export type DqliteOrigin = "system" | "embedded";

/** The library, opened for the life of the process. */
export interface DqliteLibrary {
  readonly origin: DqliteOrigin;
  /**
   * Looks a function up.
   *
   * @throws {MissingLibraryError} if this version of the library has none of that name.
   */
  symbol<const F extends Deno.ForeignFunction>(name: string, of: F): Deno.UnsafeFnPointer<F>;
}

let opened: DqliteLibrary | undefined;

/**
 * Opens the library, the first time; later it returns what was opened then.
 *
 * @param forced Which copy; `KNET_LIBDQLITE` says it otherwise.
 * @throws {MissingLibraryError} if neither the program nor the host has it.
 */
export function openDqlite(forced = Deno.env.get("KNET_LIBDQLITE")): DqliteLibrary {
  return opened ??= choose(forced);
}

/** Whether there is a library, without an error if not. */
export function hasDqlite(): boolean {
  try {
    openDqlite();
    return true;
  } catch (error) {
    if (error instanceof MissingLibraryError) return false;
    throw error;
  }
}

function choose(forced: string | undefined): DqliteLibrary {
  let carried: MissingLibraryError | undefined;
  if (forced !== "system") {
    try {
      return library("embedded", openEmbedded());
    } catch (error) {
      if (forced === "embedded" || !(error instanceof MissingLibraryError)) throw error;
      carried = error;
    }
  }
  try {
    return library("system", open(NAME));
  } catch (error) {
    // A copy that is there and does not load tells more: this host's glibc may be too old for it.
    throw carried !== undefined && carried.cause === undefined ? carried : error;
  }
}

function library(origin: DqliteOrigin, handle: Deno.PointerObject): DqliteLibrary {
  return {
    origin,
    symbol(name, of) {
      const found = libc().dlsym(handle, cString(name));
      if (found === null) {
        throw new MissingLibraryError(NAME, `this host's version has no function ${name}`);
      }
      return new Deno.UnsafeFnPointer(found as Deno.PointerObject<typeof of>, of);
    },
  };
}

/**
 * The loader finds what a later one needs among those that are loaded, by the name that each calls itself.
 * Descriptors stay open: it knows a library by its path, and a number used again would give it the one before.
 */
function openEmbedded(): Deno.PointerObject {
  const copies = DQLITE_FILES.map((file) => [file, readEmbedded(file, NAME)] as const);
  let handle: Deno.PointerObject | undefined;
  for (const [file, bytes] of copies) {
    const fd = createMemfd(file, bytes);
    try {
      handle = open(`/proc/self/fd/${fd}`);
    } catch (error) {
      closeFile(fd);
      throw error;
    }
  }
  return handle!;
}

function open(path: string): Deno.PointerObject {
  const c = libc();
  const handle = c.dlopen(cString(path), RTLD_NOW | RTLD_DEEPBIND);
  if (handle !== null) return handle;
  const said = c.dlerror();
  const text = said === null ? "no reason given" : Deno.UnsafePointerView.getCString(said);
  // The loader names the file it missed, which may be one that the library needs in its turn.
  const missed = text.match(/([^\s:]+): cannot open shared object file: No such file/)?.[1];
  const state = missed === undefined
    ? text
    : missed === path
    ? "it is not installed on this host"
    : `it needs ${missed}, which is not installed on this host`;
  throw new MissingLibraryError(NAME, state);
}
