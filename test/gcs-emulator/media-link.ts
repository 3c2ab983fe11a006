/** An object as it is answered: with the address of its content, which some clients read it from. */
export function withMediaLink(meta: object, origin: string): object {
  const { bucket, name, generation } = meta as { bucket: string; name: string; generation: string };
  const path = [bucket, name].map(encodeURIComponent).join('/o/');
  return {
    ...meta,
    mediaLink: `${origin}/download/storage/v1/b/${path}?generation=${generation}&alt=media`,
  };
}
