/** What came of one check. `not_checked`: nothing is known of it, and `detail` says why. */
export type GceFinding = {
  component: string;
  state: 'ok' | 'warning' | 'failed' | 'not_checked';
  detail: string;
  /** The command, or the change, that mends it. */
  fix: string | null;
};

/** Makes the findings of one component. */
export type Say = {
  ok(detail: string): GceFinding;
  warning(detail: string, fix: string | null): GceFinding;
  failed(detail: string, fix: string | null): GceFinding;
  notChecked(detail: string, fix?: string | null): GceFinding;
};

export function about(component: string): Say {
  return {
    ok: (detail) => ({ component, state: 'ok', detail, fix: null }),
    warning: (detail, fix) => ({ component, state: 'warning', detail, fix }),
    failed: (detail, fix) => ({ component, state: 'failed', detail, fix }),
    notChecked: (detail, fix = null) => ({ component, state: 'not_checked', detail, fix }),
  };
}
