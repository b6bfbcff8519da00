import assert from "node:assert/strict";
import { errnoNumber } from "../errno.ts";
import { NetlinkError } from "./netlink_error.ts";

Deno.test("NetlinkError.isGone tells that there was nothing to delete", () => {
  const gone = (code: string) => new NetlinkError(errnoNumber(code), "delete a route").isGone;
  for (const code of ["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"]) assert.ok(gone(code), code);
  for (const code of ["EPERM", "EINVAL", "EEXIST", "ENETDOWN"]) assert.ok(!gone(code), code);
});
