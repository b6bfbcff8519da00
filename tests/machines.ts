/**
 * knet on machines of their own, installed by its package:
 * `deno task machines [--only NAME[,NAME…]] [--release 12|13] [--hosts guests] [--filter TEXT]`.
 *
 * NAME is a file of `tests/machines` without `_test.ts`. Machines are emulated and slow: a file takes many minutes. Guests (see
 * `tests/machines/guest.ts`) in their place take a tenth of that, and what needs a kernel of its own is skipped with them. The first run
 * makes an image of each release of Debian, which takes minutes, too, and is kept (see `tests/machines/image.ts`). What is installed is
 * the .deb of the tree, made if `dist/packages` has none. The last line is `N passed, N failed, N skipped`.
 *
 * @module
 */
import { imageOf, type Release, RELEASES } from "./machines/image.ts";
import { packages, whyNoMachines } from "./machines/suite.ts";
import { setUp } from "./setup.ts";
import { exec } from "./support/exec.ts";
import { addTally, runTests, type Tally } from "./support/tally.ts";

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: deno task machines [--only NAME[,NAME…]] [--release 12|13] [--hosts guests] [--filter TEXT]`,
  );
  Deno.exit(2);
}

const names = [...Deno.readDirSync(new URL("machines", import.meta.url))].map(({ name }) => name)
  .filter((name) => name.endsWith("_test.ts")).map((name) => name.replace("_test.ts", "")).sort();
let chosen = names;
let releases = Object.keys(RELEASES) as Release[];
let filter: string[] = [];
let hosts = "machines";
const args = [...Deno.args];
for (let flag; (flag = args.shift()) !== undefined;) {
  const value = args.shift() ?? usage(`${flag} needs a value`);
  if (flag === "--only") chosen = value.split(",");
  else if (flag === "--release") releases = releases.filter((release) => release === value);
  else if (flag === "--filter") filter = ["--filter", value];
  else if (flag === "--hosts" && value === "guests") hosts = value;
  else usage(`There is no option "${flag} ${value}"`);
}
for (const name of chosen) {
  if (!names.includes(name)) usage(`There is no tests/machines/${name}_test.ts`);
}
if (releases.length === 0) usage(`--release is one of ${Object.keys(RELEASES).join(" ")}`);

await setUp("machines");
let total: Tally = { passed: 0, failed: 0, skipped: 0, notes: [] };
const problem = whyNoMachines();
if (problem !== undefined) {
  total = { ...total, skipped: 1, notes: [`SKIPPED machines: ${problem}`] };
} else {
  if (packages() === undefined) {
    await exec([
      Deno.execPath(),
      "run",
      "-A",
      new URL("../dist/package.ts", import.meta.url).pathname,
      "deb",
    ], {
      timeout: 600_000,
    });
  }
  for (const release of releases) {
    await imageOf(release, console.log);
    for (const name of chosen) {
      const began = performance.now();
      console.log(`\n== ${name}, Debian ${release}`);
      const file = new URL(`machines/${name}_test.ts`, import.meta.url).pathname;
      const settings = { KNET_RELEASE: release, KNET_HOSTS: hosts };
      total = addTally(total, await runTests([file], filter, settings));
      console.log(`${((performance.now() - began) / 1000).toFixed(0)} s`);
    }
  }
}
for (const note of total.notes) console.log(note);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
Deno.exit(total.failed === 0 ? 0 : 1);
