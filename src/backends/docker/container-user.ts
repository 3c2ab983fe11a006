/**
 * Who a stage runs as. What Goldfish makes belongs to Goldfish: as an ordinary user it can give nothing away, so its
 * stages run as that user; as root it gives the run's folders to the configured one.
 */
export function containerUser(configured: string): string {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? configured : `${uid}:${process.getegid?.() ?? uid}`;
}

/** The numbers to give a run's folders to; undefined where they are that user's anyway. */
export function folderOwner(configured: string): { uid: number; gid: number } | undefined {
  if (process.geteuid?.() !== 0) return undefined;
  const [uid = 0, gid = 0] = configured.split(':').map(Number);
  return { uid, gid };
}
