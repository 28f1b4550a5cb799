import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const TEXT = /\.(html|js|css|svg|json|wasm|txt)$/;
const SMALL = 512;

/**
 * Writes `.br` and `.gz` beside everything that gets smaller by it, so that the server never compresses,
 * and puts the whole build in its place at once: a server that runs never gives half of one.
 */
export function precompressed(place: string): Plugin {
  let folder = '';
  return {
    name: 'squad-precompressed',
    apply: 'build',
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        if (!TEXT.test(name)) continue;
        const path = join(folder, name);
        const data = readFileSync(path);
        if (data.length < SMALL) continue;
        const quality = { [constants.BROTLI_PARAM_QUALITY]: 10 };
        writeFileSync(`${path}.br`, brotliCompressSync(data, { params: quality }));
        writeFileSync(`${path}.gz`, gzipSync(data, { level: 9 }));
      }
      mkdirSync(dirname(place), { recursive: true });
      rmSync(place, { recursive: true, force: true });
      renameSync(folder, place);
    },
  };
}
