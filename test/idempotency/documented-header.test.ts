/** The `Idempotency-Key` header in the OpenAPI document that @nestjs/swagger makes of an application. */
import { Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ApiHeader, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Idempotent } from '../../src/idempotency';

@Controller()
class DocumentedController {
  @Post('optional')
  @Idempotent()
  @ApiHeader({ name: 'X-Below' })
  optional() {}

  @Post('required')
  @ApiHeader({ name: 'X-Above' })
  @Idempotent({ required: true })
  required() {}

  @Post('own')
  @Idempotent()
  @ApiHeader({ name: 'idempotency-key', description: 'in words of its own' })
  own() {}

  @Post('elsewhere')
  @Idempotent({ key: () => 'a' })
  elsewhere() {}

  @Post('undecorated')
  undecorated() {}
}

/** The headers of an operation, each as its name and whether it is required. */
async function documentedHeaders(): Promise<Record<string, string[]>> {
  @Module({ controllers: [DocumentedController] })
  class DocumentedModule {}
  const app = await NestFactory.create(DocumentedModule, new FastifyAdapter(), { logger: false });
  const { paths } = SwaggerModule.createDocument(app, new DocumentBuilder().build());
  const headersOf = (path: string) =>
    (paths[path]?.post?.parameters ?? []).map((parameter) => {
      const { name, required, description } = parameter as {
        name: string;
        required?: boolean;
        description?: string;
      };
      const words = description?.startsWith('in words') ? ', own' : '';
      return `${name}${required ? ', required' : ''}${words}`;
    });
  return Object.fromEntries(Object.keys(paths).map((path) => [path, headersOf(path)]));
}

it('is declared where it is read, beside other headers, and never twice', async () => {
  expect(await documentedHeaders()).toEqual({
    '/optional': ['X-Below', 'Idempotency-Key'],
    '/required': ['Idempotency-Key, required', 'X-Above'],
    '/own': ['idempotency-key, own'],
    '/elsewhere': [],
    '/undecorated': [],
  });
});
