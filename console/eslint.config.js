import js from '@eslint/js';
import a11y from 'eslint-plugin-jsx-a11y';
import hooks from 'eslint-plugin-react-hooks';
import ts from 'typescript-eslint';

const upwards = { group: ['../../*', '@/app/*', '@/app'], message: 'imports go down: app, features, shared' };
const features = { group: ['@/features/*'], message: 'a feature never imports a feature; share by src/shared' };

export default ts.config(
  { ignores: ['node_modules', 'src/shared/api/generated', 'public', 'eslint.config.js'] },
  js.configs.recommended,
  ...ts.configs.recommendedTypeChecked,
  a11y.flatConfigs.strict,
  hooks.configs.flat.recommended,
  {
    languageOptions: {
      parserOptions: {
        projectService: true,
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      'max-lines': ['error', 300],
      'no-console': 'error',
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
    },
  },
  { files: ['src/features/**'], rules: { 'no-restricted-imports': ['error', { patterns: [upwards, features] }] } },
  { files: ['src/shared/**'], rules: { 'no-restricted-imports': ['error', { patterns: [upwards, features] }] } },
);
