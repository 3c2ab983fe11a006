import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkConfig } from '../../src/config/load-config.ts';
import { formatPlace } from '../../src/config/problem.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'goldfish-config-'));
});
afterEach(() => rm(root, { recursive: true }));

async function priced(price: string) {
  const text = `project_name: p
storage: { gcs: { bucket: my-bucket } }
gce:
  project_id: my-gcp-project
  zones: [europe-west4-a]
  service_account: default
  artifact_registry: europe-docker.pkg.dev/my-gcp-project/goldfish
  profile_overrides:
    cpu-small: { price_per_hour: ${price} }
`;
  await writeFile(join(root, 'goldfish.yaml'), text);
  const { loaded, problems } = await checkConfig({ root, cpus: 4, environment: {} });
  return {
    prices: loaded?.config.gce?.profiles['cpu-small']?.pricePerHour,
    problems: problems.map((problem) => `${formatPlace(problem)} ${problem.message}`),
  };
}

describe('the price of a rented machine', () => {
  it.each([
    ['0.5', { spot: 0.5, standard: 0.5 }],
    ['{ spot: 0.2, standard: 0.5 }', { spot: 0.2, standard: 0.5 }],
    ['{ standard: 0.5 }', { spot: null, standard: 0.5 }],
    ['0', { spot: 0, standard: 0 }],
    ['null', { spot: null, standard: null }],
  ])('is one for each way of paying: %s', async (price, prices) => {
    expect(await priced(price)).toEqual({ prices, problems: [] });
  });

  const KEY = '"gce.profile_overrides.cpu-small.price_per_hour';
  const ONE = 'must be an amount of money from 0';
  it.each([
    ['-1', `9:34 ${KEY}" ${ONE}, or a mapping of spot and standard to one each, not -1.`],
    ['cheap', `9:34 ${KEY}" ${ONE}, or a mapping of spot and standard to one each, not "cheap".`],
    ['{ spot: -1 }', `9:42 ${KEY}.spot" ${ONE}, not -1.`],
    ['{ spo: 1 }', '9:36 Unknown key "spo".'],
  ])('is refused where it is none: %s', async (price, problem) => {
    expect((await priced(price)).problems).toEqual([`goldfish.yaml:${problem}`]);
  });
});
