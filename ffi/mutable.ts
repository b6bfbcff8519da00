/**
 * What is read-only to all others, for the one who makes it.
 *
 * @module
 */

/** A type whose properties can be written. */
export type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
