import { describe, expect, it } from 'vitest';
import { type Profile, toProfiles } from '../../src/config/config.ts';
import { GCE_PROFILES, gceProfile } from '../../src/config/gce-profiles.ts';
import { profileBook } from '../../src/config/profiles.ts';

/** It says nothing. */
const OWN = toProfiles({ own: {} })['own']!;
const MACHINES = {
  ...GCE_PROFILES,
  t4: gceProfile({
    description: 'A T4',
    machineType: 'n1-standard-4',
    accelerators: { type: 'nvidia-tesla-t4', count: 2 },
  }),
};

const local = profileBook({ profiles: {}, gce: null });
const book = (profiles: Record<string, Profile> = {}) =>
  profileBook({ profiles, gce: { profiles: MACHINES } });

describe('the profiles of a project', () => {
  it('are local ones only where nothing is to be rented', () => {
    expect(local.names).toEqual(['default', 'cpu-small', 'cpu-large']);
    expect(local.names.map((name) => local.get(name)?.backend)).toEqual([null, null, null]);
    expect(local.refuse('h100-spot')).toEqual({
      code: 'NOT_SUPPORTED',
      message: 'The profile "h100-spot" needs a rented machine, and the backend "gce" is not configured.',
      hint: 'Set gce.project_id, gce.zones, gce.service_account, gce.artifact_registry and storage.gcs.bucket in goldfish.yaml. Or take a local profile, or define this one under "profiles".',
      allowed: ['default', 'cpu-small', 'cpu-large'],
    });
  });

  it('are those of rented machines too where there are some, each with its backend and GPUs', () => {
    const { names, get, refuse } = book();
    expect(names.map((name) => [name, get(name)?.backend, get(name)?.gpus, get(name)?.origin])).toEqual([
      ['default', null, null, 'built-in'],
      ['cpu-small', 'gce', null, 'built-in'],
      ['cpu-large', 'gce', null, 'built-in'],
      ['h100-spot', 'gce', 1, 'built-in'],
      ['h100-on-demand', 'gce', 8, 'built-in'],
      ['a100-spot', 'gce', 1, 'built-in'],
      ['a100-on-demand', 'gce', 1, 'built-in'],
      ['t4', 'gce', 2, 'goldfish.yaml'],
    ]);
    expect(refuse('h100-spot')).toBeUndefined();
    expect(refuse('h100-spt')).toMatchObject({ code: 'PROFILE_UNKNOWN', hint: 'Did you mean "h100-spot"?' });
  });

  it('say of those with a local name what they are on either side', () => {
    expect(local.get('cpu-small')?.description).toBe(
      'The limits of this machine, until rented ones are configured',
    );
    expect(book().get('cpu-small')?.description).toBe(
      'A rented machine with 4 processors and 16 GB; on a backend that is named, what that gives',
    );
    expect(book().get('t4')?.description).toBe('A T4');
  });

  it('are what the user says where one of the user has the name of a rented one', () => {
    const { get } = book({ 'h100-spot': { ...OWN, cpus: 3 }, 'cpu-small': OWN });
    expect(get('h100-spot')).toEqual({ ...OWN, cpus: 3, name: 'h100-spot', origin: 'goldfish.yaml' });
    expect(get('cpu-small')?.backend).toBeNull();
  });

  it('have the GPUs of the machine they select, unless they say how many of them', () => {
    const { get } = book({
      t4: { ...OWN, backend: 'gce' },
      'h100-on-demand': { ...OWN, backend: 'gce', gpus: 4 },
      mine: { ...OWN, backend: 'gce' },
      here: { ...OWN, backend: 'docker' },
    });
    expect(['t4', 'h100-on-demand', 'mine', 'here'].map((name) => get(name)?.gpus)).toEqual([
      2,
      4,
      null,
      null,
    ]);
  });
});
