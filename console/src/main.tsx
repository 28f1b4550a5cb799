import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RouterProvider } from 'react-router';
import { startRouter } from '@/app/router';
import { loadSession, Offline, passes, SessionContext, signIn, type Session } from '@/shared/api';
import { startWords } from '@/shared/i18n';
import { LiveProvider } from '@/shared/live';
import '@/shared/theme/tokens.css';
import '@/shared/theme/document.css';

const AGAIN_MS = 1_000;

async function known(): Promise<Session | undefined> {
  for (;;) {
    try {
      return await loadSession();
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

async function start(): Promise<void> {
  const [session] = await Promise.all([known(), startWords()]);
  if (!session) return signIn();
  const client = new QueryClient({
    defaultOptions: {
      queries: {
        networkMode: 'always',
        retry: (count, error) => passes(error) && count < 60,
        retryDelay: (count) => Math.min(250 * 2 ** count, 3_000),
        refetchOnWindowFocus: false,
      },
    },
  });
  const router = startRouter();
  createRoot(document.getElementById('root')!).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <SessionContext value={session}>
          <LiveProvider>
            <RouterProvider router={router} />
          </LiveProvider>
        </SessionContext>
      </QueryClientProvider>
    </StrictMode>,
  );
}

void start();
