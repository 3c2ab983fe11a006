const UNITS = { b: 0, k: 1, m: 2, g: 3, t: 4 } as const;
const PATTERN = /^(\d+(?:\.\d+)?)([bkmgt])?(?:i?b)?$/;

/** Bytes of `512m`, `4g`, `1.5gib` or a plain number; units count in 1024. Undefined for anything else. */
export function parseMemorySize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string' || value.length > 32) return undefined;
  const [, digits, letter] = PATTERN.exec(value.trim().toLowerCase().replace(/\s+/, '')) ?? [];
  if (digits === undefined) return undefined;
  const power = letter === undefined ? 0 : UNITS[letter as keyof typeof UNITS];
  const bytes = Math.floor(Number(digits) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const NAMES = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** `1.5 GB`: bytes as people read them; units count in 1024. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(NAMES.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** power;
  return `${power === 0 || amount >= 100 ? Math.round(amount) : Number(amount.toPrecision(2))} ${NAMES[power]}`;
}
