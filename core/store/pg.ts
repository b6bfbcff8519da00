/**
 * The part of the `pg` package that knet uses, with its types.
 *
 * @module
 */
import pg from "pg";
import type { Duplex } from "node:stream";
import type { SqlValue } from "./engine.ts";

/** What a client is made of. */
export interface ClientConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: string;
  readonly ssl: false;
  readonly application_name: string;
  readonly options?: string;
  readonly types: { getTypeParser(oid: number): (text: string) => unknown };
  readonly stream: () => Duplex;
}

/** A statement. */
export interface QueryConfig {
  readonly text: string;
  readonly values?: SqlValue[];
  readonly rowMode: "array";
}

/** What a statement yields. */
export interface QueryResult {
  readonly rows: unknown[][];
}

/** A client: one connection. */
export interface Client {
  /** Of BackendKeyData. */
  readonly processID: number | null;
  connect(): Promise<unknown>;
  query(config: QueryConfig): Promise<QueryResult | QueryResult[]>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): void;
  on(event: "end", listener: () => void): void;
  on(event: "notification", listener: (message: { payload?: string }) => void): void;
}

/** Makes clients. */
export const Client = pg.Client as unknown as new (config: ClientConfig) => Client;
