import { isJsonObject, type JsonObject } from '../../../src/core/json.ts';
import { Refused, type Server } from '../kit/fault-project.ts';

/** What a call was refused with; undefined where it was answered. */
export async function refusalOf(
  server: Server,
  tool: string,
  args: JsonObject,
): Promise<JsonObject | undefined> {
  try {
    await server.call(tool, args);
    return undefined;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const told: unknown = JSON.parse(error.message.slice(`${tool}: `.length));
    return isJsonObject(told) ? told : {};
  }
}

/** In words, where the refusal is not the expected one; what is not named may be anything. */
export function otherRefusal(
  refusal: JsonObject | undefined,
  expected: Record<string, unknown>,
): string | undefined {
  const differs = Object.entries(expected).some(([key, value]) => refusal?.[key] !== value);
  return differs ? `refused with ${JSON.stringify(refusal)}` : undefined;
}

/** In words, where a call that must be answered was refused. */
export function notAnswered(refusal: JsonObject | undefined): string | undefined {
  return refusal === undefined ? undefined : `refused with ${JSON.stringify(refusal)}`;
}
