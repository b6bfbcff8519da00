/**
 * Reading strace: which system calls a program made, on which files, and what systemd's filter sets
 * allow.
 *
 * @module
 */
import { exec } from "./exec.ts";

/** What a program did after it was started. */
export interface Trace {
  /** Names of the system calls. */
  readonly calls: ReadonlySet<string>;
  /** Paths that calls named, relative ones included. */
  readonly paths: readonly string[];
}

/** Reads the output of `strace -f -o FILE`, from the moment `program` was executed. */
export function readTrace(text: string, program: string): Trace {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => line.includes(`execve("${program}"`));
  const calls = new Set<string>();
  const paths: string[] = [];
  for (const line of lines.slice(first + 1)) {
    const call = /^\d+\s+(\w+)\(/.exec(line) ?? /^\d+\s+<\.\.\. (\w+) resumed>/.exec(line);
    if (call === null) continue;
    calls.add(call[1]!);
    // Written data may hold slashes, too; only calls that take paths have them as whole arguments.
    if (!/open|unlink|mkdir|rename|stat|access|readlink|creat|chmod|execve/.test(call[1]!)) {
      continue;
    }
    for (const [, path] of line.matchAll(/"((?:[^"\\]|\\.)*)"/g)) paths.push(path!);
  }
  return { calls, paths };
}

/** The system calls of sets such as `@system-service @pkey`; undefined without systemd-analyze. */
export async function filterSet(names: string): Promise<Set<string> | undefined> {
  const outcome = await exec("systemd-analyze syscall-filter --no-pager", { check: false })
    .catch(() => undefined);
  if (outcome?.code !== 0) return undefined;
  const sets = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of outcome.stdout.split("\n")) {
    if (line.startsWith("@")) sets.set(line.trim(), current = []);
    else if (/^\s+[@\w]/.test(line)) current.push(line.trim());
  }
  const members = new Set<string>();
  const add = (word: string): void => {
    if (word.startsWith("@")) sets.get(word)?.forEach(add);
    else members.add(word);
  };
  names.split(" ").forEach(add);
  return members;
}
