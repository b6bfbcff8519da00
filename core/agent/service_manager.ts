/**
 * What the service manager is told in words: `systemctl status` shows it, while the agent joins and after it has ended. Pure.
 *
 * @module
 */
import { KnetError, messageOf } from "../base/error.ts";
import { hidePasswords } from "../base/secrets.ts";
import { visibleName } from "../base/visible.ts";
import { refusedBySettings } from "../store/postgres_errors.ts";

/** Characters of it. */
const MOST = 500;

/** A sentence for sd_notify(3). It is one line: what stands behind a line end would be another message. */
export function statusLine(sentence: string): string {
  return `STATUS=${visibleName(hidePasswords(sentence), MOST)}`;
}

/** What ended the agent, and what to do about it. */
export function endingLine(error: unknown): string {
  return statusLine(sentencesOf(error));
}

/** What the agent waits for, so many milliseconds, before it tries again. */
export function waitingLine(error: unknown, pause: number): string {
  return statusLine(`Tries again in ${pause / 1000} s: ${sentencesOf(error)}`);
}

function sentencesOf(error: unknown): string {
  const remedy = error instanceof KnetError ? error.remedy : undefined;
  return messageOf(error) + (remedy === undefined ? "" : `. ${remedy}`);
}

/**
 * The error that a first start ends with. A server that answers, and refuses what the settings name, will go on doing so: that is wrong
 * usage, which the unit does not try again, so that whoever starts it hears of it.
 *
 * @param member Whether this host has joined before: it goes on with what it knows, and waits.
 */
export function endOfStart(error: unknown, member: boolean): unknown {
  if (member || !(error instanceof KnetError) || !refusedBySettings(error)) return error;
  const { message, remedy } = error;
  return new KnetError(message, {
    exitCode: 2,
    cause: error,
    ...(remedy !== undefined && { remedy }),
  });
}
