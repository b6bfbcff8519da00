/**
 * The commands that take and give many services at once.
 *
 * @module
 */
import { plural } from "../../core/base/plural.ts";
import type { ApplyPlan } from "../../core/services/declare.ts";
import { defineCommand } from "../command.ts";
import { UsageError } from "../errors.ts";
import { choice, text } from "../value_checks.ts";
import { paint, print, printJson } from "../output.ts";
import { flag, value } from "../option_table.ts";
import type { Settings } from "../settings.ts";
import { nameOfInput, readInput } from "./input.ts";
import { logWarnings } from "../log.ts";
import { withStore } from "../store.ts";
import { serviceDocument, sorted } from "./service_view.ts";

const dryRun = flag("Print what would change, and change nothing");

async function tellPlan(plan: ApplyPlan, settings: Settings, dry: boolean): Promise<void> {
  logWarnings(plan.warnings);
  if (settings.json) {
    printJson({
      dryRun: dry,
      actions: plan.actions.map(({ action, name, changes, service }) => ({
        action,
        name,
        changes,
        service: serviceDocument(service),
      })),
      timeouts: plan.timeouts ?? null,
    });
    return;
  }
  const { planLines } = await import("../../core/services/declare.ts");
  const lines = planLines(plan);
  const tones = { "+": "good", "-": "bad", "~": "warn" } as const;
  const coloured = lines.map((line) => {
    const tone = tones[line[0] as keyof typeof tones];
    return tone === undefined ? line : paint(tone, line);
  });
  const count = (action: string) => plan.actions.filter((one) => one.action === action).length;
  const would = dry ? "would be " : "";
  print([
    ...coloured,
    lines.length === 0
      ? `Nothing to change: ${plural(count("keep"), "service is", "services are")} so already`
      : `${count("create")} ${would}created, ${count("change")} ${would}changed, ${
        count("delete")
      } ${would}removed, ${count("keep")} unchanged`,
  ].join("\n"));
}

/** `knet svc apply`. */
export const apply = defineCommand({
  name: "svc apply",
  summary: "Make the services those of a file",
  about: [
    "Creates and changes services as the file says; one that is not in the file stays unless --prune is given. All in one transaction: " +
    'it is done whole or not at all. The file is YAML, as "knet svc export" prints it. Real servers that the file leaves out drain.',
  ],
  words: [],
  options: {
    file: value("FILE", 'The file; "-" is standard input', text, { complete: "file", short: "f" }),
    prune: flag("Remove services that are not in the file"),
    "dry-run": dryRun,
  },
  examples: [
    { line: "knet svc apply -f services.yaml --dry-run", about: "what would change" },
    { line: "knet svc apply -f services.yaml --prune", about: "these and no others" },
  ],
  run: async ({ options, settings }) => {
    const context = "knet svc apply";
    if (options.file === undefined) {
      throw new UsageError(`Cannot run "${context}": "--file" is missing`, context);
    }
    const input = await readInput(options.file, context);
    const { readServicesYaml } = await import("../../core/services/format/yaml.ts");
    const wanted = await readServicesYaml(input, nameOfInput(options.file));
    const { applyServices } = await import("../../core/services/declare.ts");
    const dry = options["dry-run"] ?? false;
    const plan = await withStore(
      settings,
      (store) => applyServices(store, wanted, { prune: options.prune ?? false, dryRun: dry }),
      { large: true },
    );
    await tellPlan(plan, settings, dry);
  },
});

const FORMATS = ["yaml", "ipvsadm"] as const;

/** `knet svc export`. */
export const exportServices = defineCommand({
  name: "svc export",
  summary: "Print all services as a file",
  about: [
    'With --format ipvsadm, what "ipvsadm -S -n" prints on a host whose checks all pass: "ipvsadm -R" reads it. It has no place for names, checks, ' +
    "masquerading, and thresholds.",
  ],
  words: [],
  options: {
    format: value("FORMAT", "yaml or ipvsadm", choice("a format", FORMATS), {
      choices: FORMATS,
      fallback: "yaml",
    }),
  },
  examples: [
    { line: "knet svc export > services.yaml", about: 'for "knet svc apply"' },
    { line: "knet svc export --format ipvsadm", about: "for ipvsadm" },
  ],
  run: ({ options, settings }) =>
    withStore(settings, async (store) => {
      const { services, timeouts, revision } = await store.listServices();
      if (settings.json) {
        printJson({
          revision,
          timeouts,
          services: sorted(services).map((one) => serviceDocument(one)),
        });
      } else if (options.format === "ipvsadm") {
        const { writeIpvsadm } = await import("../../core/services/format/ipvsadm.ts");
        const rules = writeIpvsadm(services);
        if (rules !== "") print(rules);
      } else {
        const { writeServicesYaml } = await import("../../core/services/format/yaml_write.ts");
        print(await writeServicesYaml(sorted(services), timeouts));
      }
    }),
});

/** Services of another program's file. */
async function readRules(format: "ipvsadm" | "keepalived", text: string, source: string) {
  if (format === "keepalived") {
    const { readKeepalived } = await import("../../core/services/format/keepalived_read.ts");
    return readKeepalived(text, source);
  }
  const { readIpvsadm } = await import("../../core/services/format/ipvsadm_read.ts");
  const { systemNames } = await import("../../core/services/format/names.ts");
  return await readIpvsadm(text, source, systemNames());
}

const IMPORTED = ["ipvsadm", "keepalived", "yaml"] as const;

/** `knet svc import`. */
export const importRules = defineCommand({
  name: "svc import",
  summary: "Add the services of an ipvsadm or keepalived file",
  about: [
    'Reads what "ipvsadm -S" or ipvsadm-save writes, with names or numbers. A service of the same address, port and protocol is changed to what ' +
    "the rules say; a new one is named by them, such as vs-10.96.0.10-80-tcp. Rules of firewall marks are left out, with a warning.",
    "With --format keepalived, the virtual servers of a keepalived.conf, with their checks. What knet has not is left out, with a warning and its " +
    "lines, and a file that cannot be understood changes nothing.",
  ],
  words: [{ name: "FILE", help: 'The file; "-" is standard input' }],
  options: {
    format: value(
      "FORMAT",
      "ipvsadm, keepalived, or yaml as svc apply",
      choice("a format", IMPORTED),
      {
        choices: IMPORTED,
        fallback: "ipvsadm",
      },
    ),
    "dry-run": dryRun,
  },
  examples: [
    { line: "ipvsadm -S -n | knet svc import -", about: "what this host balances now" },
    {
      line: "knet svc import --format keepalived /etc/keepalived/keepalived.conf --dry-run",
      about: "what keepalived's virtual servers would become",
    },
  ],
  run: async ({ options, words, settings }) => {
    const file = words[0]!;
    const input = await readInput(file, "knet svc import");
    const dry = options["dry-run"] ?? false;
    const { applyServices, importServices } = await import("../../core/services/declare.ts");
    let plan: ApplyPlan;
    if (options.format === "yaml") {
      const { readServicesYaml } = await import("../../core/services/format/yaml.ts");
      const wanted = await readServicesYaml(input, nameOfInput(file));
      plan = await withStore(
        settings,
        (store) => applyServices(store, wanted, { prune: false, dryRun: dry }),
        { large: true },
      );
    } else {
      const imported = await readRules(options.format ?? "ipvsadm", input, nameOfInput(file));
      plan = await withStore(
        settings,
        (store) => importServices(store, imported, { dryRun: dry }),
        { large: true },
      );
    }
    await tellPlan(plan, settings, dry);
  },
});
