/**
 * The words that `--log-level` and `--log-format` take; apart from `log.ts`, which loads the logger.
 *
 * @module
 */

/** Levels of the `--log-level` option, the most talkative first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
/** How much is logged. */
export type LogLevel = typeof LOG_LEVELS[number];

/** Formats of the `--log-format` option. */
export const LOG_FORMATS = ["text", "json"] as const;
/** How a record looks. */
export type LogFormat = typeof LOG_FORMATS[number];
