export { api, type Schemas } from './client';
export { call, reading, useAct, useReading, type ActionName, type Input, type Output, type Reading } from './call';
export { BASE, DEFAULT, enterNamespace, namespace, namespaceOf } from './namespace';
export { Offline, passes, Problem, problemOf } from './problem';
export { loadSession, signIn, signOut, type Session } from './session';
export { SessionContext, useMay, useSession } from './signed_in';
