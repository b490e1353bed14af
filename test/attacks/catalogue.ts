/** All attacks, in the order in which they run. */
import { anonymousBodies } from './anonymous-bodies.attack';
import type { Arena } from './arena';
import type { Attack } from './attack';
import { bodyCost } from './body-cost.attack';
import { cardKeys } from './card-keys.attack';
import { deadConnections } from './dead-connections.attack';
import { manyHeaders } from './many-headers.attack';
import { pipelining } from './pipelining.attack';
import { resets } from './resets.attack';
import { returnUrls } from './return-urls.attack';

export const attacks: readonly Attack<Arena>[] = [
  bodyCost,
  deadConnections,
  pipelining,
  anonymousBodies,
  manyHeaders,
  cardKeys,
  resets,
  returnUrls,
];
