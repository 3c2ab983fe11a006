import { hashJson } from '../../core/json.ts';
import type { FileReader } from '../../pipeline/file-reader.ts';
import { type Requirements, readRequirements, requirementHashes } from '../requirements.ts';
import { baseImages } from './dockerfile.ts';

export const DOCKERFILE = 'Dockerfile';

/** What a version's stages run in, before anything is looked up or built. */
export type ImageChoice =
  | { kind: 'as-it-is'; base: string }
  | { kind: 'requirements'; base: string; requirements: Requirements }
  | { kind: 'dockerfile'; text: string; bases: { image: string; line: number }[] };

/**
 * An image that the stage or its profile names wins over a Dockerfile; requirements.txt is installed into whatever
 * image it is.
 */
export async function chooseImage(
  files: FileReader,
  named: { image: string | null; baseImage: string },
): Promise<ImageChoice> {
  const dockerfile = named.image === null ? await files.read(DOCKERFILE) : null;
  if (dockerfile !== null) return { kind: 'dockerfile', text: dockerfile, bases: baseImages(dockerfile) };
  const base = named.image ?? named.baseImage;
  const requirements = await readRequirements(files);
  const asksForNothing = [...requirements.files.values()].every((text) => /^(\s*(#.*)?\n?)*$/.test(text));
  return asksForNothing ? { kind: 'as-it-is', base } : { kind: 'requirements', base, requirements };
}

/** Names of the images a choice stands on. */
export function basesOf(choice: ImageChoice): string[] {
  return choice.kind === 'dockerfile' ? choice.bases.map(({ image }) => image) : [choice.base];
}

/**
 * The identity of an image: the version's files that decide it and what its bases are. A base that is not here yet
 * counts by its name.
 */
export function imageKey(
  choice: ImageChoice,
  known: { ids: ReadonlyMap<string, string | null>; codeHash: string },
): string {
  const bases = basesOf(choice).map((image) => known.ids.get(image) ?? image);
  switch (choice.kind) {
    case 'as-it-is':
      return hashJson({ format: 1, bases });
    case 'requirements':
      return hashJson({ format: 1, bases, requirements: requirementHashes(choice.requirements) });
    case 'dockerfile':
      return hashJson({ format: 1, bases, context: known.codeHash });
  }
}
