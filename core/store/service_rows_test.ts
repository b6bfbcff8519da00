import assert from "node:assert/strict";
import { service } from "../../tests/support/services.ts";
import { parseCheck } from "../services/check_text.ts";
import { CHECK_DEFAULTS } from "../services/service.ts";
import type { RowProblem } from "./row_check.ts";
import { joinRows, rowOfService } from "./service_rows.ts";

Deno.test("rowOfService() writes a check so that an older knet takes it for none, and joinRows() reads it whole", () => {
  const web = service("web", { check: parseCheck("https:/a host=web.example body=\\xff") });
  const row = rowOfService(web, 1);
  // The shape of a check that the first knet with services reads: of others it left out the whole service.
  assert.equal(JSON.parse(row.options).check.type, "none");
  const problems: RowProblem[] = [];
  const { services: [read] } = joinRows([row], [], undefined, problems);
  assert.deepEqual(read?.check, web.check);
  assert.deepEqual(problems, []);
});

Deno.test("joinRows() keeps a service whose check only a newer knet understands, and says so", () => {
  for (const text of ["quic:h3", "https:/ alpn=h2", 'http:/ host="a\\r\\nX: y"', "none", ""]) {
    const row = rowOfService({
      ...service("web"),
      check: { type: "none", text, ...CHECK_DEFAULTS },
    }, 1);
    const problems: RowProblem[] = [];
    const { services, unread } = joinRows([row], [], undefined, problems);
    assert.deepEqual([services.length, unread.length], [1, 0], text);
    assert.deepEqual(problems.map(({ what }) => what), ['the check of service "web"'], text);
    // Written again, nothing of it is lost.
    assert.deepEqual(rowOfService(services[0]!, 1), row);
  }
});

Deno.test("joinRows() leaves out a service whose check has no sane pace or is endless", () => {
  const more = [{ interval: 0 }, { fall: 1e9 }, { timeout: "1" }, { text: "x".repeat(3001) }];
  for (const one of more) {
    const check = { type: "none", text: "https:/", ...CHECK_DEFAULTS, ...one } as never;
    const row = rowOfService({ ...service("web"), check }, 1);
    const { services, unread } = joinRows([row], [], undefined, []);
    assert.deepEqual([services.length, unread.length], [0, 1], JSON.stringify(one));
  }
});
