/**
 * One run of chaos.
 *
 * @module
 */
import type { StoreKind } from "../support/lab.ts";
import { sleep } from "../support/wait.ts";
import { DEEDS } from "./deeds.ts";
import { Dice } from "./dice.ts";
import { World } from "./world.ts";

/** What is run. */
export interface ChaosOptions {
  readonly hosts: number;
  readonly minutes: number;
  /** Decides what happens; when, the machine does. */
  readonly seed: number;
  readonly store: StoreKind;
  /** Whether links are bad as well: slow, overtaking, doubling, standing still. */
  readonly links?: boolean;
}

/**
 * Runs it.
 *
 * @param say Told of each deed.
 * @returns what was done, in one sentence.
 * @throws {Error} if it does not come to be calm, or something is not as it has to be then.
 */
export async function runChaos(
  { hosts, minutes, seed, store, links = false }: ChaosOptions,
  say: (sentence: string) => void,
): Promise<string> {
  const dice = new Dice(seed);
  const counts = new Map<string, number>();
  const begin = performance.now();
  const end = begin + minutes * 60_000;
  let slowest = 0;
  const summary = (world: World) => {
    const deeds = [...counts].sort().map(([name, count]) => `${name} ${count}`).join(", ");
    return `seed ${seed}, ${world.calms} calms, the slowest after ${
      Math.round(slowest)
    } ms, ${world.adoptions} adoptions after a fail-over that had lost writes; ${deeds}`;
  };
  await using world = await World.create(hosts, store);
  try {
    while (performance.now() < end) {
      for (let left = dice.whole(2, 8); left > 0; left--) {
        const deed = dice.weighed(
          DEEDS.filter(({ name, fits }) =>
            (links || name !== "bad link") && (fits?.(world) ?? true)
          ),
        );
        const said = await deed.run(world, dice);
        counts.set(deed.name, (counts.get(deed.name) ?? 0) + 1);
        say(`${((performance.now() - begin) / 1000).toFixed(1)} s: ${said}`);
        await sleep(dice.whole(0, 1500));
      }
      const milliseconds = await world.calm();
      slowest = Math.max(slowest, milliseconds);
      say(`calm after ${Math.round(milliseconds)} ms`);
    }
  } catch (error) {
    say(world.lab.logs(60));
    say(summary(world));
    throw error;
  }
  return summary(world);
}
