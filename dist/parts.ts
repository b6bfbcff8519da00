/**
 * What a program was made of: written beside it when it is compiled, read when it is packed.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** The parts of a program. */
export interface Parts {
  /** Deno; the hash (SHA-256, hexadecimal) where the runtime's file is known. */
  readonly runtime: { readonly version: string; readonly sha256?: string };
  /** Carried shared libraries, with their hashes (SHA-256, hexadecimal). */
  readonly libraries: readonly { readonly name: string; readonly sha256: string }[];
  /** Licences of the npm packages in it, see licences.ts. */
  readonly licences: string;
}

/** The shared libraries in a folder, by their names. */
export function librariesIn(folder: string): Parts["libraries"] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.includes(".so")).sort()
    .map((name) => ({
      name,
      sha256: createHash("sha256").update(Deno.readFileSync(`${folder}/${name}`)).digest("hex"),
    }));
}

/** Writes them beside the program. */
export function writeParts(program: string, parts: Parts): void {
  Deno.writeTextFileSync(`${program}.parts.json`, JSON.stringify(parts, undefined, 2) + "\n");
}

/**
 * Reads what {@linkcode writeParts} wrote.
 *
 * @throws {Deno.errors.NotFound} if the program was not compiled.
 */
export function readParts(program: string): Parts {
  return JSON.parse(Deno.readTextFileSync(`${program}.parts.json`)) as Parts;
}
