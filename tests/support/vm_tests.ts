/**
 * Running the tests that need IPVS: here if the kernel has it, else in a virtual machine.
 *
 * @module
 */
import { addTally, couldNotStart, runTests, type Tally, tallyOf } from "./tally.ts";
import { runInVm, vmProblem } from "./vm.ts";
import { ipvsHere } from "./vm_initrd.ts";

/** Milliseconds for all tests; emulated, most things take ten times as long, and other groups run beside. */
const LIMIT = 1_500_000;

/** Runs the tests of a folder and counts them like others; in the machine by its `all.ts`, so that what they share is loaded once. */
export async function runVmTests(
  folder: string,
  options: readonly string[],
  print: (text: string) => void,
  environment: Readonly<Record<string, string>> = {},
): Promise<Tally> {
  if (ipvsHere()) return await runTests([folder], options, environment);
  const problem = vmProblem();
  if (problem !== undefined) {
    const files = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith("_test.ts"));
    const notes = files.map(({ name }) => `SKIPPED ${folder}/${name}: ${problem}`);
    return { passed: 0, failed: 0, skipped: notes.length, notes };
  }
  const set = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const command = ["env", ...set, Deno.execPath(), "test", "-A", "--permit-no-files", "--no-check"];
  const { code, output, console: said } = await runInVm([
    ...command,
    ...options,
    `${folder}/all.ts`,
  ], {
    timeout: LIMIT,
    onOutput: print,
  });
  if (code === undefined) {
    console.error(said);
    return addTally(
      tallyOf(output.split("\n"), 0),
      couldNotStart(folder, "the virtual machine ended before the tests did"),
    );
  }
  return tallyOf(output.split("\n"), code);
}
