// A real OpenID provider for tests: one client, and a person signed in by name
// alone. Prints {"issuer": …} when it listens.
import http from 'node:http';
import Provider from 'oidc-provider';

const server = http.createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const people = {
  grace: { email: 'grace@example.com', name: 'Grace Hopper', groups: ['squad-operators', 'all'] },
  alan: { email: 'alan@example.com', name: 'Alan Turing', groups: [] },
};
const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'squad',
      client_secret: process.argv[2],
      redirect_uris: ['http://127.0.0.1:8420/auth/providers/corp/callback'],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['only for tests'] },
  findAccount: (context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, ...people[id] }),
  }),
});
server.on('request', provider.callback());
console.log(JSON.stringify({ issuer }));
