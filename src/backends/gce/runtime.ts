import { z } from 'zod';
import type { BuildRequest, Runtime } from '../port.ts';
import type { BuildCall, ImageSupply } from './options.ts';

/** What `build` made: the image as this machine's engine knows it, and as rented ones pull it. */
export const rentedRuntimeSchema = z.object({
  image: z.string(),
  python: z.boolean(),
  pythonPath: z.string(),
  /** `europe-docker.pkg.dev/p/r/goldfish@sha256:…`. */
  reference: z.string(),
});

/** Finds or makes the image here, and sees to it that machines can pull it. Errors: those of both. */
export async function rentedRuntime(
  images: ImageSupply,
  request: BuildRequest,
  call: BuildCall,
): Promise<Runtime> {
  const made = await images.build(request, call);
  // kill point: rent/image-made
  const { image, python, pythonPath } = rentedRuntimeSchema.omit({ reference: true }).parse(made.data);
  const reference = await images.publish(image, call);
  // kill point: rent/image-published
  return { ...made, data: { image, python, pythonPath, reference } };
}

/** `sha256:…` of a reference by digest. */
export function digestOf(reference: string): string {
  return reference.slice(reference.indexOf('@') + 1);
}
