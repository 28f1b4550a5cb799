import { describe, expect, it } from 'vitest';
import { inputOf, startOf, type ActionField } from './action_input';

const field = (name: string, kind: string, more: Partial<ActionField> = {}): ActionField => ({ name, kind, required: false, ...more });

describe('the input that a form sends', () => {
  it('has each kind as the server wants it', () => {
    const fields = [
      field('name', 'text', { required: true }),
      field('days', 'integer'),
      field('alpha', 'number'),
      field('scopes', 'list'),
      field('payload', 'json'),
      field('admin', 'flag'),
      field('password_file', 'text', { file: 'in' }),
    ];
    const typed = { name: 'ada', days: '90', alpha: '0.5', scopes: 'runs.*\n cost.show \n', payload: '{"a":1}', admin: true, password_file: 'plum' };
    expect(inputOf(fields, typed)).toEqual({
      input: {
        name: 'ada',
        days: 90,
        alpha: 0.5,
        scopes: ['runs.*', 'cost.show'],
        payload: { a: 1 },
        admin: true,
        password_file: { name: 'password_file', text: 'plum' },
      },
      faults: {},
    });
  });

  it('leaves out what is empty and says what is missing or wrong', () => {
    const fields = [field('name', 'text', { required: true }), field('label', 'text'), field('days', 'integer'), field('alpha', 'number'), field('payload', 'json')];
    expect(inputOf(fields, { name: '', label: '', days: '9.5', alpha: 'x', payload: '{' })).toEqual({
      input: {},
      faults: { name: 'needed', days: 'whole', alpha: 'number', payload: 'json' },
    });
  });

  it('takes files as they were chosen: one, or all of them', () => {
    const chosen = [{ name: 'a.edi', base64: 'QQ==' }, { name: 'b.edi', base64: 'Qg==' }];
    expect(inputOf([field('file', 'text', { file: 'in' })], { file: chosen }).input).toEqual({ file: chosen[0] });
    expect(inputOf([field('files', 'list', { file: 'in' })], { files: chosen }).input).toEqual({ files: chosen });
  });

  it('begins with the defaults, but never with one of a secret', () => {
    expect(startOf(field('period', 'text', { default: 'total' }))).toBe('total');
    expect(startOf(field('admin', 'flag'))).toBe(false);
    expect(startOf(field('password_file', 'text', { file: 'in', default: '-' }))).toBe('');
  });
});
