CREATE TABLE "knet_authority" (
	"id" integer PRIMARY KEY NOT NULL,
	"certificate" text NOT NULL,
	"key" text NOT NULL,
	CONSTRAINT "knet_authority_id_check" CHECK ("knet_authority"."id" = 1)
);
--> statement-breakpoint
CREATE TABLE "knet_certificates" (
	"serial" text PRIMARY KEY NOT NULL,
	"node_id" text NOT NULL,
	"role" text NOT NULL,
	"key_hash" text NOT NULL,
	"certificate" text NOT NULL,
	"token" text NOT NULL,
	"issued" bigint NOT NULL,
	"expires" bigint NOT NULL,
	"revoked" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "knet_tokens" (
	"id" text PRIMARY KEY NOT NULL,
	"secret_hash" text NOT NULL,
	"role" text NOT NULL,
	"once" integer NOT NULL,
	"made" bigint NOT NULL,
	"expires" bigint NOT NULL,
	"used" bigint NOT NULL,
	"revoked" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "knet_certificates_node" ON "knet_certificates" ("node_id");