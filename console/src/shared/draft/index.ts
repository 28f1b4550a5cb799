export { useDraft } from './useDraft';
