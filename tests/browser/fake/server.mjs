#!/usr/bin/env node
// A test double of the server: serves the page and speaks the native API, as far as the page needs it. With it the page
// can be worked on without building anything (`node fake/server.mjs --listen 127.0.0.1:8080`), and it does on demand what
// a sound server seldom does: POST /fake/{reset,too_far,gone,reconnect,close,expire,deaf,fail}; /fake/sessions counts connections.

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocketServer } from 'ws';
import { run, userView } from './ops.mjs';
import { Fault, hash, World } from './world.mjs';

const { values } = parseArgs({ options: { listen: { type: 'string', default: '127.0.0.1:8080' }, data: { type: 'string', default: join(tmpdir(), `parlance-fake-${process.pid}`) } } });
const [host, port] = values.listen.split(':');
const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };
const HEADERS = { 'content-security-policy': "default-src 'self'; base-uri 'none'; frame-ancestors 'none'", 'x-content-type-options': 'nosniff' };
const LIFE_S = Number(process.env.FAKE_TOKEN_S ?? 1800);

const sessions = new Set();
const tokens = new Map();
const chosen = new Map();
let outcome = null;
/** Whether frames are neither heard nor answered. */
let deaf = false;
/** The operation that is refused, and how: `never`, `later`, or not answered at all. */
let failing = { op: null, retry: null };

const hub = {
  created: new Map(),
  status: (user) => ([...sessions].some((s) => s.user === user) ? chosen.get(user) ?? 'online' : 'offline'),
  setStatus(user, status) {
    chosen.set(user, status);
    hub.presence(user);
  },
  presence(user) {
    const last_seen = world.users.get(user)?.last_seen;
    const status = hub.status(user);
    for (const room of world.rooms.values()) {
      if (room.members.has(user)) hub.tell(room, { push: 'presence', room: room.id, user, status, ...(status === 'offline' ? { last_seen } : {}) }, user);
    }
  },
  tell(room, push, except) {
    for (const s of sessions) if (s.resumed && s.user !== except && room.members.has(s.user)) s.send(push);
  },
};
const world = (hub.world = new World(values.data, (room, entry, before) => {
  for (const s of sessions) {
    if (!s.resumed) continue;
    const was = before.has(s.user);
    const is = room.members.has(s.user);
    if (is && !was) s.send({ push: 'room_added', room: room.id, epoch: room.epoch, from: entry.seq - 1 });
    if (is || was) s.send({ push: 'entry', room: room.id, entry });
    if (was && !is) s.send({ push: 'room_gone', room: room.id });
  }
}));

function resume(session, { positions = {} }) {
  const mine = [...world.rooms.values()].filter((r) => r.members.has(session.user));
  const out = mine.map((room) => {
    const at = positions[room.id];
    const last = room.log.length;
    const base = { room: room.id, epoch: room.epoch, from: at?.seq ?? last, last, outcome: 'live' };
    if (outcome && at) return { ...base, outcome, from: last };
    const foreign = at && (at.epoch !== room.epoch || at.seq > last || (at.append !== undefined && at.seq && room.log[at.seq - 1].append !== at.append));
    return foreign ? { ...base, outcome: 'reset', from: last } : base;
  });
  for (const id of Object.keys(positions).map(Number)) if (!mine.some((r) => r.id === id)) out.push({ room: id, epoch: 0, from: 0, last: 0, outcome: 'gone' });
  outcome = null;
  session.resumed = true;
  queueMicrotask(() => {
    for (const { room, from } of out) for (const entry of world.rooms.get(room)?.log.slice(from) ?? []) if (world.rooms.get(room).members.has(session.user)) session.send({ push: 'entry', room, entry });
  });
  return { resumed: out };
}

function issue(user, family = randomBytes(8).toString('hex')) {
  const access_token = randomBytes(16).toString('hex');
  const refresh_token = `${family}.${randomBytes(16).toString('hex')}`;
  tokens.set(access_token, { user: user.id, until: Date.now() + LIFE_S * 1000 });
  world.putRefresh({ token: refresh_token, family, user: user.id, used: false });
  return { user: userView(user), access_token, refresh_token, expires_in: LIFE_S };
}

const byName = (name) => [...world.users.values()].find((u) => u.username === name || (u.email && u.email === name));

function auth(path, body) {
  if (path === 'register') {
    if (byName(body.username)) throw new Fault('exists', 409, 'never', 'the username is taken');
    if (body.email && byName(body.email)) throw new Fault('exists', 409, 'never', 'the e-mail address is taken');
    const id = 1 + world.users.size;
    world.putUser({ id, username: body.username, full_name: body.full_name ?? '', email: body.email, password: hash(body.password), created_at: Date.now() });
    return [201, issue(world.users.get(id))];
  }
  if (path === 'login') {
    const user = byName(body.username);
    if (!user || user.password !== hash(body.password)) throw new Fault('bad_credentials', 401);
    return [200, issue(user)];
  }
  const row = world.refresh.get(body.refresh_token);
  if (path === 'logout') {
    if (row) revoke(row.family);
    return [204];
  }
  if (!row || row.used) {
    if (row) revoke(row.family);
    throw new Fault('revoked', 401, 'authenticate');
  }
  world.putRefresh({ ...row, used: true });
  return [200, issue(world.users.get(row.user), row.family)];
}

const revoke = (family) => [...world.refresh.values()].filter((r) => r.family === family).forEach((r) => world.putRefresh({ ...r, used: true }));

function who(token) {
  const row = tokens.get(token);
  if (!row) throw new Fault('unauthenticated', 401, 'authenticate');
  if (row.until < Date.now()) throw new Fault('token_expired', 401, 'authenticate');
  return row.user;
}

function fake(what, query) {
  if (what === 'expire') tokens.clear();
  else if (what === 'close') sessions.forEach((s) => s.socket.close(Number(query.get('code'))));
  else if (what === 'reconnect') sessions.forEach((s) => { s.send({ push: 'reconnect', after_ms: Number(query.get('ms') ?? 300), reason: 'draining' }); s.socket.close(1012); });
  else if (what === 'deaf') deaf = query.get('on') === '1';
  else if (what === 'fail') failing = { op: query.get('op'), retry: query.get('retry') };
  else if (what === 'sessions') return [200, { sessions: sessions.size }];
  else outcome = what;
  return [200, {}];
}

function rest(request, url, body) {
  const path = url.pathname;
  if (path.startsWith('/fake/')) return fake(path.slice(6), url.searchParams);
  if (path.startsWith('/v1/auth/')) return auth(path.slice(9), body);
  const me = who(request.headers.authorization?.replace('Bearer ', ''));
  const user = world.users.get(me);
  if (path === '/v1/me') {
    if (request.method === 'PATCH') world.putUser({ id: me, ...body });
    return [200, { ...userView(world.users.get(me)), email: world.users.get(me).email ?? null, role: 'user', tenant: 1 }];
  }
  if (path === '/v1/me/password') {
    if (hash(body.old_password) !== user.password) throw new Fault('bad_credentials', 401);
    world.putUser({ id: me, password: hash(body.new_password) });
    return [204];
  }
  if (path === '/v1/users') {
    const q = url.searchParams.get('q').toLowerCase();
    return [200, { users: [...world.users.values()].filter((u) => `${u.username} ${u.full_name}`.toLowerCase().includes(q)).map(userView) }];
  }
  throw new Fault('unknown_op', 404);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x');
  const send = (status, body, type = 'application/json') => response.writeHead(status, { ...HEADERS, 'content-type': type }).end(body);
  try {
    if (url.pathname.startsWith('/v1/') || url.pathname.startsWith('/fake/')) {
      let text = '';
      for await (const chunk of request) text += chunk;
      const [status, body] = rest(request, url, text ? JSON.parse(text) : {});
      return send(status, body ? JSON.stringify(body) : undefined);
    }
    const file = normalize(url.pathname === '/' ? '/index.html' : url.pathname);
    return send(200, await readFile(join(WEB, file)), TYPES[extname(file)]);
  } catch (error) {
    if (error instanceof Fault) return send(error.http, JSON.stringify(error.body));
    return send(error.code === 'ENOENT' ? 404 : 500, JSON.stringify({ code: 'not_found', detail: String(error.message), retry: 'never' }));
  }
});

const sockets = new WebSocketServer({ server, path: '/v1/connect', handleProtocols: () => 'parlance.v1.json' });
sockets.on('connection', (socket, request) => {
  const token = request.headers['sec-websocket-protocol']?.split(',').at(-1).trim();
  let user;
  try {
    user = who(token);
  } catch {
    return socket.close(4401);
  }
  const session = { user, socket, resumed: false, send: (frame) => socket.send(JSON.stringify(frame)) };
  sessions.add(session);
  session.send({ push: 'hello', session: 1, user, now: Date.now(), credits: 64, heartbeat_ms: 25000, token_expires_at: tokens.get(token).until });
  hub.presence(user);
  socket.on('message', (data) => {
    const frame = JSON.parse(data);
    if (deaf) return undefined;
    if (frame.op === failing.op) {
      if (failing.retry === 'silence') return undefined;
      return session.send({ re: frame.n, fault: new Fault('internal', 500, failing.retry, 'made to fail').body });
    }
    try {
      const ok = frame.op === 'resume' ? resume(session, frame) : run(hub, session, frame);
      return session.send({ re: frame.n, ok });
    } catch (error) {
      return session.send({ re: frame.n, fault: error instanceof Fault ? error.body : new Fault('internal', 500, 'later', String(error)).body });
    }
  });
  return socket.on('close', () => {
    sessions.delete(session);
    world.putUser({ id: user, last_seen: Date.now() });
    hub.presence(user);
  });
});
server.listen(Number(port), host, () => process.stdout.write(`listening on http://${host}:${server.address().port}\n`));
