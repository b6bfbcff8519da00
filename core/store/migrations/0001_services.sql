CREATE TABLE "knet_destinations" (
	"service" text NOT NULL,
	"address" text NOT NULL,
	"port" integer NOT NULL,
	"weight" integer NOT NULL,
	"upper_threshold" bigint NOT NULL,
	"lower_threshold" bigint NOT NULL,
	"drain_until" bigint NOT NULL,
	CONSTRAINT "knet_destinations_pkey" PRIMARY KEY("service","address","port")
);
--> statement-breakpoint
CREATE TABLE "knet_services" (
	"name" text PRIMARY KEY NOT NULL,
	"vip" text NOT NULL,
	"port" integer NOT NULL,
	"protocol" text NOT NULL,
	"options" text NOT NULL,
	"revision" bigint NOT NULL,
	"deleted" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "knet_service_timeouts" (
	"id" integer PRIMARY KEY NOT NULL,
	"document" text NOT NULL,
	"revision" bigint NOT NULL,
	CONSTRAINT "knet_service_timeouts_id_check" CHECK ("knet_service_timeouts"."id" = 1)
);
--> statement-breakpoint
CREATE INDEX "knet_destinations_draining" ON "knet_destinations" ("drain_until") WHERE "knet_destinations"."drain_until" > 0;--> statement-breakpoint
CREATE UNIQUE INDEX "knet_services_endpoint" ON "knet_services" ("vip","port","protocol") WHERE "knet_services"."deleted" = 0;--> statement-breakpoint
CREATE INDEX "knet_services_revision" ON "knet_services" ("revision");