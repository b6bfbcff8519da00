import assert from "node:assert/strict";
import { KnetError, StoreAwayError } from "../../base/error.ts";
import { checkShape } from "../../base/shape.ts";
import { UnusableConfigError } from "../config_row.ts";
import { DifferentStoreError, SettlingStoreError } from "../identity.ts";
import { NoStoreError } from "../location.ts";
import { EmptiedStoreError } from "../emptied.ts";
import { ERROR_SHAPE, receiveError, sendError } from "./errors.ts";

const travel = (error: unknown) =>
  receiveError(checkShape(ERROR_SHAPE, JSON.parse(JSON.stringify(sendError(error)))), "dqlite:");

Deno.test("receiveError() makes of what sendError() sent the same error", () => {
  const errors = [
    new StoreAwayError("Cannot use the store x: it is away", { remedy: "Wait" }),
    new DifferentStoreError("sqlite:/x", "its revision went back from 7 to 5"),
    new SettlingStoreError("Cannot write to the store x: it was adopted"),
    new EmptiedStoreError("store x"),
    new NoStoreError("/x"),
    new UnusableConfigError({ what: "cluster configuration", state: "there are two rows of it" }),
    new KnetError("Cannot do it", { exitCode: 2, remedy: "Do something else" }),
  ];
  for (const error of errors) {
    const come = travel(error);
    assert.equal(come.constructor, error.constructor);
    const facts = ({ name, message, exitCode, remedy }: KnetError) => [
      name,
      message,
      exitCode,
      remedy,
    ];
    assert.deepEqual(facts(come), facts(error));
  }
  const different = travel(errors[1]) as DifferentStoreError;
  assert.equal(different.what, "its revision went back from 7 to 5");
});

Deno.test("sendError() keeps to itself what is not for people", () => {
  const come = travel(new TypeError("undefined is not a function in /root/secret.ts"));
  assert.ok(come instanceof KnetError);
  assert.doesNotMatch(come.message, /undefined|secret/);
});

Deno.test("receiveError() takes a class that only a newer knet has for any other", () => {
  const sent = { kind: "newer", message: "Cannot", exitCode: 9 };
  const come = receiveError(checkShape(ERROR_SHAPE, sent), "dqlite:");
  assert.deepEqual([come.name, come.exitCode], ["KnetError", 1]);
});
