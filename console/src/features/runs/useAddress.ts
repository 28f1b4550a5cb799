import { useCallback, useEffect, useRef, useState } from 'react';
import { useSearchParams } from 'react-router';

type Put = (name: string, value: string | undefined, replace: boolean) => void;

/**
 * What stands in the address, and a way to change one part of it. Two changes at once are both kept:
 * the router itself would have the second forget the first.
 */
export function useAddress(): { search: URLSearchParams; put: Put; clear: () => void } {
  const [settled, setSearch] = useSearchParams();
  // A field shows what was typed at once, not only when the router has followed.
  const [pending, setPending] = useState<{ search: URLSearchParams; from: URLSearchParams }>();
  const search = pending && pending.from === settled ? pending.search : settled;
  const latest = useRef({ search, setSearch });
  const from = useRef(settled);
  useEffect(() => {
    latest.current = { search, setSearch };
    from.current = settled;
  }, [search, settled, setSearch]);
  const put = useCallback<Put>((name, value, replace) => {
    const next = new URLSearchParams(latest.current.search);
    if (value) next.set(name, value);
    else next.delete(name);
    latest.current.search = next;
    setPending({ search: next, from: from.current });
    latest.current.setSearch(next, { replace });
  }, []);
  const clear = useCallback(() => latest.current.setSearch({}, { replace: true }), []);
  return { search, put, clear };
}
