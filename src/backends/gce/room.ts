import type { Layout } from '../../core/layout.ts';
import { formatBytes } from '../../core/memory-size.ts';
import { freeBytesNow } from '../../os/disk-space.ts';

/** Why so many bytes more are not brought here now, in words; undefined where they may be. */
export type Room = (bytes: number) => string | undefined;

/**
 * What a machine has sent stays in the bucket until it has a place here: what `storage.keep.min_free_gb` holds back is for
 * what cannot wait.
 */
export function roomOf(of: { layout: Pick<Layout, 'runs'>; minFreeBytes: number }): Room {
  const { layout, minFreeBytes } = of;
  return (bytes) => {
    const free = freeBytesNow(layout.runs);
    if (free - bytes >= minFreeBytes) return undefined;
    const held =
      minFreeBytes === 0 ? '' : `, of which storage.keep.min_free_gb holds back ${formatBytes(minFreeBytes)}`;
    return `waits for room on the disk: ${formatBytes(bytes)} are to be fetched, ${formatBytes(free)} are free${held}`;
  };
}
