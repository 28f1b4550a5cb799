export { useKeys, type Keys } from './useKeys';
