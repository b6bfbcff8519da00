CREATE TABLE "knet_config" (
	"id" integer PRIMARY KEY NOT NULL,
	"document" text NOT NULL,
	"revision" bigint NOT NULL,
	CONSTRAINT "knet_config_id_check" CHECK ("knet_config"."id" = 1)
);
--> statement-breakpoint
CREATE TABLE "knet_leases" (
	"node_id" text NOT NULL,
	"family" integer NOT NULL,
	"node_name" text NOT NULL,
	"subnet" text NOT NULL,
	"public_ip" text NOT NULL,
	"backend" text NOT NULL,
	"backend_data" text NOT NULL,
	"boot_id" text NOT NULL,
	"agent_id" text NOT NULL,
	"acquired" bigint NOT NULL,
	"renewed" bigint NOT NULL,
	"expires" bigint NOT NULL,
	"reserved" integer NOT NULL,
	"revision" bigint NOT NULL,
	"deleted" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "knet_leases_pkey" PRIMARY KEY("node_id","family")
);
--> statement-breakpoint
CREATE TABLE "knet_meta" (
	"name" text PRIMARY KEY NOT NULL,
	"value" bigint NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "knet_leases_subnet" ON "knet_leases" ("subnet") WHERE "knet_leases"."deleted" = 0;--> statement-breakpoint
CREATE INDEX "knet_leases_revision" ON "knet_leases" ("revision");