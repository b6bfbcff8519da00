CREATE TABLE "knet_containers" (
	"node_id" text NOT NULL,
	"key" text NOT NULL,
	"name" text NOT NULL,
	"address" text NOT NULL,
	"ifname" text NOT NULL,
	"netns" text NOT NULL,
	"runtime" text NOT NULL,
	"container_id" text NOT NULL,
	"labels" text NOT NULL,
	"ports" text NOT NULL,
	CONSTRAINT "knet_containers_pkey" PRIMARY KEY("node_id","key")
);
--> statement-breakpoint
CREATE INDEX "knet_containers_name" ON "knet_containers" ("name");