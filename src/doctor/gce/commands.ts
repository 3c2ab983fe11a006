/** Commands that mend something, to be copied as they are. */

export const LOGIN = 'gcloud auth application-default login';
export const AGAIN = 'goldfish doctor --gce';

/** As policies name an account. Whose name is not known gets a place to write it. */
export function memberOf(email: string | null): string {
  if (email === null) return 'user:YOU@EXAMPLE.COM';
  return email.endsWith('.gserviceaccount.com') ? `serviceAccount:${email}` : `user:${email}`;
}

export function enableApi(api: string, project: string): string {
  return `gcloud services enable ${api} --project=${project}`;
}

export function grantOnProject(of: { project: string; member: string; role: string }): string {
  // Where some binding has a condition, one without must say so.
  return `gcloud projects add-iam-policy-binding ${of.project} ${grant(of)} --condition=None`;
}

export function grantOnAccount(of: {
  account: string;
  project: string;
  member: string;
  role: string;
}): string {
  const what = 'gcloud iam service-accounts add-iam-policy-binding';
  return `${what} ${of.account} ${grant(of)} --project=${of.project}`;
}

export function grantOnBucket(of: { bucket: string; member: string; role: string }): string {
  return `gcloud storage buckets add-iam-policy-binding gs://${of.bucket} ${grant(of)}`;
}

export function grantOnRepository(of: {
  name: string;
  location: string;
  project: string;
  member: string;
  role: string;
}): string {
  const { name, location, project } = of;
  const what = 'gcloud artifacts repositories add-iam-policy-binding';
  return `${what} ${name} --location=${location} --project=${project} ${grant(of)}`;
}

function grant({ member, role }: { member: string; role: string }): string {
  return `--member=${member} --role=${role}`;
}
