import { describe, expect, it } from 'vitest';
import {
  type PageQuery,
  readAllInstances,
  readOperation,
  readZoneInstances,
} from '../../../src/backends/gce/compute-answers.ts';

/** A service that has these pages, and notes how it is asked for them. */
function pagesOf(...pages: object[]) {
  const asked: PageQuery[] = [];
  return {
    asked,
    ask: async (page: PageQuery) => {
      asked.push(page);
      return [undefined, undefined, pages[asked.length - 1]] as const;
    },
  };
}

const machine = (name: string) => ({ name, zone: 'zones/a', status: 'RUNNING' });

describe('a list over all zones', () => {
  it('follows the tokens to the last page', async () => {
    const { asked, ask } = pagesOf(
      { items: { 'zones/a': { instances: [machine('m1')] } }, nextPageToken: 't1' },
      { items: {}, nextPageToken: 't2' },
      { items: { 'zones/b': { instances: [machine('m2')] } }, nextPageToken: '' },
    );
    const { instances } = await readAllInstances(ask);
    expect(instances.map(({ name }) => name)).toEqual(['m1', 'm2']);
    expect(asked).toEqual([
      { maxResults: 500 },
      { maxResults: 500, pageToken: 't1' },
      { maxResults: 500, pageToken: 't2' },
    ]);
  });

  it('knows a zone that did not answer by each of the ways in which it is told', async () => {
    const { ask } = pagesOf(
      {
        items: {
          'zones/a': { instances: [machine('m1')], warning: { code: 'PARTIAL_SUCCESS' } },
          'zones/b': { warning: { code: 'UNREACHABLE' } },
          'zones/c': { warning: { code: 'NO_RESULTS_ON_PAGE' } },
        },
        unreachables: ['zones/b'],
        nextPageToken: 't1',
      },
      { unreachables: ['https://www.googleapis.com/compute/v1/projects/p/zones/d'] },
    );
    const { instances, silentZones } = await readAllInstances(ask);
    expect([instances.length, silentZones]).toEqual([1, ['a', 'b', 'd']]);
  });
});

describe('a list of one zone', () => {
  it.each([
    ['UNREACHABLE', ['a']],
    ['NO_RESULTS_ON_PAGE', []],
  ])('that says %s', async (code, silentZones) => {
    const { ask } = pagesOf({ items: [], warning: { code } });
    expect(await readZoneInstances('a', ask)).toEqual({ instances: [], silentZones });
  });
});

it('takes an operation for unfinished whose state is not known', () => {
  expect(readOperation([{ name: 'operation-1' }])).toMatchObject({ status: 'RUNNING', error: null });
});
