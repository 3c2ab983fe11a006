import { describe, expect, it } from 'vitest';
import { GoldfishError } from '../../src/core/errors.ts';
import { examineRented } from '../../src/doctor/check-gce.ts';
import { createTestClock } from '../support/test-clock.ts';
import { AT, examine, healthyProject } from './healthy-project.ts';

describe('where something cannot be asked', () => {
  it('says that there are no credentials once, and checks all that needs none', async () => {
    const project = healthyProject();
    const none = () => {
      throw new GoldfishError('BACKEND_UNAVAILABLE', { message: 'none', details: { credentials: true } });
    };
    project.account = none;
    project.parts.access.ask = async () => none();
    const found = await examine(project);
    expect(found.get('credentials')).toEqual({
      state: 'failed',
      detail: 'this machine has none that are valid',
      fix: 'gcloud auth application-default login',
    });
    expect(found.get('zones')).toEqual({
      state: 'not_checked',
      detail: 'there are no valid credentials',
      fix: 'gcloud auth application-default login',
    });
    expect([found.get('bucket write')?.state, found.get('registry')?.state]).toEqual(['ok', 'ok']);
  });

  it('names a place for your name in the commands where nobody knows it', async () => {
    const project = healthyProject({ [AT.instances]: { status: 403, body: {} } });
    project.account = () => ({ email: null });
    const found = await examine(project);
    expect(found.get('credentials')?.detail).toBe('found; they do not say whose');
    expect(found.get('compute api')?.fix).toContain('--member=user:YOU@EXAMPLE.COM ');
  });

  it('gives up what does not answer in time, and nothing else', async () => {
    const project = healthyProject();
    const { ask } = project.parts.access;
    project.parts.clock = createTestClock().clock;
    project.parts.access.ask = (question) => {
      if (!question.url.includes('/zones?')) return ask(question);
      return new Promise((_resolve, reject) => {
        question.signal.addEventListener('abort', () => reject(question.signal.reason));
      });
    };
    const found = await examine(project);
    expect([...found].filter(([, { state }]) => state !== 'ok')).toEqual([
      [
        'zones',
        {
          state: 'failed',
          detail: 'There was no answer within 20 s.',
          fix: 'goldfish doctor --gce',
        },
      ],
    ]);
  });

  it('asks an emulator of machines what it knows, and says what only the service could', async () => {
    const endpoint = 'http://127.0.0.1:9500';
    const answers = Object.fromEntries(
      [AT.instances, AT.zones, AT.typesA, AT.typesB, AT.image, AT.region, AT.project].map((key) => [
        key.replace('https://compute.googleapis.com', endpoint),
        { status: 503, body: '' },
      ]),
    );
    const project = healthyProject(answers, { apiEndpoint: endpoint });
    project.parts.gcs.apiEndpoint = endpoint;
    const found = await examine(project);
    const emulated = [...found].filter(([, { detail }]) => detail === 'an emulator is configured');
    expect(emulated.map(([component]) => component)).toEqual([
      'credentials',
      'permissions',
      'network',
      'subnetwork',
      'machine account',
      'bucket settings',
      'bucket for machines',
    ]);
    const asked = project.questions.filter(({ url }) => url.startsWith(endpoint));
    expect(asked).toHaveLength(7);
    expect(project.questions.some(({ url }) => url.startsWith('https://compute.'))).toBe(false);
  });

  it('says of a registry of another kind only whether it lets Goldfish in', async () => {
    const found = await examine(healthyProject({}, { artifactRegistry: '127.0.0.1:5000/name' }));
    const of = (component: string) => found.get(component)?.state;
    expect(of('registry')).toBe('ok');
    expect(['registry repository', 'registry push', 'registry for machines'].map(of)).toEqual([
      'not_checked',
      'not_checked',
      'not_checked',
    ]);
  });
});

describe('a project that rents no machines', () => {
  const { parts } = healthyProject();
  const examineWith = (config: Parameters<typeof examineRented>[0]['config']) =>
    examineRented({ ...parts, config, rented: async () => parts });
  const storage = (gcs: object | null) =>
    ({ gcs }) as Parameters<typeof examineRented>[0]['config']['storage'];

  it('is told which keys to set', async () => {
    const finding = {
      component: 'settings',
      state: 'failed',
      detail: 'no rented machines are configured',
      fix: 'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml.',
    };
    const gcs = storage({ ...parts.gcs, prefix: '' });
    expect(await examineWith({ gce: null, storage: gcs })).toEqual([finding]);
    expect(await examineWith({ gce: parts.gce, storage: storage(null) })).toEqual([finding]);
  });

  it('is told what its settings do not hold, and nothing is asked', async () => {
    const problem = 'gce.project_id names PROJECT, which is not set';
    const found = await examineWith({ gce: { ...parts.gce, problem }, storage: storage(null) });
    expect(found).toMatchObject([{ component: 'settings', state: 'failed', detail: problem }]);
  });
});
