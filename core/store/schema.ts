/**
 * Tables of the store and how they came to be. Additive within a major version; both engines take the same statements.
 *
 * @module
 */

/** Version of the schema that this knet writes. */
export const SCHEMA_VERSION = 2;

/** Statements that lead from one version to the next; the first makes version 1 of an empty database. */
export const MIGRATIONS: readonly (readonly string[])[] = [[
  `create table knet_meta (name text primary key, value bigint not null)`,
  `insert into knet_meta values ('revision', 0), ('schema', 1), ('oldest_reader', 1), ('purged', 0)`,
  `create table knet_config (id integer primary key check (id = 1), document text not null, revision bigint not null)`,
  `create table knet_leases (
    node_id text not null,
    family integer not null,
    node_name text not null,
    subnet text not null,
    public_ip text not null,
    backend text not null,
    backend_data text not null,
    boot_id text not null,
    agent_id text not null,
    acquired bigint not null,
    renewed bigint not null,
    expires bigint not null,
    reserved integer not null,
    revision bigint not null,
    deleted bigint not null default 0,
    primary key (node_id, family)
  )`,
  `create unique index knet_leases_subnet on knet_leases (subnet) where deleted = 0`,
  `create index knet_leases_revision on knet_leases (revision)`,
], [
  // A purged revision of its own: a knet of version 1 would set the leases' one back below it.
  `insert into knet_meta values ('purged_services', 0)`,
  `create table knet_services (
    name text primary key,
    vip text not null,
    port integer not null,
    protocol text not null,
    options text not null,
    revision bigint not null,
    deleted bigint not null default 0
  )`,
  `create unique index knet_services_endpoint on knet_services (vip, port, protocol) where deleted = 0`,
  `create index knet_services_revision on knet_services (revision)`,
  `create table knet_destinations (
    service text not null,
    address text not null,
    port integer not null,
    weight integer not null,
    upper_threshold bigint not null,
    lower_threshold bigint not null,
    drain_until bigint not null,
    primary key (service, address, port)
  )`,
  `create index knet_destinations_draining on knet_destinations (drain_until) where drain_until > 0`,
  `create table knet_service_timeouts (id integer primary key check (id = 1), document text not null, revision bigint not null)`,
  `update knet_meta set value = 2 where name = 'schema'`,
]];
