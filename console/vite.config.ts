import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { precompressed } from './plugins/precompressed.ts';

const server = process.env.SQUAD_SERVER ?? 'http://127.0.0.1:8420';
const inPackage = fileURLToPath(new URL('../src/agentsquad/surfaces/console/dist', import.meta.url));
const surfaces = ['/v1', '/login', '/logout', '/auth', '/account', '/graphql', '/openapi.json'];

export default defineConfig({
  base: '/console/',
  plugins: [react(), precompressed(inPackage)],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: fileURLToPath(new URL(`./.build/${process.pid}`, import.meta.url)),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: 'es2022',
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      ...Object.fromEntries(surfaces.map((path) => [path, { target: server }])),
      '/ws': { target: server, ws: true },
    },
  },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'], restoreMocks: true },
});
