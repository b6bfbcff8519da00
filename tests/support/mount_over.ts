/**
 * Giving a test machine or host a fresh /run or /tmp without hiding the checkout, which may lie there.
 *
 * @module
 */

/** Where what was there before is held for a moment; every distribution has it, mostly empty. */
const STASH = "/media";

/**
 * Shell commands that mount a tmpfs over a folder, and bring back what must be seen of the folder below.
 *
 * @param place the folder.
 * @param kept absolute paths; those that do not lie in the folder stay visible anyway.
 * @param mount how the shell calls mount, and its options for the tmpfs.
 */
export function mountOver(
  place: string,
  kept: readonly string[] = placesOfTests(),
  mount: { readonly command?: string; readonly options?: string } = {},
): string[] {
  const { command = "mount", options = "mode=1777" } = mount;
  const fresh = `${command} -t tmpfs -o ${options} tmpfs ${place}`;
  const inside = kept.filter((path) => path.startsWith(`${place}/`));
  if (inside.length === 0) return [fresh];
  return [
    `${command} -o rbind ${place} ${STASH}`,
    fresh,
    ...inside.flatMap((path) => [
      `mkdir -p ${quote(path)}`,
      `${command} -o rbind ${quote(STASH + path.slice(place.length))} ${quote(path)}`,
    ]),
    `${command.replace(/mount$/, "umount")} -l ${STASH}`,
  ];
}

/** What tests need wherever they run: the checkout, this Deno, and its cache. */
export function placesOfTests(): string[] {
  const home = Deno.env.get("HOME") ?? "/root";
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${home}/.cache`;
  const program = Deno.execPath();
  return [
    new URL("../..", import.meta.url).pathname.replace(/\/$/, ""),
    program.slice(0, program.lastIndexOf("/")),
    Deno.env.get("DENO_DIR") || `${cache}/deno`,
  ];
}

/** A word as the shell takes it literally. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
