import { useFormat, type Money as MoneyValue } from '@/shared/format';
import css from './Amount.module.css';

export function Money({ value, className }: { value: MoneyValue; className?: string }) {
  const { money } = useFormat();
  return (
    <data value={value.micros / 1_000_000} className={`${css.amount} ${className ?? ''}`}>
      {money(value)}
    </data>
  );
}
