/**
 * Tables of the store, the same in every engine: drizzle's Postgres dialect, of which only what SQLite takes as well is used. A change
 * here is followed by `deno task migrations`. Additive within a major version.
 *
 * Constraints have the names that Postgres gives by itself: databases that knet 0.1 made have these.
 *
 * @module
 */
import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from "drizzle-orm/pg-core";

/** A whole number up to 2^53: milliseconds since the epoch, a revision. */
const whole = (column: string) => bigint(column, { mode: "number" }).notNull();

/** Counters by name: the revision, the schema's version, what was purged. */
export const metaTable = pgTable("knet_meta", {
  name: text("name").primaryKey(),
  value: whole("value"),
});

/** The cluster's configuration: one row, JSON. */
export const configTable = pgTable("knet_config", {
  id: integer("id").primaryKey(),
  document: text("document").notNull(),
  revision: whole("revision"),
}, (table) => [check("knet_config_id_check", sql`${table.id} = 1`)]);

/** Leases, one a node and address family; those that were deleted stay for a while as tombstones. */
export const leaseTable = pgTable("knet_leases", {
  nodeId: text("node_id").notNull(),
  family: integer("family").notNull(),
  nodeName: text("node_name").notNull(),
  subnet: text("subnet").notNull(),
  publicIp: text("public_ip").notNull(),
  backend: text("backend").notNull(),
  /** JSON. */
  backendData: text("backend_data").notNull(),
  bootId: text("boot_id").notNull(),
  agentId: text("agent_id").notNull(),
  acquired: whole("acquired"),
  renewed: whole("renewed"),
  expires: whole("expires"),
  /** 0 or 1. */
  reserved: integer("reserved").notNull(),
  revision: whole("revision"),
  /** When it was deleted; 0 while it lives. */
  deleted: whole("deleted").default(0),
}, (table) => [
  primaryKey({ name: "knet_leases_pkey", columns: [table.nodeId, table.family] }),
  uniqueIndex("knet_leases_subnet").on(table.subnet).where(sql`${table.deleted} = 0`),
  index("knet_leases_revision").on(table.revision),
]);

/** Services; those that were deleted stay for a while as tombstones. */
export const serviceTable = pgTable("knet_services", {
  name: text("name").primaryKey(),
  vip: text("vip").notNull(),
  port: integer("port").notNull(),
  protocol: text("protocol").notNull(),
  /** All of a service that no query asks for, as JSON. */
  options: text("options").notNull(),
  revision: whole("revision"),
  /** When it was deleted; 0 while it lives. */
  deleted: whole("deleted").default(0),
}, (table) => [
  uniqueIndex("knet_services_endpoint").on(table.vip, table.port, table.protocol)
    .where(sql`${table.deleted} = 0`),
  index("knet_services_revision").on(table.revision),
]);

/** Destinations of services. */
export const destinationTable = pgTable("knet_destinations", {
  service: text("service").notNull(),
  address: text("address").notNull(),
  port: integer("port").notNull(),
  weight: integer("weight").notNull(),
  upper: whole("upper_threshold"),
  lower: whole("lower_threshold"),
  /** 0 if it does not drain. */
  drainUntil: whole("drain_until"),
}, (table) => [
  primaryKey({
    name: "knet_destinations_pkey",
    columns: [table.service, table.address, table.port],
  }),
  index("knet_destinations_draining").on(table.drainUntil).where(sql`${table.drainUntil} > 0`),
]);

/** Timeouts of the kernel's connections: one row, JSON. */
export const timeoutsTable = pgTable("knet_service_timeouts", {
  id: integer("id").primaryKey(),
  document: text("document").notNull(),
  revision: whole("revision"),
}, (table) => [check("knet_service_timeouts_id_check", sql`${table.id} = 1`)]);

/** The cluster's authority, where agents have a port to each other: one row. Its key makes whoever has it any node of the cluster. */
export const authorityTable = pgTable("knet_authority", {
  id: integer("id").primaryKey(),
  /** DER, base64. */
  certificate: text("certificate").notNull(),
  /** PKCS #8, base64. */
  key: text("key").notNull(),
}, (table) => [check("knet_authority_id_check", sql`${table.id} = 1`)]);

/** Tokens by which hosts join. Their secrets are not here. */
export const tokenTable = pgTable("knet_tokens", {
  id: text("id").primaryKey(),
  /** SHA-256 of the secret, hexadecimal. */
  secretHash: text("secret_hash").notNull(),
  role: text("role").notNull(),
  /** 1 if it is for one host only. */
  once: integer("once").notNull(),
  made: whole("made"),
  expires: whole("expires"),
  /** How many hosts joined by it. */
  used: whole("used"),
  /** When it was revoked; 0 if it was not. */
  revoked: whole("revoked"),
});

/** Certificates of nodes that hold or were revoked, until their time is over. */
export const certificateTable = pgTable("knet_certificates", {
  /** Hexadecimal. */
  serial: text("serial").primaryKey(),
  nodeId: text("node_id").notNull(),
  role: text("role").notNull(),
  /** SHA-256 of its public key, hexadecimal. */
  keyHash: text("key_hash").notNull(),
  /** DER, base64. */
  certificate: text("certificate").notNull(),
  /** The token by which it came; empty if it was made without one. */
  token: text("token").notNull(),
  issued: whole("issued"),
  expires: whole("expires"),
  /** When it was revoked; 0 if it was not. */
  revoked: whole("revoked"),
}, (table) => [index("knet_certificates_node").on(table.nodeId)]);

/** Containers, each its host's own word. No revision counts them, and none that went leaves a tombstone: a change wakes nobody. */
export const containerTable = pgTable("knet_containers", {
  nodeId: text("node_id").notNull(),
  key: text("key").notNull(),
  name: text("name").notNull(),
  address: text("address").notNull(),
  ifname: text("ifname").notNull(),
  netns: text("netns").notNull(),
  runtime: text("runtime").notNull(),
  containerId: text("container_id").notNull(),
  /** JSON. */
  labels: text("labels").notNull(),
  /** JSON. */
  ports: text("ports").notNull(),
}, (table) => [
  primaryKey({ name: "knet_containers_pkey", columns: [table.nodeId, table.key] }),
  index("knet_containers_name").on(table.name),
]);
