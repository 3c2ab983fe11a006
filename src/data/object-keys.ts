/** Where content of a hash is in the object storage: `sha256/ab/<64 hex>`. */
export function objectKey(hash: string): string {
  const hex = hash.slice('sha256:'.length);
  return `sha256/${hex.slice(0, 2)}/${hex}`;
}
