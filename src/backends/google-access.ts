/** Google's APIs as somebody asks them who is told who they are: any answer is one, also a refusal. */
export type GoogleAccess = {
  /**
   * Whose credentials this machine has; `email` is null where nobody says. Errors: BACKEND_UNAVAILABLE, with
   * `details.credentials` true where there are none, or none that are valid.
   */
  account(options: { signal: AbortSignal }): Promise<{ email: string | null }>;
  /** Errors: BACKEND_UNAVAILABLE where there was no answer; as above where there was nothing to sign with. */
  ask(question: GoogleQuestion): Promise<GoogleAnswer>;
};

export type GoogleQuestion = {
  method: 'GET' | 'POST';
  /** Whole. Credentials go to Google's own addresses only. */
  url: string;
  /** Sent as JSON. */
  body?: object;
  signal: AbortSignal;
};

/** `body`: parsed where it is JSON, else text. */
export type GoogleAnswer = { status: number; body: unknown };
