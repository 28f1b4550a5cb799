// Judges a GraphQL server: the audits of GraphQL over HTTP, and whether its
// subgraph composes with another that refers to its entities.
//   node judge.mjs URL TOKEN
import { composeServices } from '@apollo/composition';
import { parse } from 'graphql';
import { auditServer } from 'graphql-http';

const [url, token] = process.argv.slice(2);
const authorization = `Bearer ${token}`;
const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization } });

const audits = await auditServer({ url, fetchFn });
const answer = await fetchFn(url, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query: '{ _service { sdl } }' }),
});
const { data } = await answer.json();
const billing = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
  type Query { invoices: [Invoice!]! }
  type Invoice @key(fields: "number") { number: ID! agent: Agent run: Run }
  type Agent @key(fields: "namespace name", resolvable: false) { namespace: String! name: String! }
  type Run @key(fields: "namespace id", resolvable: false) { namespace: String! id: ID! }`;
const composed = composeServices([
  { name: 'squad', url, typeDefs: parse(data._service.sdl) },
  { name: 'billing', url: 'http://127.0.0.1:1', typeDefs: parse(billing) },
]);
process.stdout.write(
  JSON.stringify({
    audits: await Promise.all(
      audits.map(async (one) => ({
        id: one.id, name: one.name, status: one.status, reason: one.reason ?? '',
      })),
    ),
    composition: (composed.errors ?? []).map((one) => one.message),
  }),
);
