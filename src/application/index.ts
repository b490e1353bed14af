/** The whole application, for the processes and commands that run it. */
export { createApplication } from './application';
export { sandboxKey, type SandboxKey } from './sandbox-account';
