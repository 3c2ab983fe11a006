import { z } from 'zod';
import type { GoogleAnswer } from '../../backends/google-access.ts';
import type { GceConfig } from '../../config/gce.ts';
import type { Check } from './check.ts';
import { grantOnRepository } from './commands.ts';
import { about, type GceFinding, type Say } from './finding.ts';
import { bodyOf, refused } from './refusal.ts';

const API = 'artifactregistry.googleapis.com';
const PUSH = 'artifactregistry.repositories.uploadArtifacts';
const PULL = 'artifactregistry.repositories.downloadArtifacts';

type Repository = { location: string; project: string; name: string };

/** `europe-docker.pkg.dev/project/name`; null for a registry of another kind. */
function repositoryOf({ artifactRegistry }: GceConfig): Repository | null {
  const found = /^([a-z0-9-]+)-docker\.pkg\.dev\/([^/]+)\/([^/]+)/.exec(artifactRegistry);
  const [, location, project, name] = found ?? [];
  if (location === undefined || project === undefined || name === undefined) return null;
  return { location, project, name };
}

const OTHER_KIND = 'it is no repository of Artifact Registry';

function urlOf({ location, project, name }: Repository): string {
  return `https://${API}/v1/projects/${project}/locations/${location}/repositories/${name}`;
}

/** Through the adapter that pushes: signs in, and asks for an image that is not there. */
export const checkSignIn: Check = {
  component: 'registry',
  of: 'registry',
  run: async ({ gce, registry, ids, signal }) => {
    const image = { repository: `${gce.artifactRegistry}/goldfish`, tag: `doctor-${ids.reference()}` };
    await registry.digest(image, { signal });
    return [about('registry').ok(`${gce.artifactRegistry} lets Goldfish in`)];
  },
};

const repositoryResource = z.object({ format: z.string() });

export const checkRepository: Check = {
  component: 'registry repository',
  of: 'registry',
  run: async (ground) => {
    const say = about('registry repository');
    const repository = repositoryOf(ground.gce);
    if (repository === null) return [say.notChecked(OTHER_KIND)];
    const { location, project, name } = repository;
    const answer = await ground.access.ask({
      method: 'GET',
      url: urlOf(repository),
      signal: ground.signal,
    });
    if (answer.status !== 200)
      return [
        refused(say, answer, {
          project,
          api: API,
          forbidden: () => say.notChecked('may not be looked at (artifactregistry.repositories.get)'),
          missing: () =>
            say.failed(
              `there is no repository ${name} in ${location}`,
              `gcloud artifacts repositories create ${name} --repository-format=docker --location=${location} --project=${project}`,
            ),
        }),
      ];
    const { format } = bodyOf(repositoryResource, answer);
    if (format === 'DOCKER') return [say.ok(`${name} in ${location}`)];
    return [say.failed(`${name} holds ${format}, not DOCKER`, 'name another one in gce.artifact_registry')];
  },
};

const granted = z.object({ permissions: z.array(z.string()).default([]) });

/** What Goldfish itself needs: it pushes, and looks whether an image is there already. */
export const checkPush: Check = {
  component: 'registry push',
  of: 'registry',
  run: async ({ gce, access, signal, member }) => {
    const say = about('registry push');
    const repository = repositoryOf(gce);
    if (repository === null) return [say.notChecked(OTHER_KIND)];
    const answer = await access.ask({
      method: 'POST',
      url: `${urlOf(repository)}:testIamPermissions`,
      body: { permissions: [PUSH, PULL] },
      signal,
    });
    if (answer.status !== 200) return [unknownRepository(say, answer, repository)];
    const { permissions } = bodyOf(granted, answer);
    const missing = [PUSH, PULL].filter((name) => !permissions.includes(name));
    if (missing.length === 0) return [say.ok('images may be pushed')];
    const fix = grantOnRepository({ ...repository, member, role: 'roles/artifactregistry.writer' });
    return [say.failed(`not granted: ${missing.join(', ')}`, fix)];
  },
};

const policy = z.object({
  bindings: z.array(z.object({ role: z.string(), members: z.array(z.string()).default([]) })).default([]),
});
const READERS = ['reader', 'writer', 'repoAdmin', 'admin'].map((role) => `roles/artifactregistry.${role}`);

/** What machines need; read from the repository's policy, because nobody can ask in a machine's name. */
export const checkPullOfMachines: Check = {
  component: 'registry for machines',
  of: 'registry',
  run: async ({ gce, access, signal }) => {
    const say = about('registry for machines');
    const repository = repositoryOf(gce);
    if (repository === null) return [say.notChecked(OTHER_KIND)];
    const member = `serviceAccount:${gce.serviceAccount}`;
    const answer = await access.ask({
      method: 'GET',
      url: `${urlOf(repository)}:getIamPolicy`,
      signal,
    });
    const fix = grantOnRepository({ ...repository, member, role: 'roles/artifactregistry.reader' });
    if (answer.status !== 200) return [unknownRepository(say, answer, repository, fix)];
    const { bindings } = bodyOf(policy, answer);
    const may = bindings.some(({ role, members }) => READERS.includes(role) && members.includes(member));
    if (may) return [say.ok(`${gce.serviceAccount} may pull`)];
    const detail = `its policy names no role with which ${gce.serviceAccount} may pull; one of the project, or of a group, does not show here`;
    return [say.warning(detail, fix)];
  },
};

function unknownRepository(
  say: Say,
  answer: GoogleAnswer,
  { project, name }: Repository,
  fix: string | null = null,
): GceFinding {
  return refused(say, answer, {
    project,
    api: API,
    forbidden: () => say.notChecked('the policy of the repository may not be read', fix),
    missing: () => say.notChecked(`there is no repository ${name}`),
  });
}
