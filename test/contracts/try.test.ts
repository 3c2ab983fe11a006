import { it, expect } from 'vitest';
import { openHarness } from './backend-harness.ts';
import { dockerUnderTest } from './docker-under-test.ts';
it('runs', async () => {
  const h = await openHarness(dockerUnderTest);
  try {
    console.log(await h.backend.probe());
    let t = performance.now();
    const r = await h.run({ command: ['python', '-c', 'import os,goldfish; print(dict(os.environ)); print(os.getuid(), os.listdir("/"), os.listdir("/mnt"))'], secrets: {A:'xyzzyx'} });
    console.log(performance.now() - t, r.result, await h.log(r.handle), r.spec.runtime);
    t = performance.now();
    const s = await h.run({ command: ['sh', '-c', 'echo $GOLDFISH_RANK; exit 3'], resources: {...r.spec.resources, nodes: 3} });
    console.log(performance.now() - t, s.result, await h.log(s.handle));
    await h.backend.cleanup(r.handle); await h.backend.cleanup(s.handle);
    console.log(await h.remains(r.handle), await h.remains(s.handle));
  } finally { await h.close(); }
}, 60000);
