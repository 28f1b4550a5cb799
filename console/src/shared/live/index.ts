export { type LiveEvent, type Standing } from './connection';
export { LiveProvider, useLive, useStanding } from './live';
