import { dockerUnderTest, NEEDS_ENGINE } from './docker-under-test.ts';
import { describeRunBackend } from './run-backend.ts';

describeRunBackend('docker', dockerUnderTest, NEEDS_ENGINE);
