import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveConnection } from './connection';

class Socket {
  static made: Socket[] = [];
  sent: string[] = [];
  onopen?: () => void;
  onmessage?: (message: { data: string }) => void;
  onclose?: (why: { code: number }) => void;
  constructor(readonly url: string) {
    Socket.made.push(this);
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.onclose?.({ code: 1006 });
  }
  say(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

const event = (seq: number) => ({ type: 'event', id: 'all', event: { seq, type: 'run.started', stream: 'run/1' } });
const last = () => Socket.made.at(-1)!;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', Socket);
  Socket.made = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a live connection', () => {
  it('goes on after the last event it saw, and says that it is back', () => {
    const live = new LiveConnection('ws://here/ws');
    const heard: number[] = [];
    const back = vi.fn();
    live.hear((one) => heard.push(one.seq));
    live.resumed(back);
    live.open();
    last().onopen?.();
    last().say({ type: 'subscribed', id: 'all', after: 7 });
    expect(live.standing).toBe('live');
    last().say(event(8));
    last().onclose?.({ code: 1012 });
    expect(live.standing).toBe('offline');
    vi.advanceTimersByTime(250);
    last().onopen?.();
    expect(JSON.parse(last().sent[0]!)).toEqual({ type: 'subscribe', id: 'all', after: 8 });
    last().say({ type: 'subscribed', id: 'all', after: 8 });
    last().say(event(9));
    expect(heard).toEqual([8, 9]);
    expect(back).toHaveBeenCalledTimes(1);
  });

  it('notices a server that fell silent', () => {
    const live = new LiveConnection('ws://here/ws');
    live.open();
    last().onopen?.();
    last().say({ type: 'welcome', heartbeat_ms: 1_000 });
    last().say({ type: 'subscribed', id: 'all', after: 0 });
    vi.advanceTimersByTime(1_999);
    expect(live.standing).toBe('live');
    vi.advanceTimersByTime(2);
    expect(live.standing).toBe('offline');
  });

  it('does not come back where it is no longer welcome', () => {
    const live = new LiveConnection('ws://here/ws');
    live.open();
    last().onclose?.({ code: 4401 });
    vi.advanceTimersByTime(60_000);
    expect(Socket.made).toHaveLength(1);
  });
});
