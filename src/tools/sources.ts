import { z } from 'zod';
import type { ServerContext } from '../context.ts';
import { GoldfishError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { formatVersion } from '../core/names.ts';
import type { Source } from '../core/rows.ts';
import type { SourceDetails } from '../data/sources.ts';
import { defineTool } from './define-tool.ts';
import { answer, cursor, limit, listFields, newName, nextCall, reason, reference, text } from './fields.ts';
import { readVersion } from './ids.ts';
import { listPage } from './list-page.ts';
import { callText, count, lines } from './text.ts';

/** A call answers within this; the copy goes on, and the same call again is told how it went. */
const PATIENCE_MS = 40_000;
const MAX_METADATA_BYTES = 16 * 1024;
/** Consumers shown of one source. */
const SHOWN = 10;

const sourceName = reference.describe('Name of a source');

export const sourceRow = z.object({
  name: z.string(),
  version: z.string(),
  uri: z.string(),
  description: z.string(),
  kind: z.string(),
  hash: z.string(),
  size: z.int(),
  fingerprint: z.string(),
  from_run: z.string().nullable(),
  signal: z.string().nullable(),
  created_at: z.string(),
});

export function toSourceRow(source: Source): z.infer<typeof sourceRow> {
  const { name, uri, description, kind, hash, size, fingerprint } = source;
  return {
    name,
    version: formatVersion(source.version),
    uri,
    description,
    kind,
    hash,
    size,
    fingerprint,
    from_run: source.fromRunId,
    signal: source.fromSignal,
    created_at: source.createdAt,
  };
}

export const registerSource = defineTool({
  name: 'register_source',
  title: 'Register data',
  description:
    'Copies a file or folder into the project and pins it by content, so that pipelines can read it as a dataset. The same name again makes the next version; the same content again returns the one there is.',
  toolset: 'default',
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    name: newName.describe('What pipelines call it'),
    uri: text(4_096).min(1).describe('Path relative to the project, or absolute below a data root'),
    description: text(2_000).min(1).describe('What the data are'),
    reason,
    metadata: z.record(z.string(), z.unknown()).optional().describe('Licence, origin, columns, …'),
    fingerprint: z
      .enum(['full', 'sample', 'declared'])
      .optional()
      .describe('How the copy is checked: every byte (default), samples, sizes and times'),
  }),
  output: answer({
    source: sourceRow,
    created: z.boolean().describe('False: the newest version has this content'),
    in_progress: z.object({ copied: z.int(), size: z.int() }).describe('Bytes; call again to be told'),
    next: nextCall(),
  }),
  audit: (input) => ({ workspace: null, reason: input.reason, reasonField: 'reason' }),
  handler: async (ctx, input, call) => {
    const { name, uri, description, fingerprint, metadata } = input;
    const request = {
      name,
      uri,
      description,
      ...(fingerprint === undefined ? {} : { fingerprint }),
      ...(metadata === undefined ? {} : { metadata: smallMetadata(metadata) }),
    };
    const outcome = await ctx.sources.registerPatiently(request, {
      waitMs: PATIENCE_MS,
      signal: call.signal,
      progress: ({ copied, size }) => {
        call.progress(size === 0 ? 0 : copied / size, `${copied} of ${size} bytes copied`);
      },
    });
    if ('inProgress' in outcome) {
      return { in_progress: outcome.inProgress, next: { tool: 'register_source', arguments: input } };
    }
    return { source: toSourceRow(outcome.source), created: outcome.created };
  },
  render: (output) =>
    lines(
      output.source && renderRegistered(output.source, output.created ?? true),
      output.in_progress &&
        `Still copying: ${output.in_progress.copied} of ${output.in_progress.size} bytes. The same call again joins it.`,
      output.next && `next: ${callText(output.next)}`,
    ),
});

export function renderRegistered(source: z.infer<typeof sourceRow>, created: boolean): string {
  const named = `${source.name}@${source.version}`;
  return created
    ? `${named}: ${source.kind} of ${source.size} bytes, ${source.hash}.`
    : `${named} has this very content already.`;
}

function smallMetadata(metadata: Record<string, unknown>): JsonObject {
  const json = JSON.stringify(metadata);
  if (Buffer.byteLength(json) <= MAX_METADATA_BYTES) return JSON.parse(json) as JsonObject;
  throw new GoldfishError('INVALID_ARGUMENT', {
    message: `metadata is larger than ${MAX_METADATA_BYTES} bytes.`,
    hint: 'Put it into a file and register a folder with both.',
    details: { field: 'metadata' },
  });
}

const listedRow = sourceRow.extend({ versions: z.int() });

export const listSources = defineTool({
  name: 'list_sources',
  title: 'List sources',
  description: 'Registered data by name: newest version, content, where it came from.',
  toolset: 'default',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({ limit, cursor }),
  output: answer({ ...listFields, sources: z.array(listedRow) }),
  handler: (ctx, input) =>
    listPage('sources', input.limit, (size) => {
      const at = input.cursor === undefined ? {} : { cursor: input.cursor };
      const page = ctx.sources.list({ limit: size, ...at });
      const rows = page.sources.map(({ source, versions }) => {
        const row = toSourceRow(source);
        return { ...row, description: row.description.slice(0, 200).toWellFormed(), versions };
      });
      return { rows, nextCursor: page.nextCursor };
    }),
  render: (output, kit) =>
    lines(
      (output.sources ?? []).length === 0
        ? 'No sources are registered.'
        : kit.table(
            (output.sources ?? []).map((row) => [
              `${row.name}@${row.version}`,
              row.kind,
              row.size,
              row.uri,
              row.description,
            ]),
            ['source', 'kind', 'bytes', 'from', 'description'],
          ),
      output.next_cursor && `more: cursor ${output.next_cursor}`,
    ),
});

const consumerRow = z.object({
  run_id: z.string(),
  workspace: z.string(),
  version: z.string(),
  stage: z.string(),
  input: z.string(),
  source_version: z.string(),
  state: z.string(),
});
const pipelineRow = z.object({
  workspace: z.string(),
  version: z.string(),
  pipeline: z.string(),
  stage: z.string(),
  input: z.string(),
});

export const inspectSource = defineTool({
  name: 'inspect_source',
  title: 'Inspect a source',
  description:
    'One source: its versions, where it came from, the runs that read it, the pipelines that name it.',
  toolset: 'all',
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.strictObject({
    name: sourceName,
    version: text(12).min(1).optional().describe('v2; default: the newest'),
  }),
  output: answer({
    source: sourceRow,
    path: z.string().describe('Of a file; read only'),
    metadata: z.record(z.string(), z.unknown()),
    versions: z.array(
      z.object({ version: z.string(), hash: z.string(), size: z.int(), created_at: z.string() }),
    ),
    consumers: z.array(consumerRow).describe('Runs that read it: open ones, then the newest'),
    consumers_in_all: z.object({ runs: z.int(), open: z.int() }),
    pipelines: z.array(pipelineRow).describe('Stages that name it, in the newest versions'),
    next: nextCall(),
  }),
  handler: async (ctx, input) => {
    const version = input.version === undefined ? {} : { version: readVersion('version', input.version) };
    const details = await ctx.sources.inspect({ name: input.name, ...version });
    return { ...describe(details), ...pathOf(ctx, details.source) };
  },
  render: (output, kit) =>
    lines(
      output.source && renderRegistered(output.source, true),
      output.source?.description,
      output.source && `from ${output.source.uri}, checked by: ${output.source.fingerprint}`,
      (output.versions ?? []).length > 1 && count((output.versions ?? []).length, 'version'),
      (output.consumers ?? []).length > 0 &&
        kit.table(
          (output.consumers ?? []).map((row) => [
            row.run_id,
            `${row.workspace}@${row.version}`,
            row.stage,
            row.source_version,
            row.state,
          ]),
          ['read by', 'workspace', 'stage', 'source version', 'state'],
        ),
      ...(output.pipelines ?? []).map(
        (row) => `named by ${row.stage}.${row.input} of ${row.workspace}@${row.version}`,
      ),
      output.next && `next: ${callText(output.next)}`,
    ),
});

/** A folder is stored file by file: no path is the whole of it. */
function pathOf(ctx: ServerContext, source: Source): { path?: string } {
  if (source.kind === 'folder') return {};
  const path = ctx.storage.localPath(source.storageLocation);
  return { path: path === undefined ? source.storageLocation : ctx.layout.shown(path) };
}

function describe(details: SourceDetails) {
  const { source, versions, consumers, counts, pipelines } = details;
  return {
    source: toSourceRow(source),
    metadata: source.metadata,
    versions: versions.slice(0, SHOWN).map(({ version, hash, size, createdAt }) => ({
      version: formatVersion(version),
      hash,
      size,
      created_at: createdAt,
    })),
    consumers: consumers.slice(0, SHOWN).map((run) => ({
      run_id: run.runId,
      workspace: run.workspace,
      version: formatVersion(run.version),
      stage: run.stage,
      input: run.input,
      source_version: formatVersion(run.sourceVersion),
      state: run.state,
    })),
    consumers_in_all: counts,
    pipelines: pipelines.slice(0, SHOWN),
    next: { tool: 'lineage', arguments: { ref: `source:${source.name}@${formatVersion(source.version)}` } },
  };
}

export const deleteSource = defineTool({
  name: 'delete_source',
  title: 'Delete a source',
  description:
    'Takes a source off the list, all its versions. Refused while an open run reads it or a pipeline names it. What runs have read stays stored.',
  toolset: 'all',
  annotations: { readOnly: false, destructive: true, idempotent: false, openWorld: false },
  input: z.strictObject({ name: sourceName, reason }),
  output: answer({ name: z.string(), versions: z.int() }),
  audit: (input) => ({ workspace: null, reason: input.reason, reasonField: 'reason' }),
  handler: (ctx, input) => ctx.sources.delete(input.name),
  render: (output) =>
    lines(
      `${output.name} is deleted: ${count(output.versions ?? 0, 'version')}. Runs that read it stay as they are.`,
    ),
});
