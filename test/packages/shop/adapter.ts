/** The HTTP adapter of the shop; for a shop on Express its copy names the other one. */
export { FastifyAdapter as Adapter } from '@nestjs/platform-fastify';
