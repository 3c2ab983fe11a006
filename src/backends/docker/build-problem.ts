import { problemsError } from '../../config/problem.ts';
import type { GoldfishError } from '../../core/errors.ts';
import { clip } from '../../core/names.ts';
import type { BuildFailure } from './build-output.ts';
import { baseImages, readInstructions } from './dockerfile.ts';
import { diskFull, isDiskFull, isNetworkTrouble, isUnknownImage, pullError } from './engine-error.ts';

/**
 * What a failed build means for the user, with the line of the Dockerfile. That it failed is the engine's word; its
 * sentence is only used to point at a line, and to tell a file at fault from a machine without a network.
 */
export function buildProblem(failure: BuildFailure, recipe: { file: string; text: string }): GoldfishError {
  const { message, step } = failure;
  if (isDiskFull(message)) return diskFull(message);
  const instruction = step === null ? undefined : readInstructions(recipe.text)[step - 1];
  if (instruction?.keyword === 'FROM' && (isNetworkTrouble(message) || isUnknownImage(message))) {
    const base = baseImages(recipe.text).find(({ line }) => line === instruction.line);
    if (isNetworkTrouble(message)) return pullError(base?.image ?? instruction.rest, message);
  }
  const stated = /\bline (\d+)/.exec(message)?.[1];
  const line = instruction?.line ?? (stated === undefined ? 1 : Number(stated));
  return problemsError('INVALID_CONFIG', [
    {
      file: recipe.file,
      line,
      column: 1,
      message: sentence(message),
      hint: 'Correct that line; the build log has all it said.',
    },
  ]);
}

/** The engine's sentence, which repeats the whole command of a step that failed. */
function sentence(message: string): string {
  const code = /returned a non-zero code: (\d+)$/.exec(message)?.[1];
  if (code !== undefined) return `the command ended with exit code ${code}`;
  return clip(
    message.replace(/^(failed to parse dockerfile: )?dockerfile parse error (on )?line \d+: /i, ''),
    300,
  );
}

/** Thrown where a file's recipe is sound but its image has not what it takes. */
export function noPipProblem(file: string, image: string): GoldfishError {
  return problemsError('INVALID_CONFIG', [
    {
      file,
      line: 1,
      column: 1,
      message: `the image ${clip(image)} has no python3 with pip to install this with`,
      hint: 'Name an image with Python and pip (docker.base_image), or write a Dockerfile.',
    },
  ]);
}
