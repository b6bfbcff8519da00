/**
 * Writes the migration that leads from the last schema to the one of `core/store/schema.ts`, and embeds all there are:
 * `deno task migrations NAME`. The names are words for the file: `containers` makes `0002_containers.sql`.
 *
 * drizzle-kit does the writing. It is no dependency of knet: it runs in a folder of its own, and none of it is in the lock file.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;
const FOLDER = `${ROOT}core/store/migrations`;
const DRIZZLE_KIT = "0.31.11";

/** What of drizzle-kit's journal is read here. */
interface Journal {
  readonly entries: readonly { readonly idx: number; readonly tag: string }[];
}

/**
 * Statements of a generated file.
 *
 * @throws {RangeError} if the file has one that SQLite does not take.
 */
export function statementsOf(file: string, text: string): string[] {
  return text.split("--> statement-breakpoint").map((statement) => {
    if (/\bADD CONSTRAINT\b|\bALTER COLUMN\b|\bDROP\b/i.test(statement)) {
      throw new RangeError(`Cannot embed ${file}: SQLite does not take "${statement.trim()}"`);
    }
    return statement.trim();
  });
}

/** Postgres's default, and nothing that SQLite understands. */
export function withoutMethod(text: string): string {
  return text.replaceAll(/ USING btree(?= \()/g, "");
}

/** The module that holds all migrations, in the order of the journal. */
export function embed(folder: string = FOLDER): string {
  const journal = JSON.parse(Deno.readTextFileSync(`${folder}/meta/_journal.json`)) as Journal;
  const migrations = journal.entries.toSorted((a, b) => a.idx - b.idx).map(({ tag }) => {
    const file = `${tag}.sql`;
    const lines = statementsOf(file, Deno.readTextFileSync(`${folder}/${file}`))
      .map((statement) => `    ${JSON.stringify(statement)},\n`);
    return `  // ${file}\n  [\n${lines.join("")}  ],\n`;
  });
  return `/**
 * The files beside this one as a module. Written by \`deno task migrations\`, not by hand.
 *
 * @module
 */

/** Statements that lead from one version of the schema to the next; the first make version 1 of an empty database. */
export const MIGRATIONS: readonly (readonly string[])[] = [
${migrations.join("")}];
`;
}

/** Runs drizzle-kit over a copy of the schema, with packages of its own beside it. */
function generate(name: string): number {
  const work = Deno.makeTempDirSync({ prefix: "knet-migrations-" });
  try {
    const { imports } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as {
      imports: Record<string, string>;
    };
    const orm = imports["drizzle-orm"]!.split("@").at(-1)!;
    Deno.writeTextFileSync(
      `${work}/package.json`,
      JSON.stringify({ dependencies: { "drizzle-orm": orm, "drizzle-kit": DRIZZLE_KIT } }),
    );
    Deno.copyFileSync(`${ROOT}core/store/schema.ts`, `${work}/schema.ts`);
    Deno.symlinkSync(FOLDER, `${work}/migrations`);
    const run = (program: string, ...args: string[]) =>
      new Deno.Command(program, { args, cwd: work, stdout: "inherit", stderr: "inherit" })
        .outputSync().code;
    return run("npm", "install", "--no-audit", "--no-fund", "--silent") ||
      run(
        "npx",
        "drizzle-kit",
        "generate",
        "--dialect=postgresql",
        "--schema=schema.ts",
        "--out=migrations",
        `--name=${name}`,
      );
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

if (import.meta.main) {
  const [name] = Deno.args;
  if (name !== undefined) {
    const code = generate(name);
    if (code !== 0) Deno.exit(code);
    for (const { name } of Deno.readDirSync(FOLDER)) {
      const file = `${FOLDER}/${name}`;
      if (name.endsWith(".sql")) {
        Deno.writeTextFileSync(file, withoutMethod(Deno.readTextFileSync(file)));
      }
    }
  }
  Deno.writeTextFileSync(`${FOLDER}/embedded.ts`, embed());
}
