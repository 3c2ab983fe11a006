import { describe, expect, it } from 'vitest';
import { createAccessToken } from '../../../src/backends/gce/access-token.ts';

/** A client whose answers are listed, one after the other; the last one stays. */
function tokenOf(...answers: (string | null | Error)[]): {
  token: () => Promise<string>;
  made: () => number;
} {
  let made = 0;
  const token = createAccessToken(async () => {
    made += 1;
    return {
      getAccessToken: async () => {
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
  });
  return { token, made: () => made };
}

/** As the vendor's client throws them: with the request, and the response if one came. */
const network = (more: object): Error => Object.assign(new Error('request failed'), { config: {}, ...more });

const NONE = {
  code: 'BACKEND_UNAVAILABLE',
  message: 'Goldfish found no valid credentials for Google Cloud.',
  hint: 'Run "gcloud auth application-default login", or give this machine a service account; then repeat the call.',
  retryable: false,
};

describe('the access token of the account', () => {
  it('is asked of one client, each time anew', async () => {
    const { token, made } = tokenOf('first', 'second');
    expect([await token(), await token(), made()]).toEqual(['first', 'second', 1]);
  });

  it.each([
    ['there is no account', new Error('Could not load the default credentials.')],
    ['the client has nothing to say', null],
    ['Google does not know it', network({ response: { status: 400 } })],
  ])('is not to be had where %s', async (_case, answer) => {
    await expect(tokenOf(answer).token()).rejects.toMatchObject(NONE);
  });

  it.each([
    [
      'does not answer',
      network({ cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }) }),
      'ECONNREFUSED',
    ],
    ['is asked too often', network({ response: { status: 429 } }), 'no answer'],
    ['has trouble of its own', network({ response: { status: 503 } }), 'no answer'],
  ])('may be had later where Google %s', async (_case, answer, why) => {
    await expect(tokenOf(answer).token()).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: `Google gave Goldfish no access token (${why}).`,
      hint: 'Repeat the call; if it stays so, look at the network.',
      retryable: true,
    });
  });

  it('is looked for anew by somebody who has signed in meanwhile', async () => {
    const { token, made } = tokenOf(new Error('Could not load the default credentials.'), 'token');
    await expect(token()).rejects.toMatchObject(NONE);
    expect([await token(), made()]).toEqual(['token', 2]);
  });
});
