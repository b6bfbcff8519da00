/**
 * Checks many real servers: one timer for all of them, and a limit to the sockets that are open at a time.
 *
 * @module
 */
import { after, monotonicClock, random, type Timer } from "../base/clock.ts";
import type { ActiveCheck } from "../services/check_kinds.ts";
import { formatActive } from "../services/check_text.ts";
import type { CheckPace } from "../services/service.ts";
import { Heap } from "./due_queue.ts";
import { lookOf } from "./look.ts";
import type { Probe, ProbeResult, ProbeTarget } from "./probe.ts";
import { afterResult, type HealthState, nextDelay, sanePace, UNKNOWN } from "./state.ts";

/** Identity of a check: services that ask the same of the same real server share it. */
export function checkKey(address: string, port: number, check: ActiveCheck): string {
  const { interval, timeout, rise, fall } = check;
  return `${address} ${port} ${formatActive(check)} ${interval} ${timeout} ${rise} ${fall}`;
}

/** What is known of one. */
export interface Health extends HealthState {
  /** Whether it was checked at all. */
  readonly known: boolean;
  /** Why the last check failed, or could not be done; empty if it passed. */
  readonly detail: string;
}

interface Entry {
  readonly key: string;
  readonly target: ProbeTarget;
  readonly probe: Probe;
  readonly check: CheckPace;
  health: Health;
  /** Time of the next check, on the monotonic clock. */
  due: number;
  /** False once nobody asks for it any more: it is passed over when its turn comes. */
  wanted: boolean;
}

/** A check under way. */
interface Flight {
  /** When it has failed. */
  readonly due: number;
  /** Undefined once it has ended. */
  giveUp: (() => void) | undefined;
}

/** How a checker works. */
export interface CheckerOptions {
  /** Called when a real server has gone down or come up, with the key of its check. */
  readonly onChange: (key: string) => void;
  /** Keys of checks that failed when this host last looked; they start as down, the first time that they are added. */
  readonly down?: ReadonlySet<string>;
  /** Checks at a time. The default is 512. */
  readonly inFlight?: number;
  readonly probe?: Probe;
}

/** Milliseconds; checks that are due within it are begun together. */
const TICK = 10;
const MOST_IN_FLIGHT = 512;

/** Checks until stopped. */
export class Checker implements Disposable {
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new Heap<Entry>();
  /** Checks under way by their time-outs; those that ended stay until it is their turn. */
  readonly #flights = new Heap<Flight>();
  readonly #options: CheckerOptions;
  /** What is left of `CheckerOptions.down`: of a check that ended here, an earlier life knows nothing any more. */
  readonly #down: Set<string>;
  #stopped = false;
  #timer: Timer | undefined;
  #timerDue = Infinity;
  #inFlight = 0;
  #started = 0;

  constructor(options: CheckerOptions) {
    this.#options = options;
    this.#down = new Set(options.down);
  }

  /** Checks that are under way. */
  get inFlight(): number {
    return this.#inFlight;
  }
  /** Checks begun so far. */
  get started(): number {
    return this.#started;
  }
  /** Real servers that are checked. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is known of a real server; undefined if nobody asks for it. */
  health(key: string): Health | undefined {
    return this.#entries.get(key)?.health;
  }

  /** Whether a real server's check fails. */
  isDown(key: string): boolean {
    return this.#entries.get(key)?.health.up === false;
  }

  /** Keys of the checks that fail. */
  downKeys(): string[] {
    return [...this.#entries.values()].filter(({ health }) => !health.up).map(({ key }) => key);
  }

  /**
   * Begins a check, spread over its interval with all others; one that there is already goes on.
   *
   * @param down Whether the real server starts as down.
   * @returns Its key.
   */
  add(address: string, port: number, check: ActiveCheck, down = false): string {
    const key = checkKey(address, port, check);
    if (this.#entries.has(key) || this.#stopped) return key;
    const wasDown = this.#down.delete(key);
    const sane = sanePace(check);
    const entry: Entry = {
      key,
      target: { address, port: check.port ?? port },
      probe: this.#options.probe ?? lookOf(check),
      check: sane,
      health: { ...UNKNOWN, up: !(down || wasDown), known: false, detail: "" },
      due: monotonicClock() + random() * sane.interval,
      wanted: true,
    };
    this.#entries.set(key, entry);
    this.#queue.push(entry);
    this.#arm();
    return key;
  }

  /** Ends a check. */
  remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.wanted = false;
    this.#entries.delete(key);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const key of [...this.#entries.keys()]) this.remove(key);
    for (let flight = this.#flights.pop(); flight !== undefined; flight = this.#flights.pop()) {
      flight.giveUp?.();
    }
  }

  get #hasRoom(): boolean {
    return this.#inFlight < (this.#options.inFlight ?? MOST_IN_FLIGHT);
  }

  /** Sets the timer for what is due next, if it is not set for that or something earlier. */
  #arm(): void {
    if (this.#stopped) return;
    const due = Math.min(
      this.#hasRoom ? this.#queue.first?.due ?? Infinity : Infinity,
      this.#flights.first?.due ?? Infinity,
    );
    if (due === Infinity || (this.#timer !== undefined && this.#timerDue <= due)) return;
    this.#timer?.cancel();
    this.#timerDue = due;
    this.#timer = after(Math.max(TICK, Math.ceil(due - monotonicClock())), () => this.#run());
  }

  #run(): void {
    this.#timer = undefined;
    this.#timerDue = Infinity;
    const now = monotonicClock();
    while ((this.#flights.first?.due ?? Infinity) <= now) {
      this.#flights.pop()!.giveUp?.();
    }
    while (this.#hasRoom && (this.#queue.first?.due ?? Infinity) <= now) {
      const next = this.#queue.pop()!;
      if (next.wanted) this.#check(next);
    }
    this.#arm();
  }

  #check(entry: Entry): void {
    const { check, target, probe } = entry;
    const began = monotonicClock();
    this.#inFlight++;
    this.#started++;
    const flight: Flight = { due: began + check.timeout, giveUp: undefined };
    this.#flights.push(flight);
    flight.giveUp = probe(target, (result) => {
      flight.giveUp = undefined;
      this.#inFlight--;
      if (entry.wanted) this.#land(entry, began, result);
      this.#arm();
    });
  }

  #land(entry: Entry, began: number, { passed, detail }: ProbeResult): void {
    this.#note(entry, passed, detail);
    // A twentieth of jitter keeps those apart that a common halt brought together.
    const delay = nextDelay(entry.health, entry.check) * (0.975 + random() * 0.05);
    entry.due = Math.max(began + delay, monotonicClock());
    this.#queue.push(entry);
  }

  #note(entry: Entry, passed: boolean | undefined, detail: string): void {
    const before = entry.health;
    if (passed === before.up && before.known && before.contrary === 0 && before.detail === detail) {
      return;
    }
    const after = passed === undefined ? before : afterResult(before, passed, entry.check);
    entry.health = { ...after, known: before.known || passed !== undefined, detail };
    if (after.up !== before.up) this.#options.onChange(entry.key);
  }
}
