import { hasEngine, NEEDS_ENGINE } from '../../contracts/docker-under-test.ts';
import { describeStorms } from './storms.ts';

describeStorms('docker', { there: hasEngine, needs: NEEDS_ENGINE });
