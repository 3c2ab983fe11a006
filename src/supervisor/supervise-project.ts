import { type SuperviseContext, type SuperviseEnd, supervise } from './supervise.ts';

type Opened = SuperviseContext & { close(): Promise<void> };
export type SuperviseProjectEnd = Exclude<SuperviseEnd, 'config_changed'>;

/** Supervises a project, and opens it anew whenever goldfish.yaml asks for other settings. Closes what it opened. */
export async function superviseProject(
  open: () => Promise<Opened>,
  options: { signal: AbortSignal; lingerMs?: number },
): Promise<SuperviseProjectEnd> {
  let context = await open();
  for (;;) {
    const end = await supervise(context, options);
    if (end !== 'config_changed') {
      await context.close();
      return end;
    }
    try {
      const next = await open();
      await context.close();
      context = next;
    } catch (error) {
      // It was broken again in between; work goes on with what was read before.
      context.log.error({ err: error }, 'goldfish.yaml has changed and cannot be used');
    }
  }
}
