/**
 * The files beside this one as a module. Written by `deno task migrations`, not by hand.
 *
 * @module
 */

/** Statements that lead from one version of the schema to the next; the first make version 1 of an empty database. */
export const MIGRATIONS: readonly (readonly string[])[] = [
  // 0000_leases.sql
  [
    "CREATE TABLE \"knet_config\" (\n\t\"id\" integer PRIMARY KEY NOT NULL,\n\t\"document\" text NOT NULL,\n\t\"revision\" bigint NOT NULL,\n\tCONSTRAINT \"knet_config_id_check\" CHECK (\"knet_config\".\"id\" = 1)\n);",
    "CREATE TABLE \"knet_leases\" (\n\t\"node_id\" text NOT NULL,\n\t\"family\" integer NOT NULL,\n\t\"node_name\" text NOT NULL,\n\t\"subnet\" text NOT NULL,\n\t\"public_ip\" text NOT NULL,\n\t\"backend\" text NOT NULL,\n\t\"backend_data\" text NOT NULL,\n\t\"boot_id\" text NOT NULL,\n\t\"agent_id\" text NOT NULL,\n\t\"acquired\" bigint NOT NULL,\n\t\"renewed\" bigint NOT NULL,\n\t\"expires\" bigint NOT NULL,\n\t\"reserved\" integer NOT NULL,\n\t\"revision\" bigint NOT NULL,\n\t\"deleted\" bigint DEFAULT 0 NOT NULL,\n\tCONSTRAINT \"knet_leases_pkey\" PRIMARY KEY(\"node_id\",\"family\")\n);",
    "CREATE TABLE \"knet_meta\" (\n\t\"name\" text PRIMARY KEY NOT NULL,\n\t\"value\" bigint NOT NULL\n);",
    "CREATE UNIQUE INDEX \"knet_leases_subnet\" ON \"knet_leases\" (\"subnet\") WHERE \"knet_leases\".\"deleted\" = 0;",
    "CREATE INDEX \"knet_leases_revision\" ON \"knet_leases\" (\"revision\");",
  ],
  // 0001_services.sql
  [
    "CREATE TABLE \"knet_destinations\" (\n\t\"service\" text NOT NULL,\n\t\"address\" text NOT NULL,\n\t\"port\" integer NOT NULL,\n\t\"weight\" integer NOT NULL,\n\t\"upper_threshold\" bigint NOT NULL,\n\t\"lower_threshold\" bigint NOT NULL,\n\t\"drain_until\" bigint NOT NULL,\n\tCONSTRAINT \"knet_destinations_pkey\" PRIMARY KEY(\"service\",\"address\",\"port\")\n);",
    "CREATE TABLE \"knet_services\" (\n\t\"name\" text PRIMARY KEY NOT NULL,\n\t\"vip\" text NOT NULL,\n\t\"port\" integer NOT NULL,\n\t\"protocol\" text NOT NULL,\n\t\"options\" text NOT NULL,\n\t\"revision\" bigint NOT NULL,\n\t\"deleted\" bigint DEFAULT 0 NOT NULL\n);",
    "CREATE TABLE \"knet_service_timeouts\" (\n\t\"id\" integer PRIMARY KEY NOT NULL,\n\t\"document\" text NOT NULL,\n\t\"revision\" bigint NOT NULL,\n\tCONSTRAINT \"knet_service_timeouts_id_check\" CHECK (\"knet_service_timeouts\".\"id\" = 1)\n);",
    "CREATE INDEX \"knet_destinations_draining\" ON \"knet_destinations\" (\"drain_until\") WHERE \"knet_destinations\".\"drain_until\" > 0;",
    "CREATE UNIQUE INDEX \"knet_services_endpoint\" ON \"knet_services\" (\"vip\",\"port\",\"protocol\") WHERE \"knet_services\".\"deleted\" = 0;",
    "CREATE INDEX \"knet_services_revision\" ON \"knet_services\" (\"revision\");",
  ],
  // 0002_authority.sql
  [
    "CREATE TABLE \"knet_authority\" (\n\t\"id\" integer PRIMARY KEY NOT NULL,\n\t\"certificate\" text NOT NULL,\n\t\"key\" text NOT NULL,\n\tCONSTRAINT \"knet_authority_id_check\" CHECK (\"knet_authority\".\"id\" = 1)\n);",
    "CREATE TABLE \"knet_certificates\" (\n\t\"serial\" text PRIMARY KEY NOT NULL,\n\t\"node_id\" text NOT NULL,\n\t\"role\" text NOT NULL,\n\t\"key_hash\" text NOT NULL,\n\t\"certificate\" text NOT NULL,\n\t\"token\" text NOT NULL,\n\t\"issued\" bigint NOT NULL,\n\t\"expires\" bigint NOT NULL,\n\t\"revoked\" bigint NOT NULL\n);",
    "CREATE TABLE \"knet_tokens\" (\n\t\"id\" text PRIMARY KEY NOT NULL,\n\t\"secret_hash\" text NOT NULL,\n\t\"role\" text NOT NULL,\n\t\"once\" integer NOT NULL,\n\t\"made\" bigint NOT NULL,\n\t\"expires\" bigint NOT NULL,\n\t\"used\" bigint NOT NULL,\n\t\"revoked\" bigint NOT NULL\n);",
    "CREATE INDEX \"knet_certificates_node\" ON \"knet_certificates\" (\"node_id\");",
  ],
  // 0003_containers.sql
  [
    "CREATE TABLE \"knet_containers\" (\n\t\"node_id\" text NOT NULL,\n\t\"key\" text NOT NULL,\n\t\"name\" text NOT NULL,\n\t\"address\" text NOT NULL,\n\t\"ifname\" text NOT NULL,\n\t\"netns\" text NOT NULL,\n\t\"runtime\" text NOT NULL,\n\t\"container_id\" text NOT NULL,\n\t\"labels\" text NOT NULL,\n\t\"ports\" text NOT NULL,\n\tCONSTRAINT \"knet_containers_pkey\" PRIMARY KEY(\"node_id\",\"key\")\n);",
    "CREATE INDEX \"knet_containers_name\" ON \"knet_containers\" (\"name\");",
  ],
];
