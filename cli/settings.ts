/**
 * Where a setting comes from: the command line, else the environment, else the configuration file, else the
 * default.
 *
 * @module
 */
import { KnetError } from "../core/base/error.ts";
import { hidePasswords } from "../core/base/secrets.ts";
import { UsageError, whyUnreadable } from "./errors.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log_levels.ts";
import type { LogFormat, LogLevel } from "./log_levels.ts";
import { clusterOptions, globalOptions, hostOptions } from "./shared_options.ts";
import { parseOption } from "./option_value.ts";
import { didYouMean } from "./suggest.ts";
import { DEFAULT_DATA_DIR, ENVIRONMENT_FILE, environmentOf } from "./unit_settings.ts";
import type { OptionTable, Parsed } from "./option_table.ts";

/** A store, and where it was named. */
export interface NamedStore {
  readonly url: string;
  /** `--store`, `KNET_STORE`, `"store" of the configuration file "…"`, or the credential's name. */
  readonly source: string;
}

/** The global options with their defaults. */
export interface Settings {
  /** The store that was named; undefined leaves it to this host's agent. See `store.ts`. */
  readonly store: NamedStore | undefined;
  /** Use it although this host's agent uses another. */
  readonly otherStore: boolean;
  readonly configFile: string;
  readonly stateDir: string;
  readonly dataDir: string;
  readonly json: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Sentences for the log, once it runs. */
  readonly warnings: readonly string[];
}

/** The host as settings see it; replaced in tests. */
export interface SettingsHost {
  readonly env: (name: string) => string | undefined;
  /** Names of all variables that are set. */
  readonly variables: () => readonly string[];
  /** A file's text and permission bits; undefined if there is no such file. */
  readonly file: (path: string) => { readonly text: string; readonly mode: number } | undefined;
}

const realHost: SettingsHost = {
  env: (name) => Deno.env.get(name),
  variables: () => Object.keys(Deno.env.toObject()),
  file: (path) => {
    try {
      const mode = Deno.statSync(path).mode ?? 0;
      return { text: Deno.readTextFileSync(path), mode };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  },
};

/** Options that stand for one call, not for a host. */
const NEVER_IN_FILE = new Set(["config", "json", "other-store"]);

/** Every option that the configuration file may hold. */
const FILE_OPTIONS: OptionTable = Object.fromEntries(
  Object.entries({ ...globalOptions, ...clusterOptions, ...hostOptions })
    .filter(([name]) => !NEVER_IN_FILE.has(name)),
);

/** Environment variables that knet reads as settings. */
export const ENVIRONMENT: readonly string[] = Object.values({
  ...globalOptions,
  ...clusterOptions,
  ...hostOptions,
})
  .flatMap((option: { env?: string }) => option.env === undefined ? [] : [option.env]);

const CREDENTIAL = 'the credential "knet.store"';

/** Variables of knet's that are no settings: what subnet.env has, where a library is, and what the tests use. */
const NO_SETTINGS = /^KNET_(?:NETWORK|SUBNET|MTU|IPMASQ|LIBNL|LAUNCHER|BIN|TEST_.*)$/;

const DEFAULT_CONFIG_FILE = "/etc/knet/knet.yaml";

/** All options of a command, wherever they come from. */
export interface Resolved<Table extends OptionTable> {
  readonly options: Parsed<Table>;
  readonly settings: Settings;
}

/**
 * Fills in what the command line left open.
 *
 * @param given What stood on the command line, global options too.
 * @throws {UsageError} if the environment or the file holds what cannot be, or a named file does not exist.
 */
export async function resolveSettings<Table extends OptionTable>(
  given: Parsed<OptionTable>,
  table: Table,
  context: string,
  host: SettingsHost = realHost,
): Promise<Resolved<Table>> {
  const all: OptionTable = { ...globalOptions, ...table };
  const found: Record<string, unknown> = { ...given };
  let storeSource = "--store";
  for (const [name, option] of Object.entries(all)) {
    const text = option.env === undefined ? undefined : host.env(option.env);
    if (found[name] === undefined && text) {
      found[name] = await parseOption(all, name, text, option.env!, context);
      if (name === "store") storeSource = option.env!;
    }
  }
  const warnings = [...passwordWarnings(given["store"]), ...variableWarnings(host)];
  const file = await readConfigFile(found["config"] as string | undefined, context, host, warnings);
  if (found["store"] === undefined) {
    found["store"] = await credential(host, all, context);
    storeSource = CREDENTIAL;
  }
  for (const [name, text] of file) {
    // Another command may have an option of the same name that means something else: the port of a service.
    if (found[name] === undefined && all[name] === FILE_OPTIONS[name]) {
      const source = `"${name}" of the configuration file "${
        found["config"] ?? DEFAULT_CONFIG_FILE
      }"`;
      found[name] = await parseOption(all, name, text, source, context);
      if (name === "store") storeSource = source;
    }
  }
  await takeUnitPlaces(found, all, context, host);
  const known = found as Parsed<typeof globalOptions>;
  return {
    options: found as Parsed<Table>,
    settings: {
      store: known.store === undefined ? undefined : { url: known.store, source: storeSource },
      otherStore: known["other-store"] ?? false,
      configFile: known.config ?? DEFAULT_CONFIG_FILE,
      stateDir: known["state-dir"] ?? "/run/knet",
      dataDir: known["data-dir"] ?? DEFAULT_DATA_DIR,
      json: known.json ?? false,
      logLevel: known["log-level"] ?? LOG_LEVELS[1],
      logFormat: known["log-format"] ?? LOG_FORMATS[0],
      warnings,
    },
  };
}

function passwordWarnings(store: unknown): string[] {
  if (typeof store !== "string" || hidePasswords(store) === store) return [];
  return [
    "The store's password on the command line is visible to every user of this host: " +
    "put KNET_STORE into /etc/default/knet (mode 0600), or use PGPASSFILE",
  ];
}

/** Where the service was told to keep its things, as far as nothing else says so: commands look in the same places. */
async function takeUnitPlaces(
  found: Record<string, unknown>,
  all: OptionTable,
  context: string,
  host: SettingsHost,
): Promise<void> {
  let text: string | undefined;
  try {
    text = host.file(ENVIRONMENT_FILE)?.text;
  } catch {
    return; // Only root may read it.
  }
  if (text === undefined) return;
  const environment = environmentOf(text);
  for (const name of ["state-dir", "data-dir"] as const) {
    const variable = globalOptions[name].env!;
    const value = environment.get(variable);
    if (found[name] !== undefined || !value) continue;
    const source = `${variable} of "${ENVIRONMENT_FILE}"`;
    found[name] = await parseOption(all, name, value, source, context);
  }
}

/** One for each variable that looks like a setting and is none. */
function variableWarnings(host: SettingsHost): string[] {
  return host.variables().filter((name) =>
    name.startsWith("KNET_") && !ENVIRONMENT.includes(name) && !NO_SETTINGS.test(name)
  ).map((name) =>
    `The variable ${name} is ignored: knet has no such setting${didYouMean(name, ENVIRONMENT)}`
  );
}

/** The store's URL as systemd's `LoadCredential=knet.store:…` hands it over. */
async function credential(
  host: SettingsHost,
  table: OptionTable,
  context: string,
): Promise<unknown> {
  const directory = host.env("CREDENTIALS_DIRECTORY");
  const text = directory ? host.file(`${directory}/knet.store`)?.text.trim() : undefined;
  if (!text) return undefined;
  return await parseOption(table, "store", text, CREDENTIAL, context);
}

/** @throws {KnetError} saying why a file that is there cannot be read. */
function readFile(
  name: string,
  context: string,
  host: SettingsHost,
): ReturnType<SettingsHost["file"]> {
  try {
    return host.file(name);
  } catch (error) {
    const message = `Cannot read the configuration file "${name}": ${whyUnreadable(error)}`;
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new KnetError(message, {
        exitCode: 3,
        remedy: "Run it as root, or name another file with --config",
        cause: error,
      });
    }
    throw new UsageError(message, context, error);
  }
}

/** Reads and checks the configuration file; its keys are the long options' names. */
async function readConfigFile(
  path: string | undefined,
  context: string,
  host: SettingsHost,
  warnings: string[],
): Promise<[name: string, text: string | boolean][]> {
  const name = path ?? DEFAULT_CONFIG_FILE;
  const file = readFile(name, context, host);
  if (file === undefined) {
    if (path === undefined) return [];
    throw new UsageError(
      `Cannot read the configuration file "${path}": there is no such file`,
      context,
    );
  }
  const { fileEntries } = await import("./config_file.ts");
  const entries = fileEntries(file.text, name, Object.keys(FILE_OPTIONS), context);
  const store = entries.find(([key]) => key === "store")?.[1];
  if (typeof store === "string" && hidePasswords(store) !== store && (file.mode & 0o044) !== 0) {
    warnings.push(`The store's password in "${name}" can be read by others: chmod 0600 "${name}"`);
  }
  return entries;
}
