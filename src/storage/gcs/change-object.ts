import { z } from 'zod';
import { conditionFailed, missingObject } from '../object-errors.ts';
import { type CallOptions, expectedGeneration, type ObjectStat, type WriteCondition } from '../port.ts';
import type { GcsBucket } from './gcs-bucket.ts';
import { isStatus } from './gcs-failure.ts';
import { type ObjectResource, objectResource, objectUrl } from './object-resource.ts';
import { beginWrite, conditionQuery, settleWrite, stepOf } from './object-write.ts';
import { askService, repeatRequest } from './repeat-request.ts';
import { sendRequest } from './send-request.ts';
import { findObject, isAbsent } from './stat-object.ts';

type Call = WriteCondition & CallOptions;

/** Harmless where the key is not there and no condition asks for it. Errors: CONFLICT; GcsFailure. */
export async function deleteObject(bucket: GcsBucket, key: string, call: Call): Promise<void> {
  const expected = expectedGeneration(call);
  if (expected === '0') {
    if (await findObject(bucket, key, call.signal)) throw conditionFailed(key, '0');
    return;
  }
  const write = beginWrite(bucket, key, call);
  const request = { method: 'DELETE' as const, url: objectUrl(bucket, key), query: conditionQuery(write) };
  try {
    await repeatRequest(bucket, stepOf(write), (attempt) => sendRequest(bucket, request, attempt));
  } catch (error) {
    const absent = await isAbsent(bucket, error, call.signal);
    if (!absent && !isStatus(error, 412)) throw error;
    if (absent && expected === undefined) return;
    // It may be gone because an attempt took it away that had no answer.
    if (write.unsure && (absent || !(await findObject(bucket, key, call.signal)))) return;
    throw conditionFailed(key, expected ?? '0');
  }
}

const rewriteAnswer = z.object({
  rewriteToken: z.string().optional(),
  resource: objectResource.optional(),
});

/** Within the service, in as many steps as it wants. Errors: CONFLICT; missing; GcsFailure. */
export async function copyObject(
  bucket: GcsBucket,
  { from, to, call }: { from: string; to: string; call: Call },
): Promise<ObjectStat> {
  const write = beginWrite(bucket, to, call);
  const { contentType, metadata } = write.wish;
  const request = {
    method: 'POST' as const,
    url: `${objectUrl(bucket, from)}/rewriteTo${objectUrl(bucket, to).slice('/storage/v1'.length)}`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ contentType, metadata })),
  };
  const rewrite = async (): Promise<ObjectResource> => {
    for (let rewriteToken: string | undefined; ; ) {
      const query = { rewriteToken, ...conditionQuery(write) };
      const answer = await askService(bucket, stepOf(write), { ...request, query }, rewriteAnswer);
      if (answer.resource) return answer.resource;
      rewriteToken = answer.rewriteToken;
    }
  };
  try {
    return await settleWrite(bucket, write, rewrite);
  } catch (error) {
    throw (await isAbsent(bucket, error, call.signal)) ? missingObject(from) : error;
  }
}
