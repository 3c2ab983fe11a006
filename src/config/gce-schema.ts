import { z } from 'zod';
import { isName } from '../core/names.ts';
import { referencedName } from './environment-reference.ts';
import { gpusSchema, numberOf, oneOf, REPOSITORY_PATTERN, section } from './fields.ts';
import { disksSchema, diskTypeSchema, sizeSchema, typeSchema } from './gce-disks.ts';

/** A setting of a connection: its text has one form, or it is `${env:NAME}`, whose value must have that form. */
type Form = { pattern: RegExp; error: string };

const ENDPOINT = {
  pattern:
    /^(https:\/\/[\w.-]+(:\d{1,5})?|http:\/\/(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?)\/?$/,
  error:
    'must be an address such as https://compute.example.com, or http://127.0.0.1:8080 for an emulator on this machine',
} as const satisfies Form;

const NETWORK = /^([a-z]([a-z0-9-]{0,61}[a-z0-9])?|(projects\/[a-z0-9.:-]+\/)?global\/networks\/[a-z0-9-]+)$/;

/** By key of goldfish.yaml. */
export const CONNECTION_FORMS = {
  'gce.project_id': {
    pattern: /^([a-z0-9.-]+:)?[a-z][a-z0-9-]{1,28}[a-z0-9]$/,
    error: 'must be the id of a project of Google Cloud such as my-project-123456',
  },
  'gce.service_account': {
    pattern: /^(default|[^\s@]+@[^\s@]+)$/,
    error: 'must be the address of a service account such as worker@my-project.iam.gserviceaccount.com',
  },
  'gce.network': {
    pattern: NETWORK,
    error: 'must be the name of a network, or its path such as projects/my-host/global/networks/shared',
  },
  'gce.subnetwork': {
    // A name alone would say nothing of its region, and the service wants to be told.
    pattern: /^(projects\/[a-z0-9.:-]+\/)?regions\/[a-z0-9-]+\/subnetworks\/[a-z0-9-]+$/,
    error: 'must be the path of a subnetwork such as regions/europe-west4/subnetworks/mine',
  },
  'gce.artifact_registry': {
    pattern: REPOSITORY_PATTERN,
    error: 'must be a repository for images such as europe-docker.pkg.dev/my-project/goldfish',
  },
  'gce.api_endpoint': ENDPOINT,
  'storage.gcs.bucket': {
    pattern: /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/,
    error: 'must be the name of a bucket, without gs://',
  },
  'storage.gcs.api_endpoint': ENDPOINT,
} as const satisfies Record<string, Form>;

export type ConnectionKey = keyof typeof CONNECTION_FORMS;

function connection(key: ConnectionKey) {
  const { pattern, error } = CONNECTION_FORMS[key];
  return z.string(error).refine((text) => pattern.test(text) || referencedName(text) !== undefined, error);
}

const PREFIX =
  'must be text such as team/ without "." and ".." between its slashes, and without one in front';
/** Before every name in the bucket. */
const prefixSchema = z
  .string(PREFIX)
  .max(200, PREFIX)
  .regex(/^([\w.-]+\/)*([\w.-]+\/?)?$/, PREFIX)
  .refine((text) => !text.split('/').some((part) => part === '.' || part === '..'), PREFIX);

/** `storage.gcs`; null where it is not there. */
export const gcsSchema = z
  .strictObject(
    {
      bucket: connection('storage.gcs.bucket'),
      prefix: prefixSchema.default(''),
      api_endpoint: connection('storage.gcs.api_endpoint').nullable().default(null),
    },
    'must be a mapping',
  )
  .nullable()
  .default(null);

const ZONE = 'must be a zone such as europe-west4-a';
const ZONES = 'must be a list of 1 to 100 zones such as [europe-west4-a, europe-west4-b], each once';
const zonesSchema = z
  .array(z.string(ZONE).regex(/^[a-z]+-[a-z]+\d+-[a-z][a-z0-9]*$/, ZONE), ZONES)
  .min(1, ZONES)
  .max(100, ZONES)
  .refine((zones) => new Set(zones).size === zones.length, ZONES);

const IMAGE = 'must be an image such as projects/debian-cloud/global/images/family/debian-12';
const IMAGE_PATTERN = /^(projects\/[a-z0-9.:-]+\/)?global\/images\/(family\/)?[a-z0-9-]+$/;

const MODELS = 'must be a list of spot and standard, in the order to try, each once';
const modelsSchema = z
  .array(oneOf(['spot', 'standard']), MODELS)
  .min(1, MODELS)
  .refine((models) => new Set(models).size === models.length, MODELS);

const WORD = 'must be text of up to 4096 characters';
const COMMAND = 'must be a list of 1 to 100 words';
const COMMANDS = 'must be a list of up to 20 commands, each a list of words';
const wordSchema = z
  .string(WORD)
  .max(4096, WORD)
  .refine((word) => !word.includes('\0'), WORD);
const commandSchema = z.array(wordSchema, COMMAND).min(1, COMMAND).max(100, COMMAND);
const preflightSchema = z.array(commandSchema, COMMANDS).max(20, COMMANDS);

const MONEY = 'an amount of money from 0';
const PRICE = `must be ${MONEY}, or a mapping of spot and standard to one each`;
const amountSchema = numberOf(MONEY, { min: 0, max: 1_000_000 });
/** One number is the price of both ways of paying. */
const priceSchema = z.preprocess((given) => {
  const { success, data } = amountSchema.safeParse(given);
  return success ? { spot: data, standard: data } : given;
}, z.strictObject({ spot: amountSchema.nullish(), standard: amountSchema.nullish() }, PRICE).nullish());

/** What a profile of rented machines says otherwise; of a new one only its machine type must be there. */
const overrideSchema = section({
  machine_type: typeSchema('machine such as n2-standard-8').nullish(),
  accelerators: z
    .strictObject(
      {
        type: typeSchema('accelerator such as nvidia-tesla-t4'),
        count: numberOf('a whole number from 1 to 16', { min: 1, max: 16, whole: true }).default(1),
      },
      'must be a mapping',
    )
    .nullish(),
  gpus: gpusSchema.nullish(),
  provisioning: modelsSchema.nullish(),
  boot_disk: section({
    image: z.string(IMAGE).max(300, IMAGE).regex(IMAGE_PATTERN, IMAGE).nullish(),
    size_gb: sizeSchema.nullish(),
    type: diskTypeSchema.nullish(),
  }),
  data_disks: disksSchema.nullish(),
  price_per_hour: priceSchema,
  preflight: preflightSchema.nullish(),
});
export type ProfileOverride = z.output<typeof overrideSchema>;

const OVERRIDES = 'must be a mapping from profiles to what they say otherwise';
const KEYS = 'must have names of lowercase letters, digits, "-" or "_" for keys';
/** Names become labels of machines, which have no capital letters. */
const LABEL = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const overridesSchema = z.preprocess(
  (given) => given ?? {},
  z
    .record(z.string(), overrideSchema, OVERRIDES)
    .refine((all) => Object.keys(all).every((name) => isName(name) && LABEL.test(name)), KEYS),
);

const PROFILE = 'must be the name of a profile';
const POOL_PROFILES = 'must be a list of up to 100 profiles, or null for all';
const poolSchema = section({
  enabled: z.boolean('must be true or false').default(false),
  max_instances: numberOf('a whole number from 0 to 1000', { min: 0, max: 1000, whole: true }).default(2),
  idle_timeout_minutes: numberOf('a number of minutes from 0 to a week', { min: 0, max: 10_080 }).default(10),
  profiles: z.array(z.string(PROFILE), POOL_PROFILES).max(100, POOL_PROFILES).nullable().default(null),
  // A machine writes every 20 seconds, and may find the bucket closed for a moment.
  watchdog_seconds: numberOf('a number of seconds from 60 to a day', { min: 60, max: 86_400 }).default(300),
});

/** `gce`; null where it is not there, or has every key commented out. */
export const gceSchema = z
  .strictObject(
    {
      project_id: connection('gce.project_id'),
      zones: zonesSchema,
      service_account: connection('gce.service_account'),
      network: connection('gce.network').default('default'),
      subnetwork: connection('gce.subnetwork').nullable().default(null),
      external_address: z.boolean('must be true or false').default(true),
      artifact_registry: connection('gce.artifact_registry'),
      api_endpoint: connection('gce.api_endpoint').nullable().default(null),
      max_parallel: numberOf('a whole number from 1 to 1000', { min: 1, max: 1000, whole: true }).default(4),
      profile_overrides: overridesSchema,
      warm_pool: poolSchema,
    },
    'must be a mapping',
  )
  .nullable()
  .default(null);
