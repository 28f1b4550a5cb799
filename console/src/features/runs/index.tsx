import { Route, Routes, useParams } from 'react-router';
import { RunList } from './RunList';
import { RunPage } from './RunPage';

export function Component() {
  return (
    <Routes>
      <Route index element={<RunList />} />
      <Route path="*" element={<OneRun />} />
    </Routes>
  );
}

function OneRun() {
  const run = useParams()['*'] ?? '';
  return <RunPage key={run} run={run} />;
}
