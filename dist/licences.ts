/**
 * The licences of the npm packages in the bundle, which the program carries as dist/LICENSES.
 *
 * @module
 */

/** Licences that ask for nothing to be carried along. */
const FREE = ["Unlicense", "0BSD", "CC0-1.0", "MIT-0"];

/** A package in node_modules, by the path of a file of it. */
const PACKAGE = /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)/;

/** What of package.json is read here. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/**
 * Collects the licences of the packages that a bundle was made of.
 *
 * @param folder that the paths begin at.
 * @param inputs paths of the files in the bundle; those of packages lie below node_modules.
 * @param apache a file with the text of Apache-2.0, for packages that only name it.
 * @returns a text with each package's name, version and licence, in the order of their names.
 * @throws {Error} if a package carries no text of a licence that asks to be carried along.
 */
export function collectLicences(
  folder: string,
  inputs: readonly string[],
  apache: string,
): string {
  const packages = new Set(inputs.flatMap((path) => PACKAGE.exec(path)?.[0] ?? []));
  const texts = [...packages].map((path) => {
    const place = `${folder}/${path}`;
    const manifest = JSON.parse(Deno.readTextFileSync(`${place}/package.json`)) as Manifest;
    const title = `${manifest.name} ${manifest.version}, ${manifest.license ?? "see below"}`;
    return [title, "=".repeat(title.length), "", textOf(place, manifest, apache)].join("\n");
  });
  return [
    "The program carries code of the packages below, which were bundled and are otherwise unchanged.",
    ...texts.sort(),
  ].join("\n\n\n") + "\n";
}

function textOf(place: string, { name, license }: Manifest, apache: string): string {
  const files = [...Deno.readDirSync(place)].map((entry) => entry.name)
    .filter((file) => /^((un)?licen[sc]e|copying|notice)([.-]|$)/i.test(file)).sort();
  if (files.length > 0) {
    return files.map((file) => Deno.readTextFileSync(`${place}/${file}`).trim()).join("\n\n");
  }
  const told = inReadme(place);
  if (told !== undefined) return told;
  if (license === "Apache-2.0") return Deno.readTextFileSync(apache).trim();
  if (license !== undefined && FREE.includes(license)) return "The package carries no text of it.";
  throw new Error(`Cannot bundle ${name}: the package has no text of its licence (${license})`);
}

/** A licence that stands in the readme only: the last section, under a heading of its name. */
function inReadme(place: string): string | undefined {
  const file = [...Deno.readDirSync(place)].find(({ name }) => /^readme([.-]|$)/i.test(name));
  if (file === undefined) return undefined;
  const text = Deno.readTextFileSync(`${place}/${file.name}`);
  const section = /^(?:#+ *licen[sc]e *|licen[sc]e *\n[-=]+ *)\n([^]*)/im.exec(text)?.[1]?.trim();
  return section !== undefined && /copyright/i.test(section) ? section : undefined;
}
