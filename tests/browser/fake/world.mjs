// What the test double keeps: users, rooms and their logs. A line of a file per change, so that a kill loses nothing.

import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export class Fault extends Error {
  constructor(code, http, retry = 'never', detail = code) {
    super(detail);
    Object.assign(this, { code, http, retry });
  }
  get body() {
    const body = { code: this.code, detail: this.message, retry: this.retry };
    return this.retry === 'later' ? { ...body, retry_after_ms: 200 } : body;
  }
}
export const hash = (text) => createHash('sha256').update(text).digest('hex');
const random = () => randomBytes(6).readUIntBE(0, 6);

export class World {
  users = new Map();
  rooms = new Map();
  refresh = new Map();
  #replaying = false;

  constructor(folder, onEntry = () => {}) {
    this.onEntry = onEntry;
    mkdirSync(folder, { recursive: true });
    this.file = join(folder, 'log.jsonl');
    this.#replaying = true;
    if (existsSync(this.file)) for (const line of readFileSync(this.file, 'utf8').split('\n')) if (line) this.#apply(...JSON.parse(line));
    this.#replaying = false;
  }

  #do(kind, value) {
    appendFileSync(this.file, `${JSON.stringify([kind, value])}\n`);
    this.#apply(kind, value);
  }

  #apply(kind, v) {
    if (kind === 'user') this.users.set(v.id, { ...this.users.get(v.id), ...v });
    if (kind === 'refresh') this.refresh.set(v.token, v);
    if (kind === 'room') this.rooms.set(v.id, { id: v.id, epoch: v.epoch, peers: v.peers, log: [], members: new Map(), reads: new Map(), bans: new Map(), invites: new Map(), done: new Map(), archived: false, name: '', kind: 'group', history: 'all' });
    if (kind === 'read') this.rooms.get(v.room).reads.set(v.user, v.seq);
    if (kind === 'entry') this.#fold(this.rooms.get(v.room), v.entry);
  }

  putUser(user) { this.#do('user', user); }
  putRefresh(value) { this.#do('refresh', value); }
  putRead(room, user, seq) { this.#do('read', { room, user, seq }); }

  openRoom(peers) {
    const id = 1000 + this.rooms.size;
    this.#do('room', { id, epoch: random(), peers });
    return this.rooms.get(id);
  }

  append(room, by, client_id, fact) {
    const id = client_id ?? randomBytes(8).toString('hex');
    const first = room.done.get(`${by}:${id}`);
    if (first) return { ...first, again: true };
    const posts = (room.log.at(-1)?.posts ?? 0) + (fact.fact === 'posted' ? 1 : 0);
    const entry = { seq: room.log.length + 1, at: Date.now(), by, client_id: id, posts, append: random(), ...fact };
    const before = new Set(room.members.keys());
    this.#do('entry', { room: room.id, entry });
    this.onEntry(room, entry, before);
    return { room: room.id, seq: entry.seq, at: entry.at, ...(entry.id ? { id: entry.id } : {}), again: false };
  }

  #fold(room, e) {
    room.log.push(e);
    room.done.set(`${e.by}:${e.client_id}`, { room: room.id, seq: e.seq, at: e.at, ...(e.id ? { id: e.id } : {}) });
    const join = (user, role = 'member') => room.members.has(user) || room.members.set(user, { user, role, joined_at: e.at });
    const member = room.members.get(e.user);
    switch (e.fact) {
      case 'created':
        Object.assign(room, { kind: e.kind, name: e.name, history: e.history, created_at: e.at });
        for (const u of e.members) join(u, e.kind !== 'direct' && u === e.by ? 'owner' : 'member');
        break;
      case 'added': e.users.forEach((u) => join(u)); break;
      case 'joined': {
        join(e.by);
        const invite = room.invites.get(e.hash);
        if (invite && (invite.left -= 1) < 1) room.invites.delete(e.hash);
        break;
      }
      case 'left': room.members.delete(e.by); if (e.heir) room.members.get(e.heir).role = 'owner'; break;
      case 'kicked': room.members.delete(e.user); break;
      case 'banned': room.members.delete(e.user); room.bans.set(e.user, e.seq); break;
      case 'unbanned': room.bans.delete(e.user); break;
      case 'muted': member.muted_until = e.until ?? 0; break;
      case 'unmuted': delete member.muted_until; break;
      case 'promoted': member.role = e.role; if (e.role === 'owner') room.members.get(e.by).role = 'admin'; break;
      case 'renamed': room.name = e.name; break;
      case 'configured': room.history = e.history; break;
      case 'archived': case 'unarchived': room.archived = e.fact === 'archived'; break;
      case 'invited': room.invites.set(e.hash, { by: e.by, left: e.uses ?? Infinity }); break;
      case 'uninvited': room.invites.delete(e.hash); break;
      default:
    }
  }

  message(room, seq) {
    const e = room.log[seq - 1];
    if (e?.fact !== 'posted') return null;
    const m = { room: room.id, seq, id: e.id, by: e.by, at: e.at, client_id: e.client_id, content: e.content, reply_to: e.reply_to ?? null, mentions: e.mentions ?? [], meta: e.meta ?? {}, revision: 0, edited_at: null, deleted_at: null, reactions: {} };
    for (const c of room.log) {
      if (c.target !== seq) continue;
      if (c.fact === 'edited') Object.assign(m, { content: c.content, revision: c.revision, edited_at: c.at });
      if (c.fact === 'deleted') Object.assign(m, { content: null, deleted_at: c.at });
      if (c.fact === 'reacted') m.reactions[c.emoji] = [...(m.reactions[c.emoji] ?? []), c.by];
      if (c.fact === 'unreacted') {
        m.reactions[c.emoji] = m.reactions[c.emoji].filter((u) => u !== c.by);
        if (!m.reactions[c.emoji].length) delete m.reactions[c.emoji];
      }
    }
    return m;
  }

  view(room, user) {
    const posts = room.log.filter((e) => e.fact === 'posted');
    const read = room.reads.get(user) ?? 0;
    const last = posts.findLast((p) => !room.log.some((e) => e.fact === 'deleted' && e.target === p.seq));
    return {
      id: room.id, kind: room.kind, name: room.name, peer: room.peers?.find((u) => u !== user) ?? null, epoch: room.epoch, last: room.log.length,
      members: room.members.size, role: room.members.get(user)?.role ?? null, first: 1, read, unread: posts.filter((p) => p.seq > read && p.by !== user).length,
      history: room.history, archived: room.archived, created_at: room.created_at, updated_at: room.log.at(-1).at, last_message: last ? this.message(room, last.seq) : null,
    };
  }

  page(room, { before = Infinity, after, limit = 50 }, each) {
    const from = after ?? 0;
    const all = room.log.filter((e) => e.seq > from && e.seq < before).map((e) => each(e)).filter(Boolean);
    const items = after === undefined ? all.slice(-limit) : all.slice(0, limit);
    return { items, more: items.length < all.length };
  }
}
