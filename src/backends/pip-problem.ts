import { type Problem, problemsError } from '../config/problem.ts';
import { GoldfishError } from '../core/errors.ts';
import { clip } from '../core/names.ts';
import { REQUIREMENTS_FILE } from './requirements.ts';

const NETWORK =
  /Temporary failure in name resolution|Name or service not known|Failed to establish a new connection|Connection refused|Connection reset|Read timed out|ProxyError|Network is unreachable/;
const DISK_FULL = /No space left on device|Disk quota exceeded/;

/**
 * What pip's failure means for the user. That it failed is known from its exit code; its words are only used to
 * point at a line, and to tell a file at fault from a machine without a network.
 */
export function pipProblem(output: string, requirements: ReadonlyMap<string, string>): GoldfishError {
  const errors = output.split('\n').filter((line) => line.startsWith('ERROR: '));
  const statement = clip((errors.at(-1) ?? 'ERROR: pip failed').slice('ERROR: '.length), 300);
  if (DISK_FULL.test(output)) {
    return new GoldfishError('STORAGE_UNAVAILABLE', {
      message: `The disk is full: the packages of ${REQUIREMENTS_FILE} could not be installed.`,
      hint: 'Free some space, then retry.',
      retryable: true,
    });
  }
  if (NETWORK.test(output)) {
    return new GoldfishError('BACKEND_UNAVAILABLE', {
      message: `The packages of ${REQUIREMENTS_FILE} could not be fetched: ${statement}`,
      hint: 'Check the network and the package index.',
      details: { pip: statement },
      retryable: true,
    });
  }
  const problem: Problem = {
    ...findPlace(errors.join('\n'), requirements),
    message: statement,
    hint: 'Correct the requirement; the build log has all pip said.',
  };
  return problemsError('INVALID_CONFIG', [problem]);
}

function findPlace(
  text: string,
  requirements: ReadonlyMap<string, string>,
): Pick<Problem, 'file' | 'line' | 'column'> {
  const stated =
    /\(from -r (?<file>[^()\s]+) \(line (?<line>\d+)\)\)/.exec(text)?.groups ??
    /\((?:from )?line (?<line>\d+) (?:of|in) (?<file>[^()\s]+)\)/.exec(text)?.groups ??
    /at line (?<line>\d+) of (?<file>\S+)/.exec(text)?.groups;
  if (stated) return { file: stated['file'] ?? REQUIREMENTS_FILE, line: Number(stated['line']), column: 1 };
  // pip names the requirement as it was written: the first line that holds the words is where it stands.
  const named = /(?:No matching distribution found for|satisfies the requirement) (?<name>[^\s(]+)/.exec(
    text,
  );
  const name = named?.groups?.['name'];
  for (const [file, content] of requirements) {
    const line = content.split('\n').findIndex((row) => name !== undefined && mentions(row, name));
    if (line !== -1) return { file, line: line + 1, column: 1 };
  }
  return { file: REQUIREMENTS_FILE, line: 0, column: 0 };
}

function mentions(row: string, requirement: string): boolean {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/\s+/g, '').replaceAll('_', '-');
  return plain(row.replace(/#.*$/, '')).startsWith(plain(requirement));
}
