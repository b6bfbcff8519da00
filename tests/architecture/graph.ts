/**
 * The import graph of the tree as Deno itself sees it, and what is wrong with one. Pure but for {@linkcode readGraph}.
 *
 * @module
 */

/** Who imports whom: files by their path from the root. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** The levels of `core/`, the lowest first: each imports only from those before it. */
export const LEVELS = [
  "base",
  "cluster",
  "services",
  "store",
  "port",
  "health",
  "kernel",
  "container",
  "overlay",
  "inspect",
  "agent",
] as const;

/** What of `deno info --json` is read. */
interface Info {
  readonly modules: readonly {
    readonly specifier: string;
    readonly error?: string;
    readonly dependencies?: readonly {
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }[];
  }[];
}

/**
 * Asks Deno which module imports which, dynamic imports and types included.
 *
 * @param root the checkout, with a slash at its end.
 * @throws {Error} if a module cannot be read.
 */
export async function readGraph(root: string): Promise<Graph> {
  const files = ["mod.ts", ...["cli", "core", "ffi"].flatMap((folder) => sources(root, folder))];
  const entry = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(
      entry,
      files.map((file) => `import ${JSON.stringify(`file://${root}${file}`)};\n`).join(""),
    );
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", `${root}deno.json`, entry],
      cwd: root,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return graphOf(JSON.parse(new TextDecoder().decode(stdout)) as Info, `file://${root}`);
  } finally {
    Deno.removeSync(entry);
  }
}

function sources(root: string, folder: string): string[] {
  return [...Deno.readDirSync(root + folder)].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sources(root, path);
    return name.endsWith(".ts") && !name.endsWith("_test.ts") ? [path] : [];
  }).sort();
}

function graphOf({ modules }: Info, prefix: string): Graph {
  const graph = new Map<string, string[]>();
  for (const { specifier, dependencies, error } of modules) {
    if (!specifier.startsWith(prefix)) continue;
    if (error !== undefined) throw new Error(`${specifier}: ${error}`);
    const own = (dependencies ?? []).flatMap(({ code, type }) => [code?.specifier, type?.specifier])
      .filter((one) => one?.startsWith(prefix) === true)
      .map((one) => one!.slice(prefix.length));
    graph.set(specifier.slice(prefix.length), [...new Set(own)]);
  }
  return graph;
}

/** Height of a file: cli above core above ffi, and within core its level; undefined for what stands outside (`mod.ts`). */
export function heightOf(file: string): number | undefined {
  const [top, level] = file.split("/");
  if (top === "ffi") return -1;
  if (top === "cli") return LEVELS.length;
  if (top !== "core") return undefined;
  const height = (LEVELS as readonly (string | undefined)[]).indexOf(level);
  return height < 0 ? Infinity : height;
}

/** Imports that run up, `core/base/a.ts imports core/store/b.ts`; a file of core that is on no level counts, too. */
export function upwards(graph: Graph): string[] {
  const found: string[] = [];
  for (const [file, imports] of graph) {
    const height = heightOf(file);
    if (height === undefined) continue;
    if (height === Infinity) found.push(`${file} is on no level`);
    for (const other of imports) {
      if (heightOf(other)! > height) found.push(`${file} imports ${other}`);
    }
  }
  return found;
}

/** Circles of imports, each as its files in order, `a.ts → b.ts → a.ts`; one for each knot of files that reach each other. */
export function circles(graph: Graph): string[] {
  return knots(graph).map((knot) => shortestRound(graph, knot).join(" → "));
}

/** Tarjan's algorithm: sets of two and more files that all reach each other, or one that imports itself. */
function knots(graph: Graph): ReadonlySet<string>[] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const found: Set<string>[] = [];
  const visit = (file: string): number => {
    const at = order.size;
    order.set(file, at);
    let least = at;
    stack.push(file);
    onStack.add(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) least = Math.min(least, visit(next));
      else if (onStack.has(next)) least = Math.min(least, order.get(next)!);
    }
    low.set(file, least);
    if (least === at) {
      const knot = new Set(stack.splice(stack.indexOf(file)));
      for (const one of knot) onStack.delete(one);
      if (knot.size > 1 || graph.get(file)?.includes(file)) found.push(knot);
    }
    return least;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}

function shortestRound(graph: Graph, knot: ReadonlySet<string>): string[] {
  const [start] = [...knot].sort();
  const from = new Map<string, string>();
  const queue = [start!];
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    for (const next of graph.get(file) ?? []) {
      if (next === start) {
        const round = [start!];
        for (let back: string | undefined = file; back !== undefined; back = from.get(back)) {
          round.unshift(back);
        }
        return round;
      }
      if (!knot.has(next) || from.has(next)) continue;
      from.set(next, file);
      queue.push(next);
    }
  }
  return [...knot];
}
