/**
 * The store on either engine: configuration, leases, revisions. Every change is one transaction over the revision's row, so that
 * the order of revisions is the order of commits.
 *
 * @module
 */
import { canonicalAddress, formatPrefix, parsePrefix, prefixContains } from "../base/address.ts";
import { allocate, clockIsSuspect, isExpired, isLeasable, isUntaken } from "../cluster/allocate.ts";
import { type ClusterConfig, differences } from "../cluster/config.ts";
import { KnetError } from "../base/error.ts";
import type { BackendData, Family, Lease } from "../cluster/lease.ts";
import type { Engine, Query, Row } from "./engine.ts";
import { meta, purgeTombstones, raiseRevision } from "./revision.ts";
import {
  changedServices,
  editServices,
  listServices,
  servicesAt,
  sweepDrained,
} from "./services.ts";
import type { Changes, LeaseGrant, LeaseRequest, Renewal, Store } from "./store.ts";

const COLUMNS =
  "node_id, family, node_name, subnet, public_ip, backend, backend_data, boot_id, agent_id, acquired, renewed, expires, reserved, revision";

function leaseOf(row: Row): Lease {
  return {
    nodeId: String(row.node_id),
    family: Number(row.family) as Family,
    nodeName: String(row.node_name),
    subnet: String(row.subnet),
    publicIp: String(row.public_ip),
    backend: String(row.backend) as Lease["backend"],
    backendData: JSON.parse(String(row.backend_data)) as BackendData,
    bootId: String(row.boot_id),
    agentId: String(row.agent_id),
    acquired: Number(row.acquired),
    renewed: Number(row.renewed),
    expires: Number(row.expires),
    reserved: Number(row.reserved) !== 0,
    revision: Number(row.revision),
  };
}

/** A container must not get an address that clients connect to. */
async function refuseNetworkOfServices(query: Query, network: string, now: number): Promise<void> {
  const { services } = await listServices(query, now);
  const inside = services.filter(({ vip }) => prefixContains(network, vip));
  const [first] = inside;
  if (first === undefined) return;
  const others = inside.length === 1 ? "" : `, and ${inside.length - 1} more are`;
  throw new KnetError(
    `Cannot set up the cluster with network ${network}: the virtual IP ${first.vip} of service ` +
      `"${first.name}" is in it${others}`,
    { exitCode: 4, remedy: "Choose another network, or remove the service first (knet svc rm)" },
  );
}

/** Why no host can be at an address: each takes a virtual IP as its own, and none could send there. Undefined if one can. */
async function whyNoHost(query: Query, address: string): Promise<string | undefined> {
  const [first, ...others] = await servicesAt(query, address);
  if (first === undefined) return undefined;
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  return `${address} is the virtual IP of service "${first}"${more}`;
}

async function readConfig(query: Query): Promise<ClusterConfig | undefined> {
  const [row] = await query("select document from knet_config where id = 1");
  return row === undefined ? undefined : JSON.parse(String(row.document)) as ClusterConfig;
}

async function needConfig(query: Query): Promise<ClusterConfig> {
  const config = await readConfig(query);
  if (config !== undefined) return config;
  throw new KnetError("Cannot lease a subnet: the store holds no cluster configuration", {
    exitCode: 4,
    remedy: "Run knet init, or knet join without --once on the first host",
  });
}

async function liveLeases(query: Query, family?: Family): Promise<Lease[]> {
  const rows = family === undefined
    ? await query(`select ${COLUMNS} from knet_leases where deleted = 0 order by subnet`)
    : await query(`select ${COLUMNS} from knet_leases where deleted = 0 and family = ?1`, [family]);
  return rows.map(leaseOf);
}

/** The store over an engine. */
export function sqlStore(engine: Engine): Store {
  const raise = (query: Query) => raiseRevision(engine, query);
  const put = (query: Query, lease: Lease) =>
    query(
      `insert into knet_leases (${COLUMNS}, deleted)
       values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0)
       on conflict (node_id, family) do update set node_name = excluded.node_name,
       subnet = excluded.subnet, public_ip = excluded.public_ip, backend = excluded.backend,
       backend_data = excluded.backend_data, boot_id = excluded.boot_id,
       agent_id = excluded.agent_id, acquired = excluded.acquired, renewed = excluded.renewed,
       expires = excluded.expires, reserved = excluded.reserved, revision = excluded.revision,
       deleted = 0`,
      [
        lease.nodeId,
        lease.family,
        lease.nodeName,
        lease.subnet,
        lease.publicIp,
        lease.backend,
        JSON.stringify(lease.backendData),
        lease.bootId,
        lease.agentId,
        lease.acquired,
        lease.renewed,
        lease.expires,
        lease.reserved ? 1 : 0,
        lease.revision,
      ],
    );
  const bury = async (query: Query, lease: Lease, revision: number, now: number) => {
    await query(
      "update knet_leases set deleted = ?1, revision = ?2 where node_id = ?3 and family = ?4",
      [now, revision, lease.nodeId, lease.family],
    );
    await purgeTombstones(query, "knet_leases", "purged", now);
  };
  const suspect = (
    config: ClusterConfig,
    leases: Lease[],
    nodeId: string | undefined,
    now: number,
  ) => engine.hostClock && clockIsSuspect(config, leases, nodeId, now);

  return {
    engine: engine.engine,
    location: engine.location,

    getConfig: () => engine.read((query) => readConfig(query)),

    initConfig: (config, options = {}) =>
      engine.write(async (query, now) => {
        const present = await readConfig(query);
        if (present !== undefined) {
          const found = differences(present, config);
          if (found.length === 0) return present;
          const conflict = (remedy: string) =>
            new KnetError(`Cannot set up the cluster: in the store, ${found.join("; ")}`, {
              exitCode: 4,
              remedy,
            });
          if (!options.replace) {
            throw conflict(
              "Leave out what contradicts, or use --replace while no host has a lease",
            );
          }
          if ((await liveLeases(query)).some((lease) => !isUntaken(lease))) {
            throw conflict("Hosts hold leases: run knet leave on each of them first");
          }
          await refuseNetworkOfServices(query, config.network, now);
        }
        const revision = await raise(query);
        await query(
          `insert into knet_config (id, document, revision) values (1, ?1, ?2)
           on conflict (id) do update set document = excluded.document, revision = excluded.revision`,
          [JSON.stringify(config), revision],
        );
        return config;
      }),

    listLeases: () =>
      engine.read(async (query, now) => ({
        leases: await liveLeases(query),
        revision: await meta(query, "revision"),
        now,
      })),

    acquireLease: (request: LeaseRequest): Promise<LeaseGrant> =>
      engine.write(async (query, now) => {
        const config = await needConfig(query);
        const leases = await liveLeases(query, request.family);
        const { nodeId, family } = request;
        const own = leases.find((lease) => lease.nodeId === nodeId);
        // A host that is there already keeps what it has: to refuse it would take the lease from under its containers.
        const unfit = own?.publicIp === request.publicIp
          ? undefined
          : await whyNoHost(query, request.publicIp);
        if (unfit !== undefined) {
          throw new KnetError(
            `Cannot join as "${request.nodeName}" (${request.publicIp}): ${unfit}`,
            {
              exitCode: 4,
              remedy:
                "Give the host another address (--iface or --public-ip), or the service (knet svc set NAME --vip)",
            },
          );
        }
        const found = allocate(config, leases, request, now, !suspect(config, leases, nodeId, now));
        const others = new Set(
          leases.filter((lease) => lease !== own && lease !== found.replaces).map((lease) =>
            lease.backendData.mac
          ),
        );
        let backendData = request.backendData(0);
        for (
          let attempt = 1;
          backendData.mac !== undefined && others.has(backendData.mac);
          attempt++
        ) {
          backendData = request.backendData(attempt);
        }
        const renewed = Math.max(now, own?.renewed ?? 0);
        const lease = {
          nodeId,
          family,
          nodeName: request.nodeName,
          subnet: found.subnet,
          publicIp: request.publicIp,
          backend: request.backend,
          backendData,
          bootId: request.bootId,
          agentId: request.agentId,
          acquired: own?.subnet === found.subnet ? own.acquired : now,
          renewed,
          expires: renewed + config.leaseTtl * 1000,
          reserved: found.reserved,
        };
        const same = own !== undefined &&
          (["nodeName", "subnet", "publicIp", "bootId", "agentId"] as const)
            .every((field) => own[field] === lease[field]) &&
          JSON.stringify(own.backendData) === JSON.stringify(backendData);
        const revision = same ? await meta(query, "revision") : await raise(query);
        if (found.replaces !== undefined) await bury(query, found.replaces, revision, now);
        const whole: Lease = { ...lease, revision: same ? own.revision : revision };
        await put(query, whole);
        return { lease: whole, how: found.how, revision };
      }),

    renewLease: (holder): Promise<Renewal> =>
      engine.write(async (query, now) => {
        const config = await needConfig(query);
        const [row] = await query(
          `select ${COLUMNS} from knet_leases where deleted = 0 and node_id = ?1 and family = ?2`,
          [holder.nodeId, holder.family],
        );
        if (row === undefined) return { state: "lost" };
        const own = leaseOf(row);
        if (own.agentId !== holder.agentId) return { state: "taken-over", by: own };
        if (own.subnet !== holder.subnet) return { state: "lost" };
        const renewed = Math.max(now, own.renewed);
        const same = own.nodeName === holder.nodeName && own.publicIp === holder.publicIp &&
          JSON.stringify(own.backendData) === JSON.stringify(holder.backendData);
        const lease: Lease = {
          ...own,
          nodeName: holder.nodeName,
          publicIp: holder.publicIp,
          backendData: holder.backendData,
          renewed,
          expires: renewed + config.leaseTtl * 1000,
          revision: same ? own.revision : await raise(query),
        };
        await put(query, lease);
        return { state: "renewed", lease };
      }),

    releaseLease: (selector, options = {}) =>
      engine.write(async (query, now) => {
        const matches = (await liveLeases(query)).filter((lease) =>
          [lease.nodeId, lease.nodeName, lease.subnet].includes(selector)
        );
        if (matches.length === 0) {
          throw new KnetError(`Cannot release "${selector}": no lease has this node or subnet`, {
            exitCode: 4,
            remedy: "Run knet lease ls to see the leases",
          });
        }
        if (matches.length > 1) {
          throw new KnetError(
            `Cannot release "${selector}": ${matches.length} leases have this name`,
            {
              exitCode: 4,
              remedy: "Name the lease by its subnet or node id",
            },
          );
        }
        const lease = matches[0]!;
        const alive = !isUntaken(lease) && lease.expires > now &&
          lease.agentId !== options.agentId;
        if (alive && !options.force) {
          throw new KnetError(
            `Cannot release ${lease.subnet} of "${lease.nodeName}": the node lives`,
            {
              exitCode: 4,
              remedy: "Run knet leave on that host, or add --force",
            },
          );
        }
        await bury(query, lease, await raise(query), now);
        return lease;
      }),

    reserveLease: (subnet, publicIp) =>
      engine.write(async (query, now) => {
        const config = await needConfig(query);
        const wanted = formatPrefix(parsePrefix(subnet));
        const address = canonicalAddress(publicIp);
        const refuse = (state: string, remedy: string) =>
          new KnetError(`Cannot reserve ${wanted}: ${state}`, { exitCode: 4, remedy });
        if (!isLeasable(config, wanted)) {
          throw refuse(
            `the cluster leases /${config.subnetLen} subnets from ${config.subnetMin} to ${config.subnetMax}`,
            "Choose one of these",
          );
        }
        const unfit = await whyNoHost(query, address);
        if (unfit !== undefined) throw refuse(unfit, "Choose an address that no service has");
        const holder = (await liveLeases(query)).find((lease) => lease.subnet === wanted);
        const base = { publicIp: address, reserved: true };
        let lease: Lease;
        if (holder === undefined) {
          lease = {
            nodeId: `reserved-${wanted.replace("/", "-").replaceAll(":", "-")}`,
            family: parsePrefix(wanted).family,
            nodeName: "",
            subnet: wanted,
            backend: config.backend.type,
            backendData: {},
            bootId: "",
            agentId: "",
            acquired: now,
            renewed: now,
            expires: now,
            revision: 0,
            ...base,
          };
        } else if (holder.publicIp === address || isUntaken(holder)) lease = { ...holder, ...base };
        else {
          throw refuse(
            `"${holder.nodeName}" at ${holder.publicIp} holds it`,
            "Choose another subnet, or release that lease first",
          );
        }
        const whole = { ...lease, revision: await raise(query) };
        await put(query, whole);
        return whole;
      }),

    pruneLeases: (nodeIds) =>
      engine.write(async (query, now) => {
        const config = await readConfig(query);
        const leases = await liveLeases(query);
        const gone = leases.filter((lease) =>
          isExpired(lease, now) && (nodeIds === undefined || nodeIds.includes(lease.nodeId))
        );
        if (gone.length === 0) return [];
        if (config !== undefined && suspect(config, leases, undefined, now)) {
          throw new KnetError(
            "Cannot prune: this host's clock differs too much from the newest renewal of another node",
            { exitCode: 4, remedy: "Set the clock right, or release leases by name with --force" },
          );
        }
        const revision = await raise(query);
        for (const lease of gone) await bury(query, lease, revision, now);
        return gone;
      }),

    changesSince: (since): Promise<Changes> =>
      engine.read(async (query, now) => {
        const revision = await meta(query, "revision");
        const full = since === 0 || since < await meta(query, "purged") || since > revision ||
          since < await meta(query, "purged_services");
        if (full) {
          return {
            revision,
            full,
            config: await readConfig(query) ?? null,
            leases: await liveLeases(query),
            removed: [],
            ...await changedServices(query, undefined),
            now,
          };
        }
        if (since === revision) {
          return {
            revision,
            full,
            leases: [],
            removed: [],
            services: [],
            removedServices: [],
            now,
          };
        }
        const rows = await query(
          `select ${COLUMNS}, deleted from knet_leases where revision > ?1`,
          [
            since,
          ],
        );
        const [config] = await query("select document from knet_config where revision > ?1", [
          since,
        ]);
        return {
          revision,
          full,
          ...(config && { config: JSON.parse(String(config.document)) as ClusterConfig }),
          leases: rows.filter((row) => Number(row.deleted) === 0).map(leaseOf),
          removed: rows.filter((row) => Number(row.deleted) !== 0).map((row) => ({
            nodeId: String(row.node_id),
            family: Number(row.family) as Family,
          })),
          ...await changedServices(query, since),
          now,
        };
      }),

    listServices: () => engine.read((query, now) => listServices(query, now)),
    editServices: (scope, edit) =>
      engine.write(async (query, now) =>
        await editServices(engine, query, now, await readConfig(query), scope, edit)
      ),
    sweepDrained: () => engine.write((query, now) => sweepDrained(engine, query, now)),

    subscribe: (onChange, onState = () => {}) => engine.subscribe(onChange, onState),
    reset: () => engine.reset(),
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
