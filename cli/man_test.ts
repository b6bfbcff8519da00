import assert from "node:assert/strict";
import { COMMANDS } from "./commands.ts";
import { manPages } from "./man.ts";
import { globalOptions } from "./shared_options.ts";

const pages = await manPages(COMMANDS, { version: "1.2.3", globalOptions });

Deno.test("manPages() has a page for the program and one for each command", () => {
  for (const name of ["knet.1", "knet-join.1", "knet-lease-reserve.1", "knet-svc-add.1"]) {
    assert.ok(pages.has(name), name);
  }
  assert.match(pages.get("knet.1")!, /knet\\-lease\\-reserve\\fR\(1\)/);
});

Deno.test("manPages() tell options and leave hidden ones out", () => {
  const join = pages.get("knet-join.1")!;
  assert.match(join, /^\.TH KNET\\-JOIN 1 "" "knet 1\.2\.3" "knet"$/m);
  assert.match(join, /\\fB\\-\\-ip\\-masq\\fR/);
  assert.doesNotMatch(join, /plain\\-routes/);
});

Deno.test("manPages() are roff without a mistake", async () => {
  for (const [name, text] of pages) {
    // A line that begins with a dot is a request; there are these and no others.
    for (const [request] of text.matchAll(/^\.\S*/gm)) {
      assert.match(request, /^\.(TH|SH|TP|PP|B|I|BR|br)$/, name);
    }
  }
  let groff: Deno.ChildProcess;
  try {
    groff = new Deno.Command("groff", {
      args: ["-man", "-Tascii", "-ww"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return; // What is checked above stands alone on machines without groff.
  }
  const writer = groff.stdin.getWriter();
  await writer.write(new TextEncoder().encode([...pages.values()].join("")));
  await writer.close();
  const { stdout, stderr } = await groff.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  // Printed bold, letter upon letter.
  const plain = new TextDecoder().decode(stdout).split("\b").map((part, at, all) =>
    at < all.length - 1 ? part.slice(0, -1) : part
  ).join("");
  assert.match(plain, /knet join/);
});
