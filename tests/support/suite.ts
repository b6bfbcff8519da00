/**
 * Tests that share one lab: it is built before the first of them and taken down after the last, or
 * before the first test of another suite.
 *
 * @module
 */
import { Lab, type LabOptions } from "./lab.ts";
import { skip, whyNoLab } from "./skip.ts";

/** How a suite is built. */
export interface SuiteOptions extends LabOptions {
  /** Brings the fresh lab into the state that all tests of the suite begin with. */
  readonly setUp?: (lab: Lab) => Promise<void>;
}

interface Active {
  readonly owner: object;
  readonly lab: Promise<Lab>;
}

let active: Active | undefined;
let hooked = false;
let reason: string | undefined;
let judged = false;

/** Why tests with a lab cannot run here; undefined if they can. */
export function labProblem(): string | undefined {
  if (!judged) reason = whyNoLab();
  judged = true;
  return reason;
}

/** A test that needs no lab of its own, but what a lab needs. */
export function rootTest(name: string, fn: () => Promise<void>): void {
  const problem = labProblem();
  Deno.test({
    name: problem === undefined ? name : `${name} [skipped: ${problem}]`,
    ignore: problem !== undefined,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

/** Defines a suite; what is returned registers its tests. */
export function labSuite(
  options: SuiteOptions,
): (name: string, fn: (lab: Lab) => Promise<void>) => void {
  const owner = {};
  // Told once, by the first test; the others would only say it again.
  let broken = false;
  if (!hooked) Deno.test.afterAll(endActive);
  hooked = true;
  return (name, fn) =>
    rootTest(name, async () => {
      if (broken) return skip(name, "its lab could not be built, see the first test of this file");
      const lab = await labOf(owner, options).catch((error) => {
        broken = true;
        throw error;
      });
      try {
        await fn(lab);
      } catch (error) {
        console.log(lab.logs());
        throw error;
      }
    });
}

async function labOf(owner: object, options: SuiteOptions): Promise<Lab> {
  if (active?.owner !== owner) {
    await endActive();
    active = { owner, lab: build(options) };
  }
  return await active.lab;
}

async function build(options: SuiteOptions): Promise<Lab> {
  const lab = await Lab.create(options);
  try {
    await options.setUp?.(lab);
    return lab;
  } catch (error) {
    console.log(lab.logs());
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

async function endActive(): Promise<void> {
  const lab = await active?.lab.catch(() => undefined);
  active = undefined;
  await lab?.[Symbol.asyncDispose]();
}
