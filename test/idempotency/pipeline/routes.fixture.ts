/** Controllers on one path that the version or the host of a request selects. */
import {
  Controller,
  Inject,
  type INestApplication,
  Post,
  Version,
  VERSION_NEUTRAL,
  VersioningType,
} from '@nestjs/common';
import { Idempotent } from '../../../src/idempotency';
import { OrderWriter } from './enhanced-shop.fixture';

/** A way in which a request names its version. */
export interface VersioningKind {
  readonly kind: string;
  readonly enable: (app: INestApplication) => void;
  /** Path and headers of a request for this version. */
  readonly ask: (version: string) => { path: string; headers: Record<string, string> };
}

interface Versioned {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export const VERSIONING_KINDS: readonly VersioningKind[] = [
  {
    kind: 'URI',
    enable: (app) => app.enableVersioning({ type: VersioningType.URI }),
    ask: (version) => ({ path: `/v${version}/versioned`, headers: {} }),
  },
  {
    kind: 'header',
    enable: (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'X-Api-Version' }),
    ask: (version) => ({ path: '/versioned', headers: { 'x-api-version': version } }),
  },
  {
    kind: 'media type',
    enable: (app) => app.enableVersioning({ type: VersioningType.MEDIA_TYPE, key: 'v=' }),
    ask: (version) => ({
      path: '/versioned',
      headers: { accept: `application/json;v=${version}` },
    }),
  },
  {
    kind: 'custom',
    enable: (app) =>
      app.enableVersioning({
        type: VersioningType.CUSTOM,
        extractor: (request) => (request as Versioned).headers['x-release'] ?? '',
      }),
    ask: (version) => ({ path: '/versioned', headers: { 'x-release': version } }),
  },
];

abstract class OrdersOfRoute {
  constructor(@Inject(OrderWriter) private readonly orders: OrderWriter) {}

  async write(by: string) {
    return { by, order: await this.orders.write() };
  }
}

@Controller({ path: 'versioned', version: '1' })
export class FirstVersion extends OrdersOfRoute {
  @Post()
  @Idempotent()
  create() {
    return this.write('1');
  }

  /** Its own version stands before the controller's. */
  @Version('3')
  @Post()
  @Idempotent()
  createThird() {
    return this.write('3');
  }
}

@Controller({ path: 'versioned', version: ['2', '2.1'] })
export class SecondVersion extends OrdersOfRoute {
  @Post()
  @Idempotent()
  create() {
    return this.write('2');
  }
}

@Controller({ path: 'neutral', version: VERSION_NEUTRAL })
export class NeutralVersion extends OrdersOfRoute {
  @Post()
  @Idempotent()
  create() {
    return this.write('neutral');
  }
}

@Controller({ path: 'hosted', host: ':tenant.example.com' })
export class TenantHost extends OrdersOfRoute {
  @Post()
  @Idempotent()
  create() {
    return this.write('tenant');
  }
}

@Controller({ path: 'hosted', host: /^[a-z]+\.example\.org$/ })
export class OtherHost extends OrdersOfRoute {
  @Post()
  @Idempotent()
  create() {
    return this.write('other');
  }
}

@Controller('hosted')
export class AnyHost extends OrdersOfRoute {
  @Post()
  @Idempotent()
  create() {
    return this.write('any');
  }
}
