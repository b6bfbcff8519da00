/**
 * What the pages speak of is there: links, headings, files of the tree, tasks, commands and their options.
 *
 * @module
 */
import assert from "node:assert/strict";
import { posix } from "node:path";
import { knetProgram } from "../support/host.ts";
import { exec } from "../support/exec.ts";
import { pages, read } from "./pages.ts";

const root = new URL("../../", import.meta.url);

/** Files that are built, not kept. */
const BUILT = new Set(["dist/packages", "dist/knet"]);

/** A page without what is not text: its fenced blocks. */
function prose(page: string): string {
  return read(page).replaceAll(/^ *```[^]*?^ *```$/gm, "");
}

/** What stands in backticks outside of blocks, with its page. */
function* inlineCode(): Generator<{ page: string; code: string }> {
  for (const page of pages()) {
    for (const [, code] of prose(page).matchAll(/`([^`]+)`/g)) {
      yield { page, code: code!.replaceAll(/\s+/g, " ") };
    }
  }
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchors(page: string): Set<string> {
  return new Set(
    [...prose(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
    ),
  );
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(new URL(path, root)).then(() => true, () => false);
}

Deno.test("pages: every link leads to a file and a heading that are there", async () => {
  const dead: string[] = [];
  for (const page of pages()) {
    for (const [, target] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path, anchor] = target!.split("#") as [string, string | undefined];
      const file = path === "" ? page : posix.join(posix.dirname(page), path);
      const there = await exists(file) && (anchor === undefined || anchors(file).has(anchor));
      if (!there) dead.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(dead, []);
});

Deno.test("pages: README leads to each page of the manual", () => {
  const readme = read("README.md");
  assert.deepEqual(pages().slice(1).filter((page) => !readme.includes(`](${page})`)), []);
});

Deno.test("pages: every file of the tree that is spoken of is there", async () => {
  const missing: string[] = [];
  for (const { page, code } of inlineCode()) {
    if (!/^(?:core|cli|ffi|tests|dist|docs)\/[\w./-]*$/.test(code) || BUILT.has(code)) continue;
    if (!(await exists(code))) missing.push(`${page}: ${code}`);
  }
  assert.deepEqual(missing, []);
});

Deno.test("pages: every task that is spoken of is in deno.json", () => {
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: Record<string, string> };
  const unknown = pages().flatMap((page) =>
    [...read(page).matchAll(/deno task ([\w:]+)/g)].map(([, task]) => ({ page, task: task! }))
  ).filter(({ task }) => tasks[task] === undefined);
  assert.deepEqual(unknown, []);
});

/** Help texts of all commands by the words of the command. */
async function allHelp(words: readonly string[] = []): Promise<Map<string, string>> {
  const { stdout } = await exec([...knetProgram(), ...words, "--help"]);
  const section = /^Commands\n((?: .*\n)+)/m.exec(stdout)?.[1] ?? "";
  const below = [...section.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => [...words, name!]);
  const found = new Map([[words.join(" "), stdout]]);
  for (const one of await Promise.all(below.map(allHelp))) {
    for (const [name, text] of one) found.set(name, text);
  }
  return found;
}

/** What is wrong with a command line of knet, if anything. */
function fault(line: string, help: ReadonlyMap<string, string>): string | undefined {
  const words = line.split(" ").slice(1);
  const [first = "", second = ""] = words;
  const command = help.has(`${first} ${second}`) ? `${first} ${second}` : first;
  const text = help.get(command.startsWith("-") || command === "COMMAND" ? "" : command);
  if (text === undefined) return `no command "${command}"`;
  // Words in capitals and those after them stand for what a reader says.
  if (/^Commands$/m.test(text) && /^[a-z]+$/.test(words[command.split(" ").length] ?? "")) {
    return `no command "${words.slice(0, command.split(" ").length + 1).join(" ")}"`;
  }
  const options = words.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0]!);
  return options.filter((option) => !has(text, option)).map((option) =>
    `"knet ${command}" has no ${option}`
  )[0];
}

function has(help: string, option: string): boolean {
  return new RegExp(`${option.replace(/^--no-/, "--(?:no-)?")}\\b(?!-)`).test(help);
}

Deno.test("pages: every command, option and variable of knet that is spoken of is there", async () => {
  const help = await allHelp();
  assert.ok(help.size > 25, "the commands were found in the help");
  const everything = [...help.values()].join("\n");
  const faults: string[] = [];
  for (const { page, code } of inlineCode()) {
    if (/^--[a-z]/.test(code)) { // Options of other programs are written with their program.
      const option = code.split(/[ =]/)[0]!;
      if (!["--flag", "--no-flag"].includes(option) && !has(everything, option)) {
        faults.push(`${page}: ${code}: no command has ${option}`);
      }
    } else if (/^KNET_[A-Z_]+$/.test(code)) {
      if (!everything.includes(code)) faults.push(`${page}: ${code}: no option takes it`);
    } else if (/^knet [a-zC-]/.test(code)) {
      const problem = fault(code, help);
      if (problem !== undefined) faults.push(`${page}: ${code}: ${problem}`);
    }
  }
  for (const page of pages()) {
    const commands = [...read(page).matchAll(/^ *```sh\n([^]*?)^ *```$/gm)].map(([, text]) =>
      text!
    );
    for (const line of commands.join("\n").split("\n")) {
      const [command] = /knet [a-z][^#|>"]*/.exec(line.trim()) ?? [];
      if (command === undefined || !/^(?:knet|.*\| knet) /.test(line.trim())) continue;
      const problem = fault(command.trim(), help);
      if (problem !== undefined) faults.push(`${page}: ${line.trim()}: ${problem}`);
    }
  }
  assert.deepEqual(faults, []);
});
