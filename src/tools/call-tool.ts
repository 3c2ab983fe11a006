import { isoTime } from '../core/clock.ts';
import { GoldfishError, isGoldfishError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { clip, isName } from '../core/names.ts';
import { nearest } from '../core/suggest.ts';
import { acceptArguments } from './arguments.ts';
import { fitResult, resultBudget } from './budget.ts';
import type { CallContext, PreparedCall, Tool } from './define-tool.ts';
import { diskRefusal } from './disk-refusal.ts';
import { errorScrub, type ProjectPaths, projectScrub, scrubDeep } from './scrub.ts';
import type { Session } from './session.ts';
import { workspaceBehind } from './targets.ts';

/** What every face hands on: MCP's shape, which the command line prints. */
export type ToolResult = {
  content: { type: 'text'; text: string }[];
  structuredContent: Record<string, unknown>;
  isError?: true;
};

export type ToolRequest = { name: unknown; arguments?: unknown };

/** Arguments in an audit row are cut to this. */
const MAX_AUDIT_BYTES = 4_096;

/**
 * The one way a tool is called, whoever calls: server, command line, tests. Never throws: what goes wrong is an
 * answer with `isError`. A mutating call that was understood writes one audit row, refused or not.
 */
export async function callTool(
  session: Session,
  tools: readonly Tool[],
  request: ToolRequest,
  call: CallContext,
): Promise<ToolResult> {
  try {
    const tool = findTool(tools, request);
    const prepared = acceptArguments(tool, request.arguments);
    return await session.during(() => runPrepared(session, tool, prepared, request, call));
  } catch (error) {
    return errorResult(session, error);
  }
}

async function runPrepared(
  session: Session,
  tool: Tool,
  prepared: PreparedCall,
  request: ToolRequest,
  call: CallContext,
): Promise<ToolResult> {
  let workspace: string | null = null;
  try {
    workspace = await auditedWorkspace(session, prepared);
    await checkReason(session, tool, prepared);
    const answer = await prepared.run(session, call);
    const scrubbed = scrubDeep(answer.structured, projectScrub(projectPaths(session)));
    const structured = fitResult(scrubbed as Record<string, unknown>, resultBudget(request.arguments));
    const text = answer.render(structured);
    writeAudit(session, { tool, prepared, request, call, workspace, outcome: 'ok' });
    return { content: [{ type: 'text', text }], structuredContent: structured };
  } catch (error) {
    const outcome = isGoldfishError(error) ? error.code : (diskRefusal(error)?.code ?? 'INTERNAL');
    writeAudit(session, { tool, prepared, request, call, workspace, outcome });
    return errorResult(session, error);
  }
}

function findTool(tools: readonly Tool[], request: ToolRequest): Tool {
  const { name } = request;
  const found = tools.find((tool) => tool.name === name);
  if (found) return found;
  const typed = typeof name === 'string' ? name : '';
  const meant = nearest(
    typed,
    tools.map((tool) => tool.name),
  );
  throw new GoldfishError('INVALID_ARGUMENT', {
    message:
      typeof name === 'string' ? `There is no tool "${clip(name, 60)}".` : 'The name of the tool is no text.',
    hint: meant ? `Did you mean ${meant}? The details list every tool.` : 'The details list every tool.',
    details: { field: 'name', allowed: tools.map((tool) => tool.name) },
    ...(meant ? { fix: { tool: meant, arguments: smallArguments(request.arguments) } } : {}),
  });
}

function smallArguments(args: unknown): Record<string, unknown> {
  if (typeof args !== 'object' || args === null || Array.isArray(args)) return {};
  return safeJson(args).length <= 1_024 ? { ...args } : {};
}

async function checkReason(session: Session, tool: Tool, prepared: PreparedCall): Promise<void> {
  const { audit } = prepared;
  if (audit?.reasonField === undefined) return;
  const { config } = await session.context();
  const minimum = config.audit.minReasonLength;
  const length = (audit.reason ?? '').trim().length;
  if (length >= minimum) return;
  throw new GoldfishError('REASON_TOO_SHORT', {
    message: `The ${audit.reasonField} has ${length} characters; at least ${minimum} are needed.`,
    hint: 'Say in one sentence why this is done; it is what the history will show.',
    details: { field: audit.reasonField, tool: tool.name, min_length: minimum, length },
  });
}

/**
 * The name of the workspace a call is about, looked up before the call: afterwards a slot may be empty. What names
 * nothing is kept as it was typed, as far as it can be a name.
 */
async function auditedWorkspace(session: Session, prepared: PreparedCall): Promise<string | null> {
  const typed = prepared.audit?.workspace ?? null;
  if (typed === null) return null;
  const context = await session.context();
  try {
    return workspaceBehind(context, typed);
  } catch {
    return isName(typed) ? context.hide(typed) : null;
  }
}

type Audited = {
  tool: Tool;
  prepared: PreparedCall;
  request: ToolRequest;
  call: CallContext;
  workspace: string | null;
  outcome: string;
};

/** After the act, with its outcome. The act stands, whatever becomes of its row. */
function writeAudit(session: Session, audited: Audited): void {
  const context = session.opened();
  const { audit } = audited.prepared;
  if (audit === null || context === undefined) return;
  try {
    session.audit.add(context.db, {
      operation: audited.tool.name,
      workspace: audited.workspace,
      actor: audited.call.actor,
      reason: audit.reason === null ? null : context.hide(audit.reason),
      outcome: audited.outcome,
      details: auditDetails(scrubDeep(audited.request.arguments, context.hide)),
      createdAt: isoTime(session.clock.now()),
    });
  } catch (error) {
    session.log.error({ err: error, tool: audited.tool.name }, 'an audit row could not be written');
  }
}

function auditDetails(args: unknown): JsonObject {
  const json = safeJson(args ?? {});
  if (json.length <= MAX_AUDIT_BYTES) return { arguments: JSON.parse(json) };
  return { arguments_cut: `${json.slice(0, MAX_AUDIT_BYTES).toWellFormed()}…` };
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch {
    // Deeper than the stack; refused by acceptArguments in any case.
    return 'null';
  }
}

/** The one place where an error becomes an answer. What is not ours goes whole to the log, and only there. */
function errorResult(session: Session, thrown: unknown): ToolResult {
  const error = isGoldfishError(thrown) ? thrown : (diskRefusal(thrown) ?? internalError(session, thrown));
  const words = {
    message: error.message,
    details: error.details,
    hint: error.hint ?? 'Change the arguments and call again.',
    ...(error.retryable ? { retryable: true } : {}),
    ...(error.fix ? { fix: error.fix } : {}),
  };
  const withoutPaths = errorScrub(projectPaths(session));
  const hide = session.opened()?.hide ?? ((text: string) => text);
  // Secrets first: a part of one that looks like a path would keep the rest of it from being known.
  const scrubbed = scrubDeep(words, (text) => withoutPaths(hide(text))) as Record<string, unknown>;
  const structuredContent = fitResult({ error: { code: error.code, ...scrubbed } });
  return {
    content: [{ type: 'text', text: JSON.stringify(structuredContent) }],
    structuredContent,
    isError: true,
  };
}

function internalError(session: Session, thrown: unknown): GoldfishError {
  const reference = session.ids.reference();
  session.log.error({ err: thrown, reference }, 'a call failed with an unknown error');
  return new GoldfishError('INTERNAL', {
    message: `Something inside Goldfish failed (reference ${reference}).`,
    hint: 'Repeat the call once; if it fails again, report the reference: the log of the server has the whole error.',
    details: { reference },
    cause: thrown,
  });
}

function projectPaths(session: Session): ProjectPaths | undefined {
  const layout = session.opened()?.layout;
  if (layout) return layout;
  const root = session.knownRoot();
  return root === undefined
    ? undefined
    : { root, stateDir: `${root}/.goldfish`, checkouts: `${root}/.goldfish/code` };
}
