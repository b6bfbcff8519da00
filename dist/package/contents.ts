/**
 * What every package holds beside the program: unit, files for others, completions, manual, configuration, documentation.
 *
 * @module
 */
import { gzipSync } from "node:zlib";
import { COMMANDS } from "../../cli/commands.ts";
import { completionScripts } from "../../cli/completion/completion.ts";
import { manPages } from "../../cli/man.ts";
import { globalOptions } from "../../cli/shared_options.ts";
import type { Architecture } from "../architectures.ts";
import type { PackageKind } from "./places.ts";
import { placesOf, replacePlaces } from "./places.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** One file of a package. */
export interface PackageFile {
  /** From the root: "/usr/bin/knet". */
  readonly path: string;
  readonly mode: number;
  readonly content: string | Uint8Array<ArrayBuffer> | { readonly copyOf: string };
  /** Configuration: what an administrator changed in it outlives an upgrade, and goes with a purge only. */
  readonly config?: true;
}

/** What is packed. */
export interface Product {
  readonly version: string;
  readonly arch: Architecture;
  /** Seconds since 1970: the date of everything in it. */
  readonly date: number;
  /** The program's files; paths from the prefix: "bin/knet". */
  readonly program: readonly PackageFile[];
  /** Licences of the npm packages in the program. */
  readonly licences: string;
  /** What the program consists of, CycloneDX. */
  readonly bom: string;
}

/** All files of a package of a kind, in the order of their paths. */
export async function contentsOf(kind: PackageKind, product: Product): Promise<PackageFile[]> {
  const places = placesOf(kind);
  const here = (name: string) => replacePlaces(read(`dist/${name}`), places);
  const text = (path: string, content: PackageFile["content"]) => ({ path, mode: 0o644, content });
  const scripts = await completionScripts(COMMANDS);
  const pages = await manPages(COMMANDS, { version: product.version, globalOptions });
  const files: PackageFile[] = [
    ...product.program.map((file) => ({ ...file, path: `${places.prefix}/${file.path}` })),
    text(`${places.units}/knet.service`, here("knet.service")),
    text(`${places.network}/10-knet.link`, here("10-knet.link")),
    text(`${places.network}/10-knet.network`, here("10-knet.network")),
    text(`${places.networkd}/10-knet.conf`, here("10-knet-networkd.conf")),
    text(`${places.networkManager}/10-knet.conf`, here("10-knet-networkmanager.conf")),
    text(`${places.bash}/knet`, scripts.bash),
    text(`${places.zsh}/_knet`, scripts.zsh),
    text(`${places.fish}/knet.fish`, scripts.fish),
    ...[...pages].map(([name, page]) => text(`${places.man}/${name}.gz`, compressed(page))),
    // The store's URL in it may hold a password.
    { path: "/etc/default/knet", mode: 0o600, content: read("dist/package/default"), config: true },
    {
      path: "/etc/knet/knet.yaml",
      mode: 0o644,
      content: read("dist/package/knet.yaml"),
      config: true,
    },
    ...documentation().map((name) => text(`${places.doc}/${name}`, read(name))),
    text(`${places.doc}/NOTICE`, read("dist/NOTICE")),
    text(`${places.doc}/knet-alerts.yml`, read("dist/alerts.yml")),
    text(`${places.doc}/sbom.cdx.json`, product.bom),
    text(`${places.licences}/LICENSES.gz`, compressed(product.licences)),
    ...kind === "deb" ? debianOnly(product, places.doc) : [
      text(`${places.licences}/LICENSE`, read("LICENSE")),
      text(`${places.doc}/CHANGELOG.md`, read("CHANGELOG.md")),
    ],
  ];
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** The front door and the pages that it leads to. */
function documentation(): string[] {
  return ["README.md", ...namesIn("docs").filter((name) => name.endsWith(".md"))];
}

function debianOnly({ version, date }: Product, doc: string): PackageFile[] {
  const text = (name: string, content: PackageFile["content"]) => ({
    path: `${doc}/${name}`,
    mode: 0o644,
    content,
  });
  return [
    text("copyright", read("dist/package/copyright")),
    text("changelog.gz", compressed(read("CHANGELOG.md"))),
    text("changelog.Debian.gz", compressed(debianChangelog(version, date))),
  ];
}

/** Who answers for the packages. No address: they come from nobody's archive. */
export const MAINTAINER = "The knet project <knet@packages.invalid>";

/** The version of the packaging, which would go up if it changed and the program did not. */
export const REVISION = "1";

function debianChangelog(version: string, date: number): string {
  const day = new Date(date * 1000).toUTCString().replace("GMT", "+0000");
  return `knet (${version}-${REVISION}) stable; urgency=medium

  * Packaged from the tree of this version; changelog.gz has what changed.

 -- ${MAINTAINER}  ${day}
`;
}

/** As gzip -9n does it, which names neither file nor time. */
function compressed(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(text, { level: 9 }));
}

function read(path: string): string {
  return Deno.readTextFileSync(ROOT + path);
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(ROOT + folder)].map(({ name }) => `${folder}/${name}`).sort();
}
