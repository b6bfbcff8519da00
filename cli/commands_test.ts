import assert from "node:assert/strict";
import { COMMANDS } from "./commands.ts";

Deno.test("COMMANDS say of each command what it says of itself", async () => {
  for (const { name, summary, load } of COMMANDS) {
    const loaded = await load();
    assert.deepEqual([loaded.name, loaded.summary], [name, summary]);
    if ("run" in loaded) continue;
    for (const command of loaded.commands) assert.equal(command.name.split(" ")[0], name);
  }
});
