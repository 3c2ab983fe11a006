import { hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import { describeKillPoints } from './try-all.ts';

describeKillPoints('docker', { there: hasEngine, needs: NEEDS_ENGINE });
