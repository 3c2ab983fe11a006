import { NEEDS_BUBBLEWRAP } from '../support/bubblewrap.ts';
import { processUnderTest } from './process-under-test.ts';
import { describeRunBackend } from './run-backend.ts';

describeRunBackend('process without a sandbox', processUnderTest('none'));
describeRunBackend('process in bubblewrap', processUnderTest('bubblewrap'), NEEDS_BUBBLEWRAP);
