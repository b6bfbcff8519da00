/**
 * Import map and lock without the packages that only tests and the build use.
 *
 * @module
 */

/** Packages of the import map that the program does not use. */
const UNUSED = ["esbuild", "fast-check", "drizzle-kit", "postgres"];

/** What of deno.json is read here. */
interface Settings {
  imports: Record<string, string>;
}

/** What of deno.lock is read here. */
interface Lock {
  specifiers: Record<string, string>;
  npm: Record<
    string,
    { dependencies?: string[]; optionalDependencies?: string[]; optionalPeers?: string[] }
  >;
  workspace?: { dependencies?: string[] };
}

/**
 * The import map without the packages that the program does not use, and nothing else of deno.json.
 *
 * @returns its text.
 */
export function pruneImports(text: string, unwanted: readonly string[] = UNUSED): string {
  const { imports } = JSON.parse(text) as Settings;
  const keep = Object.entries(imports).filter(([, target]) => !isUnwanted(target, unwanted));
  return JSON.stringify({ imports: Object.fromEntries(keep) });
}

/**
 * The lock without the packages that the program does not use, and what only they need.
 *
 * @returns its text.
 */
export function pruneLock(text: string, unwanted: readonly string[] = UNUSED): string {
  const lock = JSON.parse(text) as Lock;
  const keep = Object.entries(lock.specifiers).filter(([specifier]) =>
    !isUnwanted(specifier, unwanted)
  );
  lock.specifiers = Object.fromEntries(keep);
  const wanted = keep.map(([specifier, version]) =>
    `${specifier.slice("npm:".length, specifier.lastIndexOf("@"))}@${version}`
  );
  const reached = new Set<string>();
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    // A dependency is written "name@version", or just "name" where the lock has one version of it.
    const key = next in lock.npm
      ? next
      : Object.keys(lock.npm).find((name) => name.startsWith(`${next}@`));
    if (key === undefined || reached.has(key)) continue;
    reached.add(key);
    const { dependencies = [], optionalDependencies = [] } = lock.npm[key]!;
    wanted.push(...dependencies, ...optionalDependencies);
  }
  lock.npm = Object.fromEntries(Object.entries(lock.npm).filter(([key]) => reached.has(key)));
  if (lock.workspace?.dependencies !== undefined) {
    lock.workspace.dependencies = lock.workspace.dependencies.filter((specifier) =>
      !isUnwanted(specifier, unwanted)
    );
  }
  return JSON.stringify(lock);
}

/** Whether "npm:name@version" or "npm:name@version/path" names one of the packages. */
function isUnwanted(specifier: string, unwanted: readonly string[]): boolean {
  return unwanted.some((name) => specifier.startsWith(`npm:${name}@`));
}
