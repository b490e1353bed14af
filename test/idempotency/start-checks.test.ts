/**
 * What keeps an application from starting: handlers whose responses cannot be stored, and options that contradict
 * each other (R3, R15, R16, R24).
 */
import {
  Controller,
  Global,
  Injectable,
  Module,
  Next,
  Post,
  type Provider,
  Res,
  Scope,
  Sse,
} from '@nestjs/common';
import * as nest from '@nestjs/common/internal';
import { ModuleRef, NestFactory } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { EMPTY, of } from 'rxjs';
import { DataSource } from 'typeorm';
import { Idempotent, IdempotencyModule, type IdempotencyOptions } from '../../src/idempotency';
import { IdempotencyEntry } from '../../src/idempotency/contract/idempotency-entry';
import * as ours from '../../src/idempotency/contract/nest-metadata';

interface HeaderSetter {
  header(name: string, value: string | string[]): unknown;
}

class WithoutRoute {
  @Idempotent()
  notARoute() {
    return {};
  }
}
class TakesTheResponse {
  @Post()
  @Idempotent()
  create(@Res() response: HeaderSetter) {
    response.header('x', 'y');
  }
}
class Inherits extends TakesTheResponse {}
class TakesNext {
  @Post()
  @Idempotent()
  create(@Next() next: () => void) {
    next();
  }
}
class StreamsEvents {
  @Sse('events')
  @Idempotent()
  events() {
    return of({ data: 1 });
  }
}
class OrdersService {
  @Idempotent({ required: true })
  place() {
    return {};
  }
}
class PassesThrough {
  @Post()
  @Idempotent()
  create(@Res({ passthrough: true }) response: HeaderSetter) {
    response.header('x', 'y');
    return {};
  }
}

interface Surroundings {
  readonly dataSource?: DataSource;
  readonly providers?: Provider[];
}

/** Starts an application as far as its modules; none of this needs a database. */
async function start(
  controller: new () => object,
  options: Partial<IdempotencyOptions> = {},
  scope: Scope = Scope.DEFAULT,
  { dataSource = new DataSource({ type: 'postgres' }), providers = [] }: Surroundings = {},
): Promise<void> {
  Controller({ path: 'any', scope })(controller);

  @Global()
  @Module({
    providers: [{ provide: DataSource, useValue: dataSource }],
    exports: [DataSource],
  })
  class DatabaseModule {}
  @Module({
    imports: [DatabaseModule, IdempotencyModule.forRoot({ scope: () => 'a', ...options })],
    controllers: [controller],
    providers,
  })
  class AnyModule {}

  const app = await NestFactory.create(AnyModule, new FastifyAdapter(), {
    logger: false,
    abortOnError: false,
  });
  try {
    await app.init();
  } finally {
    await app.close().catch(() => undefined); // it closes what did not open
  }
}

describe('an application does not start', () => {
  it.each([
    [
      'takes the response',
      TakesTheResponse,
      'TakesTheResponse.create: @Res() needs { passthrough: true }',
    ],
    ['inherits that', Inherits, 'Inherits.create: @Res() needs { passthrough: true }'],
    ['takes next()', TakesNext, 'TakesNext.create: @Res() needs'],
    ['streams events', StreamsEvents, 'StreamsEvents.events: an event stream cannot be stored'],
    [
      'has no route',
      WithoutRoute,
      'WithoutRoute.notARoute has no effect: the method is not a route handler',
    ],
  ])('R16 with a decorated method that %s', async (_fault, controller, words) => {
    await expect(start(controller)).rejects.toThrow(words);
    await expect(start(controller, {}, Scope.REQUEST)).rejects.toThrow(words);
  });

  it.each([Scope.DEFAULT, Scope.REQUEST, Scope.TRANSIENT])(
    'with a decorated method of a provider, whatever its scope (%s)',
    async (scope) => {
      Injectable({ scope })(OrdersService);
      const providers = [OrdersService];
      await expect(start(PassesThrough, {}, Scope.DEFAULT, { providers })).rejects.toThrow(
        'OrdersService.place has no effect: the method is not a route handler',
      );
    },
  );

  it('with a decorated method of a provider that a factory makes', async () => {
    const providers = [{ provide: 'ORDERS', useFactory: () => new OrdersService() }];
    await expect(start(PassesThrough, {}, Scope.DEFAULT, { providers })).rejects.toThrow(
      'OrdersService.place has no effect',
    );
  });

  it('with a handler that is decorated twice', () => {
    const decorate = () => {
      class Twice {
        @Idempotent()
        @Idempotent({ required: true })
        create() {
          return {};
        }
      }
      return Twice;
    };
    expect(decorate).toThrow('@Idempotent() is on Twice.create twice');
  });

  it('R3 without a scope resolver', async () => {
    await expect(
      start(PassesThrough, { scope: undefined as unknown as IdempotencyOptions['scope'] }),
    ).rejects.toThrow('scope must be a function');
  });

  it('R15 when it is to store a header that is never replayed', async () => {
    await expect(start(PassesThrough, { storedHeaders: ['Set-Cookie'] })).rejects.toThrow(
      'storedHeaders must not name set-cookie',
    );
  });

  it.each(['/errors', 'ftp://a.example/errors', 'https://a.example/#top', 'https://a.example/>;x'])(
    'R24 with %s as the page of its errors',
    async (errorPageUrl) => {
      await expect(start(PassesThrough, { errorPageUrl })).rejects.toThrow(
        'errorPageUrl must be an absolute http or https URL in ASCII without a fragment',
      );
    },
  );

  it('R24 with a page of its errors that formatError would not link to', async () => {
    const formatError = () => ({ status: 400, headers: {}, body: '' });
    const errorPageUrl = 'https://a.example/errors';
    await expect(start(PassesThrough, { errorPageUrl, formatError })).rejects.toThrow(
      'errorPageUrl has no effect beside formatError',
    );
  });

  it('when its DataSource is of another database', async () => {
    const mysql = Object.assign(new DataSource({ type: 'postgres' }), {
      options: { type: 'mysql' },
    });
    await expect(start(PassesThrough, {}, Scope.DEFAULT, { dataSource: mysql })).rejects.toThrow(
      'keys are kept in PostgreSQL, and the DataSource is of type mysql',
    );
  });

  it('unless all of it is right', async () => {
    await expect(start(PassesThrough)).resolves.toBeUndefined();
  });
});

/** @param type how NestJS calls the transport */
function callOf(type: string): ExecutionContextHost {
  const { value } = Object.getOwnPropertyDescriptor(PassesThrough.prototype, 'create') as {
    value: () => unknown;
  };
  const context = new ExecutionContextHost([{}, {}], PassesThrough, value);
  context.setType(type);
  return context;
}

describe('without IdempotencyModule', () => {
  const words = 'this application does not import it: add IdempotencyModule.forRoot({ scope })';
  Controller('any')(PassesThrough);
  @Module({ controllers: [PassesThrough] })
  class WithoutIt {}

  it('an application that serves HTTP does not start', async () => {
    const app = await NestFactory.create(WithoutIt, new FastifyAdapter(), {
      logger: false,
      abortOnError: false,
    });
    await expect(app.init()).rejects.toThrow(words);
    await app.close();
  });

  it('one without HTTP starts, and its handlers are refused when they are called', async () => {
    const app = await NestFactory.createApplicationContext(WithoutIt, { logger: false });
    const entry = new IdempotencyEntry(app.get(ModuleRef));
    expect(() => entry.intercept(callOf('http'), { handle: () => EMPTY })).toThrow(words);
    await app.close();
  });
});

it('a message that reaches a decorated handler is refused in words', () => {
  const entry = new IdempotencyEntry({} as ModuleRef);
  expect(() => entry.intercept(callOf('rpc'), { handle: () => EMPTY })).toThrow(
    '@Idempotent() on PassesThrough.create works for HTTP requests only, and this is one of type rpc',
  );
});

it("Nest's metadata is read by the names that Nest gives it", () => {
  const { INTERCEPTORS_METADATA, METHOD_METADATA, SSE_METADATA, ROUTE_ARGS_METADATA } = nest;
  const { RESPONSE_PASSTHROUGH_METADATA, RouteParamtypes, HOST_METADATA, VERSION_METADATA } = nest;
  expect({ ...ours, RESPONSE_PARAMETERS: [...ours.RESPONSE_PARAMETERS] }).toEqual({
    INTERCEPTORS_METADATA,
    METHOD_METADATA,
    HOST_METADATA,
    VERSION_METADATA,
    SSE_METADATA,
    ROUTE_ARGS_METADATA,
    RESPONSE_PASSTHROUGH_METADATA,
    RESPONSE_PARAMETERS: [RouteParamtypes.RESPONSE, RouteParamtypes.NEXT],
  });
});
