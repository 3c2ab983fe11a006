import type { Cause } from '../../src/core/causes.ts';
import type { CauseCase } from './causes-case.ts';

const HEAD = "import os, signal, sys, time\ncontrol = os.environ['GOLDFISH_CONTROL']\n";
const SAVE = "open(os.environ['GOLDFISH_OUTPUTS'] + '/made.json', 'w').write('{\"made\": 1}')\n";
const SLEEP = 'time.sleep(600)\n';
/** Says that it has begun, and waits for the test. */
const HOLD = `print('I have begun', flush=True)
open(control + '/go', 'w').close()
limit = time.monotonic() + 300
while not os.path.exists(control + '/on') and time.monotonic() < limit: time.sleep(0.05)
`;
const SILENCE = 'compute: { heartbeat_timeout_seconds: 20 }\n';
const NO_LINE = { first_error_line: null } as const;
const KILLED = { exit_code: null, signal: 'SIGKILL' } as const;
const STOPPED = { exit_code: null, signal: 'SIGTERM' } as const;
const UNKNOWN = { exit_code: null, signal: null } as const;
const LOST = { class: 'infra', retry_safe: true, ...NO_LINE, next: 'retry' } as const;
const SILENT = { class: 'timeout', retry_safe: false, ...NO_LINE } as const;

/** Every way a run of one stage can end, produced by a real program; all are stages of one pipeline. */
export const CASES: readonly CauseCase[] = [
  {
    cause: 'success',
    name: 'goes_well',
    stage: 'outputs: { made: json }',
    program: `${HEAD}${SAVE}print('all is well')\n`,
    ended: { state: 'completed', exit_code: 0, signal: null, failure: null, log: ['stdout: all is well'] },
  },
  {
    cause: 'exit_nonzero',
    name: 'exits',
    stage: 'outputs: { made: json }',
    // An engine brings what is written to two streams at the same moment in either order.
    program: `${HEAD}print('half way', flush=True)\ntime.sleep(1)\nsys.stderr.write('ERROR: the numbers have run out\\n')\nsys.exit(3)\n`,
    ended: {
      state: 'failed',
      exit_code: 3,
      signal: null,
      failure: {
        class: 'code',
        message: 'The program ended with exit code 3.',
        retry_safe: false,
        first_error_line: 'ERROR: the numbers have run out',
        next: 'logs',
      },
      log: ['stdout: half way', 'stderr: ERROR: the numbers have run out'],
    },
  },
  {
    cause: 'exit_nonzero',
    name: 'crashes',
    program: `${HEAD}print('about to crash', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n`,
    ended: {
      state: 'failed',
      exit_code: null,
      signal: 'SIGSEGV',
      failure: {
        class: 'code',
        message: 'The program died by SIGSEGV.',
        retry_safe: false,
        ...NO_LINE,
        next: 'logs',
      },
      log: ['stdout: about to crash'],
    },
  },
  {
    cause: 'exit_nonzero',
    name: 'is_killed',
    program: `${HEAD}${HOLD}`,
    deed: 'kill the program',
    ended: {
      state: 'failed',
      ...KILLED,
      failure: {
        class: 'code',
        message: 'The program died by SIGKILL.',
        retry_safe: false,
        ...NO_LINE,
        next: 'logs',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'output_missing',
    name: 'forgets',
    stage: 'outputs: { made: json }',
    program: "print('nothing to write')\n",
    ended: {
      state: 'failed',
      exit_code: 0,
      signal: null,
      failure: {
        class: 'code',
        message:
          'The program ended with 0, but declared output "made" is missing: nothing was written to made.json.',
        retry_safe: false,
        ...NO_LINE,
        next: 'logs',
      },
      log: ['stdout: nothing to write'],
    },
  },
  ...[
    {
      name: 'is_not_there',
      program: 'no-such-program',
      errno: 'ENOENT',
      why: 'The program "no-such-program" was not found.',
    },
    {
      name: 'is_no_program',
      program: './data.txt',
      errno: 'EACCES',
      why: '"./data.txt" is not an executable file, or may not be executed.',
    },
    {
      name: 'has_no_interpreter_line',
      program: './plain',
      errno: 'ENOEXEC',
      why: '"./plain" is not a program: it has no #! line.',
    },
  ].map(
    ({ name, program, errno, why }): CauseCase => ({
      cause: 'launch_failed',
      name,
      command: [program],
      ended: {
        state: 'failed',
        ...UNKNOWN,
        failure: {
          class: 'config',
          message: `The program could not be started: ${why}`,
          retry_safe: false,
          ...NO_LINE,
          errno,
          next: 'inspect_run',
        },
        log: [],
      },
    }),
  ),
  {
    cause: 'crash_loop',
    name: 'crashes_again',
    stage: 'retries: { max_restarts: 3 }',
    program: "import os, sys\nsys.exit('no luck at attempt ' + os.environ['GOLDFISH_ATTEMPT'])\n",
    ended: {
      state: 'failed',
      exit_code: 1,
      signal: null,
      attempt: 3,
      failure: {
        class: 'code',
        message:
          'The program ended with exit code 1. Three attempts ended within three minutes each, the last as exit_nonzero.',
        retry_safe: false,
        first_error_line: 'no luck at attempt 3',
        next: 'logs',
      },
      log: ['stderr: no luck at attempt 3'],
    },
  },
  {
    cause: 'timeout',
    name: 'takes_long',
    config: 'compute: { timeout_seconds: 40 }\n',
    program: `${HEAD}print('epoch 1', flush=True)\n${SLEEP}`,
    ended: {
      state: 'terminated',
      ...STOPPED,
      failure: {
        class: 'timeout',
        message: 'The run reached its time limit and was stopped.',
        retry_safe: false,
        ...NO_LINE,
        next: 'logs',
      },
      log: ['stdout: epoch 1'],
    },
  },
  {
    cause: 'heartbeat_lost',
    name: 'never_beats',
    config: SILENCE,
    program: `${HEAD}${SLEEP}`,
    ended: {
      state: 'terminated',
      ...STOPPED,
      failure: {
        ...SILENT,
        message: 'The heartbeat of rank 0 is missing: none came within 20 s of its start.',
        next: 'inspect_run',
      },
      log: [],
    },
  },
  {
    cause: 'heartbeat_lost',
    name: 'beats_once',
    config: SILENCE,
    program: `${HEAD}open(control + '/heartbeat', 'w').close()\n${SLEEP}`,
    ended: {
      state: 'terminated',
      ...STOPPED,
      failure: {
        ...SILENT,
        message: 'The heartbeat of rank 0 stopped: no new one came for 20 s.',
        next: 'inspect_run',
      },
      log: [],
    },
  },
  {
    cause: 'heartbeat_lost',
    name: 'beats_strangely',
    config: SILENCE,
    program: `${HEAD}os.mkdir(control + '/heartbeat')\n${SLEEP}`,
    ended: {
      state: 'terminated',
      ...STOPPED,
      failure: {
        ...SILENT,
        message: 'The heartbeat of rank 0 could not be read for 20 s (it is no file).',
        next: 'inspect_run',
      },
      log: [],
    },
  },
  {
    cause: 'oom',
    name: 'eats',
    config: 'compute: { memory: 120m }\n',
    program: `${HEAD}print('hungry', flush=True)\nfood = [bytearray(10_000_000) for _ in range(100)]\n`,
    needs: 'a limit for memory',
    ended: {
      state: 'terminated',
      ...KILLED,
      failure: {
        class: 'oom',
        message: 'The kernel killed the program for its use of memory.',
        retry_safe: false,
        ...NO_LINE,
        next: 'logs',
      },
      log: ['stdout: hungry'],
    },
  },
  {
    cause: 'worker_lost',
    name: 'vanishes',
    program: `${HEAD}${HOLD}`,
    deed: 'kill the run wrapper',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: { ...LOST, message: 'What executed the run disappeared and left no result document.' },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'worker_lost',
    name: 'is_garbled',
    program: `${HEAD}${HOLD}`,
    deed: 'garble the result and kill the run wrapper',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: {
        ...LOST,
        message:
          'The result document is garbled: The result document is damaged: 13 characters that make no sense.',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'worker_lost',
    name: 'is_unreadable',
    program: `${HEAD}${HOLD}`,
    deed: 'hide the result and kill the run wrapper',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: {
        ...LOST,
        message: 'The result document is unreadable: The result document cannot be read (EISDIR).',
        errno: 'EISDIR',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'worker_lost',
    name: 'has_its_container_killed',
    program: `${HEAD}${HOLD}`,
    deed: 'kill the container',
    needs: 'a container',
    ended: {
      state: 'terminated',
      ...UNKNOWN,
      failure: {
        ...LOST,
        message: 'The container was ended from outside: how its program would have ended is not known.',
      },
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'user',
    name: 'is_canceled',
    program: `${HEAD}${HOLD}`,
    deed: 'cancel',
    ended: {
      state: 'canceled',
      ...STOPPED,
      message: 'Canceled: See what a canceled run says',
      failure: null,
      log: ['stdout: I have begun'],
    },
  },
  {
    cause: 'upstream_failed',
    name: 'comes_after',
    stage: 'inputs: { made: { from_stage: exits } }',
    program: 'pass\n',
    ended: {
      state: 'canceled',
      ...UNKNOWN,
      message: 'Not started: exits (RUN exits) did not complete.',
      failure: null,
      log: [],
    },
  },
];

/** Causes whose run needs a call or a workspace of its own; the tests stand in causes.test.ts. */
export const APART: readonly Cause[] = ['cached', 'build_failed', 'input_unavailable', 'upload_failed'];

/** Causes that no run can have yet, and what brings them. Whoever adds one takes it out here and adds its case. */
export const LATER: Readonly<Partial<Record<Cause, string>>> = {
  completed_with_warnings: 'output contracts',
  contract_violated: 'output contracts',
  review_blocked: 'the review before a run',
  budget: 'budgets',
  sweep_stopped: 'sweeps',
};

/** Causes whose runs stand in a file of tests of their own, below test/integration. */
export const ELSEWHERE: Readonly<Partial<Record<Cause, string>>> = {
  stopped_by_monitor: 'monitors',
  preflight_failed: 'gce/causes',
  no_capacity: 'gce/causes',
  preempted: 'gce/causes',
};

export const PROGRAM_THAT_WAITS = `${HEAD}${HOLD}${SAVE}`;
