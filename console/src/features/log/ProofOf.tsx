import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useAct, useReading } from '@/shared/api';
import { Button, Failure, Loading, Section } from '@/shared/ui';
import css from './log.module.css';
import { checkInclusion, type Event, type Proof } from './proof/check';
import { keepHead, keepKey, memory } from './proof/kept';
import { parseKey } from './proof/note';
import { NoCrypto, Steps, Verdict } from './Steps';
import { TrustedKey } from './TrustedKey';

/** One letter of the header is another: everything behind it must fall. */
function tampered(proof: Proof): Proof {
  return { ...proof, header: (proof.header ?? '').replace(/"type":"(\w)/, (_, first: string) => `"type":"${first === 'x' ? 'y' : 'x'}`) };
}

/** That this event is in the signed log, worked out by this browser. */
export function ProofOf({ event }: { event: Event }) {
  const { t } = useTranslation('log');
  const proof = useReading('log.prove', { seq: event.seq }, { staleMs: Infinity, live: ['log.'] });
  const [keyText, setKeyText] = useState(() => memory().key ?? '');
  const [changed, setChanged] = useState(false);
  const sign = useAct('log.checkpoint');
  const seal = useMutation({
    mutationFn: async () => {
      const head = await sign.mutateAsync({});
      if (!memory().key) {
        keepKey(head.key);
        setKeyText(head.key);
      }
    },
  });
  const asked = proof.data && (changed ? tampered(proof.data) : proof.data);
  const checked = useQuery({
    queryKey: ['log.checked', event, asked, keyText] as const,
    queryFn: async () => checkInclusion(event, asked!, await parseKey(keyText)),
    enabled: asked !== undefined && Boolean(crypto.subtle),
    staleTime: Infinity,
    gcTime: 0,
    networkMode: 'always',
  });
  const head = checked.data?.verdict === 'proven' ? checked.data.head : undefined;
  useEffect(() => {
    if (head) keepHead(head);
  }, [head]);

  if (!crypto.subtle) return <NoCrypto />;
  const error = proof.error ?? checked.error;
  if (error) return <Failure error={error} retry={() => void proof.refetch()} />;
  if (!asked || !checked.data) return <Loading rows={6} />;
  const unsigned = !asked.tlog_proof;
  return (
    <>
      <Section title={t('proof.title')}>
        <Verdict verdict={checked.data.verdict} />
        <p className={css.soft}>{t('proof.how')}</p>
        <Steps steps={checked.data.steps} size={asked.size} seq={event.seq} />
        <div className={css.buttons}>
          {unsigned && (
            <Button look="primary" busy={seal.isPending} disabled={seal.isPending} onClick={() => seal.mutate()}>
              {t('proof.sign')}
            </Button>
          )}
          <Button aria-pressed={changed} onClick={() => setChanged(!changed)}>
            {changed ? t('proof.restore') : t('proof.tamper')}
          </Button>
        </div>
        {seal.error && <Failure error={seal.error} />}
      </Section>
      <TrustedKey
        text={keyText}
        onKey={(text) => {
          keepKey(text);
          setKeyText(text);
        }}
      />
      <Section title={t('proof.payload')}>
        <p className={css.soft}>{t('proof.payloadText')}</p>
      </Section>
    </>
  );
}
