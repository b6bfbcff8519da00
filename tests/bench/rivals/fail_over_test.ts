import assert from "node:assert/strict";
import { keepalivedConfig, lastFailure } from "./fail_over.ts";

Deno.test("lastFailure() counts what began after the moment and failed", () => {
  const lines = [
    "900.0 error refused",
    "1010.5 error refused",
    "1020.0 web2 10.0.0.1",
    "1500.0 error",
    "",
  ];
  assert.equal(lastFailure(lines, 1000), 500);
  assert.equal(lastFailure(["1020.0 web1 10.0.0.1"], 1000), 0);
});

Deno.test("keepalivedConfig() checks each real server", () => {
  const text = keepalivedConfig("10.97.0.20", ["10.244.0.2", "10.244.0.3"]);
  assert.match(text, /^virtual_server 10\.97\.0\.20 80 \{$/m);
  assert.equal(text.match(/TCP_CHECK/g)!.length, 2);
  assert.match(text, /real_server 10\.244\.0\.3 8080 \{/);
});
