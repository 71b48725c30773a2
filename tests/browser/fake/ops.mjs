// The operations of the test double, as docs/protocol.md tells them. It is lenient where the real server is strict.

import { randomBytes } from 'node:crypto';
import { Fault, hash } from './world.mjs';

const denied = () => new Fault('forbidden', 403);
const RANK = { member: 0, admin: 1, owner: 2 };

export const userView = ({ id, username, full_name, created_at, last_seen }) => ({ id, username, full_name, is_active: true, created_at, last_seen: last_seen ?? null });

/** @param {any} hub @param {{ user: number }} caller @param {any} request */
export function run(hub, caller, request) {
  const { world } = hub;
  const me = caller.user;
  const { op, client_id: cid } = request;
  const room = request.room === undefined ? null : world.rooms.get(request.room);
  if (request.room !== undefined && !room?.members.has(me)) throw new Fault('not_found', 404);
  const act = (fact, least = 0) => {
    if (RANK[room.members.get(me).role] < least) throw denied();
    return world.append(room, me, cid, fact);
  };
  const target = () => {
    const m = world.message(room, request.seq);
    if (!m) throw new Fault('not_found', 404);
    if (m.deleted_at) throw new Fault('deleted', 409);
    return m;
  };
  const writes = () => {
    if (room.archived) throw new Fault('archived', 409);
    const { muted_until: until } = room.members.get(me);
    if (until === 0 || until > Date.now()) throw new Fault('muted', 403);
  };
  switch (op) {
    case 'ping': case 'token': return {};
    case 'rooms': return { rooms: [...world.rooms.values()].filter((r) => r.members.has(me)).map((r) => world.view(r, me)).sort((a, b) => b.updated_at - a.updated_at) };
    case 'room': return world.view(room, me);
    case 'members': return { members: [...room.members.values()].map((m) => ({ ...m, read: room.reads.get(m.user) ?? 0, status: hub.status(m.user) })) };
    case 'bans': case 'invites': {
      if (RANK[room.members.get(me).role] < 1) throw denied();
      const open = [...room.invites].map(([hash, { by, left }]) => ({ hash, by, ...(Number.isFinite(left) ? { left } : {}) }));
      return op === 'invites' ? { invites: open } : { bans: [...room.bans].map(([user, seq]) => ({ user, seq })) };
    }
    case 'users': return { users: request.ids.map((id) => world.users.get(id)).filter(Boolean).map(userView) };
    case 'whereabouts': return { presence: request.users.map((user) => ({ user, status: hub.status(user), last_seen: world.users.get(user)?.last_seen ?? null })) };
    case 'create': {
      const opened = hub.created.get(`${me}:${cid}`) ?? world.openRoom(null);
      if (cid) hub.created.set(`${me}:${cid}`, opened);
      world.append(opened, me, cid, { fact: 'created', kind: request.kind, name: request.name, members: [me, ...(request.members ?? [])], history: request.history ?? 'all' });
      return world.view(opened, me);
    }
    case 'direct': {
      const pair = [me, request.user].sort((a, b) => a - b);
      const there = [...world.rooms.values()].find((r) => r.peers?.join() === pair.join());
      if (there) return world.view(there, me);
      const opened = world.openRoom(pair);
      world.append(opened, me, null, { fact: 'created', kind: 'direct', name: '', members: pair, history: 'all' });
      return world.view(opened, me);
    }
    case 'send': {
      writes();
      const fact = { fact: 'posted', id: Math.floor(Math.random() * 2 ** 50) + 1, content: request.content };
      if (request.reply_to) fact.reply_to = request.reply_to;
      if (request.mentions?.length) fact.mentions = request.mentions;
      return act(fact);
    }
    case 'edit': {
      writes();
      const m = target();
      if (m.by !== me) throw denied();
      if (request.revision !== undefined && request.revision !== m.revision) throw new Fault('stale', 409, 'refresh');
      return act({ fact: 'edited', target: m.seq, revision: m.revision + 1, content: request.content });
    }
    case 'delete': return act({ fact: 'deleted', target: target().seq }, target().by === me ? 0 : 1);
    case 'react': case 'unreact': return act({ fact: op === 'react' ? 'reacted' : 'unreacted', target: target().seq, emoji: request.emoji });
    case 'add': return act({ fact: 'added', users: request.users.filter((u) => !room.members.has(u)) }, 1);
    case 'invite': {
      const code = randomBytes(12).toString('base64url');
      const done = act({ fact: 'invited', hash: hash(code), ...(request.uses ? { uses: request.uses } : {}) }, 1);
      return { room: room.id, seq: done.seq, code, hash: hash(code) };
    }
    case 'uninvite': return act({ fact: 'uninvited', hash: request.hash }, 1);
    case 'join': {
      const to = [...world.rooms.values()].find((r) => r.invites.has(hash(request.code)));
      if (!to) throw new Fault('not_found', 404);
      if (to.members.has(me)) throw new Fault('already', 409);
      if (to.bans.has(me)) throw new Fault('banned', 403);
      return world.append(to, me, cid, { fact: 'joined', hash: hash(request.code) });
    }
    case 'leave': {
      const heir = [...room.members.values()].find((m) => m.user !== me);
      return act({ fact: 'left', ...(room.members.get(me).role === 'owner' && heir ? { heir: heir.user } : {}) });
    }
    case 'kick': case 'ban': return act({ fact: op === 'kick' ? 'kicked' : 'banned', user: request.user }, 1);
    case 'unban': return act({ fact: 'unbanned', user: request.user }, 1);
    case 'mute': return act({ fact: 'muted', user: request.user, ...(request.until ? { until: request.until } : {}) }, 1);
    case 'unmute': return act({ fact: 'unmuted', user: request.user }, 1);
    case 'promote': return act({ fact: 'promoted', user: request.user, role: request.role }, 2);
    case 'rename': return act({ fact: 'renamed', name: request.name }, 1);
    case 'configure': return act({ fact: 'configured', history: request.history }, 1);
    case 'archive': return act({ fact: 'archived' }, 2);
    case 'unarchive': return act({ fact: 'unarchived' }, 2);
    case 'messages': return world.page(room, request, (e) => e.fact === 'posted' && world.message(room, e.seq));
    case 'entries': return world.page(room, request, (e) => e);
    case 'message': {
      const m = world.message(room, request.seq);
      if (!m) throw new Fault('not_found', 404);
      return m;
    }
    case 'revisions': {
      const list = room.log.filter((e) => e.seq === request.seq || (e.fact === 'edited' && e.target === request.seq));
      return { revisions: list.map((e, i) => ({ revision: i, at: e.at, content: e.content ?? null })) };
    }
    case 'read':
      if (request.seq > (room.reads.get(me) ?? 0)) world.putRead(room.id, me, request.seq);
      hub.tell(room, { push: 'read', room: room.id, user: me, seq: request.seq });
      return {};
    case 'typing':
      hub.tell(room, { push: 'typing', room: room.id, user: me, on: request.on }, me);
      return {};
    case 'presence':
      hub.setStatus(me, request.status);
      return {};
    default: throw new Fault('unknown_op', 404);
  }
}
