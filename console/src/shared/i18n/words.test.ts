import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CODES } from './languages';

type Words = { [key: string]: string | Words };

const SRC = join(process.cwd(), 'src');
const PLURAL = /_(zero|one|two|few|many|other)$/;
// Words that more than one room may use: `t('…')` anywhere counts.
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
const rooms = files.filter((name) => name.endsWith('words/en.json')).map((name) => dirname(dirname(name)));

function flat(words: Words, before = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(words)) {
    if (typeof value === 'string') found.set(before + key, value);
    else flat(value, `${before}${key}.`).forEach((text, inner) => found.set(inner, text));
  }
  return found;
}

function read(room: string, language: string): Map<string, string> {
  return flat(JSON.parse(readFileSync(join(SRC, room, 'words', `${language}.json`), 'utf8')) as Words);
}

function stems(words: Map<string, string>): Set<string> {
  return new Set([...words.keys()].map((key) => key.replace(PLURAL, '')));
}

/** What a room's code asks for: keys as written, and what begins as a template does. */
function used(room: string): { keys: Set<string>; begins: string[] } {
  const text = files
    .filter((name) => name.startsWith(`${room}/`) && /\.tsx?$/.test(name) && !name.includes('.test.'))
    .map((name) => readFileSync(join(SRC, name), 'utf8'))
    .join('\n');
  const keys = new Set([...text.matchAll(/\bt\(\s*'([^']+)'/g)].map((one) => one[1]!));
  const begins = [...text.matchAll(/\bt\(\s*`([^`$]*)\$\{/g)].map((one) => one[1]!);
  return { keys, begins };
}

const holes = (text: string) => new Set([...text.matchAll(/\{\{\s*(\w+)/g)].map((one) => one[1]));

describe.each(rooms)('words of %s', (room) => {
  const english = read(room, 'en');

  it('has all that is asked for, and nothing else', () => {
    const { keys, begins } = used(room);
    const there = stems(english);
    expect([...keys].filter((key) => !there.has(key))).toEqual([]);
    const idle = [...there].filter((key) => !keys.has(key) && !begins.some((begin) => begin && key.startsWith(begin)));
    expect(idle).toEqual([]);
  });

  it.each(CODES)('is whole in %s', (language) => {
    const words = read(room, language);
    expect([...stems(words)].sort()).toEqual([...stems(english)].sort());
    const plurals = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    for (const stem of stems(english)) {
      if (!english.has(`${stem}_other`)) continue;
      const missing = plurals.filter((one) => !words.has(`${stem}_${one}`));
      expect(missing, stem).toEqual([]);
    }
    for (const [key, text] of words) {
      expect(text.trim(), key).not.toBe('');
      const model = english.get(key) ?? english.get(key.replace(PLURAL, '_other')) ?? '';
      const foreign = [...holes(text)].filter((hole) => !holes(model).has(hole));
      expect(foreign, key).toEqual([]);
    }
  });
});
