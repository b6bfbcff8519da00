/**
 * Answers the scripts of runtimes' plugins, which ask through named pipes (core/container/doorbell.ts). Only root can write there; still
 * nothing that lies there makes the agent wait, read more than it should, or anything but a plain file.
 *
 * @module
 */
import { getLogger } from "@logtape/logtape";
import { type OwnedFd, readFd, writeFd } from "../../ffi/file.ts";
import { openNewFifo } from "../../ffi/fifo.ts";
import { openPlainFile } from "../../ffi/plain_file.ts";
import { EventPoll } from "../../ffi/poll.ts";
import { after, randomId, type Timer } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { DOORBELL, doorbellFolder, type Errand, readErrand } from "../container/doorbell.ts";

const log = getLogger(["knet", "containers"]);

/** Slots that are ready: as many scripts can come at once, others start the program. */
const SPARE = 64;
/** Questions that are answered or wait for it; while there are so many, no slots are added. */
const MOST = 1024;
/** Bytes of a question, as of one over the socket, and some more for its lines. */
const LONGEST = (1 << 20) + 8192;
/** Times in milliseconds. */
interface Times {
  /** After which what a script has left behind is looked for; it goes when it is found twice. */
  readonly tidy: number;
  /** That a script waits for its answer at most. */
  readonly patience: number;
}

const TIMES: Times = { tidy: 30_000, patience: 60_000 };

/**
 * Answers an errand: HTTP's status, and the document.
 *
 * @param wanted whether somebody still waits for it.
 */
type Answer = (
  errand: Errand,
  wanted: () => boolean,
) => Promise<{ readonly status: number; readonly body: string }>;

/**
 * Serves until disposed. Where no named pipes can be made, that is said and nobody is served: the program asks over the socket.
 *
 * @param times others than it has by itself, for tests.
 */
export function serveDoorbell(
  stateDir: string,
  answer: Answer,
  times: Partial<Times> = {},
): AsyncDisposable {
  try {
    return new Doorbell(stateDir, answer, { ...TIMES, ...times });
  } catch (error) {
    log.warn("Cannot answer plugins without their starting the program: {error}", {
      error: messageOf(error),
    });
    return { [Symbol.asyncDispose]: () => Promise.resolve() };
  }
}

class Doorbell implements AsyncDisposable {
  readonly #stateDir: string;
  readonly #folder: string;
  readonly #answer: Answer;
  readonly #times: Times;
  readonly #bell: OwnedFd;
  readonly #poll = new EventPoll();
  /** By name, what their pipes are open by. */
  readonly #spare = new Map<string, OwnedFd>();
  /** Names of another agent's time must not be those of this one's slots. */
  readonly #prefix = randomId().slice(0, 8);
  readonly #serving: Promise<void>;
  #made = 0;
  #asked = 0;
  #timer: Timer | undefined;
  /** Files that a script left behind, if it is not at work with them. */
  #suspects = new Set<string>();
  #closed = false;

  constructor(stateDir: string, answer: Answer, times: Times) {
    this.#stateDir = stateDir;
    this.#folder = doorbellFolder(stateDir);
    this.#answer = answer;
    this.#times = times;
    remove(this.#folder); // Nobody else serves it: the agent's lock is ours.
    Deno.mkdirSync(this.#folder, { mode: 0o700 });
    this.#bell = openNewFifo(this.#path(`${DOORBELL.bell}.new`), 0o600);
    try {
      // Over what a script may have written there just now that rang for the agent before.
      Deno.renameSync(this.#path(`${DOORBELL.bell}.new`), this.#path(DOORBELL.bell));
      const ownBell = `${Deno.pid} ${this.#bell.fd}\n`;
      Deno.writeTextFileSync(`${this.#folder}/${DOORBELL.agent}`, ownBell, { mode: 0o600 });
      this.#addSlots();
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#serving = this.#serve();
    this.#tidyLater();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#poll.close();
    await this.#serving;
  }

  #close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#poll.close();
    this.#bell[Symbol.dispose]();
    for (const pipe of this.#spare.values()) pipe[Symbol.dispose]();
    this.#spare.clear();
    removeQuietly(this.#folder);
  }

  #addSlots(): void {
    while (this.#spare.size < SPARE && this.#spare.size + this.#asked < MOST) {
      const name = `${this.#prefix}-${++this.#made}`;
      this.#spare.set(name, openNewFifo(this.#path(name + DOORBELL.wait), 0o600));
    }
  }

  #path(name: string): string {
    return `${this.#folder}/${name}`;
  }

  async #serve(): Promise<void> {
    this.#poll.add(this.#bell.fd);
    try {
      const bytes = new Uint8Array(4096);
      const decoder = new TextDecoder();
      let rest = "";
      while (!this.#closed) {
        if ((await this.#poll.wait()).length === 0) continue;
        rest += decoder.decode(bytes.subarray(0, readFd(this.#bell.fd, bytes)));
        const lines = rest.split("\n");
        rest = lines.pop()!.slice(-bytes.length);
        for (const name of lines) void this.#take(name);
        try {
          this.#addSlots();
        } catch (error) {
          // Out of descriptors, for one. There are more after the next question, or the next tidying.
          log.debug("Cannot add slots for plugins: {error}", { error: messageOf(error) });
        }
      }
    } catch (error) {
      // The scripts start the program, then.
      log.warn("Answers plugins over the socket only: {error}", { error: messageOf(error) });
    } finally {
      this.#close();
    }
  }

  /** Takes a question, and answers it when its turn has come. It never throws. */
  async #take(name: string): Promise<void> {
    const pipe = this.#spare.get(name);
    if (pipe === undefined) return;
    this.#spare.delete(name);
    this.#asked++;
    let late = false;
    // The script starts the program then, which waits as long again, and tells the runtime.
    const timer = after(this.#times.patience, () => {
      late = true;
      pipe[Symbol.dispose]();
    }, { idle: true });
    const path = this.#path(name + DOORBELL.ask);
    try {
      // The pipe's name first: who takes the question's before it is answered sees that the slot is gone.
      remove(this.#path(name + DOORBELL.wait));
      await this.#reply(pipe, path, () => !late);
    } catch (error) {
      log.debug("Cannot do what a plugin asks: {error}", { error: messageOf(error) });
    }
    timer.cancel();
    pipe[Symbol.dispose]();
    this.#asked--;
    removeQuietly(path);
  }

  async #reply(pipe: OwnedFd, path: string, wanted: () => boolean): Promise<void> {
    const { file: opened, text } = openPlainFile(path, LONGEST);
    using file = opened;
    const errand = readErrand(text, this.#stateDir);
    if (errand === undefined) return;
    const { status, body } = await this.#answer(errand, wanted);
    // Whatever else it is, the program has words for it.
    if (!wanted() || (status !== 200 && status !== 422)) return;
    const encode = (line: string) => new TextEncoder().encode(`${line}\n`);
    if (body !== "") writeFd(file.fd, encode(body));
    writeFd(pipe.fd, encode(status === 200 ? "0" : "1"));
  }

  #tidyLater(): void {
    this.#timer = after(this.#times.tidy, () => {
      if (this.#closed) return;
      try {
        this.#tidy();
      } catch (error) {
        log.debug("Cannot tidy up after plugins: {error}", { error: messageOf(error) });
      }
      this.#tidyLater();
    }, { idle: true });
  }

  /** Takes away what scripts that were killed have left, and whatever else lies there. */
  #tidy(): void {
    const found = new Set<string>();
    for (const { name } of Deno.readDirSync(this.#folder)) {
      if (name === DOORBELL.bell || name === DOORBELL.agent) continue;
      if (name.endsWith(DOORBELL.wait) && this.#spare.has(slotOf(name))) continue;
      if (!this.#suspects.has(name)) {
        found.add(name);
        continue;
      }
      remove(this.#path(name));
      const slot = slotOf(name);
      this.#spare.get(slot)?.[Symbol.dispose]();
      if (this.#spare.delete(slot)) remove(this.#path(slot + DOORBELL.wait));
    }
    this.#suspects = found;
    this.#addSlots();
  }
}

const slotOf = (name: string) => name.replace(/\.[a-z]+$/, "");

/** How often it is tried to empty a folder that scripts write to meanwhile. */
const TRIES = 10;

/** Removes whatever it is, what a link leads to excepted. */
function remove(path: string, tries = TRIES): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    // A script has just made a file in the folder.
    if (tries <= 1) throw error;
    remove(path, tries - 1);
  }
}

/** Removes it, if that goes: the next agent begins with doing so. */
function removeQuietly(path: string): void {
  try {
    remove(path);
  } catch (error) {
    log.debug("Cannot tidy up after plugins: {error}", { error: messageOf(error) });
  }
}
