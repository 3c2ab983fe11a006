import type { RentedRig } from '../../integration/gce/rented-rig.ts';

type Page = { items?: { name: string }[]; nextPageToken?: string };

/** Names of all objects, asked of the storage itself. */
export async function keysOfBucket({ emulator, bucket }: RentedRig): Promise<string[]> {
  const keys: string[] = [];
  let token: string | undefined;
  do {
    const query = token === undefined ? '' : `?pageToken=${encodeURIComponent(token)}`;
    const page = (await (await fetch(`${emulator.url}/storage/v1/b/${bucket}/o${query}`)).json()) as Page;
    keys.push(...(page.items ?? []).map(({ name }) => name));
    token = page.nextPageToken;
  } while (token !== undefined);
  return keys;
}
