import { createLocalStorage } from '../../../src/storage/local/local-storage.ts';

/**
 * One of several processes that race for keys: `put-object.ts DIR create|count NAME`.
 * `create` tries to be the first for 20 keys and prints those it won; `count` adds 25 to a number by compare-and-set.
 */
const [dir = '', task, name = ''] = process.argv.slice(2);
const storage = createLocalStorage({ dir });

async function create(): Promise<string[]> {
  const won: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    try {
      await storage.put(`race/${i}`, Buffer.from(name), { createOnly: true });
      won.push(`${i}`);
    } catch (error) {
      if ((error as { code?: string }).code !== 'CONFLICT') throw error;
    }
  }
  return won;
}

async function count(): Promise<void> {
  for (let done = 0; done < 25; ) {
    const before = await storage.stat('counter');
    const value = before ? Number((await (await storage.get('counter')).toArray()).join('')) : 0;
    try {
      await storage.put('counter', Buffer.from(`${value + 1}`), { ifGeneration: before?.generation ?? '0' });
      done += 1;
    } catch (error) {
      if ((error as { code?: string }).code !== 'CONFLICT') throw error;
    }
  }
}

if (task === 'create') process.stdout.write(JSON.stringify(await create()));
else await count();
