import { type ErrorInit, GoldfishError } from '../../core/errors.ts';
import { clip } from '../../core/names.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { errnoBelow, GcsFailure } from './gcs-failure.ts';

/** Whatever a call threw, as the port promises it. Addresses, paths and the client's words stay out of the message. */
export function storageError(bucket: GcsBucket, error: unknown): unknown {
  if (error instanceof GoldfishError || (error instanceof Error && error.name === 'AbortError')) return error;
  const failure = error instanceof GcsFailure ? error : new GcsFailure('status', { cause: error });
  const errno = errnoBelow(failure);
  return new GoldfishError('STORAGE_UNAVAILABLE', {
    ...wordsFor(bucket, failure, errno),
    details: {
      bucket: bucket.name,
      ...(failure.status === undefined ? {} : { status: failure.status }),
      ...(errno === undefined ? {} : { errno }),
    },
    cause: error,
  });
}

type Words = Pick<ErrorInit, 'hint' | 'retryable'> & { message: string };

function wordsFor(bucket: GcsBucket, failure: GcsFailure, errno: string | undefined): Words {
  const name = clip(bucket.name);
  switch (failure.kind) {
    case 'bucket':
      return {
        message: `There is no bucket "${name}".`,
        hint: 'Make it, or name another one with storage.gcs.bucket.',
      };
    case 'credentials':
      return {
        message: `Goldfish found no valid credentials for the bucket "${name}".`,
        hint: 'Run "gcloud auth application-default login", or give this machine a service account; then repeat the call.',
      };
    case 'damaged':
      return {
        message: 'What the object storage has is not what was sent: the checksums differ.',
        hint: 'Repeat the call.',
        retryable: true,
      };
    case 'lost':
      return {
        message: 'The object storage has lost what was begun.',
        hint: 'Repeat the call.',
        retryable: true,
      };
    case 'source':
      return {
        message: `What was to be stored could not be read${errno === undefined ? '' : ` (${errno})`}.`,
        hint: 'Look at the file or program that it comes from, then repeat the call.',
      };
    case 'network':
      return unreachable(bucket, errno ?? 'no answer');
    case 'status':
      return refused(bucket, failure);
  }
}

function refused(bucket: GcsBucket, failure: GcsFailure): Words {
  const { status } = failure;
  if (failure.passes) return unreachable(bucket, `HTTP ${status}`);
  if (status === 401 || status === 403) {
    return {
      message: `The bucket "${clip(bucket.name)}" does not let Goldfish in (HTTP ${status}).`,
      hint: 'Give its account the role "Storage Object User" there, or name another bucket with storage.gcs.bucket.',
    };
  }
  return {
    message: `The object storage refused (HTTP ${status}).`,
    hint: 'Look at storage.gcs in goldfish.yaml.',
  };
}

function unreachable(bucket: GcsBucket, why: string): Words {
  const seconds = Math.round(bucket.budgetMs / 100) / 10;
  return {
    message: `The object storage did not do its part within ${seconds} s (${why}).`,
    hint: 'Repeat the call; if it stays so, look at the network and at storage.gcs.api_endpoint.',
    retryable: true,
  };
}
