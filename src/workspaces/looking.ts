import { lstat } from 'node:fs/promises';
import { slotCondition } from './mounting.ts';
import { type ActionDeps, onSlot } from './slot-actions.ts';

/**
 * A look at a slot's live files holds nobody up; so another call that fills, empties or rolls back the slot may show
 * it half done. What fails while that happens is tried again with the slot held. Errors: those of `look`; CONFLICT.
 */
export async function lookAtSlot<T>(deps: ActionDeps, slot: string, look: () => Promise<T>): Promise<T> {
  const before = await stampOf(deps, slot);
  try {
    return await look();
  } catch (error) {
    const isQuiet = before.condition === 'mounted' && (await stampOf(deps, slot)).text === before.text;
    if (isQuiet) throw error;
    return onSlot(deps, slot, look);
  }
}

/** Another one whenever files were moved into or out of the slot, by way of the folders beside it. */
async function stampOf(deps: ActionDeps, slot: string): Promise<{ condition: string; text: string }> {
  const row = deps.lookup.slot(slot);
  const condition = await slotCondition(deps.layout, row);
  const { mtimeNs } = await lstat(deps.layout.slots, { bigint: true });
  return { condition, text: `${condition} ${row.workspace} ${row.mountedAt} ${mtimeNs}` };
}
