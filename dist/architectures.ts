/**
 * The processors that knet is made for, and what others call them.
 *
 * @module
 */

/** In Debian's words, which Linux distributions mostly use. */
export type Architecture = "amd64" | "arm64";

interface Names {
  /** In Deno's words. */
  readonly deno: typeof Deno.build.arch;
  /** The target of a compiler. */
  readonly triple: string;
  /** In rpm's words, and the kernel's. */
  readonly rpm: string;
}

/** All of them. */
export const ARCHITECTURES: Readonly<Record<Architecture, Names>> = {
  amd64: { deno: "x86_64", triple: "x86_64-unknown-linux-gnu", rpm: "x86_64" },
  arm64: { deno: "aarch64", triple: "aarch64-unknown-linux-gnu", rpm: "aarch64" },
};

/**
 * The one that is meant by a name of whoever's.
 *
 * @throws {RangeError} if there is none of that name.
 */
export function architecture(name: string): Architecture {
  for (const [key, { deno, triple, rpm }] of Object.entries(ARCHITECTURES)) {
    if ([key, deno, triple, rpm].includes(name)) return key as Architecture;
  }
  const all = Object.keys(ARCHITECTURES).join(" or ");
  throw new RangeError(`Cannot make knet for "${name}": give ${all}`);
}

/** That of this machine. */
export function ownArchitecture(): Architecture {
  return architecture(Deno.build.arch);
}

/** Where the program for an architecture lands: a file, or a folder (runtime_folder.ts). From the root of the tree. */
export function programPath(arch: Architecture): string {
  return arch === ownArchitecture() ? "dist/knet" : `dist/knet-${arch}`;
}
