/**
 * Whether an address is one of Google's own APIs, over https: the only ones that are shown the credentials of this
 * machine. Private ways to them (`restricted.googleapis.com`, `compute-x.p.googleapis.com`) are below the same name.
 */
export function isGoogleApi({ protocol, hostname }: Pick<URL, 'protocol' | 'hostname'>): boolean {
  return protocol === 'https:' && hostname.endsWith('.googleapis.com');
}
