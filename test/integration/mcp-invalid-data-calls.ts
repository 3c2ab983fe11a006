import type { Known, Subject } from './mcp-invalid-calls.ts';

const reason = 'A reason that is long enough';

/** Tools of sources, lineage and rented machines; a source `numbers` is there, and no machine. */
export const dataSubjects = ({ run }: Known): readonly Subject[] => [
  {
    tool: 'register_source',
    good: { name: 'more', uri: 'workspaces/w1/pipeline.yaml', description: 'A pipeline', reason },
    fields: {
      name: 'new name',
      uri: 'path',
      description: 'text',
      reason: 'reason',
      metadata: 'mapping',
      fingerprint: 'enum',
    },
    required: ['name', 'uri', 'description', 'reason'],
  },
  { tool: 'list_sources', good: {}, fields: { limit: 'number', cursor: 'text' }, required: [] },
  {
    tool: 'inspect_source',
    good: { name: 'numbers' },
    fields: { name: 'reference', version: 'version' },
    required: ['name'],
  },
  {
    tool: 'delete_source',
    good: { name: 'numbers', reason },
    fields: { name: 'reference', reason: 'reason' },
    required: ['name', 'reason'],
  },
  {
    tool: 'promote_artifact',
    good: { run_id: run, output: 'points', source_name: 'promoted', description: 'Points', reason },
    fields: {
      run_id: 'run',
      output: 'reference',
      source_name: 'new name',
      description: 'text',
      reason: 'reason',
    },
    required: ['run_id', 'output', 'source_name', 'description', 'reason'],
  },
  {
    tool: 'lineage',
    good: { ref: run },
    fields: { ref: 'reference', direction: 'enum', depth: 'number' },
    required: ['ref'],
  },
  { tool: 'warm_pool_status', good: {}, fields: {}, required: [] },
  {
    tool: 'warm_pool_cleanup',
    good: { reason },
    fields: { reason: 'reason', worker: 'reference' },
    required: ['reason'],
  },
];
