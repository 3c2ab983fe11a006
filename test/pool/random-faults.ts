import type { Random } from '../faults/kit/random.ts';
import { type Fault, type FaultBook, type FaultInput, STOCK_OUT_WORDINGS } from '../gce-simulator/faults.ts';

type Count = (what: string) => void;

/** What the random life of a pool draws its faults from, and as what each is counted. */

const ZONES = ['us-central1-a', 'us-central1-b'] as const;
const METHODS: readonly [string, ...string[]] = [
  'instances.insert',
  'instances.delete',
  'instances.aggregatedList',
  'zoneOperations.wait',
  'instances.get',
];
const CHANGES: readonly [string, ...string[]] = ['instances.insert', 'instances.delete'];
const STATUSES = [429, 500, 502, 503] as const;
const MODELS = ['STANDARD', 'SPOT'] as const;
const LOST = ['forgotten', 'never-done'] as const;
const REFUSED = ['operation', 'request'] as const;
const SKEWED = ['service', 'machine'] as const;

/**
 * What the service does wrong, when it comes to it. Of the faults of the simulator one is missing: a stale fingerprint, which
 * needs somebody who writes metadata or labels, and the product does neither (jobs are named in the bucket). For the same reason
 * the write that fails is one of the storage.
 */
const FAULTS: readonly ((random: Random) => FaultInput)[] = [
  // There are many of these.
  stockOut,
  stockOut,
  stockOut,
  stockOut,
  (random) => ({ kind: 'quota', as: random.pick(REFUSED) }),
  (random) => ({ kind: 'slow-provisioning', ms: random.between(0, 120_000) }),
  // Only while a machine boots can a job be called off that it would begin.
  slowBoot,
  slowBoot,
  slowBoot,
  slowBoot,
  slowBoot,
  (random) => ({
    kind: 'late-visibility',
    ms: random.between(0, 90_000),
    of: random.pick(['lists', 'lists and get']),
  }),
  (random) => ({ kind: 'zone-unreachable', zone: random.pick(ZONES), times: random.between(1, 20) }),
  (random) => ({
    kind: 'api-error',
    method: random.pick(METHODS),
    status: random.pick(STATUSES),
    after: random.next() < 0.5,
    times: random.between(1, 4),
  }),
  (random) => ({ kind: 'disconnect', method: random.pick(METHODS), after: random.next() < 0.5 }),
  (random) => ({ kind: 'operation-error', method: random.pick(CHANGES) }),
  (random) => ({ kind: 'lost-operation', method: random.pick(CHANGES), how: random.pick(LOST) }),
  () => ({ kind: 'delete-never-confirms' }),
  (random) => ({ kind: 'preempt', afterMs: random.between(0, 200_000), noticeMs: random.pick([0, 30_000]) }),
  (random) => ({ kind: 'stop', afterMs: random.between(0, 200_000) }),
  (random) => ({ kind: 'vanish', afterMs: random.between(0, 200_000) }),
  (random) => ({ kind: 'host-error', afterMs: random.between(0, 200_000) }),
  (random) => ({ kind: 'clock-skew', of: random.pick(SKEWED), ms: random.between(-3_600_000, 3_600_000) }),
];

function slowBoot(random: Random): FaultInput {
  return { kind: 'slow-boot', ms: random.between(20_000, 240_000) };
}

function stockOut(random: Random): FaultInput {
  return {
    kind: 'stock-out',
    times: random.between(1, 3),
    wording: random.pick(STOCK_OUT_WORDINGS),
    ...random.pick([{}, { zone: random.pick(ZONES) }]),
    ...random.pick([{}, { model: random.pick(MODELS) }]),
  };
}

/** As what a fault is counted. */
function nameOf(fault: Fault): string {
  switch (fault.kind) {
    case 'stock-out':
      return `fault: stock-out, ${fault.wording}`;
    case 'quota':
      return `fault: quota, by the ${fault.as}`;
    case 'api-error':
      return `fault: HTTP ${fault.status}`;
    case 'lost-operation':
      return `fault: operation ${fault.how}`;
    case 'preempt':
      return `fault: preemption with${fault.noticeMs > 0 ? '' : 'out'} notice`;
    case 'clock-skew':
      return `fault: clock skew of the ${fault.of}`;
    default:
      return `fault: ${fault.kind}`;
  }
}

function stockOutIn({ model, zone }: { model?: string; zone?: string }): string {
  return `fault: stock-out of ${model} in ${zone}`;
}

export const FAULT_COUNTS: readonly string[] = [
  ...STOCK_OUT_WORDINGS.map((wording) => `fault: stock-out, ${wording}`),
  ...ZONES.flatMap((zone) => MODELS.map((model) => stockOutIn({ model, zone }))),
  ...REFUSED.map((as) => `fault: quota, by the ${as}`),
  ...STATUSES.map((status) => `fault: HTTP ${status}`),
  ...LOST.map((how) => `fault: operation ${how}`),
  ...SKEWED.map((of) => `fault: clock skew of the ${of}`),
  'fault: preemption with notice',
  'fault: preemption without notice',
  'fault: slow-provisioning',
  'fault: slow-boot',
  'fault: late-visibility',
  'fault: zone-unreachable',
  'fault: disconnect',
  'fault: operation-error',
  'fault: delete-never-confirms',
  'fault: stop',
  'fault: vanish',
  'fault: host-error',
];

/** One more thing that may go wrong. */
export function addFault(faults: FaultBook, { random, count }: { random: Random; count: Count }): void {
  const [draw] = random.some(FAULTS, 1);
  if (draw === undefined) return;
  faults.add(draw(random));
  const added = faults.pending().at(-1);
  // Of one that is not used up nobody tells when it strikes.
  if (added?.kind === 'clock-skew') count(nameOf(added));
}

/** Counts what strikes, not what waits for its case. */
export function countStrikes(faults: FaultBook, count: Count): void {
  const { take } = faults;
  faults.take = (kind, subject) => {
    const struck = take(kind, subject);
    if (struck === undefined) return struck;
    count(nameOf(struck));
    if (struck.kind === 'stock-out') count(stockOutIn(subject));
    return struck;
  };
}
