export interface LiveEvent {
  seq: number;
  type: string;
  stream: string;
  [field: string]: unknown;
}

export type Standing = 'connecting' | 'live' | 'offline';
export type Heard = (event: LiveEvent) => void;

interface Message {
  type: string;
  id?: string;
  after?: number;
  event?: LiveEvent;
  heartbeat_ms?: number;
}

const BACK_OFF_MS = [250, 500, 1_000, 2_000, 5_000] as const;
const SUBSCRIPTION = 'all';
const REFUSED = new Set([4401, 4403]);

/**
 * One WebSocket for the whole page. After a loss it connects again and goes on after the last event
 * it saw, so that no event is missed and none comes twice.
 */
export class LiveConnection {
  private socket: WebSocket | undefined;
  private last: number | undefined;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private patienceMs = 60_000;
  private closed = false;
  private readonly hearing = new Set<Heard>();
  private readonly watching = new Set<() => void>();
  private readonly resuming = new Set<() => void>();
  standing: Standing = 'connecting';

  constructor(private readonly url: string) {}

  open(): void {
    this.closed = false;
    this.connect();
    addEventListener('online', this.again);
  }

  close(): void {
    this.closed = true;
    removeEventListener('online', this.again);
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.socket?.close();
    this.socket = undefined;
  }

  hear(heard: Heard): () => void {
    this.hearing.add(heard);
    return () => this.hearing.delete(heard);
  }

  watch = (changed: () => void): (() => void) => {
    this.watching.add(changed);
    return () => this.watching.delete(changed);
  };

  /** Hear that the connection is there again after it was lost. */
  resumed(back: () => void): () => void {
    this.resuming.add(back);
    return () => this.resuming.delete(back);
  }

  private readonly again = (): void => {
    if (this.standing === 'live' || this.closed) return;
    clearTimeout(this.timer);
    this.connect();
  };

  private connect(): void {
    this.socket?.close();
    const socket = new WebSocket(this.url, 'squad.v1');
    this.socket = socket;
    socket.onopen = () => {
      const wish = { type: 'subscribe', id: SUBSCRIPTION, ...(this.last !== undefined && { after: this.last }) };
      socket.send(JSON.stringify(wish));
      this.awake(socket);
    };
    socket.onmessage = ({ data }) => {
      this.awake(socket);
      this.take(JSON.parse(String(data)) as Message);
    };
    socket.onclose = ({ code }) => {
      if (this.socket === socket) this.lost(code);
    };
  }

  private take(message: Message): void {
    if (message.type === 'welcome') {
      this.patienceMs = 2 * (message.heartbeat_ms ?? 30_000);
    } else if (message.type === 'subscribed') {
      const back = this.failures > 0;
      this.last ??= message.after;
      this.failures = 0;
      this.become('live');
      if (back) this.resuming.forEach((tell) => tell());
    } else if (message.type === 'event' && message.event) {
      this.last = message.event.seq;
      for (const heard of this.hearing) heard(message.event);
    } else if (message.type === 'error' && message.id === SUBSCRIPTION) {
      this.socket?.close();
    }
  }

  /** A server that was switched off without a word is noticed by its silence. */
  private awake(socket: WebSocket): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => socket.close(), this.patienceMs);
  }

  private lost(code: number): void {
    clearTimeout(this.silence);
    this.socket = undefined;
    this.become('offline');
    if (this.closed || REFUSED.has(code)) return;
    const wait = BACK_OFF_MS[Math.min(this.failures, BACK_OFF_MS.length - 1)];
    this.failures += 1;
    this.timer = setTimeout(() => this.connect(), wait);
  }

  private become(standing: Standing): void {
    if (this.standing === standing) return;
    this.standing = standing;
    this.watching.forEach((tell) => tell());
  }
}
