import type { Cause } from '../../../src/core/causes.ts';
import type { FaultInput } from '../../gce-simulator/faults.ts';

/**
 * What is done when somebody dies: `one` run, one so `long` that it is seen while it runs, the `two` stages of a pipeline, one
 * with a `secret`, one that `saves` a checkpoint; one that is canceled while it runs, with the supervisor dead before it
 * began (`cancel-early`), or while its machine is being made (`cancel-search`).
 */
export type Scenario =
  | 'one'
  | 'long'
  | 'two'
  | 'secret'
  | 'saves'
  | 'cancel'
  | 'cancel-early'
  | 'cancel-search';

/** What happens to a machine at a point of its programs: that program is killed; the power is cut, for a moment or for good. */
export type Blow = 'program' | 'reset' | 'off';

export type RentedPoint = {
  /** Each is a death; the last one gives the trial its name, those before lead there. */
  at: readonly string[];
  /** Who dies at the last one. */
  who: 'supervisor' | Blow;
  /** What happens at those before the last that are on the machine. */
  before: Blow;
  scenario: Scenario;
  /** The causes of the attempts that a restart followed. */
  causesBefore: readonly Cause[];
  /** Attempts whose program may not have begun when it was over with them. */
  mayNotHaveBegun: readonly number[];
  /** How many machines it may take where none is there at the beginning. */
  machines: readonly number[];
  /** `kept`: by the pool, and one may be there from an earlier trial; `waiting`: one is; `own`: none is, nor is it kept. */
  pool: 'kept' | 'waiting' | 'own';
  /** The point counts from when this one was passed. */
  after?: string;
  faults: readonly FaultInput[];
  /** Its image was never pushed. */
  newImage?: true;
  /** The launch has less time than usual. */
  shortLaunch?: true;
  /** It takes so long that it is left to the long form. */
  slow?: true;
};

type Rest = Partial<Omit<RentedPoint, 'at' | 'who'>>;

function point(who: RentedPoint['who'], at: string, rest: Rest = {}): RentedPoint {
  return {
    at: at.split(' '),
    who,
    before: 'off',
    scenario: 'one',
    causesBefore: [],
    mayNotHaveBegun: [],
    machines: [1],
    pool: 'kept',
    faults: [],
    ...rest,
  };
}

const OWN: Rest = { pool: 'own' };
const WAITING: Rest = { pool: 'waiting' };
const LONG: Rest = { scenario: 'long' };
const SAVES: Rest = { scenario: 'saves' };
const CANCEL: Rest = { scenario: 'cancel' };
const EARLY: Rest = { ...OWN, scenario: 'cancel-early', mayNotHaveBegun: [1] };
/** The machine that began the attempt is lost with it, or what supervised it there. */
const LOST: Rest = { causesBefore: ['worker_lost'], mayNotHaveBegun: [1] };
/** And so another one is rented. */
const ANOTHER: Rest = { machines: [2] };
const LOST_FOR_ANOTHER: Rest = { ...LOST, ...ANOTHER };
/** Nobody ever hears of the machine. */
const UNHEARD: Rest = { ...OWN, ...LOST_FOR_ANOTHER, causesBefore: ['launch_failed'], shortLaunch: true };
/** A machine that is asked for takes longer than it takes to change one's mind. */
const SLOW: FaultInput = { kind: 'slow-provisioning', ms: 8_000 };
/** And its operation cannot be followed. */
const SLOW_SEARCH: Rest = {
  ...OWN,
  scenario: 'cancel-search',
  mayNotHaveBegun: [1],
  machines: [0, 1],
  faults: [{ kind: 'lost-operation', method: 'instances.insert', how: 'forgotten' }, SLOW],
};

/** Between every two steps of the supervisor, in their order. */
export const SUPERVISOR_POINTS: readonly RentedPoint[] = [
  point('supervisor', 'rent/image-made'),
  point('supervisor', 'rent/image-pushed', { newImage: true }),
  point('supervisor', 'rent/image-published'),
  point('supervisor', 'launch/announced'),
  point('supervisor', 'send/program-stored'),
  point('supervisor', 'send/folder-packed'),
  point('supervisor', 'send/code-stored'),
  point('supervisor', 'send/input-stored', { scenario: 'two' }),
  point('supervisor', 'job/checkpoint-kept send/checkpoint-stored', { ...SAVES, ...LOST_FOR_ANOTHER }),
  point('supervisor', 'send/job-written'),
  point('supervisor', 'pool/half-reserved', OWN),
  point('supervisor', 'pool/half-leased', WAITING),
  point('supervisor', 'pool/half-moved', WAITING),
  point('supervisor', 'pool/taken', WAITING),
  point('supervisor', 'pool/assignment-written', WAITING),
  point('supervisor', 'pool/assignment-written', OWN),
  point('supervisor', 'pool/assignment-noted', WAITING),
  point('supervisor', 'machine/place-noted', OWN),
  point('supervisor', 'machine/inserted', OWN),
  point('supervisor', 'machine/operation-seen', OWN),
  point('supervisor', 'machine/taken-back', SLOW_SEARCH),
  point('supervisor', 'pool/machine-asked', OWN),
  point('supervisor', 'pool/half-moved', OWN),
  point('supervisor', 'turn/document-read pool/settled', ANOTHER),
  point('supervisor', 'send/secrets-sealed', { scenario: 'secret' }),
  point('supervisor', 'machine/place-noted pool/called-off', { ...EARLY, machines: [0] }),
  point('supervisor', 'machine/place-noted pool/job-released', { ...EARLY, machines: [0] }),
  point('supervisor', 'machine/inserted cancel/stopped-by-name', {
    ...EARLY,
    machines: [0, 1],
    // The next supervisor is to come before the machine does, on a busy computer too.
    faults: [{ ...SLOW, ms: 20_000 }],
  }),
  point('supervisor', 'launch/acted'),
  point('supervisor', 'launch/acted takeover/found'),
  point('supervisor', 'launch/noted'),
  point('supervisor', 'fetch/log-based'),
  point('supervisor', 'fetch/piece-appended'),
  point('supervisor', 'fetch/log-fetched', LONG),
  point('supervisor', 'fetch/control-fetched', LONG),
  point('supervisor', 'fetch/checkpoint-gathered', SAVES),
  point('supervisor', 'fetch/checkpoint-named', SAVES),
  point('supervisor', 'send/stop-written', CANCEL),
  point('supervisor', 'stop/asked', CANCEL),
  point('supervisor', 'stop/noted', CANCEL),
  point('supervisor', 'fetch/output-fetched'),
  point('supervisor', 'fetch/output-named'),
  point('supervisor', 'fetch/outputs-here'),
  point('supervisor', 'fetch/result-written'),
  point('supervisor', 'finish/result-noted'),
  point('supervisor', 'rent/released'),
  point('supervisor', 'rent/trace-removed'),
  point('supervisor', 'rent/traces-removed'),
  point('supervisor', 'finish/cleaned-up'),
  point('supervisor', 'finish/judged'),
  point('supervisor', 'end/half-written'),
  point('supervisor', 'finish/ended'),
  point('supervisor', 'pool/deletion-asked', OWN),
  point('supervisor', 'pool/gone-noted', OWN),
  point('supervisor', 'pool/letters-removed', OWN),
];

/** Between every two steps of the machine, in their order: the program, and the power. */
export const MACHINE_POINTS: readonly RentedPoint[] = [
  point('program', 'worker/boot-counted', UNHEARD),
  point('reset', 'worker/boot-counted', OWN),
  point('program', 'worker/ready', { ...UNHEARD, slow: true }),
  point('off', 'worker/ready', { ...OWN, ...ANOTHER }),
  point('program', 'turn/document-read', ANOTHER),
  point('reset', 'turn/document-read'),
  point('off', 'turn/document-read', { ...WAITING, ...ANOTHER }),
  point('program', 'turn/claim-remembered', ANOTHER),
  point('reset', 'turn/claim-remembered', LOST),
  point('program', 'turn/claimed', LOST_FOR_ANOTHER),
  point('off', 'turn/claimed', LOST_FOR_ANOTHER),
  point('program', 'job/folders-made', LOST_FOR_ANOTHER),
  point('reset', 'job/folders-made', LOST),
  point('program', 'job/code-fetched', LOST_FOR_ANOTHER),
  point('off', 'job/code-fetched', LOST_FOR_ANOTHER),
  point('program', 'job/inputs-fetched', LOST_FOR_ANOTHER),
  point('reset', 'job/inputs-fetched', LOST),
  point('program', 'job/checkpoints-fetched', LOST_FOR_ANOTHER),
  point('off', 'job/checkpoints-fetched', LOST_FOR_ANOTHER),
  point('program', 'job/files-written', LOST_FOR_ANOTHER),
  point('reset', 'job/files-written', LOST),
  point('program', 'job/image-pulled', LOST_FOR_ANOTHER),
  point('off', 'job/image-pulled', LOST_FOR_ANOTHER),
  point('program', 'job/container-created', LOST_FOR_ANOTHER),
  point('reset', 'job/container-created', LOST),
  point('off', 'container/started', LOST_FOR_ANOTHER),
  // The program at that point is the run wrapper.
  point('program', 'wrapper/programs-started', LOST),
  point('program', 'job/wrapper-started', LOST_FOR_ANOTHER),
  point('reset', 'job/wrapper-started', LOST),
  point('program', 'job/checkpoint-sent', { ...SAVES, ...LOST_FOR_ANOTHER }),
  point('reset', 'job/checkpoint-sent', { ...SAVES, ...LOST }),
  point('program', 'job/checkpoint-kept', { ...SAVES, ...LOST_FOR_ANOTHER }),
  point('off', 'job/checkpoint-kept', { ...SAVES, ...LOST_FOR_ANOTHER }),
  point('reset', 'wrapper/programs-ended', LOST),
  point('program', 'job/program-ended', LOST_FOR_ANOTHER),
  point('off', 'job/program-ended', LOST_FOR_ANOTHER),
  point('program', 'job/rest-sent', LOST_FOR_ANOTHER),
  point('reset', 'job/rest-sent', LOST),
  point('program', 'job/output-sent', LOST_FOR_ANOTHER),
  point('off', 'job/output-sent', LOST_FOR_ANOTHER),
  point('program', 'job/outputs-sent', LOST_FOR_ANOTHER),
  point('reset', 'job/outputs-sent', LOST),
  point('reset', 'turn/claimed turn/loss-written', { ...LOST, before: 'reset' }),
  point('program', 'turn/claimed turn/loss-written', { ...LOST, ...ANOTHER, before: 'reset' }),
  point('program', 'turn/result-written'),
  point('reset', 'turn/result-written'),
  point('program', 'turn/end-remembered'),
  point('off', 'turn/end-remembered'),
  point('program', 'turn/containers-removed', { after: 'turn/end-remembered' }),
  point('reset', 'turn/containers-removed', { after: 'turn/end-remembered' }),
  point('program', 'turn/wiped'),
  point('off', 'turn/wiped'),
  point('program', 'worker/idle-said', { after: 'turn/wiped' }),
  point('reset', 'worker/idle-said', { after: 'turn/wiped' }),
  // With nobody there who would delete it.
  point('program', 'launch/noted worker/closed', OWN),
  point('reset', 'launch/noted worker/closed', OWN),
  point('program', 'launch/noted worker/leave-said', OWN),
  point('off', 'launch/noted worker/leave-said', OWN),
];

/** Points of programs that run on machines; all others are the supervisor's. */
export function isOnMachine(name: string): boolean {
  return /^(worker|turn|job|wrapper|container)\//.test(name);
}

/** What a trial is called. */
export function nameOf({ at, who, scenario, pool }: RentedPoint): string {
  const what = [...(scenario === 'one' ? [] : [scenario]), ...(pool === 'kept' ? [] : [`${pool} machine`])];
  return `${at.at(-1)}${what.length === 0 ? '' : ` (${what.join(', ')})`}, ${who}`;
}
