import { z } from 'zod';
import type { GoogleAnswer } from '../../backends/google-access.ts';
import { GoldfishError } from '../../core/errors.ts';
import { AGAIN, enableApi, LOGIN } from './commands.ts';
import type { GceFinding, Say } from './finding.ts';

/** Compute and Storage put their word for it into `errors`, the newer APIs into `details`. */
const refusalSchema = z.object({
  error: z.object({
    message: z.string().default(''),
    errors: z.array(z.object({ reason: z.string().optional() })).default([]),
    details: z.array(z.object({ reason: z.string().optional() })).default([]),
  }),
});

const DISABLED = ['SERVICE_DISABLED', 'accessNotConfigured'];

type Refusal = 'api disabled' | 'no quota project' | 'unknown caller' | 'forbidden' | 'missing' | 'passing';

/** What an answer that is none says. Undefined where it says something else. */
function readRefusal({ status, body }: GoogleAnswer): Refusal | undefined {
  const { data } = refusalSchema.safeParse(body);
  const { errors = [], details = [], message = '' } = data?.error ?? {};
  const reasons = [...errors, ...details].map(({ reason }) => reason ?? '');
  // Comes with the same reason as an API that is switched off.
  if (status === 403 && /quota project/i.test(message)) return 'no quota project';
  if (status === 403 && reasons.some((reason) => DISABLED.includes(reason))) return 'api disabled';
  if (status === 401) return 'unknown caller';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'missing';
  return status === 429 || status >= 500 ? 'passing' : undefined;
}

/** What it means for a component that the caller may not look, or that there is nothing of the name. */
export type Meaning = {
  project: string;
  api: string;
  /** Whether machines can be rented without this API: then it is only this check that wants it. */
  optional?: boolean;
  forbidden: () => GceFinding;
  missing: () => GceFinding;
};

/** The finding that a refusal makes. */
export function refused(say: Say, answer: GoogleAnswer, meaning: Meaning): GceFinding {
  const { project, api, optional = false } = meaning;
  switch (readRefusal(answer)) {
    case 'api disabled': {
      const fix = enableApi(api, project);
      const detail = `${api} is not enabled in ${project}`;
      return optional ? say.notChecked(detail, fix) : say.failed(detail, fix);
    }
    case 'no quota project':
      return say.notChecked(
        'your own credentials name no project on whose account this may be asked',
        `gcloud auth application-default set-quota-project ${project}`,
      );
    case 'unknown caller':
      return say.failed('the credentials are not accepted (HTTP 401)', LOGIN);
    case 'passing':
      return say.notChecked(`the service has trouble of its own (HTTP ${answer.status})`, AGAIN);
    case 'forbidden':
      return meaning.forbidden();
    case 'missing':
      return meaning.missing();
    case undefined:
      return say.failed(`the service refused (HTTP ${answer.status})`, null);
  }
}

/** The body of an answer that is one. */
export function bodyOf<T>(schema: z.ZodType<T>, { body }: GoogleAnswer): T {
  const { data } = schema.safeParse(body);
  if (data !== undefined) return data;
  throw new GoldfishError('BACKEND_UNAVAILABLE', {
    message: 'What answered is not the service: its answer makes no sense.',
    hint: 'Look at the proxy of this machine, and at api_endpoint.',
  });
}
