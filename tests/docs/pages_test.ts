/**
 * The commands of README and manual run, in the order in which a reader meets them.
 *
 * @module
 */
import { skip } from "../support/skip.ts";
import { rootTest } from "../support/suite.ts";
import { blocksOf } from "./blocks.ts";
import { DocsLab, whyNoOverlay } from "./lab.ts";
import { pages, read } from "./pages.ts";

for (const page of pages()) {
  const blocks = blocksOf(read(page));
  const run = blocks.filter((block) => block.notRun === undefined);
  if (run.length === 0) continue;
  const name = `${page}: its ${run.length} blocks of commands run`;
  rootTest(name, async () => {
    const reason = await whyNoOverlay();
    if (reason !== undefined) return skip(name, reason);
    await using lab = await DocsLab.create(run.some(({ place }) => place === "database"));
    for (const block of run) await lab.run(page, block);
  });
}
