/**
 * Runs a command on a stock distribution kernel, in QEMU: `deno run -A tests/vm.ts [--timeout SECONDS] COMMAND…`. The word `deno`
 * stands for the Deno that runs this.
 *
 * @module
 */
import { setUp } from "./setup.ts";
import { runInVm } from "./support/vm.ts";

const args = [...Deno.args];
let timeout = 600;
if (args[0] === "--timeout") timeout = Number(args.splice(0, 2)[1]);
if (args.length === 0) {
  console.error("usage: deno run -A tests/vm.ts [--timeout SECONDS] COMMAND…");
  Deno.exit(2);
}
if (args[0] === "deno") args[0] = Deno.execPath();
await setUp("test");
const encoder = new TextEncoder();
const { code, console: said } = await runInVm(args, {
  timeout: timeout * 1000,
  onOutput: (text) => Deno.stdout.writeSync(encoder.encode(text)),
});
if (code === undefined) console.error(said);
Deno.exit(code ?? 1);
