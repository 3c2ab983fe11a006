import { hashJson } from '../../core/json.ts';
import type { FileReader } from '../../pipeline/file-reader.ts';
import { resolveInterpreter } from '../interpreter.ts';
import { readRequirements, requirementHashes } from '../requirements.ts';
import type { ProcessBackendOptions } from './options.ts';

/**
 * The identity of what a version's stages run in: the interpreter, and requirements.txt with all it refers to.
 * The same for planning (which reads the version store) and for building (which reads the checkout).
 * Errors: BACKEND_UNAVAILABLE where there is no interpreter.
 */
export async function interpreterKey(
  options: Pick<ProcessBackendOptions, 'python' | 'layout' | 'hostEnvironment'>,
  files: FileReader,
): Promise<string> {
  const { path, implementation, version } = await resolveInterpreter(options);
  const requirements = await readRequirements(files);
  return hashJson({
    format: 1,
    interpreter: { path, implementation, version },
    requirements: requirementHashes(requirements),
  });
}
