/** From smallest to largest; each holds the ones before it. */
export const TOOLSETS = ['core', 'default', 'all'] as const;
export type Toolset = (typeof TOOLSETS)[number];

/** Whether a tool whose smallest toolset is `smallest` is offered where `chosen` was asked for. */
export function isOffered(smallest: Toolset, chosen: readonly Toolset[]): boolean {
  return chosen.some((toolset) => TOOLSETS.indexOf(smallest) <= TOOLSETS.indexOf(toolset));
}
