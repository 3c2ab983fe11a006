import { z } from 'zod';
import { canonicalJson } from '../core/json.ts';
import { BUILT_IN_MONITORS, type MonitorSettings } from '../core/monitors.ts';
import { formatVersion } from '../core/names.ts';
import type { InputOrigin, StagePlan } from '../core/stage-plan.ts';
import type { PlannedStage } from '../runs/plan-preview.ts';

/** What a dry run says of a stage: the shape, and how a plan becomes it. */
export const planRow = z.object({
  stage: z.string(),
  action: z.enum(['run', 'reuse']),
  why: z.string(),
  reused_from: z.string().nullable(),
  needs: z.array(z.string()),
  command: z.array(z.string()),
  inputs: z.array(z.object({ name: z.string(), type: z.string(), from: z.string() })),
  outputs: z.array(z.string()),
  backend: z.string(),
  profile: z.string(),
  image: z.string().nullable().describe("null: the backend's own, or none"),
  timeout_seconds: z.number(),
  limits: z.object({
    nodes: z.int(),
    memory: z.number().nullable().describe('Bytes; null: no limit'),
    cpus: z.number().nullable(),
    gpus: z.int(),
    pids_limit: z.int().nullable(),
    network: z.boolean(),
    heartbeat_timeout_seconds: z.number().nullable(),
    stop_grace_seconds: z.number(),
    capacity_wait_seconds: z.number().optional().describe('For a place of a rented machine'),
  }),
  monitors: z
    .record(z.string(), z.record(z.string(), z.unknown()))
    .optional()
    .describe('Those that differ from what is built in'),
  origins: z.record(z.string(), z.string()).describe('Where these come from; what is left out is built-in'),
  secrets: z.array(z.string()).describe('Names whose values are read at launch'),
});

export function toPlanRow({ plan, action, reason: why, reusedFrom }: PlannedStage): z.infer<typeof planRow> {
  const { compute } = plan;
  return {
    stage: plan.stage,
    action,
    why,
    reused_from: reusedFrom,
    needs: plan.needs,
    command: plan.command,
    inputs: plan.inputs.map(({ name, type, origin }) => ({ name, type, from: originText(origin) })),
    outputs: plan.outputs.map(({ name }) => name),
    backend: compute.backend,
    profile: compute.profile,
    image: plan.image,
    timeout_seconds: compute.timeoutSeconds,
    limits: {
      nodes: compute.nodes,
      memory: compute.memoryBytes,
      cpus: compute.cpus,
      gpus: compute.gpus,
      pids_limit: compute.pidsLimit,
      network: compute.network,
      heartbeat_timeout_seconds: compute.heartbeatTimeoutSeconds,
      stop_grace_seconds: compute.stopGraceSeconds,
      ...(compute.capacityWaitSeconds === undefined
        ? {}
        : { capacity_wait_seconds: compute.capacityWaitSeconds }),
    },
    ...(compute.monitors === undefined ? {} : { monitors: monitorsPart(compute.monitors) }),
    origins: notBuiltIn(plan),
    secrets: Object.keys(plan.secrets),
  };
}

/** By the words a person would write. */
function monitorsPart(monitors: MonitorSettings): Record<string, Record<string, unknown>> {
  const toRows = ({ stall, nonFinite, divergence }: MonitorSettings) => ({
    stall: { action: stall.action, after_seconds: stall.afterSeconds },
    non_finite: nonFinite,
    divergence,
  });
  const builtIn = Object.entries(toRows(BUILT_IN_MONITORS)).map(([, row]) => canonicalJson(row));
  return Object.fromEntries(
    Object.entries(toRows(monitors)).filter(([, row]) => !builtIn.includes(canonicalJson(row))),
  );
}

function notBuiltIn({ origins = {} }: StagePlan): Record<string, string> {
  return Object.fromEntries(Object.entries(origins).filter(([, origin]) => origin !== 'built-in'));
}

function originText(origin: InputOrigin): string {
  if (origin.kind === 'stage') return `${origin.stage}.${origin.signal}`;
  if (origin.kind === 'run') return `${origin.runId}.${origin.signal}`;
  return `${origin.name}@${formatVersion(origin.version)}`;
}

/** `docker, cpu-small, 4 GiB, 2 processors`: what a person looks for first. */
export function computeText(row: z.infer<typeof planRow>): string {
  const { nodes, memory, cpus, gpus } = row.limits;
  const amounts = [
    memory !== null && `${+(memory / 1024 ** 3).toFixed(2)} GiB`,
    cpus !== null && `${cpus} processors`,
    gpus > 0 && `${gpus} GPUs`,
    nodes > 1 && `${nodes} ranks`,
  ].filter((text) => text !== false);
  return [row.backend, row.profile, ...(row.image === null ? [] : [row.image]), ...amounts].join(', ');
}
