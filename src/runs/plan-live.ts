import type { SlotPreview } from '../workspaces/slot-preview.ts';
import type { RunsDeps } from './deps.ts';
import { type CallPlan, planCall, type RunRequest } from './plan-call.ts';

/** What a call would do with the files as they are now. Errors: as `planCall` and the workspaces room's for the slot. */
export function planLive(
  deps: RunsDeps,
  request: RunRequest,
): Promise<{ source: SlotPreview; call: CallPlan }> {
  return deps.workspaces.lookAt(request.workspace, async () => {
    const source = await deps.workspaces.preview(request.workspace);
    return { source, call: await planCall(deps, source, request) };
  });
}
