/** A thread of `simulate.ts`: is sent experiments one after the other, and sends back their results. */
import { parentPort } from 'node:worker_threads';
import { type Experiment, simulate } from './run';

parentPort?.on('message', (experiment: Experiment) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
  void simulate(experiment).then((result) => parentPort?.postMessage(result));
});
