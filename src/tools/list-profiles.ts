import { z } from 'zod';
import { type ListedProfile, listProfiles as listed } from '../runs/list-profiles.ts';
import { defineTool } from './define-tool.ts';
import { answer, SCHEMA_VERSION, text } from './fields.ts';
import { lines } from './text.ts';

const profileRow = z.object({
  name: z.string(),
  description: z.string().nullable(),
  origin: z.string().describe('built-in, or goldfish.yaml'),
  available: z.boolean().describe('Whether a stage could run with it now'),
  why: z.string(),
  price_per_hour: z.number().nullable(),
  backend: z.string().nullable(),
  image: z.string().nullable().describe("null: the backend's own, or none"),
  memory: z.number().nullable().describe('Bytes; null: no limit'),
  cpus: z.number().nullable(),
  gpus: z.int(),
  pids_limit: z.int().nullable(),
  network: z.boolean(),
  machine: z
    .object({
      type: z.string(),
      zones: z.array(z.string()).describe('Where it is looked for, in this order'),
      provisioning: z.array(z.string()).describe('How it is paid for, in the order to try'),
      prices_per_hour: z.array(z.number().nullable()).describe('Of each of these'),
    })
    .nullable()
    .describe('What is rented; null: nothing'),
});

export const listProfiles = defineTool({
  name: 'list_profiles',
  title: 'List profiles',
  description:
    'Named amounts of compute: what each resolves to here, and whether a stage could run with it now. Name one in a stage’s compute.profile, or in run.',
  toolset: 'all',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    backend: text(64).min(1).optional().describe('As if every stage named this backend'),
  }),
  output: answer({
    schema_version: z.int(),
    profiles: z.array(profileRow),
    errors: z.array(z.object({ component: z.string(), message: z.string() })),
  }),
  handler: async (ctx, { backend }) => ({
    schema_version: SCHEMA_VERSION,
    profiles: (await listed(ctx.runsDeps, { backend })).map(toRow),
    errors: [],
  }),
  render: ({ profiles = [] }, kit) =>
    lines(
      kit.table(
        profiles.map((row) => [
          row.name,
          row.available ? 'yes' : 'no',
          row.backend ?? '',
          amounts(row),
          row.why,
        ]),
        ['profile', 'can run', 'backend', 'amounts', 'why'],
      ),
    ),
});

function toRow(profile: ListedProfile): z.infer<typeof profileRow> {
  const { name, description, origin, available, why, pricePerHour, given, machine } = profile;
  const compute = given?.compute;
  return {
    name,
    description,
    origin,
    available,
    why,
    price_per_hour: pricePerHour,
    backend: compute?.backend ?? null,
    image: given?.image ?? null,
    memory: compute?.memoryBytes ?? null,
    cpus: compute?.cpus ?? null,
    gpus: compute?.gpus ?? 0,
    pids_limit: compute?.pidsLimit ?? null,
    network: compute?.network ?? false,
    machine: machine && {
      type: machine.machineType,
      zones: [...machine.zones],
      provisioning: [...machine.models],
      prices_per_hour: [...machine.pricesPerHour],
    },
  };
}

function amounts(row: z.infer<typeof profileRow>): string {
  if (row.backend === null) return '';
  const found = [
    row.machine?.type,
    row.memory !== null && `${+(row.memory / 1024 ** 3).toFixed(2)} GiB`,
    row.cpus !== null && `${row.cpus} processors`,
    row.gpus > 0 && `${row.gpus} GPUs`,
    row.network ? 'network' : 'no network',
  ];
  return found.filter((text) => typeof text === 'string').join(', ');
}
