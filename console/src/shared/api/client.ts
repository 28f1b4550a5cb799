import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from './generated/schema';
import { namespace } from './namespace';
import { Offline, problemOf } from './problem';
import { csrf, signIn } from './session';

export type Schemas = components['schemas'];

const ours: Middleware = {
  onRequest({ request }) {
    request.headers.set('squad-namespace', namespace());
    request.headers.set('accept', 'application/json');
    if (request.method !== 'GET') request.headers.set('squad-csrf', csrf());
    return request;
  },
  async onResponse({ response }) {
    if (response.ok) return;
    const body: unknown = await response.json().catch(() => undefined);
    if (response.status === 401) signIn();
    throw problemOf(response.status, body);
  },
  onError({ error }) {
    return error instanceof DOMException && error.name === 'AbortError' ? error : new Offline();
  },
};

/** REST, typed by the server's own description. An answer that is no success is thrown as a `Problem`. */
export const api = createClient<paths>({ baseUrl: location.origin });
api.use(ours);
