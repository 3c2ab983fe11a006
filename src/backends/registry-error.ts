import { type ErrorInit, GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';

/**
 * What a registry of images may do instead of what it was asked for, whoever asked it: we, or an engine for us.
 *
 * - `missing`      there is no such repository; images in it make themselves
 * - `forbidden`    it does not let us in; `why` is a status or the registry's sentence
 * - `no login`     it wants a login, and the way to it is plain http, over which none is sent
 * - `unreachable`  no answer, or one that may be another one later
 * - `strange`      what answers is no registry
 */
export type RegistryTrouble =
  | { kind: 'missing' | 'no login' }
  | { kind: 'forbidden' | 'unreachable' | 'strange'; why: string; cause?: unknown };

/** The error for people. `repository`: what was asked for, with its registry. */
export function registryError(repository: string, trouble: RegistryTrouble): GoldfishError {
  return new GoldfishError('BACKEND_UNAVAILABLE', {
    ...wordsFor(`"${clip(repository, 200)}"`, trouble),
    details: { repository: clip(repository, 200) },
    ...('cause' in trouble ? { cause: trouble.cause } : {}),
  });
}

type Words = Pick<ErrorInit, 'message' | 'hint' | 'retryable'>;

function wordsFor(where: string, trouble: RegistryTrouble): Words {
  switch (trouble.kind) {
    case 'missing':
      return {
        message: `The registry has no repository for ${where}.`,
        hint: 'Make it (gcloud artifacts repositories create), or name another one with gce.artifact_registry.',
      };
    case 'forbidden':
      return {
        message: `The registry does not let Goldfish use ${where} (${clip(trouble.why, 200)}).`,
        hint: 'Give its account the role roles/artifactregistry.writer there, or name another repository with gce.artifact_registry.',
      };
    case 'no login':
      return {
        message: `The registry of ${where} wants a login, and over plain http it gets none.`,
        hint: 'Name a repository with gce.artifact_registry that needs no login, or one with https.',
      };
    case 'unreachable':
      return {
        message: `The registry did not do its part for ${where} (${clip(trouble.why, 200)}).`,
        hint: 'Repeat the call; if it stays so, look at the network and at gce.artifact_registry.',
        retryable: true,
      };
    case 'strange':
      return {
        message: `What answers for ${where} is no registry of images (${clip(trouble.why, 200)}).`,
        hint: 'Look at gce.artifact_registry, and at proxies in between.',
      };
  }
}

/** The sentence of Google's registries. Others call a repository unknown that a push would make. */
export function saysNoRepository(says: string): boolean {
  return /\brepository "?[^"\s]+"? not found\b/i.test(says);
}
