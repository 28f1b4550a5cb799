const PATHS = {
  inbox: 'M3 10h4l1.5 2.5h3L13 10h4M4.5 4h11L17 10v6H3v-6z',
  runs: 'M4 5h5M4 10h9M4 15h6M13 5h3M16 10h0M14 15h2',
  why: 'M5 4v5a3 3 0 0 0 3 3h7M12 9l3 3-3 3M5 16h.01',
  designer: 'M3 4h5v4H3zM12 12h5v4h-5zM8 6h3.5v8H12',
  squad: 'M7 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM2.5 16c.4-2.6 2.1-4 4.5-4s4.100 1.400 4.500 4M13.500 9a2 2 0 1 0-.5-3.900M14.500 12c1.700.4 2.700 1.700 3 4',
  log: 'M4 4h12M4 8h12M4 12h8M4 16h5',
  ask: 'M4 4h12v9H9l-4 3.500V13H4z',
  cost: 'M3 16h14M5.500 13V9M10 13V5M14.500 13v-2.500',
  health: 'M2.500 10h3.500l2-5 4 10 2-5h3.500',
  settings: 'M4 6h7M15 6h1M4 14h1M9 14h7M13 4.200a1.800 1.800 0 1 1 0 3.600 1.800 1.800 0 0 1 0-3.600zM7 12.200a1.800 1.800 0 1 1 0 3.600 1.800 1.800 0 0 1 0-3.600z',
  menu: 'M3 5h14M3 10h14M3 15h14',
} as const;

export type IconName = keyof typeof PATHS;

/** Drawn with one pen; a word always stands beside it, or names the button. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg viewBox="0 0 20 20" width="18" height="18" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
