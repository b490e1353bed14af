/** Where the API stands: every resource, and nothing else, is under this path. */
export const API_PATH = '/v1';
