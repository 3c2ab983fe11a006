import { ApiError } from '../support/google-api-error.ts';
import { invalidField } from './api-error.ts';
import type { MetadataItem } from './resources.ts';

/** Limits of cloud.google.com/compute/docs/labeling-resources and …/metadata/overview; sizes in bytes. */
const MOST_LABELS = 64;
const LABEL_KEY = /^\p{Ll}[-_\p{Ll}\p{N}]{0,62}$/u;
const LABEL_VALUE = /^[-_\p{Ll}\p{N}]{0,63}$/u;
const METADATA_KEY = /^[a-zA-Z0-9_-]{1,128}$/;
const LONGEST_VALUE = 256 * 1024;
const LONGEST_METADATA = 512 * 1024;

const FORMAT =
  'lowercase letters, numeric characters, underscores and dashes. The %s can be at most 63 characters long. International characters are allowed.';

export function refuseLabels(field: string, labels: Record<string, string>): void {
  if (Object.keys(labels).length > MOST_LABELS) {
    throw invalidField(field, undefined, `At most ${MOST_LABELS} labels are allowed.`);
  }
  for (const [key, value] of Object.entries(labels)) {
    if (!LABEL_KEY.test(key)) {
      throw invalidField(
        field,
        undefined,
        `Label key '${key}' violates format constraints. The key must start with a lowercase character, can only contain ${FORMAT.replace('%s', 'key')}`,
      );
    }
    if (!LABEL_VALUE.test(value)) {
      throw invalidField(
        field,
        undefined,
        `Label value '${value}' violates format constraints. The value can only contain ${FORMAT.replace('%s', 'value')}`,
      );
    }
  }
}

export function refuseMetadata(items: MetadataItem[]): void {
  const keys = new Set<string>();
  let total = 0;
  for (const [at, { key, value }] of items.entries()) {
    if (!METADATA_KEY.test(key)) {
      throw invalidField(
        `resource.metadata.items[${at}].key`,
        key,
        "Must be a match of regex '[a-zA-Z0-9-_]{1,128}'",
      );
    }
    if (keys.has(key))
      throw invalidField('resource.metadata', undefined, `Metadata has duplicate key: ${key}`);
    keys.add(key);
    const size = Buffer.byteLength(value);
    total += size;
    if (size > LONGEST_VALUE) {
      throw tooLarge(`resource.metadata.items[${at}].value`, LONGEST_VALUE, size);
    }
  }
  if (total > LONGEST_METADATA) {
    throw tooLarge('resource.metadata', LONGEST_METADATA, total);
  }
}

function tooLarge(field: string, most: number, actual: number): ApiError {
  return new ApiError(
    413,
    'fieldSizeTooLarge',
    `Value for field '${field}' is too large: maximum size ${most} character(s); actual size ${actual}.`,
  );
}
