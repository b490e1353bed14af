/** What a process is made of: settings, its life, the HTTP server, logs, errors for operators. */
export { awaitsResponse, isHeldBack } from './connection-queue';
export { resultWithin } from './deadline';
export { listen, listenOn } from './http-server';
export { Log } from './log';
export { OperatorError } from './operator-error';
export { PublicUrl } from './public-url';
export { runService, runTask } from './process';
export { createHttpServer } from './server-factory';
export { loadSettings, Settings, SettingsModule } from './settings';
export { WarningInterval } from './warning-interval';
