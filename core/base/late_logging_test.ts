import assert from "node:assert/strict";
import { loggingBegun, logLater } from "./late_logging.ts";

Deno.test("loggingBegun() sets logging up once, and only where that was put off", async () => {
  await loggingBegun();
  let times = 0;
  logLater(() => {
    times++;
    return Promise.resolve();
  });
  await loggingBegun();
  await loggingBegun();
  assert.equal(times, 1);
});
