/**
 * What the program consists of, as CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json): the runtime, the npm packages in the
 * bundle, and the libraries that it carries.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Parts } from "../parts.ts";

/** Where the facts come from. */
export interface BomFacts extends Parts {
  readonly version: string;
  /** Seconds since 1970. */
  readonly date: number;
  /** deno.lock, which has the packages' hashes. */
  readonly lock: string;
}

/** A heading of the licences: "yaml 2.9.1, ISC", underlined. */
const HEADING = /^(\S+) (\d\S*), (.+)\n=+$/gm;

/** The document's text. */
export function billOfMaterials(facts: BomFacts): string {
  const { npm } = JSON.parse(facts.lock) as { npm: Record<string, { integrity: string }> };
  const packages = [...facts.licences.matchAll(HEADING)].map(([, name, version, licence]) => {
    const key = Object.keys(npm).find((key) => key.split("_")[0] === `${name}@${version}`);
    if (key === undefined) throw new Error(`Cannot list ${name} ${version}: it is not in the lock`);
    return {
      type: "library",
      name,
      version,
      licenses: [licenceOf(licence!)],
      purl: `pkg:npm/${name!.replace("@", "%40")}@${version}`,
      hashes: [{ alg: "SHA-512", content: hexOf(npm[key]!.integrity) }],
    };
  });
  const { runtime } = facts;
  return JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.5",
      version: 1,
      metadata: {
        timestamp: new Date(facts.date * 1000).toISOString(),
        component: {
          type: "application",
          name: "knet",
          version: facts.version,
          licenses: [licenceOf("Apache-2.0")],
        },
      },
      components: [
        {
          type: "framework",
          name: "deno",
          version: runtime.version,
          licenses: [licenceOf("MIT")],
          purl: `pkg:github/denoland/deno@v${runtime.version}`,
          ...(runtime.sha256 && { hashes: [{ alg: "SHA-256", content: runtime.sha256 }] }),
        },
        ...packages,
        ...facts.libraries.map(({ name, sha256 }) => ({
          type: "library",
          name,
          licenses: [licenceOf(licenceOfLibrary(name))],
          hashes: [{ alg: "SHA-256", content: sha256 }],
        })),
      ],
    },
    undefined,
    2,
  ) + "\n";
}

const OF_LIBRARIES: Record<string, string> = {
  libnl: "LGPL-2.1-only",
  libdqlite: "LGPL-3.0-only",
  libraft: "LGPL-3.0-only",
  libuv: "MIT",
  libsqlite3: "blessing",
  liblz4: "BSD-2-Clause",
};

function licenceOfLibrary(name: string): string {
  return OF_LIBRARIES[/^[a-z]+[0-9]*/.exec(name)?.[0] ?? ""] ?? "see NOTICE";
}

/** An identifier of SPDX, or whatever else was said. */
function licenceOf(text: string) {
  return { license: /^[A-Za-z0-9.-]+$/.test(text) ? { id: text } : { name: text } };
}

/** "sha512-BASE64" of a lock. */
function hexOf(integrity: string): string {
  return Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex");
}
