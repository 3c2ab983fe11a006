import type { Cause } from '../../src/core/causes.ts';

export type Backend = 'process' | 'docker' | 'gce';

/** What the test does to a run whose program has begun and waits. See causes-project.ts. */
export type Deed =
  | 'kill the program'
  | 'kill the run wrapper'
  | 'garble the result and kill the run wrapper'
  | 'hide the result and kill the run wrapper'
  | 'kill the container'
  | 'cancel';

export type Ended = {
  state: string;
  exit_code: number | null;
  signal: string | null;
  attempt?: number;
  /** Of a canceled run. */
  message?: string;
  failure: {
    class: string;
    message: string;
    retry_safe: boolean;
    first_error_line: string | null;
    errno?: string;
    /** Name of the tool of the next call. */
    next: string;
  } | null;
  /** The last lines, as `stream: text`. */
  log: string[];
};

export type CauseCase = {
  cause: Cause;
  /** Also the name of the stage. */
  name: string;
  /** Beside name and outputs, as YAML. */
  stage?: string;
  /** Words of the command; absent: the program as a Python module. */
  command?: string[];
  program?: string;
  config?: string;
  deed?: Deed;
  /** Only there, and why. */
  needs?: 'a limit for memory' | 'a container';
  /** `RUN` is the id of the run of that stage. */
  ended: Ended;
};

function pipelineOf(cases: readonly CauseCase[]): string {
  const rows = cases.map(({ name, stage, command }) => {
    const parts = [
      `name: ${name}`,
      ...(stage === undefined ? [] : [stage]),
      ...(command === undefined ? [] : [`command: ${JSON.stringify(command)}`]),
    ];
    return `  - { ${parts.join(', ')} }\n`;
  });
  return `name: causes\nstages:\n${rows.join('')}`;
}

export function filesOf(cases: readonly CauseCase[]): Record<string, string> {
  return {
    'pipeline.yaml': pipelineOf(cases),
    ...Object.fromEntries(
      cases.flatMap(({ name, program, config }) => [
        ...(program === undefined ? [] : [[`modules/${name}.py`, program]]),
        ...(config === undefined ? [] : [[`configs/${name}.yaml`, config]]),
      ]),
    ),
  };
}
